using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.NeuralOde.Data;

/// <summary>The columns that a training reads.</summary>
/// <param name="Context">Names the component in exceptions.</param>
/// <param name="FeatureColumn">A vector of Single of known size.</param>
/// <param name="Label">The label; null for unlabelled data.</param>
/// <param name="WeightColumn">A column of Single; null for equal weights.</param>
internal sealed record RowColumns(IExceptionContext Context, string FeatureColumn, LabelFormat? Label = null, string? WeightColumn = null)
{
    /// <exception cref="ArgumentOutOfRangeException">The column is missing or has the wrong type.</exception>
    public static DataViewSchema.Column FindFeatures(IExceptionContext context, DataViewSchema schema, string name)
    {
        DataViewSchema.Column column = schema.GetColumnOrNull(name) ?? throw Schemas.Mismatch(context, "inputSchema", "feature", name);
        // Vector types of different dimensions are different types: item type and size are what counts.
        if (column.Type is not VectorDataViewType { IsKnownSize: true } type || !type.ItemType.Equals(NumberDataViewType.Single))
            throw Schemas.Mismatch(context, "inputSchema", "feature", name, "a vector of Single of known size", column.Type + Schemas.VectorRemedy(column.Type));
        return column;
    }

    public DataViewSchema.Column FindFeatures(DataViewSchema schema) => FindFeatures(Context, schema, FeatureColumn);

    /// <summary>How many numbers a row has.</summary>
    public RowShape ShapeIn(DataViewSchema schema) => new(
        ((VectorDataViewType)FindFeatures(schema).Type).Size, Label?.Width(Label.Find(Context, schema).Type) ?? 0, WeightColumn is not null);

    public DataViewSchema.Column? FindWeight(DataViewSchema schema)
    {
        if (WeightColumn is null)
            return null;
        DataViewSchema.Column column = schema.GetColumnOrNull(WeightColumn) ?? throw Schemas.Mismatch(Context, "inputSchema", "weight", WeightColumn);
        return column.Type.Equals(NumberDataViewType.Single)
            ? column
            : throw Schemas.Mismatch(Context, "inputSchema", "weight", WeightColumn, "Single", column.Type.ToString());
    }
}

/// <summary>How many numbers a row has: its features, its label, its weight.</summary>
internal readonly record struct RowShape(int Features, int Labels, bool IsWeighted)
{
    public long Bytes => sizeof(float) * ((long)Features + Labels + (IsWeighted ? 1 : 0));
}

/// <summary>Goes through the rows of a data view, over those with a missing value, and tells how many those were.</summary>
internal sealed class RowReader : IDisposable
{
    private readonly RowColumns _columns;
    private readonly DataViewRowCursor _cursor;
    private readonly VectorReader _getFeatures;
    private readonly LabelFormat.Reader? _getLabel;
    private readonly ValueGetter<float>? _getWeight;
    private readonly float[] _features;
    private readonly float[] _labels;
    private float _weight = 1;
    private long _noLabel;
    private long _noWeight;
    private long _badFeatures;
    private string _firstBadFeature = "";

    public RowReader(IDataView data, RowColumns columns)
    {
        _columns = columns;
        DataViewSchema.Column features = columns.FindFeatures(data.Schema);
        DataViewSchema.Column? label = columns.Label?.Find(columns.Context, data.Schema);
        DataViewSchema.Column? weight = columns.FindWeight(data.Schema);
        RowShape shape = columns.ShapeIn(data.Schema);
        _features = new float[shape.Features];
        _labels = new float[shape.Labels];
        List<DataViewSchema.Column> active = [features];
        if (label is not null)
            active.Add(label.Value);
        if (weight is not null)
            active.Add(weight.Value);
        _cursor = data.GetRowCursor(active);
        _getFeatures = new VectorReader(_cursor, features, "feature");
        _getLabel = label is { } labelColumn ? columns.Label!.Open(_cursor, labelColumn) : null;
        _getWeight = weight is { } weightColumn ? _cursor.GetGetter<float>(weightColumn) : null;
    }

    public ReadOnlySpan<float> Features => _features;

    public ReadOnlySpan<float> Labels => _labels;

    public float Weight => _weight;

    /// <summary>Rows that were left out so far.</summary>
    public long Skipped => _noLabel + _noWeight + _badFeatures;

    /// <summary>What was left out and why, as one sentence.</summary>
    public string SkippedDescription
    {
        get
        {
            var parts = new List<string>();
            if (_noLabel > 0)
                parts.Add($"{_noLabel} rows have no value in the {_columns.Label!.Role} column '{_columns.Label.Column}'");
            if (_noWeight > 0)
                parts.Add($"{_noWeight} rows have no value in the weight column '{_columns.WeightColumn}'");
            if (_badFeatures > 0)
                parts.Add(
                    $"{_badFeatures} rows have values in the feature column '{_columns.FeatureColumn}' that are missing or infinite, {_firstBadFeature} first " +
                    "(mlContext.Transforms.ReplaceMissingValues would keep them)");
            return string.Join("; ", parts);
        }
    }

    /// <summary>Moves to the next row that has all its values.</summary>
    /// <exception cref="InvalidOperationException">A weight is negative, or a vector has another length than its column's type.</exception>
    public bool MoveNext()
    {
        while (_cursor.MoveNext())
        {
            if (_getLabel is not null && !_getLabel(_labels))
            {
                _noLabel++;
                continue;
            }
            if (_getWeight is not null && !ReadWeight())
            {
                _noWeight++;
                continue;
            }
            _getFeatures.Read(_features);
            int slot = FirstNotFinite(_features);
            if (slot < 0)
                return true;
            if (_badFeatures++ == 0)
                _firstBadFeature = $"{_features[slot]} in row {_cursor.Position}, slot {slot}";
        }
        return false;
    }

    public void Dispose() => _cursor.Dispose();

    private static int FirstNotFinite(ReadOnlySpan<float> row)
    {
        for (int slot = 0; slot < row.Length; slot++)
            if (!float.IsFinite(row[slot]))
                return slot;
        return -1;
    }

    private bool ReadWeight()
    {
        _getWeight!(ref _weight);
        if (_weight < 0)
            throw new InvalidOperationException(
                $"The weight column '{_columns.WeightColumn}' holds {_weight} in row {_cursor.Position}; weights must be zero or positive.");
        return float.IsFinite(_weight);
    }
}
