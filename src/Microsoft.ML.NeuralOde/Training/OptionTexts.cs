using System.Collections;
using System.Globalization;
using System.Reflection;

namespace Microsoft.ML.NeuralOde.Training;

/// <summary>A trainer's options as texts, for checkpoints and for people who open a model file.</summary>
internal static class OptionTexts
{
    /// <summary>Every option that is a value, by name.</summary>
    /// <param name="options">The options.</param>
    /// <param name="uses">The uses of those that are wanted; none for all.</param>
    public static SortedDictionary<string, string> Of(NeuralOdeTrainerOptions options, params ReadOnlySpan<OptionUse> uses)
    {
        var texts = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (FieldInfo field in Fields(options))
        {
            OptionAttribute? attribute = field.GetCustomAttribute<OptionAttribute>();
            object? value = field.GetValue(options);
            bool isWritten = uses.IsEmpty ? UseOf(field) != OptionUse.Unwritten : uses.Contains(UseOf(field));
            bool isLeftOut = value is null ? attribute is { IsLeftOutWhenNull: true }
                : attribute is { IsLeftOutWhenZero: true } && value.Equals(Activator.CreateInstance(field.FieldType));
            if (isWritten && !isLeftOut)
                texts[field.Name] = Text(value);
        }
        return texts;
    }

    /// <summary>Whether an option may be another when a training goes on; false where there is none of that name.</summary>
    public static bool MayChange(NeuralOdeTrainerOptions options, string name) =>
        Fields(options).Any(field => field.Name == name && UseOf(field) == OptionUse.MayChange);

    private static FieldInfo[] Fields(NeuralOdeTrainerOptions options) =>
        options.GetType().GetFields(BindingFlags.Public | BindingFlags.Instance);

    private static OptionUse UseOf(FieldInfo field) => field.GetCustomAttribute<OptionAttribute>()?.Use ?? OptionUse.Decides;

    private static string Text(object? value) => value switch
    {
        null => "null",
        string text => text,
        IEnumerable items => $"[{string.Join(", ", items.Cast<object?>().Select(Text))}]",
        _ => Convert.ToString(value, CultureInfo.InvariantCulture) ?? "",
    };
}
