using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.NeuralOde.Networks;

/// <summary>
/// The dynamics that an <see cref="MLContext"/> knows by name. It belongs to the context's catalog of components and lives as long.
/// </summary>
internal sealed class DynamicsCatalog
{
    private static readonly ConditionalWeakTable<ComponentCatalog, DynamicsCatalog> Catalogs = [];

    private readonly ConcurrentDictionary<string, NeuralOdeDynamics> _dynamics = new(StringComparer.Ordinal);

    public static DynamicsCatalog Of(ComponentCatalog components) => Catalogs.GetValue(components, static _ => new DynamicsCatalog());

    public static DynamicsCatalog Of(IHostEnvironment environment) => Of(environment.ComponentCatalog);

    /// <exception cref="ArgumentException">Other dynamics have the name already.</exception>
    public void Add(NeuralOdeDynamics dynamics)
    {
        if (!ReferenceEquals(_dynamics.GetOrAdd(dynamics.Name, dynamics), dynamics))
            throw new ArgumentException($"This MLContext knows other dynamics by the name '{dynamics.Name}' already.", nameof(dynamics));
    }

    /// <exception cref="InvalidOperationException">There are none of that name.</exception>
    public NeuralOdeDynamics Find(string name) =>
        _dynamics.TryGetValue(name, out NeuralOdeDynamics? found) ? found : throw new InvalidOperationException(
            $"The model's right-hand side is the module '{name}', which this MLContext does not know{Known()}. Before the model is loaded, "
            + $"call mlContext.ComponentCatalog.RegisterDynamics(NeuralOdeDynamics.FromModule(\"{name}\", size => …)) "
            + "with the module that it was trained with.");

    private string Known() => _dynamics.IsEmpty ? "" : $" (it knows '{string.Join("', '", _dynamics.Keys.Order(StringComparer.Ordinal))}')";
}
