using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Tests.Series;

/// <summary>The trainers on series: what they learn, what they read, what their models say.</summary>
public sealed class NeuralCdeTests
{
    private readonly MLContext _mlContext = new(1);

    [Fact]
    public void Classes_of_ragged_series_with_gaps_are_learned_and_predicted_one_by_one()
    {
        NeuralCdeClassificationTrainer.Options options = SeriesData.Small(new NeuralCdeClassificationTrainer.Options(), epochs: 12);
        NeuralCdeTransformer model = _mlContext.MulticlassClassification.Trainers.NeuralCde(options)
            .Fit(SeriesData.Keyed(_mlContext, SeriesData.Lines(120)));

        List<SeriesRow> rows = SeriesData.Lines(60, seed: 2);
        IDataView scored = model.Transform(SeriesData.Keyed(_mlContext, rows));
        _mlContext.MulticlassClassification.Evaluate(scored).MicroAccuracy.Should().BeGreaterThan(0.9);
        ITransformer named = model.Append(_mlContext.Transforms.Conversion.MapKeyToValue("PredictedLabel").Fit(scored));
        PredictionEngine<SeriesRow, ClassPrediction> engine = _mlContext.Model.CreatePredictionEngine<SeriesRow, ClassPrediction>(named);
        float[][] batch = [.. scored.GetColumn<float[]>("Score")];
        for (int i = 0; i < 10; i++)
        {
            ClassPrediction prediction = engine.Predict(rows[i]);
            prediction.Score.Sum().Should().BeApproximately(1, 1e-5f);
            Close(prediction.Score, batch[i]);
            prediction.PredictedLabel.Should().Be(batch[i][0] > batch[i][1] ? "down" : "up");
        }
        model.TimeColumnName.Should().Be("Times");
        model.Model.ChannelCount.Should().Be(2);
        model.Model.ParameterCount.Should().Be(model.Model.Summary.ParameterCount).And.BeGreaterThan(0);
    }

    [Theory]
    [InlineData(SeriesModel.Neural, PathInterpolation.HermiteCubic)]
    [InlineData(SeriesModel.LogNeural, PathInterpolation.Linear)]
    [InlineData(SeriesModel.Linear, PathInterpolation.Rectilinear)]
    public void Every_model_learns_two_classes(SeriesModel kind, PathInterpolation path)
    {
        NeuralCdeBinaryClassificationTrainer.Options options =
            SeriesData.Small(new NeuralCdeBinaryClassificationTrainer.Options(), epochs: 10);
        options.LabelColumnName = "IsUp";
        options.Model = kind;
        options.Path = path;
        options.IntensityChannels = path == PathInterpolation.Rectilinear;
        options.LearningRate = 0.01;
        using NeuralCdeTransformer model = _mlContext.BinaryClassification.Trainers.NeuralCde(options)
            .Fit(SeriesData.View(_mlContext, SeriesData.Lines(96)));

        IDataView scored = model.Transform(SeriesData.View(_mlContext, SeriesData.Lines(60, seed: 2)));
        _mlContext.BinaryClassification.Evaluate(scored, "IsUp").Accuracy.Should().BeGreaterThan(0.9);
        NeuralCdeTransformer careful = _mlContext.BinaryClassification.ChangeModelThreshold(model, 1e6f);
        careful.Transform(SeriesData.View(_mlContext, SeriesData.Lines(10)))
            .GetColumn<bool>("PredictedLabel").Should().AllBeEquivalentTo(false);
        FluentActions.Invoking(() => _mlContext.BinaryClassification.ChangeModelThreshold(model, float.NaN))
            .Should().Throw<ArgumentOutOfRangeException>();
    }

    [Theory]
    [InlineData("Slope")]
    [InlineData("Slopes")]
    public void Numbers_are_learned_from_a_column_for_each_channel(string label)
    {
        NeuralCdeRegressionTrainer.Options options = SeriesData.Small(new NeuralCdeRegressionTrainer.Options(), epochs: 25);
        options.LabelColumnName = label;
        options.ChannelColumnNames = ["First", "Second"];
        options.ExampleWeightColumnName = "Weight";
        options.LearningRate = 0.01;
        using NeuralCdeTransformer model = _mlContext.Regression.Trainers.NeuralCde(options)
            .Fit(SeriesData.View(_mlContext, SeriesData.Lines(120)));

        List<SeriesRow> rows = SeriesData.Lines(60, seed: 2);
        IDataView scored = model.Transform(SeriesData.View(_mlContext, rows));
        double squares = label == "Slope"
            ? scored.GetColumn<float>("Score").Zip(rows).Average(pair => Math.Pow(pair.First - pair.Second.Slope, 2))
            : scored.GetColumn<float[]>("Score").Zip(rows).Average(pair => Math.Pow(pair.First[0] - pair.Second.Slope, 2));
        // The slopes' own deviation is about 1.
        Math.Sqrt(squares).Should().BeLessThan(0.6);
        model.ValueColumnNames.Should().Equal("First", "Second");
    }

