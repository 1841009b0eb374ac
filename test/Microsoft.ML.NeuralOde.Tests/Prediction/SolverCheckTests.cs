using Microsoft.ML.NeuralOde.BinaryClassification;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Networks;
using Microsoft.ML.NeuralOde.Prediction;
using Microsoft.ML.NeuralOde.Regression;
using Microsoft.ML.NeuralOde.Tests.Support;
using TorchSharp;
using static TorchSharp.torch;
using Options = Microsoft.ML.NeuralOde.NeuralOdeRegressionTrainer.Options;

namespace Microsoft.ML.NeuralOde.Tests.Prediction;

/// <summary>
/// Whether a model depends on its solver's steps, on dy/dt = w y, of which every step of Euler makes y (1 + w h): losses have a closed
/// form.
/// </summary>
public class SolverCheckTests
{
    private const string Steps = "The solver's steps have become a part of the model: on 4 training rows ";

    /// <summary>Steps, the label of rows that begin at 1, and what is said.</summary>
    public static TheoryData<string, double, Action<Options>, float, string?> Losses => new()
    {
        // With w = −1 steps of a half lead to 0.25, those of a quarter to 0.316.
        { "a loss that doubles", -1, o => o.StepSize = 0.5, 0,
            "the loss moves from 0.0625 to 0.1 when the equation is solved with steps of 0.25 instead of the steps of 0.5 of training. *" },
        { "a loss that moves by a tenth and a little", -1, o => o.StepSize = 0.5, 1.53f, "the loss moves from 1.64 to 1.47 when *" },
        { "a loss that moves by a little less", -1, o => o.StepSize = 0.5, 1.56f, null },
        { "a small loss that moves by half of itself", -1, o => o.StepSize = 0.5, 0.28f, null },
        { "a small loss that vanishes", -1, o => o.StepSize = 0.5, 0.35f, "the loss moves from 0.01 to 0.00113 when *" },
        { "steps of predictions alone", -1, o => (o.StepSize, o.ProductionStepSize) = (0.25, 0.5), 1.6f,
            "the loss moves from 1.82 to 1.58 when the equation is solved with steps of 0.125 instead of the steps of 0.5 of *" },
        { "finer steps of predictions", -1, o => (o.StepSize, o.ProductionStepSize) = (0.5, 0.25), 0,
            "the loss moves from 0.0625 to 0.118 when the equation is solved with steps of 0.125 instead of the steps of 0.5 of *" },
        { "steps that do not fit in", -1, o => o.StepSize = 0.4, 0,
            "* solved with steps of 0.167 instead of the steps of 0.4 of training. *" },
        { "one step to the end", -0.25, o => o.EndTime = 2, 0,
            "the loss moves from 0.25 to 0.316 when the equation is solved with steps of 1 instead of the steps of 2 of training. *" },
        { "one step back", 0.25, o => o.EndTime = -2, 0,
            "the loss moves from 0.25 to 0.316 when the equation is solved with steps of 1 instead of the steps of 2 of training. *" },
        { "the steps of a solver with error control", -1, o => o.Solver = OdeMethod.Dopri5, 0, null },
        { "those in training alone", -1, o => (o.Solver, o.ProductionStepSize) = (OdeMethod.Bosh3, 1), 0,
            "* solved with tolerances 1E-05 and 1E-06 instead of the steps of 1 of predictions. *" },
        { "more exact ones in training", -1,
            o => (o.Solver, o.ProductionStepSize, o.RelativeTolerance, o.AbsoluteTolerance) = (OdeMethod.Bosh3, 1, 2e-6, 3e-7), 0,
            "* solved with tolerances 2E-07 and 3E-08 instead of the steps of 1 of predictions. *" },
        { "as exact as float32 can be", -1, o =>
            {
                (o.Solver, o.ProductionStepSize) = (OdeMethod.Bosh3, 1);
                (o.RelativeTolerance, o.ProductionTolerances) = (1e-3, new SolverTolerances(5e-7, 5e-8));
            }, 0, "* solved with tolerances 1E-07 and 1E-08 instead of the steps of 1 of predictions. *" },
    };

