using System.Reflection;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Tests.Support;
using Options = Microsoft.ML.NeuralOde.NeuralOdeRegressionTrainer.Options;

namespace Microsoft.ML.NeuralOde.Tests.Training;

/// <summary>What each option does.</summary>
public class OptionTests
{
    private readonly MLContext _mlContext = new(1);
    private readonly List<string> _warnings = [];

    /// <summary>Options that change what is learned, in one way that is not the default.</summary>
    public static TheoryData<string, Action<Options>> Changes => new()
    {
        { nameof(Options.BatchSize), o => o.BatchSize = 40 },
        { nameof(Options.Optimizer), o => o.Optimizer = NeuralOdeOptimizer.Sgd },
        { nameof(Options.Momentum), o => { o.Optimizer = NeuralOdeOptimizer.Sgd; o.Momentum = 0; } },
        { nameof(Options.LearningRate), o => o.LearningRate = 0.01 },
        { nameof(Options.MaximumGradientNorm), o => o.MaximumGradientNorm = 0.01 },
        { nameof(Options.RelativeTolerance), o => o.RelativeTolerance = 1e-6 },
        { nameof(Options.AbsoluteTolerance), o => o.AbsoluteTolerance = 1e-7 },
        { nameof(Options.Solver), o => o.Solver = OdeMethod.Euler },
        { nameof(Options.EndTime), o => o.EndTime = 2 },
        { nameof(Options.Normalization), o => o.Normalization = FeatureNormalization.None },
        { nameof(Options.Regularization), o => o.Regularization = new PathRegularization { JacobianNorm = 0.1 } },
        { nameof(Options.SpectralNormPenalty), o => o.SpectralNormPenalty = 0.1 },
        { nameof(Options.Seed), o => o.Seed = 17 },
        { nameof(Options.ExampleWeightColumnName), o => o.ExampleWeightColumnName = "Target" },
    };

    /// <summary>Every option that can be wrong, in every way that differs.</summary>
    public static TheoryData<string, object?, string> WrongValues => new()
    {
        { nameof(Options.FeatureColumnName), " ", "the name of a column" },
        { nameof(Options.LabelColumnName), "", "the name of a column" },
        { nameof(Options.ScoreColumnName), null, "the name of a column" },
        { nameof(Options.ExampleWeightColumnName), " ", "the name of a column or null" },
        { nameof(Options.NumberOfEpochs), 0, "at least 1" },
        { nameof(Options.BatchSize), -1, "at least 1" },
        { nameof(Options.Optimizer), (NeuralOdeOptimizer)9, "one of Adam, AdamW, Sgd" },
        { nameof(Options.LearningRate), double.NaN, "a positive number" },
        { nameof(Options.LearningRateSchedule), (LearningRateSchedule)9, "one of Constant, CosineAnnealing, OneCycle, Step" },
        { nameof(Options.WarmUpFraction), 1.5, "from 0 to 1" },
        { nameof(Options.LearningRateStepEpochs), 0, "at least 1" },
        { nameof(Options.LearningRateStepFactor), 0.0, "above 0 and at most 1" },
        { nameof(Options.Momentum), 1.0, "from 0 to below 1" },
        { nameof(Options.WeightDecay), -0.1, "zero or a positive number" },
        { nameof(Options.MaximumGradientNorm), 0.0, "a positive number or null" },
        { nameof(Options.Solver), null, "a method such as OdeMethod.Dopri5" },
        { nameof(Options.Solver), OwnEuler, "a method that OdeMethod.Parse finds by its name, which is all that model files hold of it: *" },
        { nameof(Options.Solver), OdeMethod.ReversibleCoupling(OdeMethod.Rk4, 0.9), "a method that OdeMethod.Parse finds by its name, *" },
        { nameof(Options.RelativeTolerance), 0.0, "a positive number" },
        { nameof(Options.AbsoluteTolerance), -1.0, "a positive number" },
        { nameof(Options.FinalTolerances), new SolverTolerances(0, 1), "positive tolerances or null" },
        { nameof(Options.EvaluationTolerances), null, "positive tolerances" },
        { nameof(Options.ProductionTolerances), new SolverTolerances(1, double.NaN), "positive tolerances" },
        { nameof(Options.StepSize), 0.0, "a positive number or null" },
        { nameof(Options.ProductionStepSize), -0.1, "a positive number or null" },
        { nameof(Options.GradientMethod), null, "a gradient method such as GradientMethod.Adjoint()" },
        { nameof(Options.SpectralNormPenalty), -1.0, "zero or a positive number" },
        { nameof(Options.Normalization), (FeatureNormalization)9, "one of None, Global, PerSlot" },
        { nameof(Options.ValidationFraction), 1.0, "between 0 and 1, or null" },
        { nameof(Options.EarlyStoppingPatience), 0, "at least 1, or null" },
        { nameof(Options.MemoryBudgetMegabytes), 0, "at least 1" },
        { nameof(Options.CheckpointFolder), " ", "the path of a folder or null" },
        { nameof(Options.CheckpointInterval), TimeSpan.FromSeconds(-1), "zero or a positive time" },
        { nameof(Options.EncoderLayers), Array.Empty<int>(), "at least one positive size" },
        { nameof(Options.DynamicsLayers), new[] { 3, 0 }, "a list of positive sizes" },
        { nameof(Options.EndTime), 0.0, "a finite number other than zero" },
    };

