using System.Collections;
using System.Globalization;
using System.Reflection;

namespace Microsoft.ML.NeuralOde.Prediction;

/// <summary>A trainer's options as text, for people who open a model file.</summary>
internal static class TrainingOptionsText
{
    /// <summary>Every option that is a value; data, callbacks and tokens say nothing to a reader.</summary>
    public static IReadOnlyDictionary<string, string> Of(object options) => options.GetType().GetFields(BindingFlags.Public | BindingFlags.Instance)
        .Where(field => IsValue(field.FieldType))
        .OrderBy(field => field.Name, StringComparer.Ordinal)
        .ToDictionary(field => field.Name, field => Text(field.GetValue(options)));

    private static bool IsValue(Type type) =>
        type != typeof(CancellationToken) && !typeof(Delegate).IsAssignableFrom(type) && !typeof(IDataView).IsAssignableFrom(type);

    private static string Text(object? value) => value switch
    {
        null => "null",
        string text => text,
        IEnumerable items => $"[{string.Join(", ", items.Cast<object?>().Select(Text))}]",
        _ => Convert.ToString(value, CultureInfo.InvariantCulture) ?? "",
    };
}
