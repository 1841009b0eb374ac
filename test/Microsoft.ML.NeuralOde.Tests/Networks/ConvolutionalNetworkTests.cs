using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Networks;
using Microsoft.ML.NeuralOde.Tests.Support;
using Options = Microsoft.ML.NeuralOde.NeuralOdeClassificationTrainer.Options;

namespace Microsoft.ML.NeuralOde.Tests.Networks;

/// <summary>Networks for images: trained, scored, saved and loaded as others are.</summary>
public sealed class ConvolutionalNetworkTests : IDisposable
{
    private const int Classes = 3;

    private readonly string _folder = Directory.CreateTempSubdirectory("images-").FullName;
    private readonly MLContext _mlContext = new(1);

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    public static TheoryData<string> Cases => ["dopri5", "rk4", .. Enum.GetNames<ConvolutionalBlock>().Except(["Ode"])];

    [Theory]
    [MemberData(nameof(Cases))]
    public void It_learns_colour_images_and_scores_each_the_same_alone_in_batches_and_loaded(string name)
    {
        using NeuralOdeClassificationTransformer model = Fit(o => Configure(o, name));
        List<ImageRow> rows = ImageData.Rows(300, ImageData.Colour, seed: 5);
        IDataView view = ImageData.Keyed(_mlContext, rows, 3, 12, 14), scored = model.Transform(view);
        float[][] scores = [.. scored.GetColumn<float[]>("Score")];

        MulticlassClassificationMetrics metrics = _mlContext.MulticlassClassification.Evaluate(scored);
        metrics.MicroAccuracy.Should().BeGreaterThan(0.9);
        foreach (int size in new[] { 1, 3, 33 })
        {
            var part = new float[size * Classes];
            model.Model.Score([.. rows.Skip(7).Take(size).SelectMany(row => row.Features)], size, part);
            part.Should().Equal(scores.Skip(7).Take(size).SelectMany(row => row), $"{size} rows");
        }
        var all = new float[rows.Count * Classes];
        model.Model.Score([.. rows.SelectMany(row => row.Features)], rows.Count, all);
        all.Should().Equal(scores.SelectMany(row => row));

        string file = Path.Combine(_folder, "model.zip");
        _mlContext.Model.SaveSealed(model, view.Schema, file);
        var other = new MLContext();
        ITransformer loaded = other.Model.LoadSealed(file, out _);
        loaded.Transform(view).GetColumn<float[]>("Score").SelectMany(row => row).Should().Equal(scores.SelectMany(row => row));
        using (loaded as IDisposable)
            ((NeuralOdeClassificationTransformer)loaded).Model.Summary.ToString().Should().Be(model.Model.Summary.ToString());
    }

    [Fact]
    public void Scores_are_those_of_the_layers_written_out_with_the_trained_weights()
    {
        using NeuralOdeClassificationTransformer model = Fit(o => o.Network = new ConvolutionalNetwork
        {
            Channels = 6,
            Block = ConvolutionalBlock.SharedResidual,
            ResidualLayers = 2,
        });
        ImageRow row = ImageData.Rows(5, ImageData.Colour, seed: 9)[4];
        var found = new float[Classes];
        model.Model.Score(row.Features, 1, found);

        double[] expected = new PlainImageNetwork(model.Model.Weights, groups: 3).SharedResidual(row.Features, ImageData.Colour, layers: 2);
        found.Zip(expected, (a, b) => Math.Abs(a - b)).Max().Should().BeLessThan(1e-5);
    }

    [Fact]
    public void Scores_through_tensors_and_those_of_a_prediction_engine_are_the_same_but_for_rounding_and_missing_values_have_none()
    {
        using NeuralOdeClassificationTransformer model = Fit(o => Configure(o, "rk4"));
        List<ImageRow> rows = ImageData.Rows(6, ImageData.Colour, seed: 3);
        rows[2].Features[17] = float.NaN;
        var found = new float[rows.Count * Classes];
        model.Model.Score([.. rows.SelectMany(row => row.Features)], rows.Count, found);
        found.Skip(2 * Classes).Take(Classes).Should().OnlyContain(score => float.IsNaN(score));
        found.Count(float.IsNaN).Should().Be(Classes);

        using (TorchSharp.torch.NewDisposeScope())
        using (TorchSharp.torch.nn.Module<TorchSharp.torch.Tensor, TorchSharp.torch.Tensor> module = model.Model.CreateModule())
        {
            float[] logits = module.call(TorchSharp.torch.tensor(rows[4].Features, [1, rows[4].Features.Length]))
                .softmax(1).data<float>().ToArray();
            logits.Zip(found.Skip(4 * Classes), (a, b) => Math.Abs(a - b)).Max().Should().BeLessThan(1e-5f);
        }
        IDataView view = ImageData.Keyed(_mlContext, rows, 3, 12, 14);
        using PredictionEngine<ImageInput, ImageScores> engine = _mlContext.Model.CreatePredictionEngine<ImageInput, ImageScores>(
            model, inputSchemaDefinition: ImageInput.Schema(view.Schema["Features"].Type), ignoreMissingColumns: true);
        engine.Predict(new ImageInput { Features = rows[5].Features }).Score.Should().Equal(found.Skip(5 * Classes));
    }