    private static OdeMethod OwnEuler =>
        OdeMethod.ExplicitRungeKutta("my euler", new RungeKuttaTableau { Order = 1, Nodes = [0], Matrix = [[]], Weights = [1] });

    [Theory]
    [MemberData(nameof(WrongValues))]
    public void A_wrong_value_is_named_with_what_would_be_right(string option, object? value, string right)
    {
        var options = new Options();
        typeof(Options).GetField(option)!.SetValue(options, value);

        Action act = () => _mlContext.Regression.Trainers.NeuralOde(options);

        act.Should().Throw<ArgumentOutOfRangeException>().WithMessage($"{option} is *; it must be {right}.*").Which.ParamName.Should().Be(option);
    }

    [Fact]
    public void Penalties_with_negative_weights_are_named()
    {
        Action act = () => _mlContext.Regression.Trainers.NeuralOde(new Options { Regularization = new PathRegularization { KineticEnergy = -1 } });
        act.Should().Throw<ArgumentOutOfRangeException>().WithMessage("Regularization.KineticEnergy is -1; it must be zero or a positive number.*");
        Action none = () => _mlContext.Regression.Trainers.NeuralOde(new Options { Regularization = null! });
        none.Should().Throw<ArgumentOutOfRangeException>().WithMessage("Regularization is null*");
    }

    [Fact]
    public void Wrong_values_of_classifiers_are_named_too()
    {
        Action binary = () => _mlContext.BinaryClassification.Trainers.NeuralOde(new NeuralOdeBinaryClassificationTrainer.Options { ProbabilityColumnName = "" });
        binary.Should().Throw<ArgumentOutOfRangeException>().WithMessage("ProbabilityColumnName is *");
        Action predicted = () => _mlContext.BinaryClassification.Trainers.NeuralOde(new NeuralOdeBinaryClassificationTrainer.Options { PredictedLabelColumnName = "" });
        predicted.Should().Throw<ArgumentOutOfRangeException>().WithMessage("PredictedLabelColumnName is *");
        Action weighting = () => _mlContext.MulticlassClassification.Trainers.NeuralOde(new NeuralOdeClassificationTrainer.Options { ClassWeighting = (ClassWeighting)5 });
        weighting.Should().Throw<ArgumentOutOfRangeException>().WithMessage("ClassWeighting is 5; it must be one of None, Balanced.*");
    }

    [Theory]
    [MemberData(nameof(Changes))]
    public void An_option_that_concerns_the_training_changes_its_result(string option, Action<Options> change)
    {
        Scores(change).Should().NotEqual(Scores(), option);
    }

    [Theory]
    [InlineData(NeuralOdeOptimizer.Adam, 0.02)]
    [InlineData(NeuralOdeOptimizer.AdamW, 0.02)]
    [InlineData(NeuralOdeOptimizer.Sgd, 0.05)]
    public void Every_optimizer_learns(NeuralOdeOptimizer optimizer, double rate)
    {
        NeuralOdeEpochReport[] history = Fit(o => { o.Optimizer = optimizer; o.LearningRate = rate; o.NumberOfEpochs = 12; }).History;
        history[^1].TrainLoss.Should().BeLessThan(0.3 * history[0].TrainLoss);
    }

