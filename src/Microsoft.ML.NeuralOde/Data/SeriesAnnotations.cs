using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Data;

/// <summary>The columns of series, and what their annotations say.</summary>
internal static class SeriesAnnotations
{
    /// <summary>The usual name of the column of times.</summary>
    public const string Times = "Times";

    /// <summary>The usual name of the column of values.</summary>
    public const string Values = "Values";

    /// <summary>The annotation of a column of values that says how many channels are interleaved in it.</summary>
    public const string ChannelCount = "ChannelCount";

    /// <summary>The annotation that says how far from each other the values of series at equal distances are, as a text.</summary>
    public const string Frequency = "Frequency";

    /// <summary>The annotation that says how many values ahead a forecast is to reach.</summary>
    public const string Horizon = "Horizon";

    /// <summary>The annotations of a column of values; null for what is not known.</summary>
    public static DataViewSchema.Annotations Of(int channels, string? frequency = null, int? horizon = null)
    {
        var builder = new DataViewSchema.Annotations.Builder();
        builder.AddPrimitiveValue(ChannelCount, NumberDataViewType.Int32, channels);
        if (frequency is not null)
            builder.AddPrimitiveValue(Frequency, TextDataViewType.Instance, frequency.AsMemory());
        if (horizon is { } steps)
            builder.AddPrimitiveValue(Horizon, NumberDataViewType.Int32, steps);
        return builder.ToAnnotations();
    }

    /// <summary>How many channels a column of values says that it has; null where it does not say.</summary>
    public static int? ChannelCountOf(DataViewSchema.Column column)
    {
        if (column.Annotations.Schema.GetColumnOrNull(ChannelCount) is not { } found || !found.Type.Equals(NumberDataViewType.Int32))
            return null;
        int count = 0;
        column.Annotations.GetValue(ChannelCount, ref count);
        return count > 0 ? count : null;
    }
}