    [Theory]
    [InlineData(ConvolutionalBlock.Ode, 208_266)]
    [InlineData(ConvolutionalBlock.SharedResidual, 208_266 - 2 * 64 * 9)]
    [InlineData(ConvolutionalBlock.Residual, 208_266 - 2 * 64 * 9 + 5 * (2 * (64 * 9 + 1) * 64 + 6 * 64))]
    [InlineData(ConvolutionalBlock.None, 640 + 2 * 65_600 + 2 * 128 + 128 + 650)]
    public void Networks_of_the_paper_have_as_many_weights_as_counted_by_hand(ConvolutionalBlock block, long weights)
    {
        bool isDiscrete = block is ConvolutionalBlock.Residual or ConvolutionalBlock.SharedResidual;
        var description = new ConvolutionalDescription(
            784, 10, new ImageShape(1, 28, 28), 64, block.ToString(), isDiscrete ? 6 : 0, 1, "euler", 1e-3, 1e-4, 1);
        description.FindDefect().Should().BeNull();
        description.WeightCount().Should().Be(weights);
        using NeuralOdeNetwork network = description.Create();
        network.parameters().Sum(parameter => parameter.numel()).Should().Be(weights);
        network.Summarize().ParameterCount.Should().Be(weights);
    }

    [Fact]
    public void Descriptions_that_make_no_sense_are_found_out()
    {
        var good = new ConvolutionalDescription(784, 10, new ImageShape(1, 28, 28), 8, "Residual", 6, 1, "euler", 1e-3, 1e-4, 1);
        good.FindDefect().Should().BeNull();
        foreach (ConvolutionalDescription bad in new[]
        {
            good with { Image = new ImageShape(1, 28, 27) }, good with { Image = new ImageShape(49, 4, 4) }, good with { Channels = 1 },
            good with { Channels = int.MaxValue }, good with { Block = "1" }, good with { Block = "Other" }, good with { Layers = 0 },
            good with { Layers = int.MaxValue }, good with { Block = "Ode" }, good with { Image = new ImageShape(-1, -28, 28) },
        })
            bad.FindDefect().Should().NotBeNull(bad.ToString());
        (good with { OutputCount = int.MaxValue, Channels = int.MaxValue }).WeightCount().Should().Be(long.MaxValue);
    }

    [Fact]
    public void Gradients_of_all_methods_train_it_alike()
    {
        double[][] losses = [.. new[] { GradientMethod.Direct(), GradientMethod.Checkpointed(), GradientMethod.Adjoint() }.Select(method =>
        {
            using NeuralOdeClassificationTransformer model = Fit(o =>
            {
                o.GradientMethod = method;
                o.RelativeTolerance = o.AbsoluteTolerance = 1e-6;
                o.NumberOfEpochs = 1;
            }, rows: 64);
            return model.TrainingHistory.Select(report => report.TrainLoss).ToArray();
        })];
        foreach (double[] found in losses)
            found.Zip(losses[0], (a, b) => Math.Abs(a - b) / b).Max().Should().BeLessThan(1e-3);
    }

    [Fact]
    public void A_training_with_augmentation_that_is_interrupted_ends_as_one_that_is_not()
    {
        float[] expected = Scores(Augmented);
        Scores(o => o.NumberOfEpochs = 3).Should().NotEqual(expected, "augmentation changes something");
        using var source = new CancellationTokenSource();
        FluentActions.Invoking(() => Scores(o =>
        {
            Augmented(o);
            Kept(o);
            o.CancellationToken = source.Token;
            o.EpochCallback = report => source.Cancel();
        })).Should().Throw<OperationCanceledException>();

        Scores(o => { Augmented(o); Kept(o); }).Should().Equal(expected);

        Action other = () => Scores(o => { Augmented(o); Kept(o); o.Network = ((ConvolutionalNetwork)o.Network!) with { Channels = 8 }; });
        other.Should()
            .Throw<InvalidOperationException>().WithMessage("*another training*Network was convolutional (6 channels*8 channels*");

        void Augmented(Options options)
        {
            options.NumberOfEpochs = 3;
            options.Network = new ConvolutionalNetwork
            {
                Channels = 6,
                Augmentation = new ImageAugmentation { Shift = 1, Rotation = 8, HorizontalFlip = true },
            };
        }

        void Kept(Options options)
        {
            options.CheckpointFolder = _folder;
            options.CheckpointInterval = TimeSpan.Zero;
        }

        float[] Scores(Action<Options> change)
        {
            using NeuralOdeClassificationTransformer model = Fit(change, rows: 60);
            return [.. model.Transform(ImageData.Keyed(_mlContext, ImageData.Rows(6, ImageData.Colour), 3, 12, 14))
                .GetColumn<float[]>("Score").SelectMany(s => s)];
        }
    }

