using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Tests.Support;
using TorchSharp;

namespace Microsoft.ML.NeuralOde.Tests.Classification;

public class TrainingTests
{
    [Fact]
    public void Clouds_are_told_apart_and_every_epoch_is_reported()
    {
        var reports = new List<NeuralOdeEpochReport>();
        var lines = new List<string>();
        var mlContext = new MLContext(1);
        mlContext.Log += (_, e) => lines.Add(e.Message);

        var model = Fitted.Model(mlContext, Fitted.Options(o => { o.EpochCallback = reports.Add; o.ValidationFraction = 0.25; }));

        MulticlassClassificationMetrics metrics =
            mlContext.MulticlassClassification.Evaluate(model.Transform(Blobs.View(mlContext, Blobs.Rows(300, seed: 2))));
        metrics.MicroAccuracy.Should().BeGreaterThan(0.97);
        reports.Select(r => r.Epoch).Should().Equal(Enumerable.Range(1, 8));
        reports[^1].TrainLoss.Should().BeLessThan(0.5 * reports[0].TrainLoss);
        reports.Should()
            .OnlyContain(r => r.NumberOfEpochs == 8
                && r.NfeForward >= 7 && r.NfeBackward == 0 && r.Seconds > 0 && r.ValidationAccuracy >= 0 && r.LearningRate == 0.02);
        reports[^1].ValidationAccuracy.Should().BeGreaterThan(0.95);
        model.NeuralOde().TrainingHistory.Should().Equal(reports);
        lines.Count(line => line.Contains("epoch ", StringComparison.Ordinal)).Should().Be(8);
    }

    [Fact]
    public void Batches_are_reported_within_an_epoch_and_their_losses_make_up_the_epochs()
    {
        var batches = new List<NeuralOdeBatchReport>();
        var mlContext = new MLContext(1);
        IReadOnlyList<NeuralOdeEpochReport> epochs = Fitted.Model(mlContext, Fitted.Options(o =>
        {
            (o.NumberOfEpochs, o.BatchSize) = (2, 24);
            (o.BatchCallback, o.BatchesPerReport) = (batches.Add, 4);
        })).NeuralOde().TrainingHistory;

        // 240 rows are 10 batches: two reports of four and one of two.
        long perEpoch = batches[0].BatchesPerEpoch;
        long[] places = [.. Enumerable.Range(1, (int)perEpoch).Where(i => i % 4 == 0 || i == perEpoch).Select(i => (long)i)];
        batches.Select(report => (report.Epoch, report.Batch)).Should()
            .Equal(new[] { 1, 2 }.SelectMany(epoch => places.Select(place => (epoch, place))));
        foreach (NeuralOdeEpochReport epoch in epochs)
        {
            NeuralOdeBatchReport[] own = [.. batches.Where(report => report.Epoch == epoch.Epoch)];
            long before = 0;
            double sum = 0;
            foreach (NeuralOdeBatchReport report in own)
            {
                sum += report.Loss * (report.Batch - before);
                before = report.Batch;
            }
            (sum / perEpoch).Should().BeApproximately(epoch.TrainLoss, 1e-9);
            own[^1].LearningRate.Should().Be(epoch.LearningRate);
            own.Should().OnlyContain(report => report.NfeForward >= 7);
        }
        batches[0].ToString().Should().StartWith(FormattableString.Invariant($"epoch 1, batch 4/{perEpoch}: loss {batches[0].Loss:F4}"));
    }

