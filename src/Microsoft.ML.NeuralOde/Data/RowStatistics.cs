namespace Microsoft.ML.NeuralOde.Data;

/// <summary>Means and standard deviations of features and labels, and what the classes weigh, in one pass.</summary>
internal sealed class RowStatistics(RowShape shape)
{
    private const double SmallestDeviation = 1e-6;

    private readonly Moments _features = new(shape.Features);
    private readonly Moments _labels = new(shape.Labels);
    private readonly SortedDictionary<float, double> _classes = [];

    /// <summary>The number of rows.</summary>
    public long Count { get; private set; }

    /// <summary>The sum of the weights of the rows of each label value, in the order of the values.</summary>
    /// <remarks>Counted for labels of one number, and for the first few thousand values: more are no classes.</remarks>
    public IReadOnlyDictionary<float, double> LabelWeights => _classes;

    public void Add(ReadOnlySpan<float> features, ReadOnlySpan<float> labels, float weight)
    {
        Count++;
        _features.Add(features);
        _labels.Add(labels);
        if (labels.Length == 1 && (_classes.Count < 4096 || _classes.ContainsKey(labels[0])))
            _classes[labels[0]] = _classes.GetValueOrDefault(labels[0]) + weight;
    }

    /// <summary>What to subtract from features and what to multiply the difference by; a constant slot keeps its scale.</summary>
    public (float[] Mean, float[] Scale) Features(FeatureNormalization normalization) =>
        normalization == FeatureNormalization.Global ? _features.Overall(Count) : _features.PerSlot(Count);

    /// <summary>The same for labels that are numbers.</summary>
    public (float[] Mean, float[] Scale) Labels() => _labels.PerSlot(Count);

    /// <summary>Sums of values and squares, about the first row, which keeps them from cancelling.</summary>
    private sealed class Moments(int size)
    {
        private readonly double[] _shift = new double[size];
        private readonly double[] _sum = new double[size];
        private readonly double[] _squares = new double[size];
        private bool _started;

        public void Add(ReadOnlySpan<float> values)
        {
            if (!_started)
            {
                for (int i = 0; i < values.Length; i++)
                    _shift[i] = values[i];
                _started = true;
            }
            for (int i = 0; i < values.Length; i++)
            {
                double value = values[i] - _shift[i];
                _sum[i] += value;
                _squares[i] += value * value;
            }
        }

        public (float[] Mean, float[] Scale) PerSlot(long count)
        {
            var mean = new float[size];
            var scale = new float[size];
            for (int i = 0; i < size; i++)
            {
                double average = _sum[i] / count;
                mean[i] = (float)(_shift[i] + average);
                scale[i] = Scale(_squares[i] / count - average * average);
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
            return ([(float)mean], [Scale(square - mean * mean)]);
        }

        private static float Scale(double variance)
        {
            double deviation = Math.Sqrt(Math.Max(variance, 0));
            return deviation > SmallestDeviation ? (float)(1 / deviation) : 1;
        }
    }
}
