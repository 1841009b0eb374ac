using Microsoft.ML.NeuralOde.Tests.Support;
using Microsoft.ML.NeuralOde.Training;
using Options = Microsoft.ML.NeuralOde.NeuralOdeRegressionTrainer.Options;

namespace Microsoft.ML.NeuralOde.Tests.Training;

/// <summary>The last values that options may have, and the first that they may not; and options that forbid each other.</summary>
public class OptionBoundTests
{
    private const double Large = float.MaxValue, TooLarge = Large * (1 + 1e-9);

    /// <summary>An option, values that it may have, and values that it may not.</summary>
    public static TheoryData<string, object?[], object?[]> Bounds => new()
    {
        { nameof(Options.NumberOfEpochs), [1, int.MaxValue], [0, -1] },
        { nameof(Options.BatchSize), [1, int.MaxValue], [0, -1] },
        { nameof(Options.BatchesPerReport), [1], [0, -1] },
        { nameof(Options.MemoryBudgetMegabytes), [1], [0, -1] },
        { nameof(Options.LearningRate), [1e-40, WeightOptimizer.LargestLearningRate],
            [0.0, -1.0, 1e-50, double.NaN, double.PositiveInfinity, Math.BitIncrement(WeightOptimizer.LargestLearningRate)] },
        { nameof(Options.WarmUpFraction), [0.0, 1.0], [-double.Epsilon, Math.BitIncrement(1.0), double.NaN] },
        { nameof(Options.LearningRateStepEpochs), [1], [0, -1] },
        { nameof(Options.LearningRateStepFactor), [double.Epsilon, 1.0], [0.0, Math.BitIncrement(1.0), double.NaN] },
        { nameof(Options.Momentum), [0.0, Math.BitDecrement(1.0)], [-double.Epsilon, 1.0, double.NaN] },
        { nameof(Options.WeightDecay), [0.0, Large], [-double.Epsilon, TooLarge, double.NaN, double.PositiveInfinity] },
        { nameof(Options.MaximumGradientNorm), [null, 1e-40, Large],
            [0.0, -1.0, 1e-50, TooLarge, double.NaN, double.PositiveInfinity] },
        { nameof(Options.RelativeTolerance), [double.Epsilon, Large], [0.0, -1.0, TooLarge, double.NaN, double.PositiveInfinity] },
        { nameof(Options.AbsoluteTolerance), [double.Epsilon, Large], [0.0, -1.0, TooLarge, double.NaN, double.PositiveInfinity] },
        { nameof(Options.StepSize), [null, double.Epsilon, 1e300], [0.0, -1.0, double.NaN, double.PositiveInfinity] },
        { nameof(Options.ProductionStepSize), [null, double.Epsilon, 1e300], [0.0, -1.0, double.NaN, double.PositiveInfinity] },
        { nameof(Options.ValidationFraction), [null, double.Epsilon, Math.BitDecrement(1.0)], [0.0, 1.0, -0.1, double.NaN] },
        { nameof(Options.EarlyStoppingPatience), [null, 1], [0, -1] },
        { nameof(Options.CheckpointInterval), [TimeSpan.Zero, TimeSpan.MaxValue], [TimeSpan.FromTicks(-1)] },
        { nameof(Options.CheckpointFolder), [null, "folder"], ["", " "] },
        { nameof(Options.ExampleWeightColumnName), [null, "W"], ["", " "] },
        { nameof(Options.FeatureColumnName), ["F"], [null, "", " "] },
        { nameof(Options.LabelColumnName), ["L"], [null, "", " "] },
        { nameof(Options.ScoreColumnName), ["S"], [null, "", " "] },
        { nameof(Options.FinalTolerances), [null, new SolverTolerances(1e-300, 2.3e-16), new SolverTolerances(Large, Large)],
            [new SolverTolerances(2e-16, 1e-300), new SolverTolerances(0, 1),
                new SolverTolerances(1, 0), new SolverTolerances(TooLarge, 1),
                new SolverTolerances(1, TooLarge), new SolverTolerances(1, double.NaN)] },
        { nameof(Options.EvaluationTolerances), [new SolverTolerances(2.3e-16, 1e-300)], [null, new SolverTolerances(1e-17, 1e-17)] },
        { nameof(Options.ProductionTolerances), [new SolverTolerances(2.3e-16, 1e-300)], [null, new SolverTolerances(1e-17, 1e-17)] },
        { nameof(Options.EncoderLayers), [new[] { 1 }, new[] { 3, 2 }], [null, Array.Empty<int>(), new[] { 0 }, new[] { 3, -1 }] },
        { nameof(Options.DynamicsLayers), [Array.Empty<int>(), new[] { 1 }], [null, new[] { 0 }, new[] { 3, -1 }] },
        { nameof(Options.AugmentedDimensions), [0, 1, 65_536], [-1, 65_537] },
        { nameof(Options.SpectralNormPenalty), [0.0, Large], [-double.Epsilon, TooLarge, double.NaN, double.PositiveInfinity] },
        { nameof(Options.EndTime), [1e-30, -3.0, Large], [0.0, double.NaN, double.PositiveInfinity, 1e39] },
        { nameof(Options.EndTimeSpread), [0.0, Math.BitDecrement(1.0)], [1.0, -0.5, double.NaN] },
        { nameof(Options.Regularization),
            [PathRegularization.None, new PathRegularization { KineticEnergy = Large, JacobianNorm = Large }],
            [null, new PathRegularization { KineticEnergy = -1e-9 }, new PathRegularization { JacobianNorm = TooLarge },
                new PathRegularization { ErrorEstimate = double.NaN }, new PathRegularization { Stiffness = -1 }] },
    };