    [Fact]
    public void Reports_tell_the_tolerances_of_the_solver_as_they_fall()
    {
        var mlContext = new MLContext(1);
        IReadOnlyList<NeuralOdeEpochReport> Train(Action<NeuralOdeClassificationTrainer.Options> set) => Fitted.Model(
            mlContext, Fitted.Options(o =>
            {
                (o.NumberOfEpochs, o.RelativeTolerance, o.AbsoluteTolerance) = (3, 1e-2, 1e-3);
                set(o);
            })).NeuralOde().TrainingHistory;

        Train(_ => { }).Should().OnlyContain(report => report.Tolerances == new SolverTolerances(1e-2, 1e-3));
        Train(o => o.StepSize = 0.5).Should().OnlyContain(report => report.Tolerances == null);
        double[] relative = [.. Train(o => o.FinalTolerances = new SolverTolerances(1e-4, 1e-5)).Select(r => r.Tolerances!.Relative)];
        // A hundredth in all, in equal ratios: a third of the way after the first epoch, but for the batch that is the last.
        Math.Log10(relative[0]).Should().BeInRange(-2 - 2.0 / 3, -2);
        Math.Log10(relative[1] / relative[0]).Should().BeApproximately(-2.0 / 3, 1e-9);
        Math.Log10(relative[2] / relative[1]).Should().BeApproximately(-2.0 / 3, 1e-9);
    }

    [Fact]
    public void The_seed_of_the_context_decides_and_torch_is_left_as_it_was()
    {
        torch.manual_seed(5);
        using torch.Tensor expected = torch.rand(3);
        torch.manual_seed(5);
        float[] first = Scores(1);
        using torch.Tensor found = torch.rand(3);

        Scores(1).Should().Equal(first);
        Scores(2).Should().NotEqual(first);
        found.data<float>().ToArray().Should().Equal(expected.data<float>().ToArray());

        static float[] Scores(int seed)
        {
            var mlContext = new MLContext(seed);
            var model = Fitted.Model(mlContext, Fitted.Options(o => o.NumberOfEpochs = 1));
            return [.. Fitted.Predict(mlContext, model, Blobs.Rows(6)).SelectMany(p => p.Score)];
        }
    }

    [Theory]
    [InlineData("direct", "dopri5", false)]
    [InlineData("adjoint", "dopri5", true)]
    [InlineData("checkpointed", "rk4", false)]
    [InlineData("adjoint", "euler", true)]
    public void Every_gradient_method_and_solver_learns(string gradient, string solver, bool evaluatesBackward)
    {
        var mlContext = new MLContext(1);
        var trainer = mlContext.MulticlassClassification.Trainers.NeuralOde(
            numberOfEpochs: 4, batchSize: 16, learningRate: 0.01, solver: OdeMethod.Parse(solver),
            gradientMethod: GradientMethod.Parse(gradient));
        var model = mlContext.Transforms.Conversion.MapValueToKey("Label").Append(trainer).Fit(Blobs.View(mlContext, Blobs.Rows(240)));

        mlContext.MulticlassClassification.Evaluate(model.Transform(Blobs.View(mlContext, Blobs.Rows(150, seed: 2)))).MicroAccuracy.Should()
            .BeGreaterThan(0.95);
        model.LastTransformer.TrainingHistory.Should().OnlyContain(report => report.NfeBackward > 0 == evaluatesBackward);
    }

    [Theory]
    [InlineData(LearningRateSchedule.CosineAnnealing, FeatureNormalization.PerSlot)]
    [InlineData(LearningRateSchedule.OneCycle, FeatureNormalization.None)]
    public void Schedules_normalisation_and_clipping_work_together(LearningRateSchedule schedule, FeatureNormalization normalization)
    {
        var reports = new List<NeuralOdeEpochReport>();
        var mlContext = new MLContext(1);
        var model = Fitted.Model(mlContext, Fitted.Options(o =>
        {
            o.LearningRateSchedule = schedule;
            o.Normalization = normalization;
            o.MaximumGradientNorm = 1;
            o.WeightDecay = 1e-4;
            o.EpochCallback = reports.Add;
        }));

        mlContext.MulticlassClassification.Evaluate(model.Transform(Blobs.View(mlContext, Blobs.Rows(150, seed: 2)))).MicroAccuracy.Should()
            .BeGreaterThan(0.95);
        reports[^1].LearningRate.Should().BeLessThan(0.1 * 0.02);
    }

