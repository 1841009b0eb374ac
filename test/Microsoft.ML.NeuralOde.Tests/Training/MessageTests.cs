using System.Reflection;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Tests.Density;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Training;

/// <summary>Mistakes that users make with trainers, and what they are told.</summary>
public sealed class MessageTests
{
    private static readonly double[] Absurd =
        [double.NaN, double.PositiveInfinity, double.NegativeInfinity, 1e300, -1e300, 1e39, 1e-300, double.Epsilon, -1, 0];

    private readonly MLContext _mlContext = new(1);

    public static TheoryData<Type, string> NumericOptions
    {
        get
        {
            var data = new TheoryData<Type, string>();
            foreach (Type type in new[] { typeof(NeuralOdeRegressionTrainer.Options), typeof(NeuralOdeBinaryClassificationTrainer.Options),
                typeof(ContinuousFlowDensityEstimator.Options), typeof(ContinuousFlowAnomalyTrainer.Options) })
                foreach (FieldInfo option in type.GetFields()
                    .Where(option => (Nullable.GetUnderlyingType(option.FieldType) ?? option.FieldType) == typeof(double)))
                    data.Add(type, option.Name);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(NumericOptions))]
    public void An_absurd_number_is_named_or_does_no_harm(Type type, string option)
    {
        FieldInfo field = type.GetField(option)!;
        foreach (double value in Absurd)
            Try(type, options => field.SetValue(options, value), option, $"{option} = {value:R}");
    }

    public static TheoryData<string> ToleranceOptions =>
        [nameof(NeuralOdeTrainerOptions.FinalTolerances), nameof(NeuralOdeTrainerOptions.EvaluationTolerances),
            nameof(NeuralOdeTrainerOptions.ProductionTolerances)];

    [Theory]
    [MemberData(nameof(ToleranceOptions))]
    public void Absurd_tolerances_are_named_or_do_no_harm(string option)
    {
        FieldInfo field = typeof(NeuralOdeRegressionTrainer.Options).GetField(option)!;
        foreach (double value in Absurd)
            foreach (SolverTolerances tolerances in new[] { new SolverTolerances(value, 1e-4), new SolverTolerances(1e-4, value),
                new SolverTolerances(value, value) })
                Try(typeof(NeuralOdeRegressionTrainer.Options), options => field.SetValue(options, tolerances),
                    option, $"{option} = {tolerances}");
    }

    public static TheoryData<string, Action<NeuralOdeRegressionTrainer.Options>> Combinations => new()
    {
        { "LearningRate", o => { o.LearningRate = 1e30; o.WeightDecay = 1e30; } },
        { "LearningRate", o => { o.LearningRate = 1e38; o.Optimizer = NeuralOdeOptimizer.Adam; } },
        { "LearningRate", o => { o.LearningRate = 1e38; o.Optimizer = NeuralOdeOptimizer.Sgd; } },
        { "WeightDecay", o => { o.WeightDecay = 3e38; o.Optimizer = NeuralOdeOptimizer.Sgd; } },
        { "Regularization.KineticEnergy", o => o.Regularization = new PathRegularization { KineticEnergy = 1e300 } },
        { "Regularization.JacobianNorm", o => o.Regularization = new PathRegularization { JacobianNorm = double.PositiveInfinity } },
        { "EncoderLayers", o => o.EncoderLayers = [int.MaxValue] },
        { "EncoderLayers", o => o.EncoderLayers = [100_000, 100_000] },
        { "DynamicsLayers", o => o.DynamicsLayers = [int.MaxValue, int.MaxValue] },
        { "BatchSize", o => o.BatchSize = int.MaxValue },
        { "MemoryBudgetMegabytes", o => o.MemoryBudgetMegabytes = int.MaxValue },
        { "LearningRateStepEpochs", o => { o.LearningRateStepEpochs = int.MaxValue; o.LearningRateSchedule = LearningRateSchedule.Step; } },
        { "LearningRateStepFactor", o =>
            { o.LearningRateStepFactor = double.Epsilon; o.LearningRateSchedule = LearningRateSchedule.Step; o.NumberOfEpochs = 12; } },
        { "CheckpointInterval", o => o.CheckpointInterval = TimeSpan.MaxValue },
    };