    [Theory]
    [MemberData(nameof(Losses), DisableDiscoveryEnumeration = true)]
    public void A_loss_that_depends_on_the_steps_is_worth_a_warning(
        string what, double rate, Action<Options> change, float label, string? expected)
    {
        using DisposeScope scope = NewDisposeScope();
        Options options = Set(change);
        using EncodedNetwork network = Network(options, rate, 0);
        using var task = new RegressionTask(1);
        task.Prepare(Statistics(0, 0), network);
        using RowBatch batch = Batch([1, 1, 1, 1], [label, label, label, label]);
        string? found = new SolverCheck(new PredictorTraining(network, task, options), options).Warning(batch);
        if (expected is null)
            found.Should().BeNull(what);
        else
            found.Should().Match(Steps + expected, what);
    }

    [Fact]
    public void An_equation_that_can_be_solved_with_coarse_steps_alone_is_worth_another()
    {
        using DisposeScope scope = NewDisposeScope();
        Options options = Set(o => (o.Solver, o.ProductionStepSize) = (OdeMethod.Dopri5, 1));
        using EncodedNetwork network = Network(options, 1e4, 0);
        using var task = new RegressionTask(1);
        task.Prepare(Statistics(0, 0), network);
        using RowBatch batch = Batch([1, 1], [0, 0]);
        new SolverCheck(new PredictorTraining(network, task, options), options).Warning(batch).Should().StartWith(
            "The equation that was learned cannot be solved with tolerances 1E-05 and 1E-06 on 2 training rows, only with coarser steps: ");
    }

    /// <summary>
    /// All rows but one have odds of −0.28; those of the last move from −0.03 to 0.036, and it becomes true: one row of 50 is no more than
    /// two in a hundred, one of 49 is.
    /// </summary>
    [Theory]
    [InlineData(49, 0, "on 49 training rows the accuracy moves from 100* to 98* when the equation is solved with steps of 0.25 *")]
    [InlineData(49, 1, "on 49 training rows the accuracy moves from 98* to 100* when the equation is solved with steps of 0.25 *")]
    [InlineData(50, 0, null)]
    [InlineData(50, 1, null)]
    public void An_accuracy_that_depends_on_the_steps_by_more_than_two_percent_is_worth_a_warning(int rows, float last, string? expected)
    {
        using DisposeScope scope = NewDisposeScope();
        Options options = Set(o => o.StepSize = 0.5);
        using EncodedNetwork network = Network(options, -1, -0.28f);
        using var task = new BinaryTask(ClassWeighting.None, "Label");
        using RowBatch batch = Batch([.. new float[rows - 1], 1], [.. new float[rows - 1], last]);
        string? found = new SolverCheck(new PredictorTraining(network, task, options), options).Warning(batch);
        if (expected is null)
            found.Should().BeNull();
        else
            found.Should().Match($"The solver's steps have become a part of the model: {expected}");
    }

