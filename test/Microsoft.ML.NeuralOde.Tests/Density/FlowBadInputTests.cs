namespace Microsoft.ML.NeuralOde.Tests.Density;

public class FlowBadInputTests
{
    private readonly MLContext _mlContext = new(1);

    public static TheoryData<string, Action<ContinuousFlowDensityEstimator.Options>, string> BadOptions => new()
    {
        { nameof(ContinuousFlowDensityEstimator.Options.Smoothing), o =>
            o.Smoothing = -1, "Smoothing is -1; it must be zero or a positive number*" },
        { nameof(ContinuousFlowDensityEstimator.Options.HiddenLayers), o =>
            o.HiddenLayers = [], "HiddenLayers is []; it must be at least one positive size*" },
        { nameof(ContinuousFlowDensityEstimator.Options.Activation), o =>
            o.Activation = Activation.Relu, "Activation is Relu; it must be a smooth one*" },
        { nameof(ContinuousFlowDensityEstimator.Options.EnsembleSize), o =>
            o.EnsembleSize = 0, "EnsembleSize is 0; it must be at least 1*" },
        { nameof(ContinuousFlowDensityEstimator.Options.EnsembleSize), o =>
            (o.EnsembleSize, o.LatentColumnName) = (2, "Z"), "EnsembleSize is 2; it must be 1 where LatentColumnName is set*" },
        { nameof(ContinuousFlowDensityEstimator.Options.CoverageShare), o =>
            o.CoverageShare = 1.5, "CoverageShare is 1.5; it must be from 0 to 1*" },
        { nameof(ContinuousFlowDensityEstimator.Options.CoverageReach), o =>
            o.CoverageReach = double.NaN, "CoverageReach is NaN; it must be a positive number*" },
        { nameof(ContinuousFlowDensityEstimator.Options.PathsPerBatch), o =>
            o.PathsPerBatch = 0, "PathsPerBatch is 0; it must be at least 1*" },
        { nameof(ContinuousFlowDensityEstimator.Options.BatchesPerEpoch), o =>
            o.BatchesPerEpoch = 0, "BatchesPerEpoch is 0; it must be at least 1, or null*" },
        { nameof(ContinuousFlowDensityEstimator.Options.Normalization), o =>
            o.Normalization = FeatureNormalization.None, "Normalization is None; it must be PerSlot*" },
        { nameof(ContinuousFlowDensityEstimator.Options.ConditionColumnName), o =>
            o.ConditionColumnName = "Features", "ConditionColumnName is Features; it must be another column*" },
        { nameof(ContinuousFlowDensityEstimator.Options.LogDensityColumnName), o =>
            o.LogDensityColumnName = "", "LogDensityColumnName is ; it must be the name of a column*" },
        { nameof(ContinuousFlowDensityEstimator.Options.Method), o =>
            o.Method = (FlowTrainingMethod)9, "Method is 9; it must be one of FlowMatching, MaximumLikelihood*" },
    };

    [Theory]
    [MemberData(nameof(BadOptions))]
    public void An_option_that_makes_no_sense_is_named(string option, Action<ContinuousFlowDensityEstimator.Options> change, string message)
    {
        Action create = () => _mlContext.Transforms.ContinuousFlowDensity(ContinuousFlowDensityTests.Options(change));

        create.Should().Throw<ArgumentOutOfRangeException>().WithMessage(message).WithParameterName(option);
    }

    [Theory]
    [InlineData(0.0)]
    [InlineData(1.0)]
    public void Contamination_must_be_a_share(double contamination)
    {
        Action create = () => _mlContext.AnomalyDetection.Trainers.ContinuousFlow(contamination: contamination);

        create.Should().Throw<ArgumentOutOfRangeException>().WithMessage($"Contamination is {contamination}; it must be between 0 and 1*");
    }

