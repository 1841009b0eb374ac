using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Plots;
using Microsoft.ML.NeuralOde.Samples.Data;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Samples.Tutorial.Chapters;

/// <summary>Handwritten digits, from the rows to the confusion matrix.</summary>
internal sealed class Classifier() : Chapter(4, "training-a-classifier", "Training a classifier")
{
    /// <summary>Trained numbers depend on the last bits of every product: accuracies by a percent or so.</summary>
    private const double Learned = 0.02;

    public override void Run(TutorialPage page, CancellationToken cancellationToken)
    {
        DigitData digits = EmbeddedDigits.Load();
        page.Number("train-rows", digits.Train.Count, "N0", 0);
        page.Number("test-rows", digits.Test.Count, "N0", 0);
        int[] shown = [.. Enumerable.Range(0, 16)];
        page.Figure("digits", Figures.ImageGrid([.. shown.Select(i => Pixels(digits.Train, i))], MnistDataset.ImageSize,
            [.. shown.Select(i => $"{digits.Train.Labels.Span[i]}")], title: "sixteen of the digits"));

        var mlContext = new MLContext(page.Seed(1));
        var batches = new List<NeuralOdeBatchReport>();
        var options = new NeuralOdeClassificationTrainer.Options
        {
            NumberOfEpochs = 12,
            BatchSize = 128,
            LearningRate = 1e-3,
            LearningRateSchedule = LearningRateSchedule.CosineAnnealing,
            ValidationFraction = 0.1,
            RelativeTolerance = 1e-3,
            AbsoluteTolerance = 1e-4,
            FinalTolerances = SolverTolerances.Production,
            GradientMethod = GradientMethod.Adjoint(),
            Normalization = FeatureNormalization.None,
            BatchCallback = batches.Add,
            BatchesPerReport = 5,
            CancellationToken = cancellationToken,
        };
        using NeuralOdeClassificationTransformer model = mlContext.MulticlassClassification.Trainers.NeuralOde(options)
            .Fit(digits.Train.ToDataView(mlContext));
        page.Number("weights", model.Model.ParameterCount, "N0", 0);
        page.Words("summary", model.Model.Summary.ToString().ReplaceLineEndings("\n"));
        IReadOnlyList<NeuralOdeEpochReport> history = model.TrainingHistory;
        page.Figure("training", Figures.TrainingCurves(history), 1300, 640);
        Batches(page, batches);
        int[] epochs = [0, 1, 2, 5, history.Count - 1];
        page.Table("epochs", ["epoch", "loss", "accuracy", "validation accuracy", "evaluations forward", "evaluations backward"],
            [.. epochs.Select(i => new object[]
            {
                $"{history[i].Epoch}", TutorialPage.Cell(
                    history[i].TrainLoss, "0.00", 0.15), TutorialPage.Cell(100 * history[i].TrainAccuracy!.Value, "0.0", Learned),
                TutorialPage.Cell(
                    100 * history[i].ValidationAccuracy!.Value, "0.0", Learned), TutorialPage.Cell(history[i].NfeForward, "0.0", 0.25),
                TutorialPage.Cell(history[i].NfeBackward, "0.0", 0.25),
            })]);

        IDataView test = digits.Test.ToDataView(mlContext);
        MulticlassClassificationMetrics metrics = mlContext.MulticlassClassification.Evaluate(model.Transform(test));
        page.Number("accuracy", 100 * metrics.MicroAccuracy, "0.0", Learned);
        page.Number("log-loss", metrics.LogLoss, "0.00", 0.2);
        page.Figure("confusion", Figures.ConfusionMatrix(metrics.ConfusionMatrix));
        Mistakes(page, mlContext, model, digits.Test);
        States(page, model, digits.Test);
    }

