using System.Runtime.InteropServices;
using Microsoft.ML.NeuralOde.Data;

namespace Microsoft.ML.NeuralOde.Flows;

/// <summary>The maps of features that are reshaped: values and their images, between and beyond which a map is linear.</summary>
/// <param name="Slots">The features.</param>
/// <param name="Knots">Values a feature.</param>
/// <param name="Values">Increasing, <c>[slots, knots]</c>.</param>
/// <param name="Images">Those of the values, increasing, <c>[slots, knots]</c>.</param>
/// <param name="Mean">Of the rows' images, one number a slot.</param>
/// <param name="Scale">One over their standard deviation.</param>
/// <param name="Range">The distance between the largest and the smallest of them.</param>
internal sealed record ReshapingTables(int[] Slots, int Knots, float[] Values, float[] Images, float[] Mean, float[] Scale, double[] Range)
{
    // Of a table, without its ends: enough for a map without visible corners.
    private const int MostKnots = 254;

    private const int BatchSize = 1024;
    private const int MostRows = 20_000;

    private const int FewValues = 20;
    private const double LongTails = 3;
    private const double FrequentValue = 0.25;

    /// <summary>
    /// Tables of the features that are to have them, by rows in random order up to a number; null where no feature is to.
    /// </summary>
    /// <param name="rows">The training rows.</param>
    /// <param name="which">Which features.</param>
    /// <param name="excluded">Slots that keep their values.</param>
    /// <param name="orderSeed">Decides which rows are taken where there are many.</param>
    public static ReshapingTables? Fit(ITrainingRows rows, FeatureReshaping which, int[] excluded, int orderSeed)
    {
        if (which == FeatureReshaping.None)
            return null;
        float[][] columns = Columns(rows, orderSeed);
        var marginals = new List<(int Slot, Marginal Marginal)>();
        for (int slot = 0; slot < columns.Length; slot++)
            if (!excluded.Contains(slot) && new Marginal(columns[slot]) is var marginal && marginal.IsIrregular)
                marginals.Add((slot, marginal));
        if (marginals.Count == 0)
            return null;
        int knots = marginals.Max(pair => pair.Marginal.Knots.Length) + 2;
        float[] values = new float[marginals.Count * knots], images = new float[values.Length];
        float[] mean = new float[marginals.Count], scale = new float[mean.Length];
        for (int i = 0; i < marginals.Count; i++)
        {
            Marginal marginal = marginals[i].Marginal;
            marginal.Write(values.AsSpan(i * knots, knots), images.AsSpan(i * knots, knots));
            (mean[i], scale[i]) = ((float)marginal.Mean, (float)(1 / marginal.Deviation));
        }
        return new ReshapingTables([.. marginals.Select(pair => pair.Slot)], knots, values, images, mean, scale,
            [.. marginals.Select(pair => pair.Marginal.Range)]);
    }

    /// <summary>Maps columns by tables.</summary>
    /// <param name="x">Shape <c>[rows, slots]</c>.</param>
    /// <param name="from">The tables' side that x belongs to, shape <c>[slots, knots]</c>.</param>
    /// <param name="to">The other side.</param>
    /// <returns>The mapped columns and the map's slopes, both <c>[rows, slots]</c>.</returns>
    public static (Tensor Mapped, Tensor Slope) Map(Tensor x, Tensor from, Tensor to)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor columns = x.t().contiguous();
        // Which piece: beyond the ends, the first or the last.
        Tensor piece = searchsorted(from.narrow(1, 1, from.shape[1] - 2).contiguous(), columns, right: true);
        Tensor start = from.gather(1, piece), image = to.gather(1, piece);
        Tensor slope = (End(to) - image) / (End(from) - start);
        Tensor mapped = image.Plus((columns - start) * slope);
        return (mapped.t().contiguous().MoveToOuterDisposeScope(), slope.t().contiguous().MoveToOuterDisposeScope());

