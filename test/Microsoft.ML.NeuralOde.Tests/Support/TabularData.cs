using System.Globalization;
using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Tests.Support;

/// <summary>A row of a table of numbers with one label in all the forms that trainers want.</summary>
internal sealed class TableRow
{
    public float[] Features { get; set; } = [];

    public bool Label { get; set; }

    public float Target { get; set; }

    [VectorType(2)]
    public float[] Targets { get; set; } = [0, 0];

    public float Weight { get; set; } = 1;
}

/// <summary>Tables for tests: one that is generated, and real ones from NEURALODE_DATA.</summary>
internal static class TabularData
{
    /// <summary>Two features; true inside a circle; the target is the distance from its centre, and the second one its square.</summary>
    public static List<TableRow> Circle(int count, int seed = 1)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ =>
        {
            float x = random.NextSingle() * 4 - 2, y = random.NextSingle() * 4 - 2;
            float radius = MathF.Sqrt(x * x + y * y);
            return new TableRow { Features = [x, y], Label = radius < 1.4f, Target = 10 + radius,
                Targets = [10 + radius, 1000 * radius * radius] };
        })];
    }

    /// <summary>A set of anomaly/NAME.csv: its last column is the label.</summary>
    public static List<TableRow> Real(string name) =>
        [.. File.ReadLines(RealDataAttribute.PathOf("anomaly", $"{name}.csv")).Skip(1).Select(line =>
    {
        float[] numbers = [.. line.Split(',').Select(text => float.Parse(text, CultureInfo.InvariantCulture))];
        return new TableRow { Features = numbers[..^1], Label = numbers[^1] > 0.5f, Target = numbers[0] };
    })];

    public static IDataView View(MLContext mlContext, IReadOnlyList<TableRow> rows)
    {
        var schema = SchemaDefinition.Create(typeof(TableRow));
        schema[nameof(TableRow.Features)].ColumnType =
            new VectorDataViewType(NumberDataViewType.Single, rows.Count == 0 ? 2 : rows[0].Features.Length);
        return mlContext.Data.LoadFromEnumerable(rows, schema);
    }
}
