using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Networks;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Prediction;

/// <summary>Columns that trainers refuse, networks that are too large, sparse rows after other models, and models at the end of their
/// life.</summary>
public class ModelUseTests
{
    private readonly MLContext _mlContext = new(1);

    /// <summary>Columns of a trainer, and what is said where one of them is missing or of another type.</summary>
    [Theory]
    [InlineData("binary", "Features", "Label", "Weight", null)]
    [InlineData("classes", "Features", "Class", "Weight", null)]
    [InlineData("regression", "Features", "Target", "Weight", null)]
    [InlineData("regression", "Features", "Targets", null, null)]
    [InlineData("binary", "No", "Label", null, "*find feature column 'No'*")]
    [InlineData("classes", "Target", "Class", null, "*feature column 'Target': expected a vector of Single of known size, got *")]
    [InlineData("binary", "Features", "Class", null, "*label column 'Class': expected Boolean, got *")]
    [InlineData("classes", "Features", "Label", null, "*label column 'Label': expected a key *, got *")]
    [InlineData("regression", "Features", "Class", null, "*label column 'Class': expected Single, or a vector *, got *")]
    [InlineData("classes", "Features", "No", null, "*find label column 'No'*")]
    [InlineData("binary", "Features", "Label", "No", "*find weight column 'No'*")]
    [InlineData("regression", "Features", "Target", "Label", "*weight column 'Label': expected Single, got *")]
    [InlineData("classes", "Features", "Class", "Targets", "*weight column 'Targets': expected Single, got *")]
    public void Columns_are_checked_before_there_are_data_and_with_them(
        string task, string features, string label, string? weight, string? message)
    {
        IDataView data = Data();
        IEstimator<ITransformer> trainer = task switch
        {
            "binary" => _mlContext.BinaryClassification.Trainers.NeuralOde(Small(new NeuralOdeBinaryClassificationTrainer.Options())),
            "classes" => _mlContext.MulticlassClassification.Trainers.NeuralOde(Small(new NeuralOdeClassificationTrainer.Options())),
            _ => _mlContext.Regression.Trainers.NeuralOde(Small(new NeuralOdeRegressionTrainer.Options())),
        };
        FluentActions.Invoking(() => trainer.GetOutputSchema(null!)).Should().Throw<ArgumentNullException>();
        FluentActions.Invoking(() => trainer.Fit(null!)).Should().Throw<ArgumentNullException>();
        SchemaShape shape = Interop.Schemas.ShapeOf(data.Schema);
        if (message is null)
        {
            trainer.GetOutputSchema(shape).Should().Contain(column => column.Name == "Score");
            trainer.Fit(data).GetOutputSchema(data.Schema)["Score"].Name.Should().Be("Score");
            return;
        }
        foreach (Action use in new Action[] { () => trainer.GetOutputSchema(shape), () => trainer.Fit(data) })
            use.Should().Throw<ArgumentOutOfRangeException>().WithMessage(message);

        T Small<T>(T options)
            where T : NeuralOdePredictorOptions
        {
            Quick(options);
            (options.FeatureColumnName, options.LabelColumnName, options.ExampleWeightColumnName) = (features, label, weight);
            return options;
        }
    }

    [Fact]
    public void A_network_that_no_file_holds_is_refused_with_its_weights()
    {
        NeuralOdeRegressionTrainer trainer = _mlContext.Regression.Trainers.NeuralOde(Quick(new NeuralOdeRegressionTrainer.Options
        {
            LabelColumnName = "Target",
        }, encoder: 100_000, dynamics: 100_000));
        // With n of each: 2 n + n of the encoder; n n + n, n n + n, and n of time; n + 1 of the head.
        FluentActions.Invoking(() => trainer.Fit(Data())).Should().Throw<InvalidOperationException>().WithMessage(
            "A network of 20000700001 weights is larger than a model file can be, which holds *. "
            + "Make EncoderLayers or DynamicsLayers smaller, or the number of features (2) or of outputs (1).");
    }

    /// <summary>Deviations of features 1 and 10, of which the network gets what the option says.</summary>
    [Theory]
    [InlineData(FeatureNormalization.None, null, null)]
    [InlineData(FeatureNormalization.PerSlot, new[] { 1f, 100 }, new[] { 1, 0.1f })]
    [InlineData(FeatureNormalization.Global, new[] { 50.5f }, new[] { 0.0199980f })]
    public void Features_are_normalised_as_the_option_says(FeatureNormalization normalization, float[]? mean, float[]? scale)
    {
        // 0 and 2, and 90 and 110: together a variance of 50.5 + 49.5².
        IDataView data = TabularData.View(_mlContext,
            [.. Enumerable.Range(0, 40).Select(i => new TableRow { Features = [i % 2 * 2, 90 + i / 2 % 2 * 20], Target = i })]);
        using NeuralOdeRegressionTransformer model = _mlContext.Regression.Trainers.NeuralOde(Quick(new NeuralOdeRegressionTrainer.Options
        {
            LabelColumnName = "Target",
            Normalization = normalization,
        })).Fit(data);
        (float[] Mean, float[] Scale)? found = model.Model.Network.InputStatistics();
        if (mean is null)
        {
            found.Should().BeNull();
            return;
        }
        found!.Value.Mean.Should().Equal(mean, (a, b) => Math.Abs(a - b) < 1e-4);
        found.Value.Scale.Should().Equal(scale, (a, b) => Math.Abs(a - b) < 1e-5);
    }

