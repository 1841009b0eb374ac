namespace Microsoft.ML.NeuralOde.Data;

/// <summary>Some series, which become tensors in groups of similar length: what is filled up does not grow with the longest of
/// all.</summary>
/// <param name="channels">The number of channels.</param>
/// <param name="rows">The series, see <see cref="SeriesReader"/>; they are not changed any more.</param>
internal sealed class SeriesRows(int channels, List<float[]> rows) : FeatureBatch
{
    /// <summary>A group's longest series is at most so many times as long as its shortest.</summary>
    private const double MostRatio = 1.5;

    public override long Count => rows.Count;

    // The series go to a device as the tensors of their groups.
    public override FeatureBatch To(Device device) => this;

    public override Tensor ToDense() => throw new NotSupportedException("Series of different lengths are no matrix.");

    /// <summary>The same batch with each series, given with its place, changed.</summary>
    public SeriesRows Change(Func<float[], int, float[]> change) => new(channels, [.. rows.Select(change)]);

    /// <summary>The series in groups, by their lengths.</summary>
    public IEnumerable<SeriesGroupRows> Groups()
    {
        int[] order = [.. Enumerable.Range(0, rows.Count).OrderBy(row => rows[row].Length)];
        for (int first = 0; first < order.Length;)
        {
            int last = first + 1;
            // A step more or less is none: very short series are together.
            while (last < order.Length && Length(order[last]) <= MostRatio * Length(order[first]) + 2)
                last++;
            yield return Group(order.AsSpan(first..last));
            first = last;
        }
    }

    protected override void Dispose(bool disposing)
    {
    }

    private int Length(int row) => rows[row].Length / (SeriesReader.TimeParts + channels);

    private SeriesGroupRows Group(ReadOnlySpan<int> members)
    {
        int longest = Math.Max(1, Length(members[^1]));
        float[] values = new float[members.Length * longest * channels];
        double[] times = new double[members.Length * longest];
        long[] lengths = new long[members.Length], places = new long[members.Length];
        values.AsSpan().Fill(float.NaN);
        for (int i = 0; i < members.Length; i++)
        {
            float[] row = rows[members[i]];
            places[i] = members[i];
            lengths[i] = Length(members[i]);
            int stride = SeriesReader.TimeParts + channels;
            for (int k = 0; k < lengths[i]; k++)
            {
                times[i * longest + k] = SeriesReader.TimeOf(row.AsSpan(k * stride, stride));
                row.AsSpan(k * stride + SeriesReader.TimeParts, channels).CopyTo(values.AsSpan((i * longest + k) * channels));
            }
        }
        return new SeriesGroupRows(
            places, tensor(values, [members.Length, longest, channels]), tensor(times, [members.Length, longest]), tensor(lengths));
    }
}

/// <summary>Series of similar length as tensors, in the dispose scope in which they were asked for.</summary>
/// <param name="Places">The place of each in its batch.</param>
/// <param name="Values">Shape <c>[rows, length, channels]</c>, float32; NaN where a value is missing, and behind a series' end.</param>
/// <param name="Times">Shape <c>[rows, length]</c>, float64, from 0 on in each row.</param>
/// <param name="Lengths">The number of observations of each, int64, <c>[rows]</c>.</param>
internal sealed record SeriesGroupRows(long[] Places, Tensor Values, Tensor Times, Tensor Lengths);
