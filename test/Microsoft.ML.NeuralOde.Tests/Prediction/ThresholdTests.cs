using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Tests.Density;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Prediction;

/// <summary>Thresholds that are changed without a new training.</summary>
public class ThresholdTests
{
    private readonly MLContext _mlContext = new(1);

    [Theory]
    [InlineData(20)]
    [InlineData(100)]
    [InlineData(199)]
    public void A_binary_model_predicts_true_above_its_threshold_and_keeps_it_in_its_file(int rank)
    {
        IDataView data = TabularData.View(_mlContext, TabularData.Circle(200));
        using NeuralOdeBinaryClassificationTransformer model = _mlContext.BinaryClassification.Trainers.NeuralOde(numberOfEpochs: 2)
            .Fit(data);
        model.Threshold.Should().Be(0);
        float[] scores = [.. model.Transform(data).GetColumn<float>("Score")];
        float threshold = scores.Order().ElementAt(rank);

        NeuralOdeBinaryClassificationTransformer changed = _mlContext.BinaryClassification.ChangeModelThreshold(model, threshold);

        changed.Threshold.Should().Be(threshold);
        // The row whose score is the threshold is not above it.
        bool[] expected = [.. scores.Select(score => score > threshold)];
        expected.Count(isTrue => isTrue).Should().Be(scores.Length - 1 - rank);
        changed.Transform(data).GetColumn<bool>("PredictedLabel").Should().Equal(expected);
        Reloaded(changed, data.Schema).Transform(data).GetColumn<bool>("PredictedLabel").Should().Equal(expected);
        model.Transform(data)
            .GetColumn<bool>("PredictedLabel").Should().Equal(scores.Select(score => score > 0), "the first model stays as it was");
    }

    [Fact]
    public void The_threshold_of_a_loaded_pipeline_can_be_changed()
    {
        IDataView data = TabularData.View(_mlContext, TabularData.Circle(200));
        var pipeline = _mlContext.Transforms.NormalizeMinMax("Features")
            .Append(_mlContext.BinaryClassification.Trainers.NeuralOde(numberOfEpochs: 2))
            .Append(_mlContext.Transforms.CopyColumns("Copy", "PredictedLabel"));
        ITransformer loaded = Reloaded(pipeline.Fit(data), data.Schema);

        ITransformer never = _mlContext.BinaryClassification.ChangeModelThreshold(loaded, float.MaxValue);
        ITransformer always = _mlContext.BinaryClassification.ChangeModelThreshold(loaded, float.MinValue);

        never.Transform(data).GetColumn<bool>("Copy").Should().NotContain(true);
        always.Transform(data).GetColumn<bool>("Copy").Should().NotContain(false);
        never.Transform(data).GetColumn<float>("Score").Should().Equal(loaded.Transform(data).GetColumn<float>("Score"));
    }