    /// <summary>Rows without their zeros go on from a model that keeps zeros, and with all numbers from one that moves them.</summary>
    [Theory]
    [InlineData(FeatureNormalization.PerSlot, true)]
    [InlineData(FeatureNormalization.None, true)]
    public void A_model_of_sparse_rows_is_gone_on_from_as_such_and_one_of_others_with_all_numbers(
        FeatureNormalization normalization, bool isSparse)
    {
        const int Width = 1024;
        IDataView sparse = SparseData.View(_mlContext, SparseData.Rows(60, Width), Width),
            dense = SparseData.View(_mlContext, SparseData.Rows(60, Width, numbers: 200), Width);
        using NeuralOdeBinaryClassificationTransformer first = Fit(sparse, null), other = Fit(dense, null);
        (first.Description.Network.SparseFeatures, other.Description.Network.SparseFeatures).Should().Be((isSparse, false));
        foreach (NeuralOdeBinaryClassificationTransformer begun in new[] { first, other })
        {
            using NeuralOdeBinaryClassificationTransformer second = Fit(sparse, begun.Model);
            second.Description.Network.SparseFeatures.Should().Be(
                begun == first || normalization == FeatureNormalization.None, "zeros stay zeros");
            float[] expected = [.. begun.Transform(sparse).GetColumn<float>("Score")];
            second.Transform(sparse).GetColumn<float>("Score").Should().Equal(expected, (a, b) => Math.Abs(a - b) < 1e-5);
        }
        first.Dispose();
        FluentActions.Invoking(() => first.Transform(sparse).GetColumn<float>("Score").Count()).Should().Throw<ObjectDisposedException>();

        NeuralOdeBinaryClassificationTransformer Fit(IDataView data, NeuralOdeModel? initial)
        {
            NeuralOdeBinaryClassificationTrainer.Options options =
                Quick(new NeuralOdeBinaryClassificationTrainer.Options { Normalization = normalization });
            // What begins with a model stays that model.
            options.LearningRate = initial is null ? 0.01 : 1e-30;
            NeuralOdeBinaryClassificationTrainer trainer = _mlContext.BinaryClassification.Trainers.NeuralOde(options);
            return initial is null ? trainer.Fit(data) : trainer.Fit(data, initial);
        }
    }

    [Theory]
    [InlineData("dopri5")]
    [InlineData("trbdf2")]
    public void Arrays_that_are_too_short_are_told_with_both_lengths_and_longer_ones_do(string solver)
    {
        using var model = new NeuralOdeModel(
            new EncodedNetwork(new DenseDescription(2, 1, [3], [2], 1, solver, 1e-3, 1e-3, null)), OutputKind.Odds);
        (model.FeatureCount, model.OutputCount).Should().Be((2, 2));
        float[] exact = new float[6], longer = new float[8];
        model.Score([1, 2, 3, 4, 5, 6], 3, exact);
        model.Score([1, 2, 3, 4, 5, 6, 7], 3, longer);
        longer[..6].Should().Equal(exact);
        longer[6..].Should().Equal(0, 0);
        using OdeSolution states = model.HiddenStates([1, 2, 3, 4, 5, 6], 2);
        states.States.shape.Should().Equal(2, 3, 3);
        FluentActions.Invoking(() => model.HiddenStates([1, 2, 3])).Should().Throw<ArgumentException>()
            .WithMessage("3 numbers are given; at least one row of 2 features is needed, and whole ones.*");
        FluentActions.Invoking(() => model.Score([1, 2, 3, 4, 5], 3, exact)).Should().Throw<ArgumentException>()
            .WithMessage("5 features are given; 3 rows need 6.*");
        FluentActions.Invoking(() => model.Score([1, 2, 3, 4, 5, 6], 3, new float[5])).Should().Throw<ArgumentException>()
            .WithMessage("There is room for 5 scores; 3 rows need 6.*");
        FluentActions.Invoking(() => model.Score(null!, 1, exact)).Should().Throw<ArgumentNullException>();
        FluentActions.Invoking(() => model.Score([1, 2], 1, null!)).Should().Throw<ArgumentNullException>();
    }

    [Fact]
    public void Weights_live_until_the_last_that_shares_them_is_disposed_of()
    {
        var model = new NeuralOdeModel(
            new EncodedNetwork(new DenseDescription(1, 1, [1], [], 1, "dopri5", 1e-3, 1e-3, null)), OutputKind.Values);
        NeuralOdeModel shared = model.Share();
        float[] before = new float[1], after = new float[1];
        model.Score([1], 1, before);
        // One weight and one bias each of encoder, equation and head, and what time does to the state.
        (shared.ParameterCount, shared.Kind, shared.Citations.Count).Should().Be((7, OutputKind.Values, model.Citations.Count));
        model.Dispose();
        shared.Score([1], 1, after);
        after.Should().Equal(before);
        foreach (Action use in new Action[]
        {
            () => model.Score([1], 1, after), () => _ = model.Weights, () => _ = model.Summary, () => model.CreateModule(),
            () => model.HiddenStates([1]), () => model.Share(),
        })
            use.Should().Throw<ObjectDisposedException>();
        shared.Weights.Should().NotBeEmpty();
        shared.Dispose();
        FluentActions.Invoking(() => shared.Score([1], 1, after)).Should().Throw<ObjectDisposedException>();
    }

    private IDataView Data()
    {
        IDataView rows = TabularData.View(_mlContext, TabularData.Circle(20));
        return _mlContext.Transforms.Conversion.MapValueToKey("Class", "Label").Fit(rows).Transform(rows);
    }

    private static T Quick<T>(T options, int encoder = 3, int dynamics = 2)
        where T : NeuralOdePredictorOptions
    {
        (options.NumberOfEpochs, options.EncoderLayers, options.DynamicsLayers, options.SkipSolverCheck) = (1, [encoder], [dynamics], true);
        return options;
    }
}
