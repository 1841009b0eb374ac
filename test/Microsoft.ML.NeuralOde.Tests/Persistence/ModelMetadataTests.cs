using System.Security.Cryptography;
using System.Text.Json;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Persistence;

/// <summary>What a model file and a model say about themselves to people.</summary>
public sealed class ModelMetadataTests
{
    private readonly MLContext _mlContext = new(1);

    [Fact]
    public void The_file_has_an_entry_that_people_can_read()
    {
        var model = Fitted.Model(_mlContext, Fitted.Options(o => { o.NumberOfEpochs = 2; o.ValidationFraction = 0.2; }));
        using var stream = new MemoryStream();
        _mlContext.Model.Save(model, Blobs.View(_mlContext, []).Schema, stream);

        (string _, byte[] text) = Mutations.Read(stream.ToArray())
            .Single(entry => entry.Name.EndsWith("NeuralOde.json", StringComparison.Ordinal));
        using JsonDocument document = JsonDocument.Parse(text);
        JsonElement root = document.RootElement;

        root.GetProperty("library").GetString().Should().StartWith("Microsoft.ML.NeuralOde ");
        root.GetProperty("formatVersion").GetInt32().Should().Be(1);
        root.GetProperty("task").GetString().Should().Be("multiclass classification");
        root.GetProperty("input").GetProperty("column").GetString().Should().Be("Features");
        root.GetProperty("output").GetProperty("predictedLabel").GetString().Should().Be("PredictedLabel");
        root.GetProperty("classes").GetProperty("text").EnumerateArray().Select(e => e.GetString()).Should().Equal("red", "green", "blue");
        root.GetProperty("options").GetProperty("NumberOfEpochs").GetString().Should().Be("2");
        root.GetProperty("options").GetProperty("Solver").GetString().Should().Be("dopri5");
        root.GetProperty("options").GetProperty("EncoderLayers").GetString().Should().Be("[8]");
        root.GetProperty("trainingHistory").GetArrayLength().Should().Be(2);
        root.GetProperty("metrics")
            .GetProperty("validationLoss").GetDouble().Should().Be(model.NeuralOde().TrainingHistory[^1].ValidationLoss);
        root.GetProperty("model").GetProperty("parameterCount").GetInt64().Should().Be(model.NeuralOde().Model.ParameterCount);
        root.GetProperty("payloadSha256")
            .GetString().Should().Be(Convert.ToHexStringLower(SHA256.HashData(Mutations.Payload(stream.ToArray()))));
    }

    [Fact]
    public void A_summary_counts_the_weights_of_each_layer()
    {
        using NeuralOdeClassificationTransformer model = Fitted.Model(
            _mlContext, Fitted.Options(o => { o.NumberOfEpochs = 1; o.EncoderLayers = [10, 6]; o.DynamicsLayers = [5]; })).NeuralOde();
        NeuralOdeModelSummary summary = model.Model.Summary;

        summary.Layers.Select(layer => layer.ParameterCount)
            .Should().Equal(0, 2 * 10 + 10, 10 * 6 + 6, 6 * 5 + 5 + 5 * 6 + 6 + 6, 6 * 3 + 3);
        summary.ParameterCount.Should().Be(model.Model.ParameterCount);
        (summary.Solver, summary.EndTime, summary.StepSize).Should().Be(("dopri5", 1, null));
        summary.ToString().Should().Contain("linear 10 to 6").And.Contain("6, 5, 6").And.Contain("tanh").And.Contain("rtol 0.0001");
    }
}
