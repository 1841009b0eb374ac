namespace Microsoft.ML.NeuralOde.Data;

/// <summary>Sums of values and squares of some columns, about the first row, which keeps them from cancelling; and their ranges.</summary>
internal sealed class Moments(int size)
{
    // The distance of neighbours in float32, relative to the mean: less is what rounding makes of equal values, more may be information.
    private const double SmallestRelativeDeviation = 1.0 / (1 << 23);

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

    /// <summary>Takes over the moments of other rows.</summary>
    /// <param name="other">The moments of as many columns.</param>
    /// <param name="otherCount">The number of the other rows.</param>
    public void Merge(Moments other, long otherCount)
    {
        if (!other._started)
            return;
        for (int i = 0; i < size; i++)
        {
            if (!_started)
            {
                _shift[i] = other._shift[i];
                _least[i] = other._least[i];
                _most[i] = other._most[i];
            }
            // Σ (x − a)² = Σ (x − b)² + 2 (b − a) Σ (x − b) + n (b − a)².
            double distance = other._shift[i] - _shift[i];
            _sum[i] += other._sum[i] + otherCount * distance;
            _squares[i] += other._squares[i] + 2 * distance * other._sum[i] + otherCount * distance * distance;
            _isFractional[i] |= other._isFractional[i];
            _least[i] = Math.Min(_least[i], other._least[i]);
            _most[i] = Math.Max(_most[i], other._most[i]);
        }
        _started = true;
    }

    public void Write(BinaryWriter writer)
    {
        writer.Write(_started);
        for (int i = 0; i < size; i++)
        {
            writer.Write(_shift[i]);
            writer.Write(_sum[i]);
            writer.Write(_squares[i]);
            writer.Write(_isFractional[i]);
            writer.Write(_least[i]);
            writer.Write(_most[i]);
        }
    }

    /// <summary>Takes what was written of as many columns, instead of what is here.</summary>
    public void Read(BinaryReader reader)
    {
        _started = reader.ReadBoolean();
        for (int i = 0; i < size; i++)
        {
            _shift[i] = reader.ReadDouble();
            _sum[i] = reader.ReadDouble();
            _squares[i] = reader.ReadDouble();
            _isFractional[i] = reader.ReadBoolean();
            _least[i] = reader.ReadSingle();
            _most[i] = reader.ReadSingle();
        }
    }

    public double[] Ranges() => [.. _most.Zip(_least, (most, least) => (double)most - least)];

    public int[] Whole() => [.. Enumerable.Range(0, size).Where(slot => !_isFractional[slot])];

    public int[] Constant(long count) => [.. Enumerable.Range(0, size).Where(slot => IsConstant(Mean(slot, count), Variance(slot, count)))];

    /// <summary>Each column's mean, and one over its standard deviation; 1 for a column that is constant.</summary>
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

    /// <summary>The same for all columns as one.</summary>
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
    private static bool IsConstant(double mean, double variance) =>
        !(Math.Sqrt(Math.Max(variance, 0)) > Math.Max(SmallestRelativeDeviation * Math.Abs(mean), 1e-30));
}