    [Theory]
    [MemberData(nameof(Combinations))]
    public void Absurd_combinations_are_named_or_do_no_harm(string option, Action<NeuralOdeRegressionTrainer.Options> change) =>
        Try(typeof(NeuralOdeRegressionTrainer.Options), options => change((NeuralOdeRegressionTrainer.Options)options), option, option);

    [Fact]
    public void A_flow_too_large_for_any_file_is_refused()
    {
        Action act = () => Fit(new ContinuousFlowDensityEstimator.Options { HiddenLayers = [100_000, 100_000] });
        act.Should().Throw<InvalidOperationException>().WithMessage("*weights*HiddenLayers*");
    }

    [Theory]
    [InlineData(25)]
    [InlineData(30)]
    [InlineData(31)]
    public void Labels_of_too_many_classes_are_refused_with_the_number_of_classes(int bits)
    {
        IDataView data = _mlContext.Transforms.Conversion.Hash("Label", numberOfBits: bits)
            .Fit(Blobs.View(_mlContext, Blobs.Rows(60))).Transform(Blobs.View(_mlContext, Blobs.Rows(60)));
        Action act = () => _mlContext.MulticlassClassification.Trainers.NeuralOde(Fitted.Options()).Fit(data);
        act.Should().Throw<InvalidOperationException>().WithMessage($"*'Label'*{1L << bits}*classes*MapValueToKey*");
    }

    [Fact]
    public void Validation_data_without_rows_are_told_from_training_data_without_rows()
    {
        IDataView data = TabularData.View(_mlContext, TabularData.Circle(60)), empty = TabularData.View(_mlContext, []);
        List<TableRow> missing = TabularData.Circle(9);
        missing.ForEach(row => row.Target = float.NaN);
        var options = new NeuralOdeRegressionTrainer.Options
        {
            LabelColumnName = "Target",
            NumberOfEpochs = 1,
            EncoderLayers = [4],
            DynamicsLayers = [4]
        };
        NeuralOdeRegressionTrainer trainer = _mlContext.Regression.Trainers.NeuralOde(options);

        trainer.Invoking(t => t.Fit(data, empty)).Should().Throw<InvalidOperationException>()
            .WithMessage("*validation*empty*'Features'*'Target'*").Which.Message.Should().NotContain("train on");
        trainer.Invoking(t => t.Fit(data, TabularData.View(_mlContext, missing)))
            .Should().Throw<InvalidOperationException>().WithMessage("*no row to validate*9 rows*'Target'*");
        trainer.Invoking(t => t.Fit(empty)).Should().Throw<InvalidOperationException>().WithMessage("*empty*no row to train on*");
        options.ValidationFraction = 1e-9;
        _mlContext.Regression.Trainers.NeuralOde(options)
            .Invoking(t => t.Fit(data)).Should().Throw<InvalidOperationException>().WithMessage("*ValidationFraction*60 rows*");
        options.MemoryBudgetMegabytes = 1;
        IDataView many = TabularData.View(_mlContext, TabularData.Circle(100_000));
        _mlContext.Regression.Trainers.NeuralOde(options)
            .Invoking(t => t.Fit(many)).Should().Throw<InvalidOperationException>().WithMessage("*ValidationFraction*100000 rows*");
        _mlContext.Transforms.ContinuousFlowDensity(ContinuousFlowDensityTests.Options(_ => { })).Invoking(e => e.Fit(data, empty))
            .Should().Throw<InvalidOperationException>().WithMessage("*validation*empty*'Features'*");
    }

