using System.Text;
using System.Text.Json;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Persistence;

/// <summary>
/// Model files of every format version so far. Their scores, in scores.json, were computed from the files by scores.py, an independent
/// program in another language; README.md beside them says how both are made.
/// </summary>
public sealed class FixtureTests
{
    private static readonly string Folder = Path.Combine(AppContext.BaseDirectory, "Persistence", "Fixtures");

    private readonly MLContext _mlContext = new(1);

    [Theory]
    [InlineData("multiclass-v1.zip")]
    [InlineData("binary-v1.zip")]
    [InlineData("regression-v1.zip")]
    [InlineData("regression-vector-v1.zip")]
    [InlineData("density-v1.zip")]
    [InlineData("anomaly-v1.zip")]
    [InlineData("images-v1.zip")]
    [InlineData("images-augmented-v1.zip")]
    [InlineData("second-order-v1.zip")]
    public void Files_of_every_version_are_read_and_score_as_computed_independently(string file)
    {
        var all = JsonSerializer.Deserialize<Dictionary<string, Dictionary<string, float[]>>>(
            File.ReadAllText(Path.Combine(Folder, "scores.json"), Encoding.UTF8))!;

        ITransformer model = _mlContext.Model.Load(Path.Combine(Folder, file), out _);
        using (model as IDisposable)
            foreach ((string column, float[] expected) in all[file])
            {
                float[] found = Scores(model, column, file.StartsWith("images", StringComparison.Ordinal));
                found.Length.Should().Be(expected.Length);
                found.Zip(expected, (a, b) => Math.Abs(a - b) / Math.Max(1, Math.Abs(b))).Max().Should().BeLessThan(1e-4f, column);
            }
    }

    [Fact]
    public void There_is_a_small_file_of_every_kind_in_the_current_format()
    {
        if (Environment.GetEnvironmentVariable("NEURALODE_WRITE_FIXTURES") is { } target)
            Write(target);

        foreach (string kind in SmallModels.Kinds)
            new FileInfo(Path.Combine(Folder, SmallModels.FileName(kind))).Length.Should().BeLessThan(50_000);
    }

    private void Write(string target)
    {
        foreach (string kind in SmallModels.Kinds)
        {
            (ITransformer model, IDataView data) = SmallModels.Fit(_mlContext, kind);
            _mlContext.Model.SaveSealed(model, data.Schema, Path.Combine(target, SmallModels.FileName(kind)));
            (model as IDisposable)?.Dispose();
        }
    }

    /// <summary>What a model says about one row: the same one as in scores.py.</summary>
    private float[] Scores(ITransformer model, string column, bool isOfImages)
    {
        float[] features = SmallModels.Point(2);
        IDataView row = isOfImages ? SmallModels.ImagePoint(_mlContext) : model is IEnumerable<ITransformer> ? Blobs.View(_mlContext, [new Point { Features = features }])
            : TabularData.View(_mlContext, [new TableRow { Features = features, Target = 11.5f }]);
        IDataView scored = model.Transform(row);
        return scored.Schema[column].Type is VectorDataViewType
            ? scored.GetColumn<float[]>(column).Single() : [scored.GetColumn<float>(column).Single()];
    }
}
