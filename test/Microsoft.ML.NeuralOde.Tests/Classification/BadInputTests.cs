using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Classification;

public class BadInputTests
{
    private readonly MLContext _mlContext = new(1);

    public static TheoryData<string> Options =>
    [
        "LabelColumnName", "FeatureColumnName", "NumberOfEpochs", "BatchSize", "LearningRate", "WeightDecay", "MaximumGradientNorm",
        "EncoderLayers",
        "DynamicsLayers", "EndTime", "RelativeTolerance", "AbsoluteTolerance", "StepSize", "ValidationFraction", "Solver", "GradientMethod",
    ];

    [Theory]
    [MemberData(nameof(Options))]
    public void An_option_without_sense_is_named(string name)
    {
        NeuralOdeClassificationTrainer.Options options = Fitted.Options();
        System.Reflection.FieldInfo field = typeof(NeuralOdeClassificationTrainer.Options).GetField(name)!;
        field.SetValue(options,
            field.FieldType == typeof(int) ? 0 : field.FieldType == typeof(int[]) ? new[] { -1 } : field.FieldType == typeof(string) ? " "
            : field.FieldType.IsClass ? null : name == "EndTime" ? 0.0 : -1.0);

        Action act = () => _mlContext.MulticlassClassification.Trainers.NeuralOde(options);

        act.Should().Throw<ArgumentOutOfRangeException>().WithMessage($"{name} is *; it must be *");
    }

    [Fact]
    public void Missing_or_mistyped_columns_are_named_with_their_role()
    {
        IDataView raw = Blobs.View(_mlContext, Blobs.Rows(30));
        IDataView keyed = Keyed(Blobs.Rows(30));

        Fails<ArgumentOutOfRangeException>(() => Trainer(o => o.FeatureColumnName = "Pixels").Fit(keyed), "*feature*'Pixels'*");
        Fails<ArgumentOutOfRangeException>(() => Trainer(o => o.LabelColumnName = "Class").Fit(keyed), "*label*'Class'*");
        Fails<ArgumentOutOfRangeException>(() => Trainer(o => o.ExampleWeightColumnName = "Mass").Fit(keyed), "*weight*'Mass'*");
        Fails<ArgumentOutOfRangeException>(() => Trainer(o => o.ExampleWeightColumnName = "Id").Fit(keyed), "*weight*'Id'*Single*");
        Fails<ArgumentOutOfRangeException>(() => Trainer().Fit(raw), "*label*'Label'*key*");
        Fails<ArgumentOutOfRangeException>(() => Trainer(o => o.FeatureColumnName = "Id").Fit(keyed), "*feature*'Id'*vector of Single*");
        Fails<ArgumentOutOfRangeException>(
            () => Fitted.Pipeline(_mlContext, Fitted.Options(o => o.FeatureColumnName = "Id")).Fit(raw), "*feature*'Id'*");
        using NeuralOdeClassificationTransformer model = Trainer().Fit(keyed);
        Fails<ArgumentOutOfRangeException>(() => model.Transform(_mlContext.Data.LoadFromEnumerable([new Wide()])), "*feature*'Features'*");
    }

    [Fact]
    public void A_single_class_and_no_rows_are_refused()
    {
        List<Point> red = [.. Blobs.Rows(30).Where(p => p.Label == "red")];
        Fails<InvalidOperationException>(() => Trainer().Fit(Keyed(red)), "*'Label'*single class*");
        Fails<InvalidOperationException>(() => Trainer().Fit(Keyed(red, Blobs.Rows(30))), "*same class*'Label'*");
        Fails<InvalidOperationException>(() => Trainer().Fit(Keyed([], Blobs.Rows(30))), "*empty*'Features'*'Label'*");
    }

    [Fact]
    public void Rows_with_a_missing_value_are_left_out_with_one_warning()
    {
        var warnings = new List<string>();
        _mlContext.Log += (_, e) =>
        {
            if (e.Kind == Runtime.ChannelMessageKind.Warning)
                warnings.Add(e.Message);
        };
        List<Point> rows = Blobs.Rows(60);
        rows[3].Label = rows[4].Label = "unknown";
        rows[7].Features[1] = float.NaN;
        rows[8].Features[0] = float.PositiveInfinity;
        rows[9].Weight = float.NaN;

        using NeuralOdeClassificationTransformer model = Trainer(o => o.ExampleWeightColumnName = "Weight")
            .Fit(Keyed(rows, Blobs.Rows(60)));

        warnings.Should().ContainSingle().Which.Should()
            .ContainAll("2 rows", "'Label'", "2 rows", "'Features'", "NaN in row 7, slot 1", "ReplaceMissingValues", "1 rows", "'Weight'");
    }

    [Fact]
    public void Rows_that_all_miss_a_value_are_refused()
    {
        List<Point> rows = Blobs.Rows(30);
        rows.ForEach(row => row.Features[0] = float.NaN);

        Fails<InvalidOperationException>(
            () => Trainer().Fit(Keyed(rows)), "There is no row to train on: 30 rows have*'Features'*NaN in row 0, slot 0*");
    }

    [Fact]
    public void A_negative_weight_is_named_by_its_row()
    {
        List<Point> rows = Blobs.Rows(30);
        rows[5].Weight = -2;

        Fails<InvalidOperationException>(
            () => Trainer(o => o.ExampleWeightColumnName = "Weight").Fit(Keyed(rows)), "*'Weight' holds -2 in row 5*");
    }

    [Fact]
    public void Unknown_solvers_are_answered_with_the_known_ones()
    {
        Fails<ArgumentException>(() => OdeMethod.Parse("runge"), "*'runge'*dopri5*");
    }

    [Fact]
    public void A_training_that_diverges_says_what_to_try()
    {
        Action act = () => Trainer(o => o.LearningRate = 1e30).Fit(Keyed(Blobs.Rows(60)));

        Exception exception = act.Should().Throw<Exception>().Which;
        exception.Should().Match(e => e is OdeSolverException || e is InvalidOperationException);
        exception.Message.Should().ContainAny("gradient clipping", "MaximumGradientNorm");
    }

    private static void Fails<T>(Action act, string message)
        where T : Exception => act.Should().Throw<T>().WithMessage(message);

    private NeuralOdeClassificationTrainer Trainer(Action<NeuralOdeClassificationTrainer.Options>? change = null) =>
        _mlContext.MulticlassClassification.Trainers.NeuralOde(Fitted.Options(change));

    private IDataView Keyed(List<Point> rows, List<Point>? keys = null) =>
        _mlContext.Transforms.Conversion.MapValueToKey("Label")
        .Fit(Blobs.View(_mlContext, keys ?? rows)).Transform(Blobs.View(_mlContext, rows));

    private sealed class Wide
    {
        [VectorType(3)]
        public float[] Features { get; set; } = [1, 2, 3];
    }
}