    [Fact]
    public void Learning_rates_follow_their_schedules()
    {
        // 8 batches an epoch, 10 epochs; what is reported is the rate of the epoch's last batch.
        double[] At(Action<Options> change) => [.. Fit(o => { o.NumberOfEpochs = 10; change(o); }).History.Select(r => r.LearningRate / 0.02)];
        double[] progress = [.. Enumerable.Range(1, 10).Select(epoch => (8 * epoch - 1) / 80.0)];

        Equal(At(o => o.LearningRateSchedule = LearningRateSchedule.Constant), progress.Select(_ => 1.0));
        Equal(At(o => o.LearningRateSchedule = LearningRateSchedule.CosineAnnealing), progress.Select(p => (1 + Math.Cos(Math.PI * p)) / 2));
        Equal(At(o => { o.LearningRateSchedule = LearningRateSchedule.Step; o.LearningRateStepEpochs = 3; o.LearningRateStepFactor = 0.1; }),
            progress.Select((_, i) => Math.Pow(0.1, i / 3)));
        Equal(At(o => o.WarmUpFraction = 0.5), progress.Select(p => Math.Min(1, 2 * p)));
        double[] oneCycle = At(o => o.LearningRateSchedule = LearningRateSchedule.OneCycle);
        oneCycle.Max().Should().BeInRange(0.95, 1);
        oneCycle[0].Should().BeLessThan(0.5);
        oneCycle[^1].Should().BeLessThan(0.01);

        static void Equal(double[] found, IEnumerable<double> expected) => found.Zip(expected, (f, e) => Math.Abs(f - e)).Max().Should().BeLessThan(1e-9);
    }

    [Fact]
    public void Weight_decay_makes_weights_smaller()
    {
        double Norm(double decay)
        {
            using NeuralOdeRegressionTransformer model = Train(o => { o.WeightDecay = decay; o.NumberOfEpochs = 10; });
            return model.Model.Network.parameters().Sum(p => p.detach().data<float>().ToArray().Sum(w => w * (double)w));
        }
        Norm(1).Should().BeLessThan(0.8 * Norm(0));
    }

    [Theory]
    [InlineData(1, 0, 0)]
    [InlineData(0, 1, 0)]
    [InlineData(0, 0, 0.3)]
    public void Penalties_make_the_dynamics_calmer_and_are_repeatable(double kineticEnergy, double jacobianNorm, double spectralNorm)
    {
        using NeuralOdeRegressionTransformer free = Train(o => o.NumberOfEpochs = 12);
        using NeuralOdeRegressionTransformer calm = Train(Penalize), again = Train(Penalize);

        Movement(calm).Should().BeLessThan(0.6 * Movement(free));
        calm.TrainingHistory.Select(r => r.TrainLoss).Should().Equal(again.TrainingHistory.Select(r => r.TrainLoss));

        void Penalize(Options options)
        {
            options.NumberOfEpochs = 12;
            options.Regularization = new PathRegularization { KineticEnergy = kineticEnergy, JacobianNorm = jacobianNorm };
            options.SpectralNormPenalty = spectralNorm;
        }

        // What the penalty is about: the squared Frobenius norm of the right-hand side's weights, or how far it moves the states.
        double Movement(NeuralOdeRegressionTransformer model) => model.Model.Network.named_parameters()
            .Where(p => p.name.Contains("dynamics.weight", StringComparison.Ordinal) || (kineticEnergy > 0 && p.name.Contains("dynamics.bias", StringComparison.Ordinal)))
            .Sum(p => p.parameter.detach().data<float>().ToArray().Sum(w => w * (double)w));
    }

    [Fact]
    public void Tolerances_become_tighter_while_the_training_goes_on()
    {
        NeuralOdeEpochReport[] loose = Fit(_ => { }).History;
        NeuralOdeEpochReport[] schedule = Fit(o => o.FinalTolerances = new SolverTolerances(1e-8, 1e-9)).History;

        schedule[0].NfeForward.Should().BeLessThan(schedule[^1].NfeForward - 5);
        schedule[^1].NfeForward.Should().BeGreaterThan(loose[^1].NfeForward + 5);
    }

    [Fact]
    public void Steps_of_a_given_size_cost_the_same_in_every_batch()
    {
        Fit(o => { o.Solver = OdeMethod.Rk4; o.StepSize = 0.25; }).History.Should().OnlyContain(r => r.NfeForward == 16);
        Fit(o => o.Solver = OdeMethod.Euler).History.Should().OnlyContain(r => r.NfeForward == 1);
    }

