using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Networks;
using Microsoft.ML.NeuralOde.Tests.Support;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using Options = Microsoft.ML.NeuralOde.NeuralOdeClassificationTrainer.Options;

namespace Microsoft.ML.NeuralOde.Tests.Networks;

/// <summary>Networks for images: trained, scored, saved and loaded as others are.</summary>
public sealed class ConvolutionalNetworkTests : IDisposable
{
    private const int Classes = 3;

    /// <summary>Weights of the three convolutions in front of 64 channels, and of the two normalisations between them.</summary>
    private const long Front = 640 + 2 * 65_600 + 2 * 128;

    private readonly string _folder = Directory.CreateTempSubdirectory("images-").FullName;
    private readonly MLContext _mlContext = new(1);

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    /// <summary>A solver or a block, and further channels of the state; a new kind is a line here.</summary>
    public static TheoryData<string> Cases =>
    [
        "dopri5", "rk4", .. Enum.GetNames<ConvolutionalBlock>().Except(["Ode"]),
        "rk4 + 2", "dopri5 + 3 learned", "Residual + 2", "SharedResidual + 4 learned",
    ];

    [Theory]
    [MemberData(nameof(Cases))]
    public void It_learns_colour_images_and_scores_each_the_same_alone_in_batches_and_loaded(string name)
    {
        using NeuralOdeClassificationTransformer model = Fit(o =>
        {
            Configure(o, name);
            // More channels, some of which begin at zero, take longer to be of use.
            o.NumberOfEpochs = o.AugmentedDimensions > 0 ? 10 : 6;
        });
        model.Model.Network.Description.WeightCount()
            .Should().Be(model.Model.Network.parameters().Sum(parameter => parameter.numel()));
        model.Model.Network.Description.Version.Should().Be(name.Contains('+') ? 2 : 1, "older versions read what they know");
        System.Text.Json.JsonSerializer.Serialize(model.Model.Network.Description).Contains("Augment").Should().Be(name.Contains('+'));
        List<ImageRow> rows = ImageData.Rows(300, ImageData.Colour, seed: 5);
        IDataView view = ImageData.Keyed(_mlContext, rows, 3, 12, 14), scored = model.Transform(view);
        float[][] scores = [.. scored.GetColumn<float[]>("Score")];

        MulticlassClassificationMetrics metrics = _mlContext.MulticlassClassification.Evaluate(scored);
        metrics.MicroAccuracy.Should().BeGreaterThan(0.9, "guesses are right in a third of all cases");
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

    [Theory]
    [InlineData(0, false, 3)]
    [InlineData(2, false, 2)]
    [InlineData(19, true, 1)]
    public void Scores_are_those_of_the_layers_written_out_with_the_trained_weights(int augmented, bool learns, int stateGroups)
    {
        using NeuralOdeClassificationTransformer model = Fit(o =>
        {
            o.Network = new ConvolutionalNetwork { Channels = 6, Block = ConvolutionalBlock.SharedResidual, ResidualLayers = 2 };
            (o.AugmentedDimensions, o.LearnAugmentation) = (augmented, learns);
        });
        ImageRow row = ImageData.Rows(5, ImageData.Colour, seed: 9)[4];
        var found = new float[Classes];
        model.Model.Score(row.Features, 1, found);

        double[] expected = new PlainImageNetwork(model.Model.Weights, groups: 3, stateGroups)
            .SharedResidual(row.Features, ImageData.Colour, layers: 2);
        found.Zip(expected, (a, b) => Math.Abs(a - b)).Max().Should().BeLessThan(1e-5);
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Scores_through_tensors_and_those_of_a_prediction_engine_are_the_same_but_for_rounding_and_missing_values_have_none(
        string name)
    {
        using NeuralOdeClassificationTransformer model = Fit(o => { Configure(o, name); o.NumberOfEpochs = 1; }, rows: 60);
        List<ImageRow> rows = ImageData.Rows(6, ImageData.Colour, seed: 3);
        rows[2].Features[17] = float.NaN;
        var found = new float[rows.Count * Classes];
        model.Model.Score([.. rows.SelectMany(row => row.Features)], rows.Count, found);
        found.Skip(2 * Classes).Take(Classes).Should().OnlyContain(score => float.IsNaN(score));
        found.Count(float.IsNaN).Should().Be(Classes);

        using (NewDisposeScope())
        using (nn.Module<Tensor, Tensor> module = model.Model.CreateModule())
        {
            float[] logits = module.call(tensor(rows[4].Features, [1, rows[4].Features.Length]))
                .softmax(1).data<float>().ToArray();
            // Steps of their own sizes make of rounding as much as the tolerances allow.
            logits.Zip(found.Skip(4 * Classes), (a, b) => Math.Abs(a - b)).Max()
                .Should().BeLessThan(name.StartsWith("dopri5", StringComparison.Ordinal) ? 1e-3f : 1e-5f);
        }
        IDataView view = ImageData.Keyed(_mlContext, rows, 3, 12, 14);
        using PredictionEngine<ImageInput, ImageScores> engine = _mlContext.Model.CreatePredictionEngine<ImageInput, ImageScores>(
            model, inputSchemaDefinition: ImageInput.Schema(view.Schema["Features"].Type), ignoreMissingColumns: true);
        engine.Predict(new ImageInput { Features = rows[5].Features }).Score.Should().Equal(found.Skip(5 * Classes));
    }

    [Theory]
    [InlineData(ConvolutionalBlock.Ode, 0, false, 208_266)]
    [InlineData(ConvolutionalBlock.SharedResidual, 0, false, 208_266 - 2 * 64 * 9)]
    [InlineData(ConvolutionalBlock.Residual, 0, false, 208_266 - 2 * 64 * 9 + 5 * (2 * (64 * 9 + 1) * 64 + 6 * 64))]
    [InlineData(ConvolutionalBlock.None, 0, false, Front + 128 + 650)]
    [InlineData(ConvolutionalBlock.Ode, 8, false, Front + 2 * (73 * 9 + 1) * 72 + 6 * 72 + 2 * 72 + 73 * 10)]
    [InlineData(ConvolutionalBlock.Ode, 8, true, Front + 65 * 8 + 2 * (73 * 9 + 1) * 72 + 6 * 72 + 2 * 72 + 73 * 10)]
    [InlineData(ConvolutionalBlock.Residual, 8, true, Front + 65 * 8 + 6 * (2 * (72 * 9 + 1) * 72 + 6 * 72) + 2 * 72 + 73 * 10)]
    public void Networks_of_the_paper_have_as_many_weights_as_counted_by_hand(
        ConvolutionalBlock block, int augmented, bool learns, long weights)
    {
        bool isDiscrete = block is ConvolutionalBlock.Residual or ConvolutionalBlock.SharedResidual;
        var description = new ConvolutionalDescription(
            784, 10, new ImageShape(1, 28, 28), 64, block.ToString(), isDiscrete ? 6 : 0, 1, "euler", 1e-3, 1e-4, 1)
        {
            AugmentedDimensions = augmented,
            LearnsAugmentation = learns,
        };
        description.FindDefect().Should().BeNull();
        description.WeightCount().Should().Be(weights);
        using NeuralOdeNetwork network = description.Create();
        network.parameters().Sum(parameter => parameter.numel()).Should().Be(weights);
        network.Summarize().ParameterCount.Should().Be(weights);
    }

    /// <summary>Zeros that are normalised by themselves, and pairs of numbers, make an equation that is stiff from the beginning.</summary>
    [Theory]
    [InlineData(28, 64, 0, null)]
    [InlineData(28, 64, 8, 8)]
    [InlineData(28, 64, 64, 1)]
    [InlineData(6, 64, 0, 8)]
    [InlineData(12, 6, 2, 2)]
    public void New_equations_are_not_stiff_and_older_models_keep_their_groups(int size, int channels, int augmented, int? groups)
    {
        ConvolutionalDescription older = new(
            size * size, 10, new ImageShape(1, size, size), channels, "Ode", 0, 1, "dopri5", 1e-3, 1e-4, null)
        {
            AugmentedDimensions = augmented,
        };
        ConvolutionalDescription description = older.WithGroups();
        description.Groups.Should().Be(groups);
        description.FindDefect().Should().BeNull();
        Evaluations(description).Should().BeLessThan(60);
        if (groups is not null)
            Evaluations(description).Should().BeLessThan(Evaluations(older));

        static long Evaluations(ConvolutionalDescription description)
        {
            using DisposeScope scope = NewDisposeScope();
            using IDisposable noGrad = no_grad();
            manual_seed(2);
            using NeuralOdeNetwork network = description.Create();
            Tensor images = randn(8, description.FeatureCount);
            return network.Solve(images, description.ScoringOptions() with { PerRow = false }).Statistics.FunctionEvaluations;
        }
    }

    /// <summary>Against the loss along a direction of all weights, in float64.</summary>
    [Theory]
    [MemberData(nameof(Cases))]
    public void Gradients_by_all_methods_are_the_slope_of_the_loss(string name)
    {
        using DisposeScope scope = NewDisposeScope();
        manual_seed(5);
        (string solver, ConvolutionalBlock block, int augmented, bool learns) = Parse(name);
        ConvolutionalDescription description = new ConvolutionalDescription(
            504, 4, ImageData.Colour, 6, block.ToString(), IsDiscrete(block) ? 3 : 0, 1, solver, 1e-6, 1e-7,
            solver == "euler" ? 1 : 0.25)
        {
            AugmentedDimensions = augmented,
            LearnsAugmentation = learns,
        }.WithGroups();
        using NeuralOdeNetwork network = description.Create();
        network.to(ScalarType.Float64);
        // Away from where it begins: channels of zeros are at a kink there.
        using (no_grad())
            foreach (Parameter parameter in network.parameters())
                parameter.add_(randn_like(parameter) * 0.1);
        Tensor images = randn([5, 504], ScalarType.Float64);
        OdeSolverOptions own = description.ScoringOptions() with { PerRow = false };
        Tensor[] right = Gradients(own with { Gradient = GradientMethod.Direct() });

        Tensor[] direction = [.. network.parameters().Select(parameter => randn_like(parameter))];
        double slope = right.Zip(direction, (gradient, along) => (gradient * along).sum().ToDouble()).Sum();
        const double Step = 1e-6;
        ((Moved(Step) - Moved(-Step)) / (2 * Step)).Should().BeApproximately(slope, 1e-4 * Math.Max(1, Math.Abs(slope)));

        foreach (GradientMethod method in new[]
        {
            GradientMethod.Checkpointed(), GradientMethod.Checkpointed(2), GradientMethod.Checkpointed(evaluationBytes: 0),
        })
            Agree(Gradients(own with { Gradient = method }), right, 1e-9);
        if (block != ConvolutionalBlock.Ode)
            return;
        OdeSolverOptions tight = own with { Method = OdeMethod.Dopri5, StepSize = null };
        // The adjoint solves another equation, whose right-hand side has kinks: it agrees as far as the tolerances let it.
        Agree(Gradients(tight with { Gradient = GradientMethod.Adjoint() }),
            Gradients(tight with { Gradient = GradientMethod.Direct() }), 1e-2);
        OdeSolverOptions twoWays = own with { Method = OdeMethod.ReversibleCoupling(OdeMethod.Dopri5), StepSize = 0.1 };
        Agree(Gradients(twoWays with { Gradient = GradientMethod.Reversible() }),
            Gradients(twoWays with { Gradient = GradientMethod.Direct() }), 1e-6);

        Tensor[] Gradients(OdeSolverOptions options)
        {
            network.zero_grad();
            (Tensor outputs, SolverStatistics statistics) = network.Solve(images, options);
            outputs.sin().sum().backward();
            statistics.BackwardFailure.Should().BeNull();
            return [.. network.parameters().Select(parameter => parameter.grad!.clone())];
        }

        double Moved(double step)
        {
            using IDisposable noGrad = no_grad();
            Move(step);
            double loss = network.Solve(images, own).Outputs.sin().sum().ToDouble();
            Move(-step);
            return loss;
        }

        void Move(double step)
        {
            foreach ((Parameter parameter, Tensor along) in network.parameters().Zip(direction))
                parameter.add_(along * step);
        }

        static void Agree(Tensor[] found, Tensor[] right, double tolerance)
        {
            for (int i = 0; i < right.Length; i++)
                (found[i] - right[i]).abs().max().ToDouble()
                    .Should().BeLessThan(tolerance * Math.Max(1, right[i].abs().max().ToDouble()));
        }
    }

    [Theory]
    [InlineData(1, 6, 6)]
    [InlineData(2, 9, 7)]
    [InlineData(4, 6, 31)]
    [InlineData(3, 64, 64)]
    public void Images_of_any_shape_are_learned_in_batches_of_one(int channels, int height, int width)
    {
        var shape = new ImageShape(channels, height, width);
        IDataView data = ImageData.Keyed(_mlContext, ImageData.Rows(4, shape), channels, height, width);
        using NeuralOdeClassificationTransformer model = _mlContext.MulticlassClassification.Trainers.NeuralOde(new Options
        {
            Network = new ConvolutionalNetwork { Channels = 5 },
            AugmentedDimensions = 1,
            NumberOfEpochs = 1,
            BatchSize = 1,
            Seed = 1,
        }).Fit(data);
        float[][] scores = [.. model.Transform(data).GetColumn<float[]>("Score")];
        foreach (float[] row in scores)
            row.Sum().Should().BeApproximately(1, 1e-5f);

        // The same number of pixels in another shape, another number, channels last.
        int[][] others = height == width
            ? [[channels, height, width + 1]] : [[channels, width, height], [channels, height, width + 1], [channels + 1, height, width]];
        foreach (int[] other in others)
        {
            IDataView wrong = ImageData.View(
                _mlContext, ImageData.Rows(2, new ImageShape(other[0], other[1], other[2])), other);
            FluentActions.Invoking(() => model.Transform(wrong)).Should().Throw<ArgumentOutOfRangeException>()
                .WithMessage($"*'Features'*{channels}, {height}, {width}*");
        }
    }

    /// <summary>As any row with a missing value in training: left out, with one warning.</summary>
    [Fact]
    public void Images_with_missing_pixels_are_left_out_of_the_training()
    {
        List<ImageRow> rows = ImageData.Rows(30, ImageData.Colour), damaged = ImageData.Rows(30, ImageData.Colour);
        foreach (int place in new[] { 4, 11 })
            damaged[place].Features[100] = float.NaN;
        float[] expected = Scores(rows.Where((_, place) => place is not (4 or 11)));
        var warnings = new List<string>();
        _mlContext.Log += (_, e) =>
        {
            if (e.Kind == Microsoft.ML.Runtime.ChannelMessageKind.Warning)
                warnings.Add(e.Message);
        };
        Scores(damaged).Should().Equal(expected);
        warnings.Where(message => message.Contains("2 rows")).Should().ContainSingle();

        float[] Scores(IEnumerable<ImageRow> training)
        {
            using NeuralOdeClassificationTransformer model = _mlContext.MulticlassClassification.Trainers.NeuralOde(new Options
            {
                Network = new ConvolutionalNetwork { Channels = 4 },
                NumberOfEpochs = 1,
                BatchSize = 8,
                Seed = 3,
            }).Fit(ImageData.Keyed(_mlContext, training, 3, 12, 14));
            return [.. model.Transform(ImageData.Keyed(_mlContext, rows, 3, 12, 14)).GetColumn<float[]>("Score").SelectMany(row => row)];
        }
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
                // Adam would make steps of full size of the rounding errors in gradients that are zero, such as of biases before a norm.
                o.Optimizer = NeuralOdeOptimizer.Sgd;
            }, rows: 64);
            return model.TrainingHistory.Select(report => report.TrainLoss).ToArray();
        })];
        foreach (double[] found in losses)
            found.Zip(losses[0], (a, b) => Math.Abs(a - b) / b).Max().Should().BeLessThan(1e-4);
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_training_with_augmentation_that_is_interrupted_ends_as_one_that_is_not(string name)
    {
        float[] expected = Scores(Augmented);
        Scores(o => { Configure(o, name); o.NumberOfEpochs = 3; }).Should().NotEqual(expected, "augmentation changes something");
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
            Configure(options, name);
            options.NumberOfEpochs = 3;
            options.Network = (ConvolutionalNetwork)options.Network! with
            {
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
        Refused(o => (o.Network, o.AugmentedDimensions) = (new ConvolutionalNetwork(), -1), "AugmentedDimensions is -1*from 0 to*");
        Refused(o => (o.Network, o.LearnAugmentation) = (new ConvolutionalNetwork(), true), "LearnAugmentation is True*nothing to learn*");
        Refused(o => (o.Network, o.AugmentedDimensions) = (new ConvolutionalNetwork { Block = ConvolutionalBlock.None }, 2),
            "AugmentedDimensions is 2; it must be zero*block is None*");
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

    private static void Configure(Options options, string name)
    {
        (string solver, ConvolutionalBlock block, options.AugmentedDimensions, options.LearnAugmentation) = Parse(name);
        options.Network = new ConvolutionalNetwork { Channels = 6, Block = block, ResidualLayers = 3 };
        if (block != ConvolutionalBlock.Ode)
            return;
        options.Solver = OdeMethod.Parse(solver);
        options.StepSize = options.Solver.IsAdaptive ? null : 0.5;
    }

    private static (string Solver, ConvolutionalBlock Block, int Augmented, bool Learns) Parse(string name)
    {
        string[] words = name.Split(' ');
        bool isDiscrete = Enum.TryParse(words[0], out ConvolutionalBlock block);
        return (isDiscrete ? "euler" : words[0], isDiscrete ? block : ConvolutionalBlock.Ode,
            words.Length > 1 ? int.Parse(words[2], System.Globalization.CultureInfo.InvariantCulture) : 0, words[^1] == "learned");
    }

    private static bool IsDiscrete(ConvolutionalBlock block) => block is ConvolutionalBlock.Residual or ConvolutionalBlock.SharedResidual;

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