    [Theory]
    [InlineData("Nothing", "Condition", "*feature*Nothing*")]
    [InlineData("Condition", null, "*feature*Condition*vector of Single of known size*")]
    [InlineData("Features", "Nothing", "*condition*Nothing*")]
    [InlineData("Features", "Flag", "*condition*Flag*Single*")]
    public void A_column_that_is_missing_or_of_the_wrong_type_is_named(string features, string? condition, string message)
    {
        IDataView data = View(DensityRows.Conditional(20));
        ContinuousFlowDensityEstimator estimator = _mlContext.Transforms.ContinuousFlowDensity(ContinuousFlowDensityTests.Options(o =>
            (o.FeatureColumnName, o.ConditionColumnName) = (features, condition)));

        estimator.Invoking(e => e.Fit(data)).Should().Throw<ArgumentOutOfRangeException>().WithMessage(message);
        estimator.Invoking(e => e.GetOutputSchema(Interop.Schemas.ShapeOf(data.Schema)))
            .Should().Throw<ArgumentOutOfRangeException>().WithMessage(message);
    }

    [Fact]
    public void Data_of_another_shape_are_refused_by_the_fitted_density()
    {
        using ContinuousFlowDensityTransformer density = Fit(DensityRows.Conditional(50), o => o.ConditionColumnName = "Condition");

        IDataView wide = Support.TabularData.View(_mlContext, [new Support.TableRow { Features = [1, 2, 3] }]);
        density.Invoking(d => d.Transform(wide)).Should().Throw<ArgumentOutOfRangeException>().WithMessage("*feature*Features*");
        density.Invoking(d => d.Model.LogDensity([1, 2, 3]))
            .Should().Throw<ArgumentException>().WithMessage("3 numbers are given; rows of 2 features*");
        density.Invoking(d => d.Model.LogDensity([1, 2]))
            .Should().Throw<ArgumentException>().WithMessage("0 numbers are given; 1 rows need 1*");
        density.Invoking(d => d.Sample(5)).Should().Throw<ArgumentException>().WithMessage("The condition has 0 numbers; it must have 1*");
        density.Invoking(d => d.Sample(0, 1, [1])).Should().Throw<ArgumentOutOfRangeException>();
    }

    [Fact]
    public void A_constant_feature_without_smoothing_is_refused_and_with_it_warned_of()
    {
        List<DensityRow> rows = [.. Enumerable.Range(0, 50).Select(i => new DensityRow { Features = [i, 5] })];
        Action fit = () => Fit(rows, o => o.Smoothing = 0);
        fit.Should().Throw<InvalidOperationException>()
            .WithMessage("*'Features' has the same value in all rows, up to rounding, in slots 1: the density would be infinite*");

        var log = new List<string>();
        _mlContext.Log += (_, e) => log.Add(e.Message);
        using ContinuousFlowDensityTransformer density = Fit(rows);
        log.Should().Contain(message => message.Contains("has the same value in all rows, up to rounding, in slots 1"));
        density.Model.LogDensity([25, 5]).Should().OnlyContain(value => float.IsFinite(value));
    }

    [Fact]
    public void One_row_or_none_is_too_few()
    {
        Action one = () => Fit([new DensityRow { Features = [1, 2] }]);
        one.Should().Throw<InvalidOperationException>().WithMessage("The data have 1 usable row; a density needs at least two.");
        Action none = () => Fit([]);
        none.Should().Throw<InvalidOperationException>().WithMessage("The data set is empty*");
    }

    [Fact]
    public void A_disposed_density_says_so()
    {
        IDataView data = View(DensityRows.Gaussian(50));
        ContinuousFlowDensityTransformer density = Fit(DensityRows.Gaussian(50));
        density.Dispose();

        density.Invoking(d => d.Transform(data)).Should().Throw<ObjectDisposedException>();
        density.Invoking(d => d.Model.Sample(1)).Should().Throw<ObjectDisposedException>();
    }

    private ContinuousFlowDensityTransformer Fit(List<DensityRow> rows, Action<ContinuousFlowDensityEstimator.Options>? change = null) =>
        _mlContext.Transforms.ContinuousFlowDensity(ContinuousFlowDensityTests.Options(o =>
        {
            (o.NumberOfEpochs, o.BatchesPerEpoch) = (1, 5);
            change?.Invoke(o);
        })).Fit(View(rows));

    private IDataView View(List<DensityRow> rows) => _mlContext.Data.LoadFromEnumerable(rows);
}
