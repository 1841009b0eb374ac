using System.Globalization;
using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Samples.Series;

/// <summary>A series as trainers on series read it.</summary>
internal sealed class SeriesRow
{
    public double[] Times { get; set; } = [];

    /// <summary>A time's channels after those of the time before.</summary>
    public float[] Values { get; set; } = [];

    /// <summary>The place of the class, from 0, as ML.NET reads keys from objects; of classifications.</summary>
    public uint Class { get; set; }

    /// <summary>The number to be predicted; of regressions.</summary>
    public float Target { get; set; }
}

/// <summary>A data set of the archives: NAME_TRAIN.ts and NAME_TEST.ts.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Channels">The number of channels.</param>
/// <param name="Classes">The names of the classes; empty for a regression.</param>
/// <param name="Train">The series to learn from.</param>
/// <param name="Test">The series to be judged by.</param>
internal sealed record SeriesSet(
    string Name, int Channels, IReadOnlyList<string> Classes, IReadOnlyList<SeriesRow> Train, IReadOnlyList<SeriesRow> Test)
{
    public const string Label = "Label";

    private const string TrainEnding = "_TRAIN.ts";

    public bool IsRegression => Classes.Count == 0;

    /// <exception cref="UserException">The folder does not hold one set.</exception>
    public static SeriesSet Load(MLContext context, string folder)
    {
        if (!Directory.Exists(folder))
            throw new UserException($"--data: there is no folder '{folder}'; one with NAME_TRAIN.ts and NAME_TEST.ts would be right.");
        string[] found = Directory.GetFiles(folder, $"*{TrainEnding}");
        if (found.Length != 1)
            throw new UserException(
                $"--data: '{folder}' holds {found.Length} files NAME{TrainEnding}; a folder with one data set, NAME{TrainEnding} and NAME_TEST.ts, would be right.");
        string name = Path.GetFileName(found[0])[..^TrainEnding.Length];
        string test = Path.Combine(folder, $"{name}_TEST.ts");
        if (!File.Exists(test))
            throw new UserException($"--data: '{folder}' lacks {name}_TEST.ts, which belongs to {name}{TrainEnding}.");
        IDataView train = context.Data.LoadFromTsFile(found[0]);
        if (train.Schema.GetColumnOrNull(Label) is not { } label)
            throw new UserException($"--data: the series of '{found[0]}' have no labels.");
        int channels = 0;
        train.Schema["Values"].Annotations.GetValue("ChannelCount", ref channels);
        VBuffer<ReadOnlyMemory<char>> classes = default;
        if (label.Type is KeyDataViewType)
            label.GetKeyValues(ref classes);
        return new SeriesSet(
            name, channels, [.. classes.DenseValues().Select(text => text.ToString())], Read(train, channels),
            Read(context.Data.LoadFromTsFile(test), channels));
    }

    /// <summary>The rows as a data view, with the label that trainers want.</summary>
    public IDataView View(MLContext context, IReadOnlyList<SeriesRow> rows)
    {
        var schema = SchemaDefinition.Create(typeof(SeriesRow));
        schema.Remove(schema[IsRegression ? nameof(SeriesRow.Class) : nameof(SeriesRow.Target)]);
        SchemaDefinition.Column label = schema[IsRegression ? nameof(SeriesRow.Target) : nameof(SeriesRow.Class)];
        label.ColumnName = Label;
        if (!IsRegression)
            label.ColumnType = new KeyDataViewType(typeof(uint), Classes.Count);
        return context.Data.LoadFromEnumerable(rows, schema);
    }

    /// <summary>The same set with fewer observations: those that masks keep, or as many drawn at random.</summary>
    /// <param name="share">The share that is dropped.</param>
    /// <param name="masks">A folder with files NAME_dropNN.txt; where there is none for the set, observations are drawn.</param>
    /// <param name="seed">Decides which, where they are drawn.</param>
    public SeriesSet Drop(double share, string? masks, int seed)
    {
        if (share == 0)
            return this;
        string? file = masks is null
            ? null : Path.Combine(masks, string.Create(CultureInfo.InvariantCulture, $"{Name}_drop{100 * share:0}.txt"));
        int[][] kept = file is not null && File.Exists(file) ? ReadMasks(file) : Draw(share, seed);
        if (kept.Length != Train.Count + Test.Count)
            throw new UserException($"--masks: '{file}' has {kept.Length} lines for {Train.Count + Test.Count} series.");
        return this with
        {
            Train = [.. Train.Select((row, i) => Keep(row, kept[i]))],
            Test = [.. Test.Select((row, i) => Keep(row, kept[Train.Count + i]))],
        };
    }

    private static SeriesRow[] Read(IDataView data, int channels)
    {
        bool hasTimes = data.Schema.GetColumnOrNull(nameof(SeriesRow.Times)) is not null,
            isKey = data.Schema[Label].Type is KeyDataViewType;
        double[][]? times = hasTimes ? [.. data.GetColumn<double[]>(nameof(SeriesRow.Times))] : null;
        uint[]? classes = isKey ? [.. data.GetColumn<uint>(Label)] : null;
        float[]? targets = isKey ? null : [.. data.GetColumn<float>(Label)];
        return [.. data.GetColumn<float[]>(nameof(SeriesRow.Values)).Select((values, i) => new SeriesRow
        {
            Values = values,
            Times = times?[i] ?? [.. Enumerable.Range(0, values.Length / channels).Select(place => (double)place)],
            Class = (classes?[i] ?? 1) - 1,
            Target = targets?[i] ?? 0,
        })];
    }

    private static int[][] ReadMasks(string file) => [.. File.ReadLines(file).Where(line => !line.StartsWith('#')).Select(line =>
        line.Split(' ', StringSplitOptions.RemoveEmptyEntries)
        .Select(number => int.Parse(number, CultureInfo.InvariantCulture)).ToArray())];

    private int[][] Draw(double share, int seed)
    {
        var random = new Random(seed);
        return [.. Train.Concat(Test).Select(row =>
        {
            int[] all = [.. Enumerable.Range(0, row.Times.Length)];
            random.Shuffle(all);
            return all.Take(Math.Max(1, (int)Math.Round((1 - share) * all.Length))).Order().ToArray();
        })];
    }

    private SeriesRow Keep(SeriesRow row, int[] places)
    {
        if (places.Length == 0 || places.Any(place => place < 0 || place >= row.Times.Length))
            throw new UserException(
                $"--masks: a line is empty or names an observation that its series of {row.Times.Length} does not have.");
        return new SeriesRow
        {
            Times = [.. places.Select(place => row.Times[place])],
            Values = [.. places.SelectMany(place => row.Values.AsSpan(place * Channels, Channels).ToArray())],
            Class = row.Class,
            Target = row.Target,
        };
    }
}
