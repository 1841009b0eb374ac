using System.Text.Json;
using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Service;

/// <summary>Models of every task, sealed or not, answer over HTTP what ML.NET says of the same rows.</summary>
public sealed class EveryModelTests : IDisposable
{
    private static readonly float[][] Points = [[0.25f, 1.5f], [-2, -1], [2, -1.25f]];

    private readonly string _folder = Directory.CreateTempSubdirectory("neural-ode-service-").FullName;
    private readonly MLContext _mlContext = new(1);

    public static TheoryData<string, bool> Models
    {
        get
        {
            var data = new TheoryData<string, bool>();
            foreach (string kind in ServedModels.Kinds)
                data.Add(kind, data.Count % 2 == 0);
            return data;
        }
    }

    private string ModelFile => Path.Combine(_folder, "model.zip");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [MemberData(nameof(Models))]
    public async Task A_model_of_every_task_answers_as_ML_NET_does(string kind, bool isSealed)
    {
        (ITransformer model, IDataView data) = ServedModels.Fit(_mlContext, kind);
        Save(model, data.Schema, isSealed);
        IDataView scored = model.Transform(
            _mlContext.Data.LoadFromEnumerable(
                Points.Select(point => new ServedRow { Features = point, Target = 1.5f, Colour = "red", Number = 10 })));
        await using ServiceHost service = await ServiceHost.StartAsync(ModelFile);

        object Request(float[] point) => kind == "density" ? new { features = point, target = 1.5f } : new { features = point };
        JsonElement[] batch = [
            .. (await ServiceHost.AnswerAsync(
                service.PostAsync("/predict/batch", new { rows = Points.Select(Request) }))).EnumerateArray()];
        for (int i = 0; i < Points.Length; i++)
        {
            JsonElement answer = await ServiceHost.AnswerAsync(service.PostAsync("/predict", Request(Points[i])));
            Check(kind, scored, i, answer);
            Check(kind, scored, i, batch[i]);
        }

        JsonElement description = JsonDocument.Parse(await service.Client.GetStringAsync("/model")).RootElement;
        description.GetProperty("inputs").EnumerateArray().Select(input => input.GetProperty("field").GetString()).Should()
            .BeEquivalentTo(kind == "density" ? ["features", "target"] : ["features"], "labels are not asked for");
        JsonElement health = JsonDocument.Parse(await service.Client.GetStringAsync("/health")).RootElement;
        health.GetProperty("isSealed").GetBoolean().Should().Be(isSealed);
    }

    [Fact]
    public async Task A_whole_table_of_several_types_is_asked_for_by_the_names_of_its_columns()
    {
        (ITransformer model, IDataView data) = ServedModels.FitMixed(_mlContext);
        Save(model, data.Schema, isSealed: true);
        var row = new MixedRow { Width = 2.5f, Count = 3, Kind = "wide", IsNew = true };
        float expected = Column<float>(model.Transform(_mlContext.Data.LoadFromEnumerable([row])), "Score")[0];
        await using ServiceHost service = await ServiceHost.StartAsync(ModelFile);

        JsonElement answer =
            await ServiceHost.AnswerAsync(service.PostAsync("/predict", new { width = 2.5, count = 3, kind = "wide", isNew = true }));
        answer.GetProperty("score").GetSingle().Should().Be(expected);
        // The same as a form, the text as it is.
        using var form = new MultipartFormDataContent { { new StringContent("2.5"), "Width" }, { new StringContent("3"), "count" },
            { new StringContent("wide"), "kind" }, { new StringContent("true"), "isNew" } };
        (await ServiceHost.AnswerAsync(service.Client.PostAsync("/predict", form))).GetProperty("score").GetSingle().Should().Be(expected);

        (await ServiceHost.ProblemAsync(service.PostAsync("/predict", new { width = 2.5, count = 3.5, kind = "wide", isNew = true }),
            400)).Should().Contain("'count'").And.Contain("whole number");
        (await ServiceHost.ProblemAsync(service.PostAsync("/predict", new { width = 2.5, count = 3, kind = 1, isNew = true }),
            400)).Should().Contain("'kind' is a number").And.Contain("a text");
        (await ServiceHost.ProblemAsync(service.PostAsync("/predict", new { width = 2.5, count = 3, kind = "wide" }), 400)).Should()
            .Contain("'isNew' is missing");
        (await ServiceHost.ProblemAsync(service.PostAsync("/predict/batch",
            new { rows = new object[] { new { width = 1, count = 3, kind = "wide", isNew = true }, 7 } }), 400)).Should()
            .Contain("Row 1 of 'rows'");
    }

    [Fact]
    public async Task A_row_without_a_finite_score_is_422()
    {
        (ITransformer model, IDataView data) = ServedModels.Fit(_mlContext, "regression");
        ITransformer inverse = _mlContext.Transforms.Expression("Features", "x => 1 / (x - 5)", "Features").Fit(data);
        Save(new TransformerChain<ITransformer>(inverse, model), data.Schema, isSealed: true);
        await using ServiceHost service = await ServiceHost.StartAsync(ModelFile);
        (await ServiceHost.ProblemAsync(service.PostAsync("/predict", new { features = new[] { 5, 1 } }), 422)).Should()
            .Contain("not finite");
        (await ServiceHost.ProblemAsync(service.PostTextAsync("/predict/batch", "{\"rows\":[[1,2],[5,1]]}"), 422)).Should()
            .Contain("Row 1");
        await ServiceHost.AnswerAsync(service.PostAsync("/predict", new { features = new[] { 1, 2 } }));
    }