    /// <summary>Up to 256 of the training's rows are looked at, in memory and streamed, where that is not left out.</summary>
    [Theory]
    [InlineData(20, 1024, false, 20)]
    [InlineData(300, 1024, false, 256)]
    [InlineData(300, 1024, true, null)]
    [InlineData(150_000, 1, false, 256)]
    public void A_training_ends_with_that_look_at_its_rows(int rows, int budget, bool isLeftOut, int? looked)
    {
        var mlContext = new MLContext(1);
        var warnings = new List<string>();
        mlContext.Log += (_, e) =>
        {
            if (e.Kind == Runtime.ChannelMessageKind.Warning)
                warnings.Add(e.Message);
        };
        Options options = Set(o =>
        {
            (o.StepSize, o.SkipSolverCheck, o.MemoryBudgetMegabytes, o.LabelColumnName) = (0.5, isLeftOut, budget, "Target");
            // Next to no step: the model stays the one that it begins with.
            (o.NumberOfEpochs, o.BatchSize, o.LearningRate) = (1, 50_000, 1e-30);
        });
        EncodedNetwork network = Network(options, -1, 0);
        network.NormalizeOutput(([0], [1]));
        using var model = new NeuralOdeModel(network, OutputKind.Values);
        TableRow row = new() { Features = [1], Target = 0 };
        using NeuralOdeRegressionTransformer trained = mlContext.Regression.Trainers.NeuralOde(options)
            .Fit(TabularData.View(mlContext, [.. Enumerable.Repeat(row, rows)]), model);
        if (looked is null)
            warnings.Should().BeEmpty();
        else
            warnings.Should().ContainSingle().Which.Should().Contain(
                $"on {looked} training rows the loss moves from 0.0625 to 0.1 when the equation is solved with steps of 0.25");
    }

    /// <summary>The states on the way, of two rows, and what is asked for wrongly.</summary>
    [Fact]
    public void Hidden_states_are_those_of_the_equation_at_even_times()
    {
        using DisposeScope scope = NewDisposeScope();
        using var model = new NeuralOdeModel(Network(Set(o => (o.StepSize, o.EndTime) = (0.5, 2)), -1, 0), OutputKind.Values);
        using OdeSolution solution = model.HiddenStates([1, -4], 5);
        solution.States.shape.Should().Equal(5, 2, 1);
        solution.States.contiguous().data<float>().ToArray().Should().Equal(1, -4, 0.5f, -2, 0.25f, -1, 0.125f, -0.5f, 0.0625f, -0.25f);
        using OdeSolution usual = model.HiddenStates([1]);
        usual.States.shape.Should().Equal(21, 1, 1);
        using OdeSolution two = model.HiddenStates([1], 2);
        two.States.contiguous().data<float>().ToArray().Should().Equal(1, 0.0625f);
        FluentActions.Invoking(() => model.HiddenStates([1], 1)).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => model.HiddenStates(null!)).Should().Throw<ArgumentNullException>();
        FluentActions.Invoking(() => model.HiddenStates([])).Should().Throw<ArgumentException>()
            .WithMessage("0 numbers are given; at least one row of 1 features is needed, and whole ones.*");
    }

    private static Options Set(Action<Options> change)
    {
        var options = new Options { EncoderLayers = [1], DynamicsLayers = [], Solver = OdeMethod.Euler };
        change(options);
        return options;
    }

    /// <summary>One feature, which is the state; one output, which is the state and a bias.</summary>
    private static EncodedNetwork Network(Options options, double rate, float bias)
    {
        var network = new EncodedNetwork(new DenseDescription(1, 1, [1], [], options.EndTime, options.Solver.Name,
            options.ProductionTolerances.Relative, options.ProductionTolerances.Absolute, options.ProductionStepSize ?? options.StepSize));
        using IDisposable noGrad = no_grad();
        foreach ((string name, TorchSharp.Modules.Parameter parameter) in network.named_parameters())
            parameter.fill_(name is "encoder0.weight" or "head.weight" ? 1 : name == "head.bias" ? bias
                : name.EndsWith(".weight0", StringComparison.Ordinal) ? rate : 0);
        return network;
    }

    private static RowBatch Batch(float[] features, float[] labels) => new(
        DenseFormat.BatchOf(tensor(features, [features.Length, 1])), tensor(labels, [labels.Length, 1]), null);

    private static RowStatistics Statistics(params float[] labels)
    {
        RowStatistics statistics = DenseRows.Statistics(new RowShape(1, 1, IsWeighted: false));
        foreach (float label in labels)
            statistics.Add([0], [label], 1);
        return statistics;
    }
}