    [Fact]
    public void A_validation_set_may_be_given_in_three_places()
    {
        var mlContext = new MLContext(1);
        var keys = mlContext.Transforms.Conversion.MapValueToKey("Label").Fit(Blobs.View(mlContext, Blobs.Rows(240)));
        IDataView train = keys.Transform(Blobs.View(mlContext, Blobs.Rows(240)));
        IDataView validation = keys.Transform(Blobs.View(mlContext, Blobs.Rows(60, seed: 3)));

        var fromOptions = mlContext.MulticlassClassification.Trainers.NeuralOde(Fitted.Options(o => o.ValidationSet = validation))
            .Fit(train);
        var fromArguments = mlContext.MulticlassClassification.Trainers.NeuralOde(numberOfEpochs: 1, validationSet: validation).Fit(train);
        var fromFit = mlContext.MulticlassClassification.Trainers.NeuralOde(Fitted.Options()).Fit(train, validation);

        foreach (NeuralOdeClassificationTransformer model in new[] { fromOptions, fromArguments, fromFit })
        {
            using (model)
            {
                // The best weights were kept: the model must do on the validation rows what their epoch reported.
                NeuralOdeEpochReport best = model.TrainingHistory.MinBy(report => report.ValidationLoss)!;
                MulticlassClassificationMetrics metrics = mlContext.MulticlassClassification.Evaluate(model.Transform(validation));
                metrics.MicroAccuracy.Should().BeApproximately(best.ValidationAccuracy!.Value, 1e-9);
                metrics.LogLoss.Should().BeApproximately(best.ValidationLoss!.Value, 1e-3);
            }
        }
    }

    [Fact]
    public void Live_tensors_do_not_grow_from_epoch_to_epoch()
    {
        var counts = new List<long>();
        var mlContext = new MLContext(1);
        foreach (string gradient in new[] { "adjoint", "checkpointed", "direct" })
        {
            counts.Clear();
            Fitted.Model(mlContext, Fitted.Options(o =>
            {
                o.GradientMethod = GradientMethod.Parse(gradient);
                o.EpochCallback = _ =>
                {
                    GC.Collect();
                    GC.WaitForPendingFinalizers();
                    counts.Add(torch.Tensor.TotalCount);
                };
            })).NeuralOde().Dispose();
            counts.Skip(1).Max().Should().BeLessThanOrEqualTo(counts[1], gradient);
        }
    }

    [Fact]
    public void Cancellation_ends_the_training_and_leaves_nothing_behind()
    {
        const int repetitions = 20;
        const int parameters = 9;
        var mlContext = new MLContext(1);
        CancelAfterOneEpoch();
        long before = Count();
        for (int i = 0; i < repetitions; i++)
            CancelAfterOneEpoch();

        // torch's own count of live tensors grows by one with each parameter that is made, even if all are disposed of; one tensor more
        // each time would show.
        (Count() - before).Should().BeLessThan(repetitions * (parameters + 1));

        void CancelAfterOneEpoch()
        {
            using var source = new CancellationTokenSource();
            Action act = () => Fitted.Model(mlContext, Fitted.Options(o =>
            {
                o.CancellationToken = source.Token;
                o.EpochCallback = _ => source.Cancel();
            }));
            act.Should().Throw<OperationCanceledException>();
        }

        static long Count()
        {
            for (int i = 0; i < 3; i++)
            {
                GC.Collect();
                GC.WaitForPendingFinalizers();
            }
            return torch.Tensor.TotalCount;
        }
    }

    [Fact]
    public void Options_are_copied_when_the_trainer_is_made()
    {
        var mlContext = new MLContext(1);
        NeuralOdeClassificationTrainer.Options options = Fitted.Options(o => o.NumberOfEpochs = 1);
        NeuralOdeClassificationTrainer trainer = mlContext.MulticlassClassification.Trainers.NeuralOde(options);
        options.NumberOfEpochs = 0;
        options.EncoderLayers[0] = -1;

        using var model = trainer.Fit(mlContext.Transforms.Conversion.MapValueToKey("Label")
            .Fit(Blobs.View(mlContext, Blobs.Rows(30))).Transform(Blobs.View(mlContext, Blobs.Rows(30))));

        model.TrainingHistory.Should().HaveCount(1);
    }
}