    [Fact]
    public void One_column_and_a_column_for_each_channel_are_the_same_to_a_model()
    {
        List<SeriesRow> rows = SeriesData.Lines(40);
        float[] together = Scores(options => { }), apart = Scores(options => options.ChannelColumnNames = ["First", "Second"]);

        apart.Should().Equal(together);

        float[] Scores(Action<NeuralCdeBinaryClassificationTrainer.Options> change)
        {
            using NeuralCdeTransformer model = Binary(rows, change);
            return Score(model, rows);
        }
    }

    [Fact]
    public void The_unit_of_times_and_of_values_is_of_no_matter()
    {
        List<SeriesRow> rows = SeriesData.Lines(40);
        List<SeriesRow> others = [.. rows.Select(row => new SeriesRow
        {
            Times = [.. row.Times.Select(time => 1e9 + 3600 * time)],
            Values = [.. row.Values.Select((value, i) => i % 2 == 0 ? 1024 * value : value)],
            IsUp = row.IsUp,
        })];
        using NeuralCdeTransformer model = Binary(rows), other = Binary(others);

        Close(Score(model, rows), Score(other, others), 1e-3f);
    }

    [Fact]
    public void A_score_does_not_depend_on_the_other_series_of_a_batch()
    {
        List<SeriesRow> rows = SeriesData.Lines(40), longest = SeriesData.Lines(1, seed: 9, least: 300, most: 300);
        using NeuralCdeTransformer model = Binary(rows);

        float[] scores = Score(model, rows);
        Close(Score(model, [.. rows.AsEnumerable().Reverse()]), [.. scores.Reverse()]);
        Close(Score(model, [.. rows.Take(3), .. longest, .. rows.Skip(3)]).Where((_, i) => i != 3), scores);
        Close(rows.Select(row => Score(model, [row])[0]), scores);
    }

    [Fact]
    public void Series_that_say_nothing_have_scores_that_are_missing_and_are_left_out_of_training()
    {
        List<SeriesRow> rows = SeriesData.Lines(40);
        SeriesRow empty = new() { IsUp = true }, missing = new() { Times = [1, 2], Values = [float.NaN, float.NaN, float.NaN, float.NaN] },
            infinite = new() { Times = [1], Values = [1, float.PositiveInfinity] }, one = new() { Times = [5], Values = [1, float.NaN] };
        var warnings = new List<string>();
        _mlContext.Log += (_, e) =>
        {
            if (e.Kind == Runtime.ChannelMessageKind.Warning)
                warnings.Add(e.Message);
        };
        using NeuralCdeTransformer model = Binary([.. rows.Take(5), empty, missing, infinite, .. rows.Skip(5)]), without = Binary(rows);

        warnings.Should()
            .Contain(message => message.Contains("3 rows have series in the column 'Values'") && message.Contains("row 5, which is empty"));
        Score(model, rows).Should().Equal(Score(without, rows));
        float[] scores = Score(model, [rows[0], empty, one, missing, infinite, rows[1]]);
        scores.Select(float.IsNaN).Should().Equal(false, true, false, true, true, false);
        scores[0].Should().BeApproximately(Score(model, rows)[0], 1e-5f);
    }