    [Theory]
    [MemberData(nameof(Bounds), DisableDiscoveryEnumeration = true)]
    public void The_last_good_value_is_taken_and_the_first_bad_one_is_named(string option, object?[] good, object?[] bad) =>
        OptionBounds.Check<Options>(option, good, bad, $"{option}*must be*");

    /// <summary>Options together, and what is said of them; null where they suit each other.</summary>
    public static TheoryData<string, Action<Options>, string?> Together => new()
    {
        { "an energy without layers", o => (o.DynamicsForm, o.DynamicsLayers) = (DynamicsForm.SeparableHamiltonian, []),
            "DynamicsLayers is []; it must be at least one size where DynamicsForm is SeparableHamiltonian." },
        { "an energy without layers", o => (o.DynamicsForm, o.DynamicsLayers) = (DynamicsForm.Hamiltonian, []),
            "DynamicsLayers is []; it must be at least one size where DynamicsForm is Hamiltonian." },
        { "an energy of one layer", o => (o.DynamicsForm, o.DynamicsLayers) = (DynamicsForm.Hamiltonian, [1]), null },
        { "a force without layers", o => (o.DynamicsForm, o.DynamicsLayers) = (DynamicsForm.SecondOrder, []), null },
        { "a symplectic method of separable energies", o => Symplectic(o, DynamicsForm.Hamiltonian),
            "Solver is '*'; it must be another method where DynamicsForm is Hamiltonian*" },
        { "the same for those", o => Symplectic(o, DynamicsForm.SeparableHamiltonian), null },
        { "an energy and any other method", o => o.DynamicsForm = DynamicsForm.Hamiltonian, null },
        { "dynamics beside a form", o => (o.Dynamics, o.DynamicsForm) = (Own, DynamicsForm.SecondOrder),
            "DynamicsForm is SecondOrder; it must be FirstOrder where Dynamics is set*" },
        { "a network beside a form", o => (o.Network, o.DynamicsForm) = (new ConvolutionalNetwork(), DynamicsForm.HeavyBall),
            "DynamicsForm is HeavyBall; it must be FirstOrder where Network is set*" },
        { "dynamics alone", o => o.Dynamics = Own, null },
        { "a network alone", o => o.Network = new ConvolutionalNetwork(), null },
        { "a network of no channels", o => o.Network = new ConvolutionalNetwork { Channels = 0 }, "Network.Channels is 0; it must be *" },
        { "both", o => (o.Dynamics, o.Network) = (Own, new ConvolutionalNetwork()),
            "Dynamics is '*'; it must be null where Network is set*" },
        { "nothing to learn", o => o.LearnAugmentation = true,
            "LearnAugmentation is True; it must be false where AugmentedDimensions is 0 and DynamicsForm is FirstOrder*" },
        { "dimensions to learn", o => (o.LearnAugmentation, o.AugmentedDimensions) = (true, 1), null },
        { "velocities to learn", o => (o.LearnAugmentation, o.DynamicsForm) = (true, DynamicsForm.SecondOrder), null },
        { "a spread below an end before the start", o => (o.EndTime, o.EndTimeSpread) = (-2, 1.5), null },
        { "a spread as long as that", o => (o.EndTime, o.EndTimeSpread) = (-2, 2),
            "EndTimeSpread is 2; it must be zero or positive, and below EndTime, which is 2." },
        { "a step decay that is too large", o => (o.LearningRate, o.WeightDecay) = (1e10, 1e30),
            "LearningRate is 10000000000; it must be smaller where WeightDecay is 1E+30*" },
        { "a step decay that is not", o => (o.LearningRate, o.WeightDecay) = (1e8, 3e30), null },
        { "the largest step decay", o => (o.LearningRate, o.WeightDecay) = (1, Large), null },
        { "no block and more dimensions", o => (o.Network, o.AugmentedDimensions) = (Images(ConvolutionalBlock.None), 1),
            "AugmentedDimensions is 1; it must be zero where the network's block is None*" },
        { "residual layers and more dimensions",
            o => (o.Network, o.AugmentedDimensions) = (Images(ConvolutionalBlock.Residual), 1), null },
        { "residual layers and a spread", o => (o.Network, o.EndTimeSpread) = (Images(ConvolutionalBlock.Residual), 0.5),
            "EndTimeSpread is 0.5; it must be zero where the network's block is Residual*" },
        { "residual layers and a penalty",
            o => (o.Network, o.Regularization) = (Images(ConvolutionalBlock.Residual), new PathRegularization { KineticEnergy = 1 }),
            "Regularization is *; it must be zero where the network's block is Residual*" },
        { "residual layers and norms", o => (o.Network, o.SpectralNormPenalty) = (Images(ConvolutionalBlock.Residual), 1),
            "SpectralNormPenalty is 1; it must be zero where the network's block is Residual*" },
        { "an equation of images with all of it",
            o => (o.Network, o.EndTimeSpread, o.SpectralNormPenalty, o.AugmentedDimensions, o.Regularization)
                = (Images(ConvolutionalBlock.Ode), 0.5, 1, 2, new PathRegularization { KineticEnergy = 1 }), null },
    };