    [Fact]
    public void Tolerances_and_steps_of_the_fitted_model_are_its_own()
    {
        // A long way, on which errors of the solver show.
        double[] exact = Scores(o => { o.EndTime = 10; o.ProductionTolerances = new SolverTolerances(1e-7, 1e-8); });
        double Error(Action<Options> change) => Scores(o => { o.EndTime = 10; change(o); }).Zip(exact, (a, b) => Math.Abs(a - b)).Max();

        double loose = Error(o => o.ProductionTolerances = new SolverTolerances(0.3, 0.3));
        double production = Error(_ => { });
        double coarse = Error(o => o.ProductionStepSize = 1);
        double fine = Error(o => o.ProductionStepSize = 0.1);

        loose.Should().BeGreaterThan(3 * production);
        coarse.Should().BeGreaterThan(3 * fine);
        fine.Should().BeLessThan(1e-3);
    }

    [Fact]
    public void Tolerances_of_validation_do_not_touch_the_training()
    {
        NeuralOdeEpochReport[] loose = Fit(o => { o.ValidationFraction = 0.2; o.EvaluationTolerances = new SolverTolerances(0.5, 0.5); }).History;
        NeuralOdeEpochReport[] tight = Fit(o => o.ValidationFraction = 0.2).History;

        loose.Select(r => r.TrainLoss).Should().Equal(tight.Select(r => r.TrainLoss));
        loose.Select(r => r.ValidationLoss).Should().NotEqual(tight.Select(r => r.ValidationLoss));
    }

    [Fact]
    public void A_training_that_no_longer_improves_stops_and_keeps_its_best_weights()
    {
        // Labels that are noise: what is learned of the training rows is wrong for the others.
        var random = new Random(3);
        List<TableRow> rows = [.. TabularData.Circle(60).Select(r => new TableRow { Features = r.Features, Target = random.NextSingle() })];
        IDataView train = TabularData.View(_mlContext, rows), validation = TabularData.View(_mlContext, [.. TabularData.Circle(60, 2).Select(r => new TableRow { Features = r.Features, Target = random.NextSingle() })]);

        using NeuralOdeRegressionTransformer best = Trainer(Overfit).Fit(train, validation);
        using NeuralOdeRegressionTransformer last = Trainer(o => { Overfit(o); o.KeepBestWeights = false; }).Fit(train, validation);

        int bestEpoch = best.TrainingHistory.MinBy(r => r.ValidationLoss)!.Epoch;
        best.TrainingHistory.Should().HaveCount(bestEpoch + 3).And.HaveCountLessThan(100);
        Rmse(best).Should().BeApproximately(best.TrainingHistory[bestEpoch - 1].ValidationMetric!.Value, 1e-3);
        Rmse(last).Should().BeApproximately(best.TrainingHistory[^1].ValidationMetric!.Value, 1e-3);
        Rmse(last).Should().BeGreaterThan(Rmse(best));

        static void Overfit(Options options)
        {
            options.NumberOfEpochs = 100;
            options.EncoderLayers = [32];
            options.EarlyStoppingPatience = 3;
        }

        double Rmse(NeuralOdeRegressionTransformer model) => _mlContext.Regression.Evaluate(model.Transform(validation), "Target").RootMeanSquaredError;
    }

    [Fact]
    public void Early_stopping_without_validation_data_is_refused()
    {
        Action act = () => Fit(o => o.EarlyStoppingPatience = 2);
        act.Should().Throw<InvalidOperationException>().WithMessage("EarlyStoppingPatience is 2*ValidationFraction*");
    }

    [Fact]
    public void Layers_decide_the_number_of_weights_and_columns_have_the_names_that_are_asked_for()
    {
        using NeuralOdeRegressionTransformer model = Train(o => { o.EncoderLayers = [5, 3]; o.DynamicsLayers = [7]; o.ScoreColumnName = "Distance"; o.NumberOfEpochs = 1; });
        // Encoder 2→5→3, dynamics 3→7→3 with a time vector, head 3→1.
        model.Model.ParameterCount.Should().Be(2 * 5 + 5 + 5 * 3 + 3 + 3 * 7 + 7 + 7 * 3 + 3 + 3 + 3 + 1);
        model.GetOutputSchema(Data().Schema).GetColumnOrNull("Distance").Should().NotBeNull();
    }