        Tensor End(Tensor table) => table.narrow(1, 1, table.shape[1] - 1).gather(1, piece);
    }

    private static float[][] Columns(ITrainingRows rows, int orderSeed)
    {
        // Of rows that several processes hold each brings its share.
        int count = (int)Math.Min(rows.HeldCount, Math.Ceiling(MostRows * (rows.HeldCount / (double)rows.Count))), read = 0;
        float[][] columns = [];
        foreach (RowBatch batch in rows.Batches(BatchSize, orderSeed))
        {
            if (batch.IsStandIn)
            {
                batch.Dispose();
                continue;
            }
            using (batch)
            using (Tensor transposed = batch.Features.ToDense().t())
            using (Tensor here = transposed.cpu())
            using (Tensor features = here.contiguous())
            {
                if (read == 0)
                    columns = [.. Enumerable.Range(0, (int)features.shape[0]).Select(_ => new float[count])];
                int size = (int)Math.Min(batch.Count, count - read);
                ReadOnlySpan<float> numbers = MemoryMarshal.Cast<byte, float>(features.bytes);
                for (int slot = 0; slot < columns.Length; slot++)
                    numbers.Slice(slot * (int)batch.Count, size).CopyTo(columns[slot].AsSpan(read));
                read += size;
            }
            if (read == count)
                break;
        }
        if (columns.Length == 0)
            columns = [.. Enumerable.Range(0, rows.Format.Width).Select(_ => Array.Empty<float>())];
        return [.. columns.Select(rows.Unite)];
    }

    /// <summary>The values of one feature.</summary>
    private sealed class Marginal
    {
        // The interquartile range of a normal distribution in standard deviations.
        private const double NormalRange = 1.349;

        private readonly float[] _values;
        private readonly double[] _images = [];
        private readonly double _spread;

        public Marginal(float[] column)
        {
            Array.Sort(column);
            double center = column.Average(value => (double)value), variance = 0, fourth = 0;
            foreach (float value in column)
            {
                double square = (value - center) * (value - center);
                variance += square / column.Length;
                fourth += square * square / column.Length;
            }
            _spread = Math.Sqrt(variance);
            (_values, int[] counts) = Distinct(column);
            bool hasFrequentValue = counts.Max() > FrequentValue * column.Length;
            IsIrregular = _values.Length > FewValues && (hasFrequentValue || fourth > (LongTails + 3) * variance * variance);
            // Most features are regular, and nothing more is asked of them.
            if (!IsIrregular)
                return;
            _images = NormalScores(counts, column.Length);
            double range = column[3 * column.Length / 4] - (double)column[column.Length / 4];
            if (!hasFrequentValue && range > 0)
                AverageWithHyperbolicSines(column[column.Length / 2], range / NormalRange);
            Mean = _images.Zip(counts, (image, count) => image * count).Sum() / column.Length;
            Deviation = Math.Sqrt(_images.Zip(counts, (image, count) => (image - Mean) * (image - Mean) * count).Sum() / column.Length);
            Knots = ChooseKnots();
        }

        /// <summary>Whether it has many values, and one frequent one or long tails.</summary>
        public bool IsIrregular { get; }

        /// <summary>The places among the different values that the table holds.</summary>
        public int[] Knots { get; } = [];

        /// <summary>Of the rows' images.</summary>
        public double Mean { get; }

        /// <summary>Of the rows' images.</summary>
        public double Deviation { get; }

        /// <summary>Of the rows' images.</summary>
        public double Range => _images[^1] - _images[0];

        /// <summary>
        /// Writes the table: beyond the ends, and where it is longer than it need be, a standard deviation of the feature counts one of the
        /// images' units.
        /// </summary>
        public void Write(Span<float> values, Span<float> images)
        {
            for (int i = 0; i < values.Length; i++)
            {
                int knot = Math.Clamp(i - 1, 0, Knots.Length - 1), beyond = i - 1 - knot;
                values[i] = (float)(_values[Knots[knot]] + beyond * _spread);
                images[i] = (float)(_images[Knots[knot]] + beyond);
            }
        }

        private static (float[] Values, int[] Counts) Distinct(float[] sorted)
        {
            var values = new List<float>();
            var counts = new List<int>();
            foreach (float value in sorted)
            {
                if (values.Count > 0 && values[^1] == value)
                {
                    counts[^1]++;
                    continue;
                }
                values.Add(value);
                counts.Add(1);
            }
            return ([.. values], [.. counts]);
        }

        /// <summary>Φ⁻¹ of the middle of the ranks that a value has, of 0 to 1.</summary>
        private static double[] NormalScores(int[] counts, int rows)
        {
            double[] ranks = new double[counts.Length];
            double below = 0;
            for (int i = 0; i < ranks.Length; i++)
            {
                ranks[i] = (below + 0.5 * counts[i]) / rows;
                below += counts[i];
            }
            using Tensor all = tensor(ranks, device: CPU);
            using Tensor scores = special.ndtri(all);
            return scores.data<double>().ToArray();
        }

        /// <summary>Puts the mean of normal score and arsinh((value − center) / unit) in the place of the score.</summary>
        private void AverageWithHyperbolicSines(double center, double unit)
        {
            for (int i = 0; i < _images.Length; i++)
                _images[i] = (_images[i] + Math.Asinh((_values[i] - center) / unit)) / 2;
        }

        /// <summary>All values, or as many, evenly spaced by their images, the ends among them.</summary>
        private int[] ChooseKnots()
        {
            if (_values.Length <= MostKnots)
                return [.. Enumerable.Range(0, _values.Length)];
            var chosen = new List<int> { 0 };
            double step = (_images[^1] - _images[0]) / (MostKnots - 1);
            for (int i = 1; i < _values.Length - 1; i++)
                if (_images[i] >= _images[0] + chosen.Count * step && chosen.Count < MostKnots - 1)
                    chosen.Add(i);
            chosen.Add(_values.Length - 1);
            return [.. chosen];
        }
    }
}