    [Fact]
    public void Binary_classification_and_regression_take_it_as_well()
    {
        IDataView data = ImageData.View(_mlContext, ImageData.Rows(120, new ImageShape(1, 12, 12)), 12, 12);
        var network = new ConvolutionalNetwork { Channels = 4, Block = ConvolutionalBlock.None };
        using NeuralOdeBinaryClassificationTransformer binary = _mlContext.BinaryClassification.Trainers.NeuralOde(
            new NeuralOdeBinaryClassificationTrainer.Options
            {
                Network = network,
                LabelColumnName = "IsLying",
                NumberOfEpochs = 5,
                BatchSize = 16,
                Seed = 1
            }).Fit(data);
        _mlContext.BinaryClassification.EvaluateNonCalibrated(binary.Transform(data), "IsLying").AreaUnderRocCurve.Should()
            .BeGreaterThan(0.9);
        using NeuralOdeRegressionTransformer regression = _mlContext.Regression.Trainers.NeuralOde(
            new NeuralOdeRegressionTrainer.Options
            {
                Network = network,
                LabelColumnName = "Brightness",
                NumberOfEpochs = 5,
                BatchSize = 16,
                Seed = 1
            }).Fit(data);
        regression.Transform(data).GetColumn<float>("Score").Should().OnlyContain(score => float.IsFinite(score));
    }

    [Fact]
    public void Options_that_make_no_sense_are_named()
    {
        foreach ((ConvolutionalNetwork network, string message) in new[]
        {
            (new ConvolutionalNetwork { Channels = 1 }, "Network.Channels is 1*from 2 to*"),
            (new ConvolutionalNetwork { Image = new ImageShape(1, -28, 28) }, "Network.Image is 1 x -28 x 28*positive*"),
            (new ConvolutionalNetwork { Image = new ImageShape(1, 28, 5) }, "Network.Image is 1 x 28 x 5*6 pixels*"),
            (new ConvolutionalNetwork { Block = (ConvolutionalBlock)9 }, "Network.Block is 9*Ode, Residual, SharedResidual, None*"),
            (new ConvolutionalNetwork { ResidualLayers = 0 }, "Network.ResidualLayers is 0*"),
            (new ConvolutionalNetwork { Augmentation = null! }, "Network.Augmentation is null*"),
            (new ConvolutionalNetwork { Augmentation = new ImageAugmentation { Shift = -1 } }, "Network.Augmentation.Shift is -1*"),
            (new ConvolutionalNetwork { Augmentation = new ImageAugmentation { Shift = double.NaN } },
                "Network.Augmentation.Shift is NaN*"),
            (new ConvolutionalNetwork { Augmentation = new ImageAugmentation { Rotation = 200 } },
                "Network.Augmentation.Rotation is 200*180*"),
        })
            Refused(o => o.Network = network, message);
        Refused(o => o.Dynamics = NeuralOdeDynamics.FromModule("own", size => new DenseDynamics(size, [3])), "Dynamics is 'own'*Network*");
        Refused(o =>
        {
            o.Network = new ConvolutionalNetwork { Block = ConvolutionalBlock.None };
            o.Regularization = new PathRegularization { KineticEnergy = 0.1 };
        }, "Regularization is*None*");
        Refused(o =>
        {
            o.Network = new ConvolutionalNetwork { Block = ConvolutionalBlock.Residual };
            o.SpectralNormPenalty = 0.1;
        }, "SpectralNormPenalty is*Residual*");

        void Refused(Action<Options> change, string message) => FluentActions.Invoking(() => Fit(change, rows: 9))
            .Should().Throw<ArgumentOutOfRangeException>().WithMessage(message);
    }