    /// <summary>The loss within epochs.</summary>
    private static void Batches(TutorialPage page, List<NeuralOdeBatchReport> batches)
    {
        NeuralOdeBatchReport[] first = [.. batches.Where(report => report.Epoch == 1)];
        page.Number("batches-per-epoch", first[0].BatchesPerEpoch, "N0", 0);
        page.Table("batches", ["batches of the first epoch", "mean loss"],
            [.. first.Zip(first.Prepend(new NeuralOdeBatchReport()), (report, before) => new object[]
            {
                $"{before.Batch + 1} to {report.Batch}", TutorialPage.Cell(report.Loss, "0.00", 0.15),
            })]);
        page.Figure("batches", Figures.Lines("loss within the epochs", "epoch", "mean loss of five batches",
            [new Curve("loss", [.. batches.Select(report => report.Epoch - 1 + report.Batch / (double)report.BatchesPerEpoch)],
                [.. batches.Select(report => report.Loss)])], logY: true), 800, 420);
    }

    /// <summary>Digits that were taken for others.</summary>
    private static void Mistakes(TutorialPage page, MLContext mlContext, NeuralOdeClassificationTransformer model, MnistImages images)
    {
        int[] predicted =
            [.. mlContext.Data.CreateEnumerable<Prediction>(model.Transform(images.ToDataView(mlContext)), reuseRowObject: false)
            .Select(row => (int)row.PredictedLabel - 1)];
        int[] wrong = [.. Enumerable.Range(0, images.Count).Where(i => predicted[i] != images.Labels.Span[i])];
        page.Number("wrong", wrong.Length, "N0", 0.35);
        int[] some = [.. wrong.Take(16)];
        page.Figure("mistakes", Figures.ImageGrid([.. some.Select(i => Pixels(images, i))], MnistDataset.ImageSize,
            [.. some.Select(i => $"{images.Labels.Span[i]}")], [.. some.Select(i => $"{predicted[i]}")], title: "taken for another digit"));
    }

    /// <summary>How the equation moves 200 digits apart.</summary>
    private static void States(TutorialPage page, NeuralOdeClassificationTransformer model, MnistImages images)
    {
        const int Count = 200;
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        using nn.Module<Tensor, Tensor> network = model.Model.CreateModule();
        Dictionary<string, nn.Module> parts = network.named_children().ToDictionary(part => part.name, part => part.module);
        float[] pixels = [.. Enumerable.Range(0, Count).SelectMany(i => Pixels(images, i))];
        Tensor first = ((nn.Module<Tensor, Tensor>)parts["encoder0"]).call(tensor(pixels, [Count, pixels.Length / Count]));
        Tensor hidden = ((nn.Module<Tensor, Tensor>)parts["encoder1"]).call(first.relu());
        var block = (OdeBlock)parts["ode"];
        using OdeSolution solution = Ode.Solve(block.Dynamics, hidden, tensor(Spaced(0, block.EndTime, 21)), block.Options);
        int[] classes = [.. Enumerable.Range(0, Count).Select(i => (int)images.Labels.Span[i])];
        page.Figure("states", Figures.Trajectories(solution.States, classes, title: "200 digits on their way"), 700, 540);
        page.Number("spread-before", Separation(hidden, classes), "0.00", 0.2);
        page.Number("spread-after", Separation(solution.Final, classes), "0.00", 0.2);
    }

    /// <summary>The variance between the classes' means over that within classes.</summary>
    private static double Separation(Tensor states, int[] classes)
    {
        Tensor mean = states.mean([0L]);
        double between = 0, within = 0;
        foreach (int number in classes.Distinct())
        {
            long[] rows = [.. Enumerable.Range(0, classes.Length).Where(i => classes[i] == number).Select(i => (long)i)];
            Tensor members = states.index_select(0, tensor(rows));
            Tensor centre = members.mean([0L]);
            between += rows.Length * (centre - mean).square().sum().ToDouble();
            within += (members - centre).square().sum().ToDouble();
        }
        return between / within;
    }

    private static float[] Pixels(MnistImages images, int index)
    {
        ReadOnlySpan<byte> bytes = images.GetPixels(index);
        var pixels = new float[bytes.Length];
        for (int i = 0; i < pixels.Length; i++)
            pixels[i] = bytes[i] / 255f;
        return pixels;
    }

    private sealed class Prediction
    {
        public uint PredictedLabel { get; set; }
    }
}