    private static NeuralOdeDynamics Own => NeuralOdeDynamics.FromModule("own", _ => throw new InvalidOperationException());

    [Theory]
    [MemberData(nameof(Together), DisableDiscoveryEnumeration = true)]
    public void Options_that_forbid_each_other_are_named(string what, Action<Options> change, string? message)
    {
        var options = new Options();
        change(options);
        if (message is null)
            options.Invoking(o => o.Validate()).Should().NotThrow(what);
        else
            options.Invoking(o => o.Validate()).Should().Throw<ArgumentOutOfRangeException>(what).WithMessage(message + "*");
    }

    /// <summary>A trainer keeps its own copy of the options, and refuses to be made without.</summary>
    [Fact]
    public void Later_changes_of_the_options_do_not_reach_a_trainer()
    {
        var mlContext = new MLContext(1);
        var options = new Options
        {
            LabelColumnName = "Target",
            NumberOfEpochs = 1,
            EncoderLayers = [3],
            DynamicsLayers = [2],
            SkipSolverCheck = true
        };
        NeuralOdeRegressionTrainer trainer = mlContext.Regression.Trainers.NeuralOde(options);
        (options.EncoderLayers[0], options.DynamicsLayers[0], options.NumberOfEpochs) = (7, 9, 5);
        using NeuralOdeRegressionTransformer model = trainer.Fit(TabularData.View(mlContext, TabularData.Circle(20)));
        // 2 features to 3; from 3 to 2 and back, and what time does to them; 3 to one target.
        model.Model.ParameterCount.Should().Be(2 * 3 + 3 + (3 * 2 + 2 + 2 * 3 + 3 + 3) + 3 + 1);
        model.TrainingHistory.Should().HaveCount(1);
        FluentActions.Invoking(() => mlContext.Regression.Trainers.NeuralOde((Options)null!)).Should().Throw<ArgumentNullException>();
    }

    private static ConvolutionalNetwork Images(ConvolutionalBlock block) => new() { Block = block };

    private static void Symplectic(Options options, DynamicsForm form) =>
        (options.DynamicsForm, options.Solver) = (form, OdeMethod.All.First(method => method.IsForSecondOrderSystems));
}