    [Fact]
    public async Task A_bare_model_without_a_schema_is_served_by_what_it_says_of_itself()
    {
        (ITransformer model, IDataView data) = ServedModels.Fit(_mlContext, "density");
        _mlContext.Model.Save(model, null, ModelFile);
        await using ServiceHost service = await ServiceHost.StartAsync(ModelFile);
        JsonElement answer = await ServiceHost.AnswerAsync(service.PostAsync("/predict", new { features = Points[0], target = 1.5f }));
        Check("density",
            model.Transform(_mlContext.Data.LoadFromEnumerable([new ServedRow { Features = Points[0], Target = 1.5f }])), 0, answer);
    }

    [Fact]
    public async Task Models_that_are_none_of_this_library_or_lose_their_answer_are_refused()
    {
        (ITransformer model, IDataView data) = ServedModels.Fit(_mlContext, "binary");
        (await RefusedAsync(_mlContext.Transforms.CopyColumns("Other", "Features").Fit(data), data)).Should()
            .Contain("no model of this library").And.Contain("ColumnCopyingTransformer");
        ITransformer drop = _mlContext.Transforms.DropColumns("Score").Fit(model.Transform(data));
        (await RefusedAsync(new TransformerChain<ITransformer>(model, drop), data)).Should().Contain("'Score' is dropped");
        // Its features become infinite on their way.
        ITransformer spoil = _mlContext.Transforms.Expression("Features", "x => x / 0f", "Features").Fit(data);
        (await RefusedAsync(new TransformerChain<ITransformer>(spoil, model), data)).Should().Contain("scored none of them");
    }

    private async Task<string> RefusedAsync(ITransformer model, IDataView data)
    {
        Save(model, data.Schema, isSealed: true);
        Func<Task> act = () => ServiceHost.StartAsync(ModelFile);
        return (await act.Should().ThrowAsync<Microsoft.ML.NeuralOde.Service.ModelFileException>()).Which.Message;
    }

    private void Save(ITransformer model, DataViewSchema schema, bool isSealed)
    {
        if (isSealed)
            _mlContext.Model.SaveSealed(model, schema, ModelFile);
        else
            _mlContext.Model.Save(model, schema, ModelFile);
    }

    private static void Check(string kind, IDataView scored, int row, JsonElement answer)
    {
        switch (kind)
        {
            case "multiclass":
                answer.GetProperty("label").GetString().Should().Be(Column<ReadOnlyMemory<char>>(scored, "PredictedLabel")[row].ToString());
                Numbers(answer, "scores").Should().Equal(Column<float[]>(scored, "Score")[row]);
                answer.GetProperty("classes").EnumerateArray().Select(name => name.GetString()).Should().Equal("red", "green", "blue");
                answer.GetProperty("probability").GetSingle().Should().Be(Numbers(answer, "scores").Max());
                break;
            case "numbered":
                answer.GetProperty("label").GetInt32().Should().Be(Column<int>(scored, "PredictedLabel")[row]);
                answer.GetProperty("classes").EnumerateArray().Select(name => name.GetString()).Should().Equal("0", "10", "20");
                break;
            case "binary":
                answer.GetProperty("label").GetBoolean().Should().Be(Column<bool>(scored, "PredictedLabel")[row]);
                answer.GetProperty("probability").GetSingle().Should().Be(Column<float>(scored, "Probability")[row]);
                answer.GetProperty("score").GetSingle().Should().Be(Column<float>(scored, "Score")[row]);
                break;
            case "regression":
                answer.GetProperty("score").GetSingle().Should().Be(Column<float>(scored, "Score")[row]);
                break;
            case "targets":
                Numbers(answer, "scores").Should().Equal(Column<float[]>(scored, "Score")[row]);
                break;
            case "density":
                answer.GetProperty("logDensity").GetSingle().Should().BeApproximately(Column<float>(scored, "LogDensity")[row], 1e-5f);
                answer.GetProperty("bitsPerDimension").GetSingle().Should().BeApproximately(Column<float>(scored, "Bits")[row], 1e-5f);
                Numbers(answer, "latent").Should().HaveCount(2);
                break;
            default:
                answer.GetProperty("label").GetBoolean().Should().Be(Column<bool>(scored, "PredictedLabel")[row]);
                answer.GetProperty("score").GetSingle().Should().BeApproximately(Column<float>(scored, "Score")[row], 1e-5f);
                answer.GetProperty("label")
                    .GetBoolean().Should().Be(answer.GetProperty("score").GetSingle() > answer.GetProperty("threshold").GetSingle());
                break;
        }
    }

    private static float[] Numbers(JsonElement answer, string name) =>
        [.. answer.GetProperty(name).EnumerateArray().Select(number => number.GetSingle())];

    private static T[] Column<T>(IDataView data, string name) => [.. data.GetColumn<T>(name)];
}
