using System.Globalization;
using Microsoft.ML.NeuralOde.Samples.Data;

namespace Microsoft.ML.NeuralOde.Samples.Latent;

/// <summary>The sets of the command.</summary>
internal static class LatentSets
{
    private const double TrainShare = 0.8;

    /// <summary>The share of the series to learn from by which intervals are calibrated instead.</summary>
    private const double CalibrationShare = 0.15;

    private static readonly double[] Drops = [0.3, 0.5, 0.7];

    /// <summary>Sines of random amplitude, frequency and start, 100 points each at random times, with a little noise.</summary>
    public static LatentSet Toy(int seed, bool isQuick)
    {
        const int Points = 100;
        var random = new Random(seed);
        var rows = new List<LatentRow>();
        for (int i = 0; i < (isQuick ? 100 : 1000); i++)
        {
            double amplitude = 0.5 + random.NextDouble(), frequency = 2 + (2 * random.NextDouble()),
                start = 2 * Math.PI * random.NextDouble();
            double[] times = [.. Enumerable.Range(0, Points).Select(_ => random.NextDouble()).Order()];
            rows.Add(new LatentRow(
                times, [.. times.Select(t =>
                    (float)((amplitude * Math.Sin((2 * Math.PI * frequency * t) + start)) + (0.01 * random.NextNormal())))]));
        }
        var cases = new List<LatentCase>();
        foreach (int count in new[] { 10, 20, 30, 50 })
        {
            cases.Add(new LatentCase($"interpolation, {count} points", (row, draw) =>
            {
                int[] order = Shuffled(row.Times.Length, draw);
                return ([.. order.Take(count).Order()], [.. order.Skip(count).Order()]);
            }));
            cases.Add(new LatentCase($"extrapolation, {count} points", (row, draw) =>
            {
                int half = row.Times.Count(t => t < 0.5);
                return ([.. Shuffled(half, draw).Take(count).Order()], [.. Enumerable.Range(half, row.Times.Length - half)]);
            }));
        }
        return Divided("toy", rows, cases, 0.05, 50, 100);
    }

    /// <summary>Trajectories of a hopping robot: the first half is given, the second asked for.</summary>
    public static LatentSet Hopper(string file)
    {
        double[][] lines = Read(file, 16);
        var rows = lines.GroupBy(line => line[0]).Select(group => group.OrderBy(line => line[1]).ToArray()).Select(
            group => new LatentRow([.. group.Select(line => line[1] / group.Length)],
                [.. group.SelectMany(line => line.Skip(2)).Select(x => (float)x)])).ToList();
        var cases = Drops.Select(drop => new LatentCase($"{drop:P0} of the first half dropped", (row, draw) =>
        {
            return Halves(row, draw, drop, 0);
            // The robot does not know when it was first looked at: a training begins anywhere in the first half.
        }, (row, draw) => Halves(row, draw, drop, draw.Next(row.Times.Length / 2)))).ToList();
        return Divided("hopper", rows, cases, 0.01, 20, 120);
    }

    private static (int[] Given, int[] Asked) Halves(LatentRow row, Random draw, double drop, int start)
    {
        int half = row.Times.Length / 2, kept = (int)Math.Round((1 - drop) * half);
        int[] given = [.. Shuffled(half, draw).Take(kept).Order().Select(place => start + place)];
        return (given, [.. Enumerable.Range(start + half, row.Times.Length - half - start)]);
    }

    /// <summary>A chemical reaction that is observed now and then: the last third of each series' times is asked for.</summary>
    public static LatentSet Brusselator(string file)
    {
        double[][] lines = Read(file, 6);
        double end = lines.Max(line => line[1]);
        var rows = lines.GroupBy(line => line[0])
            .Select(group => group.OrderBy(line => line[1]).ToArray()).Where(group => group.Length >= 6).Select(
            group => new LatentRow([.. group.Select(line => line[1] / end)], [.. group.SelectMany(Values)])).ToList();
        LatentCase last = new("last third", (row, _) =>
        {
            int given = row.Times.Length * 2 / 3;
            return ([.. Enumerable.Range(0, given)], [.. Enumerable.Range(given, row.Times.Length - given)]);
        });
        return Divided("brusselator", rows, [last], 0.05, 50, 30);

        static float[] Values(double[] line) => [line[4] > 0 ? (float)line[2] : float.NaN, line[5] > 0 ? (float)line[3] : float.NaN];
    }

    private static LatentSet Divided(
        string name, List<LatentRow> rows, IReadOnlyList<LatentCase> cases, double linearStep, int batch, int epochs)
    {
        int train = (int)(TrainShare * rows.Count), learned = train - (int)(CalibrationShare * train), channels = rows[0].Channels;
        for (int c = 0; c < channels; c++)
        {
            double[] all = [.. rows.Take(train)
                .SelectMany(row => row.Values.Where((value, i) => i % channels == c && !float.IsNaN(value))).Select(x => (double)x)];
            double mean = all.Average(), deviation = Math.Sqrt(all.Average(x => (x - mean) * (x - mean)));
            foreach (LatentRow row in rows)
                for (int i = c; i < row.Values.Length; i += channels)
                    row.Values[i] = (float)((row.Values[i] - mean) / deviation);
        }
        return new LatentSet(name, channels, rows[..learned], rows[learned..train], rows[train..], cases, linearStep, batch, epochs);
    }

    private static double[][] Read(string file, int columns)
    {
        var lines = new List<double[]>();
        int number = 1;
        foreach (string line in File.ReadLines(file).Skip(1))
        {
            number++;
            string[] fields = line.Split(',');
            if (fields.Length < columns || !fields.All(field => double.TryParse(field, CultureInfo.InvariantCulture, out _)))
                throw new UserException($"{file}, line {number}: at least {columns} numbers were expected.");
            lines.Add([.. fields.Select(field => double.Parse(field, CultureInfo.InvariantCulture))]);
        }
        return lines.Count > 0 ? [.. lines] : throw new UserException($"{file} has no rows behind its header.");
    }

    private static int[] Shuffled(int count, Random random)
    {
        int[] order = [.. Enumerable.Range(0, count)];
        random.Shuffle(order);
        return order;
    }
}
