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

    /// <summary>The options that are not at their defaults, in one line.</summary>
    public static string Describe(NeuralOdeTrainerOptions options)
    {
        Type type = options.GetType();
        string name = type.DeclaringType is { } trainer ? $"{trainer.Name}.{type.Name}" : type.Name;
        IReadOnlyDictionary<string, string> values = Of(options);
        if (type.GetConstructor(Type.EmptyTypes) is not null)
        {
            IReadOnlyDictionary<string, string> defaults = Of(Activator.CreateInstance(type)!);
            values = values.Where(pair => defaults[pair.Key] != pair.Value).ToDictionary();
        }
        return values.Count == 0 ? $"{name} with its defaults" : $"{name} {{ {string.Join(", ", values.Select(pair => $"{pair.Key} = {pair.Value}"))} }}";
    }

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