    [Fact]
    public void What_a_model_says_as_a_series_unfolds_ends_with_its_score_and_does_not_look_ahead()
    {
        List<SeriesRow> rows = SeriesData.Lines(40, least: 6);
        using NeuralCdeTransformer model = Binary(rows, options => options.Path = PathInterpolation.Rectilinear);
        SeriesRow row = rows[3];

        float[][] told = model.Model.ScoreAtObservations(row.Values, row.Times);
        told.Should().HaveCount(row.Times.Length);
        told[^1][0].Should().BeApproximately(Score(model, [row])[0], 1e-5f);
        float[] changed = [.. row.Values.Select((value, i) => i < 8 ? value : 7)];
        Close(model.Model.ScoreAtObservations(changed, row.Times).Take(4).Select(scores => scores[0]),
            told.Take(4).Select(scores => scores[0]), 0);
        Close(model.Model.ScoreAtObservations(row.Values[..8], row.Times[..4]).Select(scores => scores[0]),
            told.Take(4).Select(scores => scores[0]));
        FluentActions.Invoking(() => model.Model.ScoreAtObservations([1, 2, 3]))
            .Should().Throw<ArgumentException>().WithMessage("*3 values*2 channels*");
        FluentActions.Invoking(() => model.Model.ScoreAtObservations([])).Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => model.Model.ScoreAtObservations([1, 2], [1, 2]))
            .Should().Throw<ArgumentException>().WithMessage("*2 times for 1*");
        FluentActions.Invoking(() => model.Model.ScoreAtObservations([1, 2, 3, 4], [2, 1]))
            .Should().Throw<ArgumentException>().WithMessage("*increase*");
    }

    [Fact]
    public void Without_a_column_of_times_they_are_counted_and_a_model_with_times_asks_for_them()
    {
        List<SeriesRow> rows = SeriesData.Lines(40);
        IDataView without = _mlContext.Transforms.DropColumns("Times")
            .Fit(SeriesData.View(_mlContext, rows)).Transform(SeriesData.View(_mlContext, rows));
        NeuralCdeBinaryClassificationTrainer.Options options =
            SeriesData.Small(new NeuralCdeBinaryClassificationTrainer.Options { LabelColumnName = "IsUp" });
        using NeuralCdeTransformer counted = _mlContext.BinaryClassification.Trainers.NeuralCde(options).Fit(without), timed = Binary(rows);

        counted.TimeColumnName.Should().BeNull();
        foreach (SeriesRow row in rows)
            row.Times = [.. Enumerable.Range(0, row.Times.Length).Select(i => (double)i)];
        using NeuralCdeTransformer same = Binary(rows);
        Score(same, rows).Should().Equal(counted.Transform(without).GetColumn<float>("Score"));
        FluentActions.Invoking(() => timed.Transform(without)).Should().Throw<ArgumentOutOfRangeException>().WithMessage("*'Times'*");
        options.TimeColumnName = "When";
        FluentActions.Invoking(() => _mlContext.BinaryClassification.Trainers.NeuralCde(options).Fit(without))
            .Should().Throw<ArgumentOutOfRangeException>().WithMessage("*'When'*");
    }

    [Fact]
    public void Bad_series_are_named_by_row_and_column()
    {
        List<SeriesRow> rows = SeriesData.Lines(8);
        using NeuralCdeTransformer model = Binary(SeriesData.Lines(40));

        Bad(row => row.Times = row.Times[1..],
            "*row 5 (counted from 0) the column 'Times' has * times for * observations of 2 channels in 'Values'*");
        Bad(row => row.Values = row.Values[1..], "*row 5*'Values' has * values, which are not whole times of 2 channels*");
        Bad(row => row.Times[2] = row.Times[1], "*row 5*time 2 in the column 'Times' is *, after *; times must increase*");
        Bad(row => row.Times[1] = 0, "*row 5*time 1 in the column 'Times' is 0, after *; times must increase*");
        Bad(row => row.Times[1] = double.NaN, "*row 5*time 1 in the column 'Times' is NaN; times must be finite*");
        Bad(row => row.Times[0] = double.NegativeInfinity, "*row 5*time 0*must be finite*");
        rows[5] = SeriesData.Lines(6)[5];
        rows[5].First = rows[5].First[1..];
        FluentActions.Invoking(() => Binary(rows, options => options.ChannelColumnNames = ["First", "Second"]))
            .Should().Throw<InvalidOperationException>()
            .WithMessage("*row 5*'Second' has * values and 'First' *; all channels of a series must have the same length*");

        void Bad(Action<SeriesRow> spoil, string message)
        {
            rows[5] = SeriesData.Lines(6, least: 5)[5];
            spoil(rows[5]);
            FluentActions.Invoking(() => Binary(rows)).Should().Throw<InvalidOperationException>().WithMessage(message);
            FluentActions.Invoking(() => Score(model, rows)).Should().Throw<InvalidOperationException>().WithMessage(message);
        }
    }

    [Fact]
    public void Channel_counts_that_a_model_has_not_seen_are_refused()
    {
        using NeuralCdeTransformer model = Binary(SeriesData.Lines(40));
        IDataView table = _mlContext.Data.LoadFromEnumerable(Enumerable.Range(0, 4)
            .Select(i => new { Id = 1f, Time = (float)i, A = 1f, B = 2f, C = 3f }));
        IDataView three = _mlContext.Transforms.GroupIntoSeries("Id", "Time", ["A", "B", "C"]).Fit(table).Transform(table);

        FluentActions.Invoking(() => model.Transform(three))
            .Should().Throw<ArgumentOutOfRangeException>().WithMessage("*'Values'*2 channels*3 channels*");
        FluentActions.Invoking(() => Binary(SeriesData.Lines(40), options => options.ValidationSet = three))
            .Should().Throw<ArgumentOutOfRangeException>();
    }

    [Theory]
    [InlineData("Width", 0)]
    [InlineData("BlockSize", 3)]
    [InlineData("Layers", 0)]
    [InlineData("Layers", 65)]
    [InlineData("Depth", 3)]
    [InlineData("Window", 0)]
    [InlineData("ChannelCount", 0)]
    [InlineData("Dropout", 1.0)]
    [InlineData("Dropout", -0.1)]
    public void Options_that_make_no_sense_are_named(string option, object value)
    {
        NeuralCdeBinaryClassificationTrainer.Options options = SeriesData.Small(new NeuralCdeBinaryClassificationTrainer.Options());
        options.GetType().GetField(option)!.SetValue(options, value);
        FluentActions.Invoking(() => _mlContext.BinaryClassification.Trainers.NeuralCde(options))
            .Should().Throw<ArgumentOutOfRangeException>().WithMessage($"*{option} is *");
    }

    [Fact]
    public void Options_that_exclude_each_other_are_named()
    {
        Bad(options => options.HiddenLayers = null!, "*HiddenLayers is null*");
        Bad(options => options.ChannelColumnNames = ["A", "A"], "*ChannelColumnNames is *A, A*");
        Bad(options => options.ChannelColumnNames = ["A", "B", "C"], "*ChannelCount is 2*");
        Bad(options => { options.Model = SeriesModel.Neural; options.Window = 4; }, "*Window is 4*");
        Bad(options => options.Depth = 2, "*Depth is 2*");
        Bad(options => options.TimeColumnName = "", "*TimeColumnName is *");

        void Bad(Action<NeuralCdeBinaryClassificationTrainer.Options> change, string message)
        {
            NeuralCdeBinaryClassificationTrainer.Options options = SeriesData.Small(new NeuralCdeBinaryClassificationTrainer.Options());
            change(options);
            FluentActions.Invoking(() => _mlContext.BinaryClassification.Trainers.NeuralCde(options))
                .Should().Throw<ArgumentOutOfRangeException>().WithMessage(message);
        }
    }

    private NeuralCdeTransformer Binary(IEnumerable<SeriesRow> rows, Action<NeuralCdeBinaryClassificationTrainer.Options>? change = null)
    {
        NeuralCdeBinaryClassificationTrainer.Options options =
            SeriesData.Small(new NeuralCdeBinaryClassificationTrainer.Options { LabelColumnName = "IsUp" });
        change?.Invoke(options);
        return _mlContext.BinaryClassification.Trainers.NeuralCde(options).Fit(SeriesData.View(_mlContext, rows));
    }

    private float[] Score(NeuralCdeTransformer model, IEnumerable<SeriesRow> rows) =>
        [.. model.Transform(SeriesData.View(_mlContext, rows)).GetColumn<float>("Score")];

    private static void Close(IEnumerable<float> found, IEnumerable<float> expected, float tolerance = 1e-5f)
    {
        float[] numbers = [.. found], others = [.. expected];
        numbers.Should().HaveSameCount(others);
        for (int i = 0; i < numbers.Length; i++)
            numbers[i].Should().BeApproximately(others[i], tolerance * Math.Max(1, Math.Abs(others[i])));
    }

    private sealed class ClassPrediction
    {
        public string PredictedLabel { get; set; } = "";

        public float[] Score { get; set; } = [];
    }
}
