using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Networks;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Prediction;

/// <summary>What a training makes of its options and of its data: the network's description, and the columns of the predictions.</summary>
public class PredictorFitTests
{
    private static readonly ImageShape Image = new(1, 6, 6);
    private readonly MLContext _mlContext = new(1);

    /// <summary>Steps of training and of predictions, and those of the model: the second where there are some.</summary>
    public static TheoryData<double?, double?, double?> Steps => new() { { null, null, null }, { 0.5, null, 0.5 }, { 0.5, 0.25, 0.25 },
        { null, 0.25, 0.25 } };

    [Theory]
    [MemberData(nameof(Steps))]
    public void Equations_have_the_solver_the_end_and_the_steps_of_the_options(double? training, double? production, double? expected)
    {
        using NeuralOdeRegressionTransformer dense = Fit(Configure);
        NetworkDescription found = dense.Description.Network;
        (found.Solver, found.EndTime, found.StepSize).Should().Be(("bosh3", 0.75, expected));
        (found.RelativeTolerance, found.AbsoluteTolerance).Should().Be((0.25, 0.125));
        ((DenseDescription)found).Form.Should().BeNull();

        var images = (ConvolutionalDescription)Images(ConvolutionalBlock.Ode, Configure);
        (images.Solver, images.EndTime, images.StepSize, images.Layers).Should().Be(("bosh3", 0.75, expected, 0));
        (images.RelativeTolerance, images.AbsoluteTolerance).Should().Be((0.25, 0.125));

        void Configure(NeuralOdeRegressionTrainer.Options options)
        {
            options.Solver = OdeMethod.Bosh3;
            options.EndTime = 0.75;
            options.StepSize = training;
            options.ProductionStepSize = production;
            options.ProductionTolerances = new SolverTolerances(0.25, 0.125);
        }
    }

    [Theory]
    [InlineData(ConvolutionalBlock.Residual, 3)]
    [InlineData(ConvolutionalBlock.SharedResidual, 3)]
    [InlineData(ConvolutionalBlock.None, 0)]
    public void Residual_layers_are_steps_of_Euler_whatever_the_solver(ConvolutionalBlock block, int layers)
    {
        var found = (ConvolutionalDescription)Images(block, o => (o.Solver, o.EndTime, o.StepSize) = (OdeMethod.Bosh3, 0.75, 0.5));
        (found.Block, found.Layers, found.Solver, found.EndTime, found.StepSize).Should().Be((block.ToString(), layers, "euler", 1, 1));
        (found.Image, found.Channels, found.FeatureCount, found.OutputCount).Should().Be((Image, 4, 36, 1));
    }

    [Fact]
    public void A_score_that_is_missing_is_not_true_and_targets_are_a_number_or_a_vector()
    {
        List<TableRow> rows = TabularData.Circle(20);
        IDataView data = TabularData.View(_mlContext, rows);
        using NeuralOdeBinaryClassificationTransformer binary = _mlContext.BinaryClassification.Trainers.NeuralOde(
            Small(new NeuralOdeBinaryClassificationTrainer.Options())).Fit(data);
        binary.Threshold.Should().Be(0);
        rows[3].Features = [float.NaN, 1];
        IDataView scored = _mlContext.BinaryClassification.ChangeModelThreshold(binary, float.MinValue)
            .Transform(TabularData.View(_mlContext, rows));
        float.IsNaN(scored.GetColumn<float>("Score").ElementAt(3)).Should().BeTrue();
        scored.GetColumn<bool>("PredictedLabel").Should().Equal(Enumerable.Range(0, 20).Select(i => i != 3));

        using NeuralOdeRegressionTransformer one = Fit(_ => { }), two = Fit(o => o.LabelColumnName = "Targets");
        one.Transform(data).Schema["Score"].Type.Should().Be(NumberDataViewType.Single);
        two.Transform(data).Schema["Score"].Type.Should().Be(new VectorDataViewType(NumberDataViewType.Single, 2));
    }