    [Theory]
    [InlineData(new[] { 504 }, null, "*'Features'*an image's*channels, height, width*Network.Image*504*")]
    [InlineData(new[] { 12, 14, 3 }, null, "*6 x 6 pixels*interleavePixelColors: false*12, 14, 3*")]
    [InlineData(new[] { 126, 4 }, null, "*6 x 6 pixels*126, 4*")]
    [InlineData(new[] { 3, 12, 14 }, new[] { 3, 12, 12 }, "*3 x 12 x 12, 432 numbers*Network.Image*3, 12, 14*")]
    [InlineData(new[] { 12, 14, 3 }, new[] { 3, 12, 14 }, "*Single, 3, 12, 14*interleavePixelColors: false*12, 14, 3*")]
    public void A_column_that_does_not_hold_such_images_is_refused_with_what_would_be_right(int[] dimensions, int[]? image, string message)
    {
        var options = new Options
        {
            Network = new ConvolutionalNetwork
            {
                Channels = 4,
                Image = image is null
                ? null : new ImageShape(image[0], image[1], image[2])
            },
            NumberOfEpochs = 1,
        };
        FluentActions.Invoking(() => _mlContext.MulticlassClassification.Trainers.NeuralOde(options).Fit(
                ImageData.Keyed(_mlContext, ImageData.Rows(6, ImageData.Colour), dimensions)))
            .Should().Throw<ArgumentOutOfRangeException>().WithMessage(message);
    }

    [Fact]
    public void A_vector_without_dimensions_is_fine_where_the_shape_is_given_and_a_model_refuses_channels_that_come_last()
    {
        var options =
            new Options { Network = new ConvolutionalNetwork { Channels = 4, Image = ImageData.Colour }, NumberOfEpochs = 1, Seed = 1 };
        List<ImageRow> rows = ImageData.Rows(12, ImageData.Colour);
        using NeuralOdeClassificationTransformer model = _mlContext.MulticlassClassification.Trainers.NeuralOde(options)
            .Fit(ImageData.Keyed(_mlContext, rows, 504));
        float[][] flat = [.. model.Transform(ImageData.Keyed(_mlContext, rows, 504)).GetColumn<float[]>("Score")];
        float[][] shaped = [.. model.Transform(ImageData.Keyed(_mlContext, rows, 3, 12, 14)).GetColumn<float[]>("Score")];
        shaped.SelectMany(s => s).Should().Equal(flat.SelectMany(s => s));
        FluentActions.Invoking(() => model.Transform(ImageData.Keyed(_mlContext, rows, 12, 14, 3)))
            .Should().Throw<ArgumentOutOfRangeException>().WithMessage("*'Features'*3, 12, 14*channels first*");

        IDataView interleaved = ImageData.Keyed(_mlContext, rows, 12, 14, 3), planar = ImageData.Keyed(_mlContext, rows, 3, 12, 14);
        var trainer = _mlContext.MulticlassClassification.Trainers.NeuralOde(options);
        FluentActions.Invoking(() => trainer.Fit(planar, interleaved))
            .Should().Throw<ArgumentOutOfRangeException>().WithMessage("*3, 12, 14*");
        options.Network = new ConvolutionalNetwork { Channels = 5, Image = ImageData.Colour };
        FluentActions.Invoking(() => _mlContext.MulticlassClassification.Trainers.NeuralOde(options).Fit(planar, model.Model))
            .Should().Throw<ArgumentException>().WithMessage("*5 and 4 channels*");
    }

    private static void Configure(Options options, string name)
    {
        bool isOde = !Enum.TryParse(name, out ConvolutionalBlock block);
        options.Network = new ConvolutionalNetwork { Channels = 6, Block = isOde ? ConvolutionalBlock.Ode : block, ResidualLayers = 3 };
        if (!isOde)
            return;
        options.Solver = OdeMethod.Parse(name);
        options.StepSize = options.Solver.IsAdaptive ? null : 0.5;
    }

    private NeuralOdeClassificationTransformer Fit(Action<Options>? change = null, int rows = 240)
    {
        var options = new Options
        {
            Network = new ConvolutionalNetwork { Channels = 6 },
            NumberOfEpochs = 6,
            BatchSize = 16,
            LearningRate = 0.01,
            Seed = 1,
            ProductionTolerances = SolverTolerances.Evaluation,
        };
        change?.Invoke(options);
        return _mlContext.MulticlassClassification.Trainers.NeuralOde(options).Fit(
            ImageData.Keyed(_mlContext, ImageData.Rows(rows, ImageData.Colour), 3, 12, 14));
    }

    private sealed class ImageInput
    {
        public float[] Features { get; set; } = [];

        public static SchemaDefinition Schema(DataViewType type)
        {
            SchemaDefinition schema = SchemaDefinition.Create(typeof(ImageInput));
            schema["Features"].ColumnType = type;
            return schema;
        }
    }

    private sealed class ImageScores
    {
        public float[] Score { get; set; } = [];
    }
}
