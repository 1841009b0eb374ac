namespace Microsoft.ML.NeuralOde.Data;

/// <summary>Means and standard deviations of features and labels, and what the classes weigh, in one pass.</summary>
internal sealed class RowStatistics(RowFormat format, RowShape shape)
{
    private readonly FeatureStatistics _features = format.CreateStatistics();
    private readonly Moments _labels = new(shape.Labels);
    private readonly SortedDictionary<float, double> _classes = [];
    private readonly CheckNumber _check = new();
    private readonly CheckNumber _row = new();
    private ulong _content;
    private double _featureBytes;

    /// <summary>The number of rows.</summary>
    public long Count { get; private set; }

    /// <summary>
    /// Whether the rows have an order; otherwise it makes no difference which process holds which, and in what order.
    /// </summary>
    public bool AreOrdered { get; init; } = true;

    /// <summary>Another where a number of the rows, a label, a weight or, of rows that are ordered, their order is another.</summary>
    public string CheckNumber => AreOrdered ? _check.ToString() : $"{_content:x16}";

    /// <summary>What the rows are known by.</summary>
    public string Describe() => $"{Count} rows of {shape.Features} features (check number {CheckNumber})";

    /// <summary>The sum of the weights of the rows of each label value, in the order of the values.</summary>
    /// <remarks>Counted for labels of one number, and for the first few thousand values: more are no classes.</remarks>
    public IReadOnlyDictionary<float, double> LabelWeights => _classes;

    /// <summary>What the features of a row take in memory on average, in bytes.</summary>
    public double MeanFeatureBytes => Count == 0 ? 0 : _featureBytes / Count;

    public void Add(RowValues features, ReadOnlySpan<float> labels, float weight)
    {
        Count++;
        _features.Add(features);
        _labels.Add(labels);
        _featureBytes += format.BytesOf(features);
        AddTo(_check, features, labels, weight);
        _row.Clear();
        AddTo(_row, features, labels, weight);
        _content += _row.Value;
        if (labels.Length == 1)
            AddLabel(labels[0], weight);
    }

    /// <summary>
    /// Takes over what was seen of another part of the rows, which comes behind this one; the check number becomes one of both check
    /// numbers.
    /// </summary>
    /// <exception cref="ArgumentException">The rows of the two parts are of different formats.</exception>
    public void Merge(RowStatistics other)
    {
        _features.Merge(other._features, Count, other.Count);
        _labels.Merge(other._labels, other.Count);
        _featureBytes += other._featureBytes;
        _check.Add(other._check);
        _content += other._content;
        Count += other.Count;
        foreach ((float label, double weight) in other._classes)
            AddLabel(label, weight);
    }

    /// <summary>What to subtract from features and what to multiply the difference by; a constant slot keeps its scale.</summary>
    public (float[] Mean, float[] Scale) Features(FeatureNormalization normalization) => _features.Normalization(normalization, Count);

    /// <summary>The mean time from a series' first observation to its last.</summary>
    public double MeanSpan => _features.MeanSpan;

    /// <summary>The distance between the largest and the smallest value of each feature.</summary>
    public double[] FeatureRanges() => _features.Slots.Ranges();

    /// <summary>The slots of the features that have one value in all rows.</summary>
    public int[] ConstantFeatures() => _features.Slots.Constant(Count);

    /// <summary>The slots of the features whose values are whole numbers in all rows, and not all the same.</summary>
    public int[] WholeFeatures() => [.. _features.Slots.Whole().Except(ConstantFeatures())];

    /// <summary>The same for labels that are numbers.</summary>
    public (float[] Mean, float[] Scale) Labels() => _labels.PerSlot(Count);

    /// <summary>What the rows are without their order, for another process.</summary>
    public void Write(BinaryWriter writer)
    {
        writer.Write(Count);
        writer.Write(_featureBytes);
        writer.Write(_check.Value);
        writer.Write(_content);
        writer.Write(_classes.Count);
        foreach ((float label, double classWeight) in _classes)
        {
            writer.Write(label);
            writer.Write(classWeight);
        }
        _labels.Write(writer);
        _features.Write(writer);
    }

    /// <summary>Takes what was written of rows of the same format and shape, instead of what is here.</summary>
    public void Read(BinaryReader reader)
    {
        Count = reader.ReadInt64();
        _featureBytes = reader.ReadDouble();
        _check.Restore(reader.ReadUInt64());
        _content = reader.ReadUInt64();
        _classes.Clear();
        for (int left = reader.ReadInt32(); left > 0; left--)
            _classes[reader.ReadSingle()] = reader.ReadDouble();
        _labels.Read(reader);
        _features.Read(reader);
    }

    /// <summary>One row as there could be, which stands where a computation needs a row that counts for nothing.</summary>
    public RowBatch CreateTypical()
    {
        float[] label = shape.Labels == 1 && _classes.Count > 0 ? [_classes.First().Key] : _labels.PerSlot(Math.Max(1, Count)).Mean;
        return new RowBatch(
            format.CreateTypical(_features, Math.Max(1, Count)),
            shape.Labels == 0 ? null : tensor(label, [1, shape.Labels], device: CPU).DetachFromDisposeScope(),
            shape.IsWeighted ? ones(1, ScalarType.Float32, CPU).DetachFromDisposeScope() : null);
    }

    private static void AddTo(CheckNumber check, RowValues features, ReadOnlySpan<float> labels, float weight)
    {
        check.Add(features.Values);
        foreach (int slot in features.Slots)
            check.Add(BitConverter.Int32BitsToSingle(slot));
        check.Add(labels);
        check.Add(weight);
    }

    private void AddLabel(float label, double weight)
    {
        if (_classes.Count < 4096 || _classes.ContainsKey(label))
            _classes[label] = _classes.GetValueOrDefault(label) + weight;
    }
}