    [Fact]
    public void Data_of_another_size_than_the_model_was_trained_with_are_refused_with_both()
    {
        using NeuralOdeRegressionTransformer model = Fit(_ => { });
        List<TableRow> wide = TabularData.Circle(5);
        wide.ForEach(row => row.Features = [1, 2, 3]);
        IDataView other = TabularData.View(_mlContext, wide), data = TabularData.View(_mlContext, TabularData.Circle(20));
        FluentActions.Invoking(() => model.Transform(other)).Should().Throw<ArgumentOutOfRangeException>()
            .WithMessage("*'Features'*Vector<Single, 2>*Vector<Single, 3>*");
        NeuralOdeRegressionTrainer trainer = _mlContext.Regression.Trainers.NeuralOde(Options(_ => { }));
        FluentActions.Invoking(() => trainer.Fit(data, other)).Should().Throw<ArgumentOutOfRangeException>()
            .WithMessage("*'Features'*Vector<Single, 2>*Vector<Single, 3>*");
        // Targets of another number.
        NeuralOdeRegressionTrainer targets = _mlContext.Regression.Trainers.NeuralOde(Options(o => o.LabelColumnName = "Targets"));
        IDataView number = _mlContext.Transforms.CopyColumns("Targets", "Target").Fit(data).Transform(data);
        FluentActions.Invoking(() => targets.Fit(data, number)).Should().Throw<ArgumentOutOfRangeException>()
            .WithMessage("*'Targets'*Vector<Single, 2>*Single*");
        // Weights that the validation data lack.
        NeuralOdeRegressionTrainer weighted = _mlContext.Regression.Trainers.NeuralOde(Options(o => o.ExampleWeightColumnName = "Weight"));
        IDataView weightless = _mlContext.Transforms.DropColumns("Weight").Fit(data).Transform(data);
        FluentActions.Invoking(() => weighted.Fit(data, weightless)).Should().Throw<ArgumentOutOfRangeException>().WithMessage("*Weight*");
    }

    [Fact]
    public void A_model_to_begin_with_must_have_the_same_structure_and_kind_of_label()
    {
        IDataView data = TabularData.View(_mlContext, TabularData.Circle(20));
        using NeuralOdeRegressionTransformer first = Fit(_ => { });
        using NeuralOdeBinaryClassificationTransformer binary = _mlContext.BinaryClassification.Trainers.NeuralOde(
            Small(new NeuralOdeBinaryClassificationTrainer.Options())).Fit(data);
        Refusal(o => o.EncoderLayers = [4], first.Model).Should().StartWith(
            "The model to begin with has another structure than this trainer makes: ");
        Refusal(_ => { }, binary.Model).Should().Contain("makes: it predicts another kind of label.");
        // What it begins with are the other's weights and statistics: at a rate of next to nothing they stay.
        using NeuralOdeRegressionTransformer second = _mlContext.Regression.Trainers.NeuralOde(Options(o => o.LearningRate = 1e-30))
            .Fit(TabularData.View(_mlContext, TabularData.Circle(15, seed: 9)), first.Model);
        foreach ((string name, ModelWeights weights) in first.Model.Weights)
            second.Model.Weights[name].Values.Should().Equal(weights.Values, name);

        string Refusal(Action<NeuralOdeRegressionTrainer.Options> change, NeuralOdeModel model) =>
            FluentActions.Invoking(() => _mlContext.Regression.Trainers.NeuralOde(Options(change)).Fit(data, model))
                .Should().Throw<ArgumentException>().Which.Message;
    }

    private NetworkDescription Images(ConvolutionalBlock block, Action<NeuralOdeRegressionTrainer.Options> change)
    {
        var options = Options(change);
        options.LabelColumnName = "Brightness";
        options.Network = new ConvolutionalNetwork { Channels = 4, Image = Image, Block = block, ResidualLayers = 3 };
        using NeuralOdeRegressionTransformer model = _mlContext.Regression.Trainers.NeuralOde(options)
            .Fit(ImageData.View(_mlContext, ImageData.Rows(6, Image), 1, 6, 6));
        return model.Description.Network;
    }

    private NeuralOdeRegressionTransformer Fit(Action<NeuralOdeRegressionTrainer.Options> change) =>
        _mlContext.Regression.Trainers.NeuralOde(Options(change)).Fit(TabularData.View(_mlContext, TabularData.Circle(20)));

    private static NeuralOdeRegressionTrainer.Options Options(Action<NeuralOdeRegressionTrainer.Options> change)
    {
        NeuralOdeRegressionTrainer.Options options = Small(new NeuralOdeRegressionTrainer.Options { LabelColumnName = "Target" });
        change(options);
        return options;
    }

    private static T Small<T>(T options)
        where T : NeuralOdePredictorOptions
    {
        (options.NumberOfEpochs, options.EncoderLayers, options.DynamicsLayers, options.SkipSolverCheck) = (1, [3], [2], true);
        return options;
    }
}
