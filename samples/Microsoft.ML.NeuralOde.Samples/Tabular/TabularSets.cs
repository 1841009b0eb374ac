using System.Globalization;
using Microsoft.ML.NeuralOde.Samples.Data;

namespace Microsoft.ML.NeuralOde.Samples.Tabular;

/// <summary>What is to be predicted from a table's row.</summary>
internal enum TabularTask
{
    Binary,
    Multiclass,
    Regression,
}

/// <summary>A row of a table; of the labels the one of the table's task counts.</summary>
internal sealed class TabularRow
{
    public float[] Features { get; set; } = [];

    public bool Truth { get; set; }

    public string Class { get; set; } = "";

    public float Target { get; set; }
}

/// <summary>A table to compare trainers on.</summary>
internal sealed record TabularSet(string Name, TabularTask Task, string Origin, IReadOnlyList<TabularRow> Rows);

/// <summary>The tables: some that are always there, and public ones from a data folder.</summary>
internal static class TabularSets
{
    private static readonly string[] BinaryFiles = ["breastw", "cardio", "Pima", "satellite", "thyroid", "vowels"];

    public static IReadOnlyList<TabularSet> Load(string? folder)
    {
        List<TabularSet> sets = [Moons(), Digits(), Friedman()];
        if (folder is null)
            return sets;
        foreach (string name in BinaryFiles)
            if (Find(folder, "anomaly", $"{name}.csv") is { } file)
                sets.Add(new TabularSet(name, TabularTask.Binary, file, Labelled(file)));
        if (Find(folder, "second_order", "silverbox_first5000.csv") is { } silverbox)
            sets.Add(new TabularSet("silverbox", TabularTask.Regression, silverbox, Oscillator(silverbox)));
        return sets.Count > 3
            ? sets
            : throw new UserException(
                $"--data: '{folder}' has none of the files anomaly/{string.Join(".csv, anomaly/", BinaryFiles)}.csv, second_order/silverbox_first5000.csv.");
    }

    /// <summary>
    /// Tables whose number is to be predicted: a generated one and, of a data folder, an oscillator's responses and a gamma telescope's
    /// images, whose last measure is predicted from the others.
    /// </summary>
    public static IReadOnlyList<TabularSet> LoadNumbers(string? folder)
    {
        List<TabularSet> sets = [Friedman()];
        if (folder is not null && Find(folder, "second_order", "silverbox_first5000.csv") is { } silverbox)
            sets.Add(new TabularSet("silverbox", TabularTask.Regression, silverbox, Oscillator(silverbox)));
        if (folder is not null && Find(folder, "anomaly_more", "magic.gamma.csv") is { } telescope)
            sets.Add(new TabularSet("magic.gamma", TabularTask.Regression, telescope,
                [.. Numbers(telescope).Select(row => new TabularRow { Features = row[..^2], Target = row[^2] })]));
        return sets;
    }

    private static string? Find(string folder, params string[] parts)
    {
        string inside = Path.Combine([folder, .. parts]), beside = Path.Combine(folder, parts[^1]);
        return File.Exists(inside) ? inside : File.Exists(beside) ? beside : null;
    }

    /// <summary>A CSV file whose last column is 1 or 0.</summary>
    private static TabularRow[] Labelled(string file) =>
        [.. Numbers(file).Select(row => new TabularRow { Features = row[..^1], Truth = row[^1] > 0.5f })];

    /// <summary>An oscillator's next response from the drive and the responses before: five and four of them.</summary>
    private static TabularRow[] Oscillator(string file)
    {
        float[][] rows = [.. Numbers(file)];
        return [.. Enumerable.Range(4, rows.Length - 4).Select(i => new TabularRow
        {
            Features = [.. Enumerable.Range(i - 4, 5).Select(t => 10 * rows[t][0]),
                .. Enumerable.Range(i - 4, 4).Select(t => 10 * rows[t][1])],
            Target = 10 * rows[i][1],
        })];
    }

    private static IEnumerable<float[]> Numbers(string file)
    {
        int line = 1;
        foreach (string text in File.ReadLines(file).Skip(1))
        {
            line++;
            float[] numbers;
            try
            {
                numbers = [.. text.Split(',').Select(cell => float.Parse(cell, CultureInfo.InvariantCulture))];
            }
            catch (FormatException e)
            {
                throw new UserException($"--data: line {line} of '{file}' is not a list of numbers: {e.Message}", e);
            }
            yield return numbers;
        }
    }

    /// <summary>Two half circles that reach into each other.</summary>
    private static TabularSet Moons()
    {
        var random = new Random(1);
        return new TabularSet("moons", TabularTask.Binary, "generated", [.. Enumerable.Range(0, 2000).Select(i =>
        {
            double angle = Math.PI * random.NextDouble(), side = i % 2 == 0 ? 1 : -1;
            double x = side * Math.Cos(angle) + (side < 0 ? 1 : 0), y = side * Math.Sin(angle) + (side < 0 ? 0.5 : 0);
            return new TabularRow { Features = [(float)(x + 0.2 * random.NextNormal()), (float)(y + 0.2 * random.NextNormal())], Truth = side > 0 };
        })]);
    }

    /// <summary>
    /// The first regression problem of J. H. Friedman, Multivariate Adaptive Regression Splines, 1991: ten features, of which five matter.
    /// </summary>
    private static TabularSet Friedman()
    {
        var random = new Random(2);
        return new TabularSet("friedman1", TabularTask.Regression, "generated", [.. Enumerable.Range(0, 2000).Select(_ =>
        {
            float[] x = [.. Enumerable.Range(0, 10).Select(_ => random.NextSingle())];
            double y = 10 * Math.Sin(Math.PI * x[0] * x[1]) + 20 * Math.Pow(x[2] - 0.5, 2) + 10 * x[3] + 5 * x[4] + random.NextNormal();
            return new TabularRow { Features = x, Target = (float)y };
        })]);
    }

    /// <summary>The embedded digits, four pixels averaged to one.</summary>
    private static TabularSet Digits()
    {
        const int Half = MnistDataset.ImageSize / 2;
        MnistImages images = EmbeddedDigits.ReadSheet();
        return new TabularSet("digits", TabularTask.Multiclass, "embedded", [.. Enumerable.Range(0, images.Count).Select(i =>
        {
            ReadOnlySpan<byte> pixels = images.GetPixels(i);
            var features = new float[Half * Half];
            for (int p = 0; p < pixels.Length; p++)
                features[p / MnistDataset.ImageSize / 2 * Half + p % MnistDataset.ImageSize / 2] += pixels[p] / (4 * 255f);
            return new TabularRow { Features = features, Class = images.Labels.Span[i].ToString(CultureInfo.InvariantCulture) };
        })]);
    }
}
