namespace Microsoft.ML.NeuralOde.Data;

/// <summary>Means and standard deviations of features and labels, and what the classes weigh, in one pass.</summary>
internal sealed class RowStatistics(RowFormat format, RowShape shape)
{
    private readonly FeatureStatistics _features = format.CreateStatistics();
    private readonly Moments _labels = new(shape.Labels);
    private readonly SortedDictionary<float, double> _classes = [];
    private readonly CheckNumber _check = new();
    private double _featureBytes;

    /// <summary>The number of rows.</summary>
    public long Count { get; private set; }

    /// <summary>Another where a number of the rows, a label, a weight or their order is another.</summary>
    public string CheckNumber => _check.ToString();

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
        _check.Add(features.Values);
        foreach (int slot in features.Slots)
            _check.Add(BitConverter.Int32BitsToSingle(slot));
        _check.Add(labels);
        _check.Add(weight);
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

    private void AddLabel(float label, double weight)
    {
        if (_classes.Count < 4096 || _classes.ContainsKey(label))
            _classes[label] = _classes.GetValueOrDefault(label) + weight;
    }
}
