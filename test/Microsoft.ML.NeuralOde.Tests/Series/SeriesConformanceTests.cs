namespace Microsoft.ML.NeuralOde.Tests.Series;

/// <summary>The trainers on series are what ML.NET expects of an estimator.</summary>
public sealed class SeriesConformanceTests
{
    private readonly MLContext _mlContext = new(1);

    [Fact]
    public void Multiclass_classification()
    {
        IDataView data = SeriesData.Keyed(_mlContext, SeriesData.Lines(40));
        Conformance.Conformance.Check(
            _mlContext, _mlContext.MulticlassClassification.Trainers.NeuralCde(
                SeriesData.Small(new NeuralCdeClassificationTrainer.Options(), 1)), data,
            Unfitting(data), SeriesData.View(_mlContext, SeriesData.Lines(10)));
    }

    [Fact]
    public void Binary_classification()
    {
        IDataView data = SeriesData.View(_mlContext, SeriesData.Lines(40));
        Conformance.Conformance.Check(
            _mlContext, _mlContext.BinaryClassification.Trainers.NeuralCde(
                SeriesData.Small(new NeuralCdeBinaryClassificationTrainer.Options { LabelColumnName = "IsUp" }, 1)),
            data, Unfitting(data), Without(data, "IsUp"));
    }

    [Theory]
    [InlineData("Slope")]
    [InlineData("Slopes")]
    public void Regression(string label)
    {
        IDataView data = SeriesData.View(_mlContext, SeriesData.Lines(40));
        NeuralCdeRegressionTrainer.Options options =
            SeriesData.Small(new NeuralCdeRegressionTrainer.Options { LabelColumnName = label }, 1);
        options.TimeColumnName = null;
        Conformance.Conformance.Check(
            _mlContext, _mlContext.Regression.Trainers.NeuralCde(options), data, [Without(data, "Values")], Without(data, label));
    }

    /// <summary>Without values, and with values of another type.</summary>
    private IDataView[] Unfitting(IDataView data) =>
    [
        Without(data, "Values"),
        _mlContext.Transforms.CopyColumns("Values", "Slope").Fit(data).Transform(data),
    ];

    private IDataView Without(IDataView data, string column) => _mlContext.Transforms.DropColumns(column).Fit(data).Transform(data);
}
