using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Tests.Scoring;

/// <summary>How many rows a scored view takes from its source before it gives the first: 256, or as many as 32 MiB hold.</summary>
public sealed class ReadAheadTests
{
    private const int Rows = 300;

    private readonly MLContext _mlContext = new(1);

    [Theory]
    // A few numbers a row.
    [InlineData(2, 0, 0, 256)]
    // 32 MiB hold 128 rows of 65,536 features, which pass through.
    [InlineData(65_536, 0, 0, 128)]
    // Eight rows that carry 4 MiB of numbers or of text each.
    [InlineData(2, 1 << 20, 0, 8)]
    [InlineData(2, 0, 1 << 20, 8)]
    public void As_many_rows_are_read_ahead_as_the_memory_for_it_holds(int features, int numbers, int letters, int expected)
    {
        using NeuralOdeRegressionTransformer model = _mlContext.Regression.Trainers.NeuralOde(new NeuralOdeRegressionTrainer.Options
        {
            NumberOfEpochs = 1,
            EncoderLayers = [2],
            DynamicsLayers = [2],
            SkipSolverCheck = true,
        }).Fit(View([.. Lazy(4, features, 0, 0)], features));
        int taken = 0;
        IDataView scored = model.Transform(View(Counted(), features));

        using (DataViewRowCursor cursor = scored.GetRowCursor(scored.Schema))
            cursor.MoveNext().Should().BeTrue();
        taken.Should().Be(expected);

        IEnumerable<Row> Counted()
        {
            foreach (Row row in Lazy(Rows, features, numbers, letters))
            {
                taken++;
                yield return row;
            }
        }
    }

    private IDataView View(IEnumerable<Row> rows, int features)
    {
        SchemaDefinition schema = SchemaDefinition.Create(typeof(Row));
        schema[nameof(Row.Features)].ColumnType = new VectorDataViewType(NumberDataViewType.Single, features);
        return _mlContext.Data.LoadFromEnumerable(rows, schema);
    }

    private static IEnumerable<Row> Lazy(int count, int features, int numbers, int letters)
    {
        float[] carried = new float[numbers];
        string[] texts = [new string('a', letters), new string('b', letters)];
        return Enumerable.Range(0, count).Select(i =>
        {
            float[] values = new float[features];
            values[0] = i;
            return new Row { Features = values, Label = i, Numbers = carried, Texts = texts };
        });
    }

    private sealed class Row
    {
        public float[] Features { get; set; } = [];

        public float Label { get; set; }

        public float[] Numbers { get; set; } = [];

        public string[] Texts { get; set; } = [];
    }
}