    [Fact]
    public void A_training_can_begin_with_another_model()
    {
        using NeuralOdeRegressionTransformer first = Train(o => o.NumberOfEpochs = 15);
        NeuralOdeRegressionTrainer trainer = Trainer(o => { o.NumberOfEpochs = 1; o.LearningRate = 1e-4; });
        using NeuralOdeRegressionTransformer cold = trainer.Fit(Data());
        using NeuralOdeRegressionTransformer warm = trainer.Fit(Data(), first.Model);

        warm.TrainingHistory[0].TrainLoss.Should().BeLessThan(0.2 * cold.TrainingHistory[0].TrainLoss);
        Action structure = () => Trainer(o => o.EncoderLayers = [9]).Fit(Data(), first.Model);
        structure.Should().Throw<ArgumentException>().WithMessage("*EncoderLayers [9] and [8]*");
        Action kind = () => _mlContext.BinaryClassification.Trainers.NeuralOde(new NeuralOdeBinaryClassificationTrainer.Options { EncoderLayers = [8], DynamicsLayers = [8] }).Fit(Data(), first.Model);
        kind.Should().Throw<ArgumentException>().WithMessage("*another kind of label*");
    }

    [Fact]
    public void A_missing_graphics_processor_is_replaced_with_one_warning_or_refused()
    {
        if (TorchSharp.torch.cuda.is_available())
            return;
        _mlContext.GpuDeviceId = 0;
        _mlContext.FallbackToCpu = true;
        Fit(o => o.NumberOfEpochs = 1);
        _warnings.Should().ContainSingle().Which.Should().Contain("GpuDeviceId").And.Contain("no CUDA device");

        _mlContext.FallbackToCpu = false;
        Action act = () => Fit(o => o.NumberOfEpochs = 1);
        act.Should().Throw<InvalidOperationException>().WithMessage("GpuDeviceId*0*FallbackToCpu*");
    }

    [Fact]
    public void MLNets_own_cancellation_ends_the_training()
    {
        int epochs = 0;
        Action act = () => Fit(o => o.EpochCallback = _ =>
        {
            epochs++;
            // ML.NET keeps it for itself and for AutoML.
            typeof(MLContext).GetMethod("CancelExecution", BindingFlags.NonPublic | BindingFlags.Instance)!.Invoke(_mlContext, null);
        });
        act.Should().Throw<OperationCanceledException>();
        epochs.Should().Be(1);
    }

    [Fact]
    public void Dynamics_that_become_hard_to_solve_are_worth_one_warning()
    {
        Fit(o => { o.NumberOfEpochs = 3; o.RelativeTolerance = 0.1; o.AbsoluteTolerance = 0.1; o.FinalTolerances = new SolverTolerances(1e-13, 1e-13); o.Solver = OdeMethod.Bosh3; });
        _warnings.Should().ContainSingle().Which.Should().ContainAll("evaluations of the right-hand side", "LearningRate", "WeightDecay");
    }

    private (double[] Scores, NeuralOdeEpochReport[] History) Fit(Action<Options> change)
    {
        using NeuralOdeRegressionTransformer model = Train(change);
        return ([.. model.Transform(Data()).GetColumn<float>("Score").Select(s => (double)s)], [.. model.TrainingHistory]);
    }

    private double[] Scores(Action<Options>? change = null) => Fit(change ?? (_ => { })).Scores;

    private NeuralOdeRegressionTransformer Train(Action<Options> change) => Trainer(change).Fit(Data());

    private NeuralOdeRegressionTrainer Trainer(Action<Options> change)
    {
        _mlContext.Log += (_, e) =>
        {
            if (e.Kind == Runtime.ChannelMessageKind.Warning && !_warnings.Contains(e.Message))
                _warnings.Add(e.Message);
        };
        var options = new Options
        {
            LabelColumnName = "Target",
            NumberOfEpochs = 3,
            BatchSize = 32,
            LearningRate = 0.02,
            LearningRateSchedule = LearningRateSchedule.Constant,
            EncoderLayers = [8],
            DynamicsLayers = [8],
            Seed = 5,
        };
        change(options);
        return _mlContext.Regression.Trainers.NeuralOde(options);
    }

    private IDataView Data() => TabularData.View(_mlContext, TabularData.Circle(256));
}