    [Fact]
    public void Two_outputs_of_one_name_are_refused()
    {
        Names(() => _mlContext.BinaryClassification.Trainers.NeuralOde(
            new NeuralOdeBinaryClassificationTrainer.Options { ScoreColumnName = "P", ProbabilityColumnName = "P" }), "ScoreColumnName",
            "ProbabilityColumnName", "P");
        Names(() => _mlContext.BinaryClassification.Trainers.NeuralOde(
            new NeuralOdeBinaryClassificationTrainer.Options { PredictedLabelColumnName = "Probability" }), "PredictedLabelColumnName",
            "ProbabilityColumnName", "Probability");
        Names(() => _mlContext.MulticlassClassification.Trainers.NeuralOde(
            new NeuralOdeClassificationTrainer.Options { PredictedLabelColumnName = "Score" }), "PredictedLabelColumnName",
            "ScoreColumnName", "Score");
        Names(() => _mlContext.AnomalyDetection.Trainers.ContinuousFlow(
            new ContinuousFlowAnomalyTrainer.Options { PredictedLabelColumnName = "Score" }), "PredictedLabelColumnName",
            "ScoreColumnName", "Score");
        Names(() => _mlContext.Transforms.ContinuousFlowDensity(
            new ContinuousFlowDensityEstimator.Options { LatentColumnName = "LogDensity" }), "LatentColumnName", "LogDensityColumnName",
            "LogDensity");
        Names(() => _mlContext.Transforms.ContinuousFlowDensity(
            new ContinuousFlowDensityEstimator.Options { LatentColumnName = "Z", BitsPerDimensionColumnName = "Z" }), "LatentColumnName",
            "BitsPerDimensionColumnName", "Z");

        static void Names(Action create, params string[] parts) =>
            create.Should().Throw<ArgumentOutOfRangeException>().Which.Message.Should().ContainAll(parts);
    }

    [Fact]
    public void A_vector_of_unknown_size_is_answered_with_the_attribute_that_was_forgotten()
    {
        IDataView data = _mlContext.Data.LoadFromEnumerable(Enumerable.Range(0, 30)
            .Select(i => new Forgotten { Features = [i, 1], Sized = [i, 1], Target = i, Targets = [i, i] }).ToArray());
        var regression = new NeuralOdeRegressionTrainer.Options { LabelColumnName = "Target" };
        string[] attribute = ["[VectorType(", "'Features'"];

        Suggests(() => _mlContext.Regression.Trainers.NeuralOde(regression).Fit(data), attribute);
        Suggests(() => _mlContext.Regression.Trainers.NeuralOde(regression).GetOutputSchema(Interop.Schemas.ShapeOf(data.Schema)),
            attribute);
        Suggests(() => _mlContext.AnomalyDetection.Trainers.ContinuousFlow(new ContinuousFlowAnomalyTrainer.Options()).Fit(data),
            attribute);
        Suggests(() => _mlContext.Regression.Trainers.NeuralOde(
            new NeuralOdeRegressionTrainer.Options { FeatureColumnName = "Sized", LabelColumnName = "Targets" }).Fit(data),
            ["[VectorType(", "'Targets'"]);
        Suggests(
            () => _mlContext.Transforms.ContinuousFlowDensity(
                new ContinuousFlowDensityEstimator.Options { FeatureColumnName = "Sized", ConditionColumnName = "Targets" }).Fit(data),
            ["[VectorType(", "'Targets'"]);
        Suggests(() => _mlContext.Regression.Trainers.NeuralOde(
            new NeuralOdeRegressionTrainer.Options { FeatureColumnName = "Target" }).Fit(data), ["'Target'", "Concatenate"]);
        Suggests(() => _mlContext.Regression.Trainers.NeuralOde(
            new NeuralOdeRegressionTrainer.Options { FeatureColumnName = "Doubles" }).Fit(data), ["'Doubles'", "ConvertType"]);
        using NeuralOdeRegressionTransformer model = _mlContext.Regression.Trainers.NeuralOde(
            new NeuralOdeRegressionTrainer.Options { LabelColumnName = "Target", NumberOfEpochs = 1 })
            .Fit(TabularData.View(_mlContext, TabularData.Circle(60)));
        Suggests(() => model.Transform(data), attribute);

        static void Suggests(Action act, string[] parts) =>
            act.Should().Throw<ArgumentOutOfRangeException>().Which.Message.Should().ContainAll(parts);
    }

