using System.Text.Json;
using Microsoft.ML.NeuralOde.Samples.Digits;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Samples;

public sealed class MnistFiguresTests
{
    private static readonly MnistFigures Figures = new()
    {
        Data = "embedded digits",
        TrainRows = 4000,
        TestRows = 1000,
        Solver = "dopri5",
        Gradient = "adjoint",
        RelativeTolerance = 1e-3,
        AbsoluteTolerance = 1e-4,
        BatchSize = 128,
        LearningRate = 1e-3,
        LearningRateSchedule = "Constant",
        WeightDecay = 0.5,
        ValidationFraction = 0.1,
        Seed = 1,
        TestAccuracy = 0.975,
        MacroAccuracy = double.NaN,
        LogLoss = 0.125,
        ConfusionMatrix = [[9, 1], [0, 10]],
        FitSeconds = 5.5,
        ScoredRowsPerSecond = 34000,
        PeakMemoryBytes = 1L << 31,
        ModelFile = "model.zip",
        ModelBytes = 450_000,
        LoadedModelIsEqual = true,
        Epochs = [Epoch(1, nfeForward: 20, nfeBackward: 16, seconds: 1.5), Epoch(2, nfeForward: 22, nfeBackward: 15, seconds: 2.5)],
    };

    [Fact]
    public void Names_and_values_are_those_of_the_documentation()
    {
        using var json = JsonDocument.Parse(Figures.ToJson());
        JsonElement root = json.RootElement;

        root.GetProperty("testAccuracy").GetDouble().Should().Be(0.975);
        root.GetProperty("trainSeconds").GetDouble().Should().Be(4.0);
        root.GetProperty("secondsPerEpoch").GetDouble().Should().Be(2.0);
        root.GetProperty("fitSeconds").GetDouble().Should().Be(5.5);
        root.GetProperty("nfeForward").GetDouble().Should().Be(21);
        root.GetProperty("nfeBackward").GetDouble().Should().Be(15.5);
        root.GetProperty("scoredRowsPerSecond").GetDouble().Should().Be(34000);
        root.GetProperty("peakMemoryBytes").GetInt64().Should().Be(1L << 31);
        root.GetProperty("loadedModelIsEqual").GetBoolean().Should().BeTrue();
        root.GetProperty("confusionMatrix")[0][1].GetDouble().Should().Be(1);
        root.GetProperty("macroAccuracy").GetString().Should().Be("NaN", "JSON has no number for it");

        JsonElement last = root.GetProperty("epochs")[1];
        last.GetProperty("epoch").GetInt32().Should().Be(2);
        last.GetProperty("trainLoss").GetDouble().Should().Be(0.25);
        last.GetProperty("trainAccuracy").GetDouble().Should().Be(0.5);
        last.GetProperty("validationAccuracy").ValueKind.Should().Be(JsonValueKind.Null);
    }

    private static NeuralOdeEpochReport Epoch(int epoch, double nfeForward, double nfeBackward, double seconds) => new()
    {
        Epoch = epoch,
        NumberOfEpochs = 2,
        TrainLoss = 0.25,
        MetricName = "accuracy",
        TrainMetric = 0.5,
        NfeForward = nfeForward,
        NfeBackward = nfeBackward,
        Seconds = seconds,
        LearningRate = 1e-3,
    };
}
