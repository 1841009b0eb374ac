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
        { nameof(Options.Solver), OwnEuler,
            "a method that OdeMethod.Parse finds by its name, which is all that model files hold of it: *" },
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
        { nameof(Options.DynamicsForm), (DynamicsForm)9, "one of FirstOrder, SecondOrder, HeavyBall, Hamiltonian, SeparableHamiltonian" },
        { nameof(Options.AugmentedDimensions), -1, "from 0 to 65536" },
        { nameof(Options.LearnAugmentation), true, "false where AugmentedDimensions is 0 and DynamicsForm is FirstOrder: *" },
        { nameof(Options.EndTimeSpread), 1.0, "zero or positive, and below EndTime, which is 1" },
        { nameof(Options.EndTimeSpread), double.NaN, "zero or positive, and below EndTime, which is 1" },
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

        act.Should()
            .Throw<ArgumentOutOfRangeException>().WithMessage($"{option} is *; it must be {right}.*").Which.ParamName.Should().Be(option);
    }

    [Fact]
    public void Penalties_with_negative_weights_are_named()
    {
        Action act = () =>
            _mlContext.Regression.Trainers.NeuralOde(new Options { Regularization = new PathRegularization { KineticEnergy = -1 } });
        act.Should()
            .Throw<ArgumentOutOfRangeException>().WithMessage("Regularization.KineticEnergy is -1; it must be zero or a positive number.*");
        Action none = () => _mlContext.Regression.Trainers.NeuralOde(new Options { Regularization = null! });
        none.Should().Throw<ArgumentOutOfRangeException>().WithMessage("Regularization is null*");
    }

    [Fact]
    public void Wrong_values_of_classifiers_are_named_too()
    {
        Action binary = () =>
            _mlContext.BinaryClassification.Trainers.NeuralOde(
                new NeuralOdeBinaryClassificationTrainer.Options { ProbabilityColumnName = "" });
        binary.Should().Throw<ArgumentOutOfRangeException>().WithMessage("ProbabilityColumnName is *");
        Action predicted = () =>
            _mlContext.BinaryClassification.Trainers.NeuralOde(
                new NeuralOdeBinaryClassificationTrainer.Options { PredictedLabelColumnName = "" });
        predicted.Should().Throw<ArgumentOutOfRangeException>().WithMessage("PredictedLabelColumnName is *");
        Action weighting = () =>
            _mlContext.MulticlassClassification.Trainers.NeuralOde(
                new NeuralOdeClassificationTrainer.Options { ClassWeighting = (ClassWeighting)5 });
        weighting.Should().Throw<ArgumentOutOfRangeException>().WithMessage("ClassWeighting is 5; it must be one of None, Balanced.*");
    }

    [Fact]
    public void Options_of_the_solver_reach_it()
    {
        using var source = new CancellationTokenSource();
        var gradient = GradientMethod.Adjoint(OdeMethod.Rk4);
        var options = new Options
        {
            Solver = OdeMethod.Tsit5,
            RelativeTolerance = 1e-6,
            AbsoluteTolerance = 1e-7,
            StepSize = 0.25,
            GradientMethod = gradient,
            CancellationToken = source.Token,
        };
        options.SolverOptions().Should().Be(new OdeSolverOptions
        {
            Method = OdeMethod.Tsit5,
            RelativeTolerance = 1e-6,
            AbsoluteTolerance = 1e-7,
            StepSize = 0.25,
            Gradient = gradient,
            CancellationToken = source.Token,
            Discontinuities = options.SolverOptions().Discontinuities,
            Events = options.SolverOptions().Events,
        });
        new Options().SolverOptions().ToString().Should().Be("dopri5, rtol 0.001, atol 0.0001, gradient checkpointed");
    }

    [Fact]
    public void Options_of_the_model_reach_it()
    {
        using NeuralOdeRegressionTransformer model = Train(o =>
        {
            o.NumberOfEpochs = 1;
            o.Solver = OdeMethod.Tsit5;
            o.EndTime = 2;
            o.StepSize = 0.5;
            o.ProductionTolerances = new SolverTolerances(1e-6, 1e-7);
            o.EncoderLayers = [5, 4];
            o.DynamicsLayers = [6, 7];
        });
        Described(model).Should().Be((2, 1, "5 4", "6 7", 2, "tsit5", 1e-6, 1e-7, 0.5));
        using NeuralOdeRegressionTransformer other = Train(o => (o.NumberOfEpochs, o.StepSize, o.ProductionStepSize) = (1, 0.5, 0.125));
        Described(other).Should().Be((2, 1, "8", "8", 1, "dopri5", 1e-4, 1e-5, 0.125));

        static (int, int, string, string, double, string, double, double, double?) Described(NeuralOdeRegressionTransformer model)
        {
            var found = (Microsoft.ML.NeuralOde.Networks.DenseDescription)model.Model.Network.Description;
            return (found.FeatureCount, found.OutputCount, string.Join(' ', found.EncoderLayers), string.Join(' ', found.DynamicsLayers),
                found.EndTime, found.Solver,
                found.RelativeTolerance, found.AbsoluteTolerance, found.StepSize);
        }
    }

    [Theory]
    [InlineData(FeatureNormalization.None)]
    [InlineData(FeatureNormalization.Global)]
    [InlineData(FeatureNormalization.PerSlot)]
    public void Features_are_brought_to_mean_0_and_deviation_1_as_the_option_says(FeatureNormalization normalization)
    {
        using NeuralOdeRegressionTransformer model = Train(o => (o.NumberOfEpochs, o.Normalization) = (1, normalization));
        float[][] slots = [.. Enumerable.Range(0, 2).Select(slot => TabularData.Circle(256).Select(row => row.Features[slot]).ToArray())];
        float[][] groups = normalization == FeatureNormalization.Global ? [[.. slots[0], .. slots[1]]] : slots;

        (float[] Mean, float[] Scale)? found = model.Model.Network.InputStatistics();
        if (normalization == FeatureNormalization.None)
        {
            found.Should().BeNull();
            return;
        }
        for (int i = 0; i < groups.Length; i++)
        {
            double mean = groups[i].Average(value => (double)value);
            found!.Value.Mean[i].Should().BeApproximately((float)mean, 1e-6f);
            found.Value.Scale[i].Should()
                .BeApproximately((float)(1 / Math.Sqrt(groups[i].Average(value => (value - mean) * (value - mean)))), 1e-5f);
        }
        found!.Value.Mean.Should().HaveCount(groups.Length);
    }

    [Fact]
    public void A_row_of_weight_3_counts_as_three_rows()
    {
        // Whole batches and no statistics of the rows in the model: all that differs is how the rows are given.
        List<TableRow> rows = TabularData.Circle(40);
        for (int i = 0; i < rows.Count; i++)
            rows[i].Weight = i % 4;
        List<TableRow> repeated =
            [.. rows.SelectMany(row => Enumerable.Repeat(new TableRow { Features = row.Features, Label = row.Label }, (int)row.Weight))];
        double[] weighted = Losses(rows, "Weight"), counted = Losses(repeated, null);

        weighted.Should().Equal(counted, (a, b) => Math.Abs(a - b) < 1e-4);
        weighted.Should().NotEqual(Losses(rows, null), "else this test could not fail");

        double[] Losses(List<TableRow> data, string? weight)
        {
            using NeuralOdeBinaryClassificationTransformer model =
                _mlContext.BinaryClassification.Trainers.NeuralOde(new NeuralOdeBinaryClassificationTrainer.Options
                {
                    NumberOfEpochs = 3,
                    BatchSize = 1000,
                    EncoderLayers = [8],
                    DynamicsLayers = [8],
                    LearningRate = 0.02,
                    RelativeTolerance = 1e-6,
                    AbsoluteTolerance = 1e-7,
                    Optimizer = NeuralOdeOptimizer.Sgd,
                    Normalization = FeatureNormalization.None,
                    ExampleWeightColumnName = weight,
                    Seed = 5,
                }).Fit(TabularData.View(_mlContext, data));
            return [.. model.TrainingHistory.Select(report => report.TrainLoss)];
        }
    }

    [Fact]
    public void A_seed_decides_all_that_is_random()
    {
        double[] first = Scores(o => o.Seed = 5);
        Scores(o => o.Seed = 5).Should().Equal(first);
        Scores(o => o.Seed = 6).Should().NotEqual(first);
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
        double[] At(Action<Options> change) =>
            [.. Fit(o => { o.NumberOfEpochs = 10; change(o); }).History.Select(r => r.LearningRate / 0.02)];
        double[] progress = [.. Enumerable.Range(1, 10).Select(epoch => (8 * epoch - 1) / 80.0)];

        Equal(At(o => o.LearningRateSchedule = LearningRateSchedule.Constant), progress.Select(_ => 1.0));
        Equal(At(o => o.LearningRateSchedule = LearningRateSchedule.CosineAnnealing),
            progress.Select(p => (1 + Math.Cos(Math.PI * p)) / 2));
        Equal(At(o =>
            { o.LearningRateSchedule = LearningRateSchedule.Step; o.LearningRateStepEpochs = 3; o.LearningRateStepFactor = 0.1; }),
            progress.Select((_, i) => Math.Pow(0.1, i / 3)));
        Equal(At(o => o.WarmUpFraction = 0.5), progress.Select(p => Math.Min(1, 2 * p)));
        Equal(At(o => o.LearningRateSchedule = LearningRateSchedule.OneCycle), progress.Select(p => p < 0.3
            ? 1 - 0.96 * (1 + Math.Cos(Math.PI * p / 0.3)) / 2
            : 1e-4 + (1 - 1e-4) * (1 + Math.Cos(Math.PI * (p - 0.3) / 0.7)) / 2));

        static void Equal(double[] found, IEnumerable<double> expected) =>
            found.Zip(expected, (f, e) => Math.Abs(f - e)).Max().Should().BeLessThan(1e-9);
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
            .Where(p => p.name.Contains("dynamics.weight", StringComparison.Ordinal)
                || (kineticEnergy > 0 && p.name.Contains("dynamics.bias", StringComparison.Ordinal)))
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
        NeuralOdeEpochReport[] loose =
            Fit(o => { o.ValidationFraction = 0.2; o.EvaluationTolerances = new SolverTolerances(0.5, 0.5); }).History;
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
        IDataView train = TabularData.View(_mlContext, rows),
            validation = TabularData.View(_mlContext,
                [.. TabularData.Circle(60, 2).Select(r => new TableRow { Features = r.Features, Target = random.NextSingle() })]);

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

        double Rmse(NeuralOdeRegressionTransformer model) =>
            _mlContext.Regression.Evaluate(model.Transform(validation), "Target").RootMeanSquaredError;
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
        using NeuralOdeRegressionTransformer model =
            Train(o => { o.EncoderLayers = [5, 3]; o.DynamicsLayers = [7]; o.ScoreColumnName = "Distance"; o.NumberOfEpochs = 1; });
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
        Action kind = () => _mlContext.BinaryClassification.Trainers.NeuralOde(
            new NeuralOdeBinaryClassificationTrainer.Options { EncoderLayers = [8], DynamicsLayers = [8] }).Fit(Data(), first.Model);
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
        Fit(o =>
        {
            o.NumberOfEpochs = 3; o.RelativeTolerance =
            0.1; o.AbsoluteTolerance = 0.1; o.FinalTolerances = new SolverTolerances(1e-13, 1e-13); o.Solver = OdeMethod.Bosh3;
        });
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