    [Fact]
    public void Reports_leave_out_evaluations_that_there_are_none_of()
    {
        new NeuralOdeEpochReport
        {
            Epoch = 3,
            NumberOfEpochs = 20,
            TrainLoss = 0.12345,
            MetricName = "accuracy",
            TrainMetric = 0.5,
            ValidationLoss = 1,
            ValidationMetric = 0.98765,
            NfeForward = 20.26,
            NfeBackward = 31.5,
            Seconds = 1.234,
        }.ToString().Should().Be(
            "epoch 3/20: loss 0.1235, accuracy 50.00 %, validation loss 1.0000, validation accuracy 98.77 %, "
            + "evaluations 20.3 forward 31.5 backward, 1.23 s");
        new NeuralOdeEpochReport
        {
            Epoch = 1,
            NumberOfEpochs = 1,
            TrainLoss = 2,
            MetricName = "RMSE",
            TrainMetric = 123.456789,
            NfeForward = 7
        }.ToString()
            .Should().Be("epoch 1/1: loss 2.0000, RMSE 123.46, evaluations 7.0 forward, 0.00 s");
        new NeuralOdeEpochReport { Epoch = 1, NumberOfEpochs = 2, NfeForward = 20, NfeBackward = 31.5 }.ToString()
            .Should().Contain("evaluations 20.0 forward 31.5 backward");
        new NeuralOdeEpochReport { Epoch = 1, NumberOfEpochs = 2, NfeForward = 20 }.ToString()
            .Should().Contain("evaluations 20.0 forward,").And.NotContain("backward");
        new NeuralOdeEpochReport { Epoch = 1, NumberOfEpochs = 2 }.ToString().Should().NotContain("evaluations");
    }

    /// <summary>
    /// A value is refused by name when the trainer is made, or the training ends, well or in an exception that says what to do.
    /// </summary>
    private void Try(Type type, Action<NeuralOdeTrainerOptions> change, string option, string what)
    {
        var options = (NeuralOdeTrainerOptions)Activator.CreateInstance(type)!;
        options.NumberOfEpochs = 1;
        options.BatchSize = 32;
        options.Seed = 1;
        if (options is NeuralOdePredictorOptions predictor)
        {
            predictor.EncoderLayers = [4];
            predictor.DynamicsLayers = [4];
        }
        else if (options is ContinuousFlowTrainerOptions flow)
        {
            flow.HiddenLayers = [4];
            flow.BatchesPerEpoch = 2;
        }
        if (options is NeuralOdeRegressionTrainer.Options regression)
            regression.LabelColumnName = "Target";
        change(options);
        try
        {
            float[] scores = Fit(options);
            scores.Should().OnlyContain(score => float.IsFinite(score), what);
        }
        catch (ArgumentOutOfRangeException exception)
        {
            exception.Message.Should().Contain($"{option.Split('.')[^1]} is", what);
        }
        catch (Exception exception) when (exception is NeuralOdeTrainingException or OdeSolverException or InvalidOperationException)
        {
            exception.Message.Should()
                .ContainAny(["LearningRate", "MaximumSteps", "weights", "ValidationFraction", "tolerance", "Tolerance", "step"], what);
        }
    }

    private float[] Fit(NeuralOdeTrainerOptions options)
    {
        IDataView data = TabularData.View(_mlContext, TabularData.Circle(60));
        ITransformer model = options switch
        {
            NeuralOdeRegressionTrainer.Options o => _mlContext.Regression.Trainers.NeuralOde(o).Fit(data),
            NeuralOdeBinaryClassificationTrainer.Options o => _mlContext.BinaryClassification.Trainers.NeuralOde(o).Fit(data),
            ContinuousFlowDensityEstimator.Options o => _mlContext.Transforms.ContinuousFlowDensity(o).Fit(data),
            ContinuousFlowAnomalyTrainer.Options o => _mlContext.AnomalyDetection.Trainers.ContinuousFlow(o).Fit(data),
            _ => throw new ArgumentException("There is no such trainer.", nameof(options)),
        };
        using (model as IDisposable)
            return [.. model.Transform(data).GetColumn<float>(options is ContinuousFlowDensityEstimator.Options ? "LogDensity" : "Score")];
    }

    private sealed class Forgotten
    {
        public float[] Features { get; set; } = [];

        [VectorType(2)]
        public float[] Sized { get; set; } = [];

        [VectorType(2)]
        public double[] Doubles { get; set; } = [0, 0];

        public float Target { get; set; }

        public float[] Targets { get; set; } = [];
    }
}