    [Fact]
    public void A_model_without_such_a_step_is_refused()
    {
        IDataView data = TabularData.View(_mlContext, TabularData.Circle(20));
        ITransformer other = _mlContext.Transforms.NormalizeMinMax("Features").Fit(data);

        FluentActions.Invoking(() => _mlContext.BinaryClassification.ChangeModelThreshold(other, 1)).Should().Throw<ArgumentException>()
            .WithMessage("*has no step of type NeuralOdeBinaryClassificationTransformer*");
        FluentActions.Invoking(() => _mlContext.AnomalyDetection.ChangeModelContamination(other, 0.1)).Should().Throw<ArgumentException>()
            .WithMessage("*has no step of type ContinuousFlowAnomalyTransformer*");
        FluentActions.Invoking(() => _mlContext.BinaryClassification.ChangeModelThreshold(other, float.NaN))
            .Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => _mlContext.AnomalyDetection.ChangeModelContamination(other, 1))
            .Should().Throw<ArgumentOutOfRangeException>();
    }

    [Theory]
    [InlineData(0.02)]
    [InlineData(0.25)]
    public void Another_contamination_gives_the_threshold_that_a_training_with_it_gives(double contamination)
    {
        IDataView data = _mlContext.Data.LoadFromEnumerable(DensityRows.WithAnomalies(300, 0));
        using ContinuousFlowAnomalyTransformer model = Detector(o => o.Contamination = 0.1).Fit(data);
        using ContinuousFlowAnomalyTransformer trained = Detector(o => o.Contamination = contamination).Fit(data);

        ContinuousFlowAnomalyTransformer changed = _mlContext.AnomalyDetection.ChangeModelContamination(model, contamination);

        changed.Contamination.Should().Be(contamination);
        changed.Threshold.Should().Be(trained.Threshold);
        changed.Transform(data).GetColumn<bool>("PredictedLabel").Should().Equal(trained.Transform(data).GetColumn<bool>("PredictedLabel"));
        var reloaded = (ContinuousFlowAnomalyTransformer)_mlContext.AnomalyDetection.ChangeModelContamination(
            Reloaded(model, data.Schema), contamination);
        reloaded.Threshold.Should().Be(trained.Threshold);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_detector_and_what_was_made_of_it_by_another_threshold_are_disposed_of_one_by_one(bool isFirst)
    {
        IDataView data = _mlContext.Data.LoadFromEnumerable(DensityRows.WithAnomalies(100, 0));
        ContinuousFlowAnomalyTransformer model = Detector(_ => { }).Fit(data);
        float[] scores = [.. model.Transform(data).GetColumn<float>("Score")];
        ContinuousFlowAnomalyTransformer changed = _mlContext.AnomalyDetection.ChangeModelContamination(model, 0.3);

        (isFirst ? model : changed).Dispose();

        ContinuousFlowAnomalyTransformer left = isFirst ? changed : model;
        left.Transform(data).GetColumn<float>("Score").Should().Equal(scores);
        left.Dispose();
        FluentActions.Invoking(() => left.Transform(data).GetColumn<float>("Score").Count()).Should().Throw<ObjectDisposedException>();
    }

    [Fact]
    public void A_detector_takes_a_threshold_of_its_own()
    {
        IDataView data = _mlContext.Data.LoadFromEnumerable(DensityRows.WithAnomalies(200, 0));
        using ContinuousFlowAnomalyTransformer model = Detector(_ => { }).Fit(data);
        float[] scores = [.. model.Transform(data).GetColumn<float>("Score")];
        float median = scores.Order().ElementAt(100);

        ContinuousFlowAnomalyTransformer changed = _mlContext.AnomalyDetection.ChangeModelThreshold(model, median);

        (changed.Threshold, changed.Contamination).Should().Be((median, null));
        changed.Transform(data).GetColumn<bool>("PredictedLabel").Should().Equal(scores.Select(score => score > median));
        Reloaded(changed, data.Schema)
            .Transform(data).GetColumn<bool>("PredictedLabel").Should().Equal(scores.Select(score => score > median));
    }

    [Theory]
    [InlineData(MissingValueHandling.Anomaly, true)]
    [InlineData(MissingValueHandling.Normal, false)]
    public void A_row_with_missing_values_is_what_the_option_says(MissingValueHandling handling, bool isAnomaly)
    {
        using ContinuousFlowAnomalyTransformer model = Detector(o => o.MissingValues = handling)
            .Fit(_mlContext.Data.LoadFromEnumerable(DensityRows.WithAnomalies(100, 0)));
        List<DensityRow> rows = DensityRows.WithAnomalies(3, 0, seed: 2);
        rows[1].Features[1] = float.NaN;
        IDataView data = _mlContext.Data.LoadFromEnumerable(rows);

        foreach (ITransformer each in new[] { model, Reloaded(model, data.Schema) })
        {
            IDataView scored = each.Transform(data);
            scored.GetColumn<bool>("PredictedLabel").ElementAt(1).Should().Be(isAnomaly);
            scored.GetColumn<float>("Score").Select(float.IsNaN).Should().Equal(false, true, false);
        }
        Detector(_ => { }).Should().NotBeNull();
        new ContinuousFlowAnomalyTrainer.Options().MissingValues.Should().Be(MissingValueHandling.Anomaly);
    }

    [Fact]
    public void A_row_with_missing_values_is_refused_by_the_place_of_the_value_where_that_is_asked_for()
    {
        using ContinuousFlowAnomalyTransformer model =
            Detector(o => o.MissingValues = MissingValueHandling.Refuse)
            .Fit(_mlContext.Data.LoadFromEnumerable(DensityRows.WithAnomalies(100, 0)));
        List<DensityRow> rows = DensityRows.WithAnomalies(3, 0, seed: 2);
        IDataView data = _mlContext.Data.LoadFromEnumerable(rows);
        model.Transform(data).GetColumn<float>("Score").Should().HaveCount(3);

        rows[1].Features[1] = float.PositiveInfinity;
        FluentActions.Invoking(() => model.Transform(data).GetColumn<float>("Score").Count())
            .Should().Throw<InvalidOperationException>().WithMessage("*feature 1 of 2*");
    }

    private ITransformer Reloaded(ITransformer model, DataViewSchema schema)
    {
        using var stream = new MemoryStream();
        _mlContext.Model.Save(model, schema, stream);
        stream.Position = 0;
        return new MLContext(1).Model.Load(stream, out _);
    }

    private ContinuousFlowAnomalyTrainer Detector(Action<ContinuousFlowAnomalyTrainer.Options> change)
    {
        var options = new ContinuousFlowAnomalyTrainer.Options { NumberOfEpochs = 1, HiddenLayers = [16], Seed = 1 };
        change(options);
        return _mlContext.AnomalyDetection.Trainers.ContinuousFlow(options);
    }
}
