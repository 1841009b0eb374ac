namespace Microsoft.ML.NeuralOde.Tests.Training;

/// <summary>What a trainer's options say of themselves.</summary>
public sealed class OptionTextTests
{
    public static TheoryData<string, NeuralOdeTrainerOptions> All => new()
    {
        { "NeuralOdeClassificationTrainer.Options", new NeuralOdeClassificationTrainer.Options() },
        { "NeuralOdeBinaryClassificationTrainer.Options", new NeuralOdeBinaryClassificationTrainer.Options() },
        { "NeuralOdeRegressionTrainer.Options", new NeuralOdeRegressionTrainer.Options() },
        { "NeuralCdeClassificationTrainer.Options", new NeuralCdeClassificationTrainer.Options() },
        { "NeuralCdeBinaryClassificationTrainer.Options", new NeuralCdeBinaryClassificationTrainer.Options() },
        { "NeuralCdeRegressionTrainer.Options", new NeuralCdeRegressionTrainer.Options() },
        { "LatentOdeForecastingTrainer.Options", new LatentOdeForecastingTrainer.Options() },
        { "ContinuousFlowDensityEstimator.Options", new ContinuousFlowDensityEstimator.Options() },
        { "ContinuousFlowAnomalyTrainer.Options", new ContinuousFlowAnomalyTrainer.Options() },
    };

    [Theory]
    [MemberData(nameof(All), DisableDiscoveryEnumeration = true)]
    public void They_name_what_is_not_at_its_default(string name, NeuralOdeTrainerOptions options)
    {
        options.ToString().Should().Be($"{name} {{  }}");
        options.NumberOfEpochs = 3;
        options.StepSize = 0.125;
        options.GradientMethod = GradientMethod.Adjoint(OdeMethod.Radau5);
        options.ToString().Should().Be($"{name} {{ GradientMethod = adjoint (method radau5), NumberOfEpochs = 3, StepSize = 0.125 }}");
    }

    [Theory]
    [MemberData(nameof(All), DisableDiscoveryEnumeration = true)]
    public void Tolerances_that_would_not_tighten_are_refused(string name, NeuralOdeTrainerOptions options)
    {
        options.Validate();
        options.FinalTolerances = new SolverTolerances(1e-6, 1e-7);
        if (name.StartsWith("NeuralOde", StringComparison.Ordinal))
            FluentActions.Invoking(options.Validate).Should().NotThrow();
        else
            FluentActions.Invoking(options.Validate).Should().Throw<ArgumentOutOfRangeException>()
                .WithMessage("*FinalTolerances is *must be null: *do not change their tolerances*");
    }
}
