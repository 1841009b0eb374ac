namespace Microsoft.ML.NeuralOde.Data;

/// <summary>Means and standard deviations of features and labels, and what the classes weigh, in one pass.</summary>
internal sealed class RowStatistics(RowShape shape)
{
    // The distance of neighbours in float32, relative to the mean: less is what rounding makes of equal values, more may be information.
    private const double SmallestRelativeDeviation = 1.0 / (1 << 23);

    private readonly Moments _features = new(shape.Features);
    private readonly Moments _labels = new(shape.Labels);
    private readonly SortedDictionary<float, double> _classes = [];
    private readonly CheckNumber _check = new();

    /// <summary>The number of rows.</summary>
    public long Count { get; private set; }

    /// <summary>Another where a number of the rows, a label, a weight or their order is another.</summary>
    public string CheckNumber => _check.ToString();

    /// <summary>What the rows are known by.</summary>
    public string Describe() => $"{Count} rows of {shape.Features} features (check number {CheckNumber})";

    /// <summary>The sum of the weights of the rows of each label value, in the order of the values.</summary>
    /// <remarks>Counted for labels of one number, and for the first few thousand values: more are no classes.</remarks>
    public IReadOnlyDictionary<float, double> LabelWeights => _classes;

    public void Add(ReadOnlySpan<float> features, ReadOnlySpan<float> labels, float weight)
    {
        Count++;
        _features.Add(features);
        _labels.Add(labels);
        _check.Add(features);
        _check.Add(labels);
        _check.Add(weight);
        if (labels.Length == 1 && (_classes.Count < 4096 || _classes.ContainsKey(labels[0])))
            _classes[labels[0]] = _classes.GetValueOrDefault(labels[0]) + weight;
    }

    /// <summary>What to subtract from features and what to multiply the difference by; a constant slot keeps its scale.</summary>
    public (float[] Mean, float[] Scale) Features(FeatureNormalization normalization) =>
        normalization == FeatureNormalization.Global ? _features.Overall(Count) : _features.PerSlot(Count);

    /// <summary>The distance between the largest and the smallest value of each feature.</summary>
    public double[] FeatureRanges() => _features.Ranges();

    /// <summary>The slots of the features that have one value in all rows.</summary>
    public int[] ConstantFeatures() => _features.Constant(Count);

    /// <summary>The slots of the features whose values are whole numbers in all rows, and not all the same.</summary>
    public int[] WholeFeatures() => [.. _features.Whole().Except(ConstantFeatures())];

    /// <summary>The same for labels that are numbers.</summary>
    public (float[] Mean, float[] Scale) Labels() => _labels.PerSlot(Count);

    /// <summary>Sums of values and squares, about the first row, which keeps them from cancelling.</summary>
    private sealed class Moments(int size)
    {
        private readonly double[] _shift = new double[size];
        private readonly double[] _sum = new double[size];
        private readonly double[] _squares = new double[size];
        private readonly bool[] _isFractional = new bool[size];
        private readonly float[] _least = new float[size];
        private readonly float[] _most = new float[size];
        private bool _started;

        public void Add(ReadOnlySpan<float> values)
        {
            if (!_started)
            {
                for (int i = 0; i < values.Length; i++)
                {
                    _shift[i] = values[i];
                    _least[i] = _most[i] = values[i];
                }
                _started = true;
            }
            for (int i = 0; i < values.Length; i++)
            {
                double value = values[i] - _shift[i];
                _sum[i] += value;
                _squares[i] += value * value;
                _isFractional[i] |= values[i] != MathF.Round(values[i]);
                _least[i] = Math.Min(_least[i], values[i]);
                _most[i] = Math.Max(_most[i], values[i]);
            }
        }

        public double[] Ranges() => [.. _most.Zip(_least, (most, least) => (double)most - least)];

        public int[] Whole() => [.. Enumerable.Range(0, size).Where(slot => !_isFractional[slot])];

        public int[] Constant(long count) => [.. Enumerable.Range(0, size).Where(slot => IsConstant(Mean(slot, count), Variance(slot, count)))];

        public (float[] Mean, float[] Scale) PerSlot(long count)
        {
            var mean = new float[size];
            var scale = new float[size];
            for (int i = 0; i < size; i++)
            {
                mean[i] = (float)Mean(i, count);
                scale[i] = Scale(Mean(i, count), Variance(i, count));
            }
            return (mean, scale);
        }

        public (float[] Mean, float[] Scale) Overall(long count)
        {
            double mean = 0, square = 0;
            for (int i = 0; i < size; i++)
            {
                double average = _sum[i] / count;
                double slotMean = _shift[i] + average;
                mean += slotMean / size;
                square += (_squares[i] / count - average * average + slotMean * slotMean) / size;
            }
            return ([(float)mean], [Scale(mean, square - mean * mean)]);
        }

        private double Mean(int slot, long count) => _shift[slot] + _sum[slot] / count;

        private double Variance(int slot, long count) => _squares[slot] / count - _sum[slot] / count * (_sum[slot] / count);

        private static float Scale(double mean, double variance) => IsConstant(mean, variance) ? 1 : (float)(1 / Math.Sqrt(variance));

        // Scales must be finite in float32 as well.
        private static bool IsConstant(double mean, double variance) => !(Math.Sqrt(Math.Max(variance, 0)) > Math.Max(SmallestRelativeDeviation * Math.Abs(mean), 1e-30));
    }
}
