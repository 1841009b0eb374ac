using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Scoring;

/// <summary>Columns that a scoring cursor reads ahead and hands on.</summary>
public class PassThroughTests
{
    private readonly MLContext _mlContext = new(1);

    [Fact]
    public void A_vector_that_is_handed_on_is_the_readers_own()
    {
        // More rows than two batches of 256: a vector that were the buffer itself would change with the next batch.
        List<TableRow> rows = TabularData.Circle(600);
        IDataView data = TabularData.View(_mlContext, rows);
        using NeuralOdeRegressionTransformer model = _mlContext.Regression.Trainers.NeuralOde(new NeuralOdeRegressionTrainer.Options
        {
            LabelColumnName = "Target",
            NumberOfEpochs = 1,
            EncoderLayers = [4],
            DynamicsLayers = [4],
        }).Fit(data);
        IDataView scored = model.Transform(data);
        using DataViewRowCursor cursor = scored.GetRowCursor([scored.Schema["Features"], scored.Schema["Score"]]);
        ValueGetter<VBuffer<float>> getter = cursor.GetGetter<VBuffer<float>>(scored.Schema["Features"]);
        var kept = new List<VBuffer<float>>();
        while (cursor.MoveNext())
        {
            VBuffer<float> own = default, other = default;
            getter(ref own);
            kept.Add(own);
            getter(ref other);
            VBufferEditor.CreateFromBuffer(ref other).Values.Fill(-1000);
            VBuffer<float> again = default;
            getter(ref again);
            again.DenseValues().Should().Equal(rows[kept.Count - 1].Features);
        }
        kept.Should().HaveCount(600);
        for (int i = 0; i < kept.Count; i++)
            kept[i].DenseValues().Should().Equal(rows[i].Features);
    }

    [Fact]
    public void Rows_are_read_ahead_256_at_a_time()
    {
        int read = 0;
        var definition = SchemaDefinition.Create(typeof(TableRow));
        definition["Features"].ColumnType = new VectorDataViewType(NumberDataViewType.Single, 2);
        IDataView counted = _mlContext.Data.LoadFromEnumerable(Counting(), definition);
        using NeuralOdeRegressionTransformer model = _mlContext.Regression.Trainers.NeuralOde(new NeuralOdeRegressionTrainer.Options
        {
            LabelColumnName = "Target",
            NumberOfEpochs = 1,
            EncoderLayers = [4],
            DynamicsLayers = [4],
        }).Fit(TabularData.View(_mlContext, TabularData.Circle(20)));
        IDataView scored = model.Transform(counted);
        using DataViewRowCursor cursor = scored.GetRowCursor([scored.Schema["Target"], scored.Schema["Score"]]);
        for (int row = 0; row < 600; row++)
        {
            cursor.MoveNext().Should().BeTrue();
            cursor.Position.Should().Be(row);
            read.Should().Be(row < 256 ? 256 : row < 512 ? 512 : 600);
        }
        cursor.MoveNext().Should().BeFalse();

        IEnumerable<TableRow> Counting()
        {
            foreach (TableRow row in TabularData.Circle(600))
            {
                read++;
                yield return row;
            }
        }
    }
}
