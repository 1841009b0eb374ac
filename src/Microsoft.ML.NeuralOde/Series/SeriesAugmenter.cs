using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Training;

namespace Microsoft.ML.NeuralOde.Series;

/// <summary>Changes series by chance, see <see cref="SeriesAugmentation"/>.</summary>
/// <param name="augmentation">The changes.</param>
/// <param name="channels">The number of channels.</param>
/// <param name="statistics">Mean and 1 / deviation of each channel; null for 0 and 1.</param>
internal sealed class SeriesAugmenter(SeriesAugmentation augmentation, int channels, (float[] Mean, float[] Scale)? statistics)
{
    private readonly int _stride = SeriesReader.TimeParts + channels;

    /// <summary>The series of a batch, each changed by its place in it; the same seed draws the same.</summary>
    /// <param name="rows">The series, or a part of a batch.</param>
    /// <param name="seed">The seed of the batch.</param>
    /// <param name="first">The place of the first of them in the batch.</param>
    public SeriesRows Apply(SeriesRows rows, int seed, long first = 0) =>
        rows.Change((series, place) => Apply(series, new Random(Seeds.Rows(seed, first + place))));

    private float[] Apply(float[] series, Random random)
    {
        int length = series.Length / _stride;
        double dropping =
            Math.Min(augmentation.Dropping, Math.Max(0, 1 - SeriesAugmentation.FewestObservations / (double)length)) * random.NextDouble();
        double speed = Math.Exp(augmentation.TimeScaling * Normal(random));
        double[] factors = new double[channels];
        for (int channel = 0; channel < channels; channel++)
            factors[channel] = 1 + augmentation.ValueScaling * Normal(random);
        float[] changed = new float[series.Length];
        int count = 0;
        bool hasValue = false;
        for (int place = 0; place < length; place++)
        {
            bool isDropped = random.NextDouble() < dropping;
            if (isDropped && place > 0 && place < length - 1)
                continue;
            ReadOnlySpan<float> from = series.AsSpan(place * _stride, _stride);
            Span<float> to = changed.AsSpan(count++ * _stride, _stride);
            SeriesReader.SetTime(to, speed * SeriesReader.TimeOf(from));
            for (int channel = 0; channel < channels; channel++)
            {
                (double mean, double scale) = statistics is { } known ? (known.Mean[channel], known.Scale[channel]) : (0, 1);
                double noise = augmentation.Noise > 0 ? augmentation.Noise / scale * Normal(random) : 0;
                float value = (float)(mean + factors[channel] * (from[SeriesReader.TimeParts + channel] - mean) + noise);
                to[SeriesReader.TimeParts + channel] = value;
                hasValue |= !float.IsNaN(value);
            }
        }
        // A series whose few values were all left out says nothing.
        return hasValue ? changed[..(count * _stride)] : series;
    }

    private static double Normal(Random random) =>
        Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
}
