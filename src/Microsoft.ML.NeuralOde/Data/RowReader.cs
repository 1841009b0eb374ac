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
    /// <summary>Whether what is trained takes rows without their zeros.</summary>
    public bool TakesSparse { get; init; }

    /// <summary>Which of the rows are read: all, or a part of them.</summary>
    public RowPart Part { get; init; } = RowPart.All;

    /// <summary>What stands in for missing features of vectors; null where rows with missing ones are left out.</summary>
    public FeatureFilling? Filling { get; init; }

    /// <summary>The columns of series, of which <see cref="FeatureColumn"/> is one; null where features are vectors.</summary>
    public SeriesColumns? Series { get; init; }

    /// <exception cref="ArgumentOutOfRangeException">The column is missing or has the wrong type.</exception>
    public static DataViewSchema.Column FindFeatures(IExceptionContext context, DataViewSchema schema, string name)
    {
        DataViewSchema.Column column = schema.GetColumnOrNull(name) ?? throw Schemas.Mismatch(context, "inputSchema", "feature", name);
        // Vector types of different dimensions are different types: item type and size are what counts.
        if (column.Type is not VectorDataViewType { IsKnownSize: true } type || !type.ItemType.Equals(NumberDataViewType.Single))
            throw Schemas.Mismatch(context, "inputSchema", "feature", name, "a vector of Single of known size",
                column.Type + Schemas.VectorRemedy(column.Type));
        return column;
    }

    public DataViewSchema.Column FindFeatures(DataViewSchema schema) => FindFeatures(Context, schema, FeatureColumn);

    /// <summary>The columns that features are read from, of which the first gives them their type.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or has the wrong type.</exception>
    public IReadOnlyList<DataViewSchema.Column> FindInputs(DataViewSchema schema) =>
        Series?.Find(Context, schema).Columns ?? [FindFeatures(schema)];

    /// <summary>Checks the columns that features are read from.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or has the wrong type.</exception>
    public void CheckInputs(SchemaShape schema)
    {
        if (Series is { } series)
            series.Check(Context, schema);
        else
            Schemas.CheckFeatures(Context, schema, FeatureColumn);
    }

    /// <summary>How many numbers a row has; of series the channels.</summary>
    public RowShape ShapeIn(DataViewSchema schema) => new(
        Series?.Find(Context, schema).ChannelCount ?? ((VectorDataViewType)FindFeatures(schema).Type).Size,
        Label?.Width(Label.Find(Context, schema).Type) ?? 0, WeightColumn is not null);

    public DataViewSchema.Column? FindWeight(DataViewSchema schema)
    {
        if (WeightColumn is null)
            return null;
        DataViewSchema.Column column = schema.GetColumnOrNull(WeightColumn)
            ?? throw Schemas.Mismatch(Context, "inputSchema", "weight", WeightColumn);
        return column.Type.Equals(NumberDataViewType.Single)
            ? column
            : throw Schemas.Mismatch(Context, "inputSchema", "weight", WeightColumn, "Single", column.Type.ToString());
    }
}

/// <summary>
/// Part k of n of the rows that can be used, for several processes that share them: every n-th row from row k on. Each row is in one part,
/// in the order of the data, and no part has more than one row more than another.
/// </summary>
internal readonly record struct RowPart
{
    /// <param name="index">k, from 0.</param>
    /// <param name="count">n.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such part.</exception>
    public RowPart(int index, int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(count);
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, count);
        Index = index;
        Count = count;
    }

    public static RowPart All { get; } = new(0, 1);

    public int Index { get; }

    public int Count { get; }

    /// <summary>Whether a row, counted from 0, belongs to the part.</summary>
    public bool Contains(long row) => row % Count == Index;
}

/// <summary>How many numbers a row has: its features, its label, its weight.</summary>
internal readonly record struct RowShape(int Features, int Labels, bool IsWeighted)
{
    public long Bytes => sizeof(float) * (long)Features + LabelBytes;

    /// <summary>What the label and the weight take.</summary>
    public long LabelBytes => sizeof(float) * ((long)Labels + (IsWeighted ? 1 : 0));
}

/// <summary>Goes through the rows of a data view, over those with a missing value, and tells how many those were.</summary>
internal sealed class RowReader : IDisposable
{
    private readonly RowColumns _columns;
    private readonly RowFormat _format;
    private readonly DataViewRowCursor _cursor;
    private readonly IFeatureReader _features;
    private readonly LabelFormat.Reader? _getLabel;
    private readonly ValueGetter<float>? _getWeight;
    private readonly float[] _labels;
    private float _weight = 1;
    private long _noLabel;
    private long _noWeight;
    private long _badFeatures;
    private long _usable;
    private string _firstBadFeature = "";

    public RowReader(IDataView data, RowColumns columns, RowFormat format)
    {
        _columns = columns;
        _format = format;
        DataViewSchema.Column? label = columns.Label?.Find(columns.Context, data.Schema);
        DataViewSchema.Column? weight = columns.FindWeight(data.Schema);
        RowShape shape = columns.ShapeIn(data.Schema);
        _labels = new float[shape.Labels];
        List<DataViewSchema.Column> active = [.. columns.FindInputs(data.Schema)];
        if (label is not null)
            active.Add(label.Value);
        if (weight is not null)
            active.Add(weight.Value);
        _cursor = data.GetRowCursor(active);
        _features = format.Open(_cursor, columns);
        _getLabel = label is { } labelColumn ? columns.Label!.Open(_cursor, labelColumn) : null;
        _getWeight = weight is { } weightColumn ? _cursor.GetGetter<float>(weightColumn) : null;
    }

    public RowValues Features => _features.Current;

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
                parts.Add(_format.DescribeGaps(_badFeatures, _firstBadFeature, _columns.FeatureColumn));
            return string.Join("; ", parts);
        }
    }

    /// <summary>Moves to the next row of the part that has all its values.</summary>
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
            if (_format.FindGap(_features.Read(), _cursor.Position) is { } bad)
            {
                if (_badFeatures++ == 0)
                    _firstBadFeature = bad;
                continue;
            }
            if (_columns.Part.Contains(_usable++))
                return true;
        }
        return false;
    }

    public void Dispose() => _cursor.Dispose();

    private bool ReadWeight()
    {
        _getWeight!(ref _weight);
        if (_weight < 0)
            throw new InvalidOperationException(
                $"The weight column '{_columns.WeightColumn}' holds {_weight} in row {_cursor.Position}; weights must be zero or positive.");
        return float.IsFinite(_weight);
    }
}
