using Microsoft.ML.NeuralOde.Networks;
using Microsoft.ML.NeuralOde.Persistence;
using Microsoft.ML.NeuralOde.Prediction;
using Microsoft.ML.NeuralOde.Tests.Support;
using TorchSharp;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;
using Options = Microsoft.ML.NeuralOde.NeuralOdeRegressionTrainer.Options;

namespace Microsoft.ML.NeuralOde.Tests.Networks;

/// <summary>
/// Networks whose right-hand side is a module of the user's: trained, scored, saved and loaded as others are, and refused where it is not
/// fit.
/// </summary>
public sealed class OwnDynamicsTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("own-dynamics").FullName;

    private readonly MLContext _mlContext = new(1);

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_module_that_computes_what_the_layers_do_is_trained_to_the_same_weights_and_scores()
    {
        using NeuralOdeRegressionTransformer layers = Fit(o => o.Dynamics = null);
        using NeuralOdeRegressionTransformer module =
            Fit(o => o.Dynamics = NeuralOdeDynamics.FromModule("layers", size => new DenseDynamics(size, [6])));

        module.TrainingHistory.Select(report => report.TrainLoss).Should().Equal(layers.TrainingHistory.Select(report => report.TrainLoss));
        foreach ((string name, ModelWeights weights) in layers.Model.Weights)
            module.Model.Weights[name].Values.Should().Equal(weights.Values, name);
        Scores(module).Should().Equal(Scores(layers));
    }

    [Fact]
    public void Scores_are_those_of_the_closed_form_with_the_trained_weights()
    {
        using NeuralOdeRegressionTransformer model = Fit(o => o.Dynamics = Decay("decay"));
        float[] Values(string name) => [.. model.Model.Weights[name].Values];
        float[] mean = Values("mean"), scale = Values("scale"), weight = Values("encoder0.weight"), bias = Values("encoder0.bias"),
            head = Values("head.weight");
        double rate = Values("ode.dynamics.rate").Single();
        rate.Should().NotBe(0.5f, "it is trained");

        // y' = -rate · drift · cos(t) · y on [0, 1], where drift is a buffer that holds 2.
        double[] expected = [.. Rows().Select(row =>
        {
            double sum = Values("head.bias")[0];
            for (int i = 0; i < head.Length; i++)
            {
                double state = bias[i];
                for (int k = 0; k < 2; k++)
                    state += weight[2 * i + k] * (row.Features[k] - mean[k]) * scale[k];
                sum += head[i] * state * Math.Exp(-rate * 2 * Math.Sin(1));
            }
            return sum / Values("output_scale")[0] + Values("output_mean")[0];
        })];

        Scores(model).Zip(expected, (a, b) => Math.Abs(a - b)).Max().Should().BeLessThan(1e-3);
    }

    [Fact]
    public void Every_way_of_gradients_trains_it_alike()
    {
        GradientMethod[] methods = [GradientMethod.Direct(), GradientMethod.Checkpointed(), GradientMethod.Adjoint()];
        double[][] losses = [.. methods.Select(method =>
        {
            using NeuralOdeRegressionTransformer model = Fit(o =>
            {
                o.Dynamics = Decay("decay");
                o.GradientMethod = method;
                o.RelativeTolerance = 1e-6;
                o.AbsoluteTolerance = 1e-6;
            });
            return model.TrainingHistory.Select(report => report.TrainLoss).ToArray();
        })];
        foreach (double[] found in losses)
            found.Zip(losses[0], (a, b) => Math.Abs(a - b) / b).Max().Should().BeLessThan(1e-3);
    }

    [Fact]
    public void A_saved_model_scores_the_same_in_a_context_that_knows_the_module_and_is_refused_with_the_remedy_in_one_that_does_not()
    {
        using NeuralOdeRegressionTransformer model = Fit(o => o.Dynamics = Decay("decay"));
        (byte[] plain, byte[] chained, byte[] sealedFile) = Save(model);
        foreach (byte[] file in new[] { plain, chained })
        {
            Action load = () => new MLContext(1).Model.Load(new MemoryStream(file), out _);
            Innermost(load).Should().BeOfType<InvalidOperationException>().Which.Message.Should()
                .Contain("'decay'").And.Contain("mlContext.ComponentCatalog.RegisterDynamics(");
        }
        Action loadSealed = () => new MLContext(1).Model.LoadSealed(new MemoryStream(sealedFile), out _);
        loadSealed.Should().Throw<InvalidDataException>().WithMessage("*'decay'*RegisterDynamics*");

        // The value of the buffer is the file's, not the new module's.
        MLContext knowing = Knowing(Decay("decay", drift: 17));
        float[] expected = Scores(model);
        using (var loaded = (NeuralOdeRegressionTransformer)knowing.Model.Load(new MemoryStream(plain), out _))
            Scores(loaded).Should().Equal(expected);
        using (var loaded = (IDisposable)knowing.Model.LoadSealed(new MemoryStream(sealedFile), out _))
            Scores((NeuralOdeRegressionTransformer)loaded).Should().Equal(expected);
        ITransformer chain = knowing.Model.Load(new MemoryStream(chained), out DataViewSchema schema);
        using PredictionEngine<TableRow, Scored> engine = knowing.Model.CreatePredictionEngine<TableRow, Scored>(chain, schema);
        Rows().Select(row => engine.Predict(row).Score).Zip(expected, (a, b) => Math.Abs(a - b)).Max().Should().BeLessThan(1e-5f);
    }

    [Fact]
    public void A_fresh_process_loads_it_by_its_name()
    {
        IDataView data = Blobs.View(_mlContext, Blobs.Rows(60));
        string file = Path.Combine(_folder, "model.zip");
        ITransformer model = Fitted.Pipeline(_mlContext, Fitted.Options(o =>
        {
            o.NumberOfEpochs = 1;
            o.Dynamics = NeuralOdeDynamics.FromModule("damping", size => new ModelHost.Damping(size));
        })).Fit(data);
        _mlContext.Model.Save(model, data.Schema, file);
        (int code, string unknown) = Host(file, "0.5", "1");
        code.Should().Be(1);
        unknown.Should().StartWith("InvalidOperationException").And.Contain("'damping'").And.Contain("RegisterDynamics");

        (code, string known) = Host(file, "0.5", "1", "damping");

        code.Should().Be(0, known);
        using (model as IDisposable)
            known.Should().MatchRegex(@"^\w+\|\S+ \S+ \S+$");
    }

    [Fact]
    public void Another_module_under_the_name_is_refused_when_the_model_is_loaded()
    {
        using NeuralOdeRegressionTransformer model = Fit(o => o.Dynamics = Decay("decay"));
        (byte[] file, _, _) = Save(model);
        var other = NeuralOdeDynamics.FromModule("decay", size => new DenseDynamics(size, [3]));
        Action load = () => Knowing(other).Model.Load(new MemoryStream(file), out _);
        Innermost(load).Should().BeOfType<InvalidDataException>().Which.Message.Should().Contain("'decay'").And.Contain("saved with");
        using NeuralOdeRegressionTransformer layers =
            Fit(o => o.Dynamics = NeuralOdeDynamics.FromModule("decay", size => new DenseDynamics(size, [3])));
        (file, _, _) = Save(layers);
        load = () => Knowing(Decay("decay")).Model.Load(new MemoryStream(file), out _);
        Innermost(load).Should().BeOfType<InvalidDataException>().Which.Message.Should().Contain("'decay'").And.Contain("saved with");
    }

    [Fact]
    public void A_context_knows_one_module_by_a_name()
    {
        var first = Decay("decay");
        MLContext context = Knowing(first);
        context.ComponentCatalog.RegisterDynamics(first);
        Action second = () => context.ComponentCatalog.RegisterDynamics(Decay("decay"));
        second.Should().Throw<ArgumentException>().WithMessage("*'decay'*already*");
        Action nameless = () => NeuralOdeDynamics.FromModule(" ", size => new DenseDynamics(size, [3]));
        nameless.Should().Throw<ArgumentException>();
    }

    public static TheoryData<string, string> Unfit => new()
    {
        { "null", "returned null" },
        { "shared", "make a new module at each call" },
        { "double", "'weight' of type Float64" },
        { "shape", "of the state's type and shape" },
        { "fails", "failed in training mode" },
        { "random", "draw random numbers" },
        { "batch", "a row's neighbours" },
        { "scalar time", "with a time for each row" },
        { "unnamed", "RegisterComponents()" },
        { "detached", "without a gradient" },
        { "nothing", "return null" },
    };

    [Theory]
    [MemberData(nameof(Unfit))]
    public void A_module_that_is_not_fit_is_refused_before_data_are_read(string what, string message)
    {
        var shared = new Made(Linear(4, 4), (layer, t, y) => layer.call(y));
        NeuralOdeDynamics dynamics = NeuralOdeDynamics.FromModule("mine", size => what switch
        {
            "null" => null!,
            "shared" => shared,
            "double" => new Made(Linear(size, size, dtype: ScalarType.Float64),
                (layer, t, y) => layer.call(y.to(ScalarType.Float64)).to(ScalarType.Float32)),
            "shape" => new Made(Linear(size, size + 1), (layer, t, y) => layer.call(y)),
            "fails" => new Made(Linear(size + 1, size), (layer, t, y) => layer.call(y)),
            "random" => new Made(Linear(size, size), (layer, t, y) => functional.dropout(layer.call(y), 0.5, training: true)),
            "batch" => new Made(Linear(size, size), (layer, t, y) => layer.call(y - y.mean([0L], keepdim: true))),
            "scalar time" => new Made(Linear(size, size), (layer, t, y) => layer.call(y) * t.item<float>()),
            "unnamed" => new Hiding(size),
            "detached" => new Made(Linear(size, size), (layer, t, y) => layer.call(y).detach()),
            _ => new Made(Linear(size, size), (layer, t, y) => null!),
        });
        Action fit = () => Fit(o => o.Dynamics = dynamics, Unread());
        fit.Should().Throw<InvalidOperationException>().WithMessage($"*'mine'*{message}*");

        static IDataView Unread()
        {
            var mlContext = new MLContext(1);
            return mlContext.Data.FilterByCustomPredicate(
                TabularData.View(mlContext, Rows()), (TableRow _) => throw new NotSupportedException("The rows were read."));
        }
    }

    [Fact]
    public void A_time_that_is_no_tensor_is_allowed_with_equal_steps()
    {
        using NeuralOdeRegressionTransformer model = Fit(o =>
        {
            o.Solver = OdeMethod.Rk4;
            o.StepSize = 0.25;
            o.Dynamics = NeuralOdeDynamics.FromModule(
                "mine", size => new Made(Linear(size, size), (layer, t, y) => layer.call(y) * t.item<float>()));
        });
        Scores(model).Should().OnlyContain(score => float.IsFinite(score));
    }

    [Fact]
    public void A_training_goes_on_from_its_checkpoint_and_begins_with_another_model_of_the_same_dynamics_only()
    {
        void Kept(Options options)
        {
            options.Dynamics = Decay("decay");
            options.CheckpointFolder = _folder;
            options.CheckpointInterval = TimeSpan.Zero;
        }
        using NeuralOdeRegressionTransformer whole =
            Fit(o => { o.Dynamics = Decay("decay"); o.NumberOfEpochs = 4; o.LearningRateSchedule = LearningRateSchedule.Constant; });
        Fit(o => { Kept(o); o.NumberOfEpochs = 2; o.LearningRateSchedule = LearningRateSchedule.Constant; }).Dispose();
        using NeuralOdeRegressionTransformer resumed =
            Fit(o => { Kept(o); o.NumberOfEpochs = 4; o.LearningRateSchedule = LearningRateSchedule.Constant; });
        Scores(resumed).Should().Equal(Scores(whole));
        Action other = () => Fit(o => { Kept(o); o.Dynamics = Decay("growth"); });
        other.Should().Throw<InvalidOperationException>().WithMessage("*Dynamics was decay and is growth*");

        Trainer(o => o.Dynamics = Decay("decay")).Fit(Data(), whole.Model).Dispose();
        Action begin = () => Trainer(o => o.Dynamics = Decay("growth")).Fit(Data(), whole.Model);
        begin.Should().Throw<ArgumentException>().WithMessage("*'growth' and 'decay'*");
        begin = () => Trainer(o => o.Dynamics = null).Fit(Data(), whole.Model);
        begin.Should().Throw<ArgumentException>().WithMessage("*kinds 'dense' and 'module'*");
    }

    [Fact]
    public void The_summary_names_it_and_a_copy_of_the_network_is_the_callers()
    {
        using NeuralOdeRegressionTransformer model = Fit(o => o.Dynamics = Decay("decay"));
        model.Model.Summary.ToString().Should().Contain("decay (Decaying)");
        model.Model.Summary.ParameterCount.Should().Be(model.Model.ParameterCount);
        using Module<Tensor, Tensor> copy = model.Model.CreateModule();
        float[] expected = Scores(model);
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        float[] found = copy.call(tensor([.. Rows().SelectMany(row => row.Features)], [Rows().Count, 2]))
            .contiguous().data<float>().ToArray();
        found.Zip(expected, (a, b) => Math.Abs(a - b)).Max().Should().BeLessThan(1e-4f);
    }

    [Fact]
    public void Options_without_it_are_written_as_before()
    {
        using NeuralOdeRegressionTransformer layers = Fit(o => o.Dynamics = null);
        using NeuralOdeRegressionTransformer module = Fit(o => o.Dynamics = Decay("decay"));
        layers.Description.Options.Should().NotContainKey("Dynamics");
        module.Description.Options.Should().Contain("Dynamics", "decay");
    }

    [Fact]
    public void A_file_says_its_networks_kind_and_an_unknown_kind_or_newer_version_asks_for_an_update()
    {
        using NeuralOdeRegressionTransformer model = Fit(o => o.Dynamics = null);
        ModelDescription description = model.Description;
        string json = System.Text.Json.JsonSerializer.Serialize(description, PayloadReader.Json);
        json.Should().Contain("\"Kind\":\"dense\",\"Version\":1");

        System.Text.Json.JsonSerializer.Deserialize<ModelDescription>(
            json.Replace("\"Kind\":\"dense\",\"Version\":1,", ""), PayloadReader.Json)!.Network
            .Should().BeOfType<DenseDescription>("files from before there were kinds name none");
        Action unknown = () =>
            System.Text.Json.JsonSerializer.Deserialize<ModelDescription>(json.Replace("\"dense\"", "\"quantum\""), PayloadReader.Json);
        unknown.Should().Throw<InvalidDataException>().WithMessage("*'quantum'*Update the package*");
        Action newer = () =>
            System.Text.Json.JsonSerializer.Deserialize<ModelDescription>(
                json.Replace("\"Version\":1", $"\"Version\":{DenseDescription.KindVersion + 1}"), PayloadReader.Json);
        newer.Should().Throw<InvalidDataException>().WithMessage($"*version {DenseDescription.KindVersion + 1}*Update the package*");
        foreach (NetworkKind kind in NetworkKind.All)
            kind.Description.Should().BeDerivedFrom<NetworkDescription>();
    }

    private static NeuralOdeDynamics Decay(string name, float drift = 2) => NeuralOdeDynamics.FromModule(name, size => new Decaying(drift));

    private static MLContext Knowing(NeuralOdeDynamics dynamics)
    {
        var mlContext = new MLContext(1);
        mlContext.ComponentCatalog.RegisterDynamics(dynamics);
        return mlContext;
    }

    private static List<TableRow> Rows() => TabularData.Circle(60);

    private static IDataView Data() => TabularData.View(new MLContext(1), Rows());

    private NeuralOdeRegressionTrainer Trainer(Action<Options> change)
    {
        var options = new Options
        {
            LabelColumnName = "Target",
            NumberOfEpochs = 2,
            BatchSize = 16,
            EncoderLayers = [4],
            DynamicsLayers = [6],
            Seed = 3,
        };
        change(options);
        return _mlContext.Regression.Trainers.NeuralOde(options);
    }

    private NeuralOdeRegressionTransformer Fit(Action<Options> change, IDataView? data = null) => Trainer(change).Fit(data ?? Data());

    private static float[] Scores(NeuralOdeRegressionTransformer model)
    {
        var scores = new float[Rows().Count];
        model.Model.Score([.. Rows().SelectMany(row => row.Features)], scores.Length, scores);
        return scores;
    }

    private (byte[] Plain, byte[] Chained, byte[] Sealed) Save(NeuralOdeRegressionTransformer model)
    {
        using MemoryStream plain = new(), chained = new(), sealedFile = new();
        _mlContext.Model.Save(model, Data().Schema, plain);
        _mlContext.Model.Save(new Microsoft.ML.Data.TransformerChain<ITransformer>(model), Data().Schema, chained);
        _mlContext.Model.SaveSealed(model, Data().Schema, sealedFile);
        return (plain.ToArray(), chained.ToArray(), sealedFile.ToArray());
    }

    private static Exception Innermost(Action action) => action.Should().Throw<Exception>().Which.GetBaseException();

    private static (int Code, string Output) Host(params string[] arguments) => Programs.Run(Programs.ModelHost, arguments);

    private sealed class Scored
    {
        public float Score { get; set; }
    }

    /// <summary>dy/dt = −rate · drift · cos(t) · y, with a parameter and a buffer.</summary>
    private sealed class Decaying : Module<Tensor, Tensor, Tensor>
    {
        private readonly TorchSharp.Modules.Parameter _rate;

        public Decaying(float drift)
            : base(nameof(Decaying))
        {
            _rate = Parameter(tensor([0.5f]));
            register_parameter("rate", _rate);
            register_buffer("drift", tensor([drift]));
        }

        public override Tensor forward(Tensor time, Tensor state) => -_rate * get_buffer("drift")! * time.cos() * state;
    }

    /// <summary>One layer, and what is made of it.</summary>
    private sealed class Made : Module<Tensor, Tensor, Tensor>
    {
        private readonly TorchSharp.Modules.Linear _layer;
        private readonly Func<TorchSharp.Modules.Linear, Tensor, Tensor, Tensor> _function;

        public Made(TorchSharp.Modules.Linear layer, Func<TorchSharp.Modules.Linear, Tensor, Tensor, Tensor> function)
            : base(nameof(Made))
        {
            _layer = layer;
            _function = function;
            foreach ((string name, TorchSharp.Modules.Parameter parameter) in layer.named_parameters())
                register_parameter(name, parameter);
        }

        public override Tensor forward(Tensor time, Tensor state) => _function(_layer, time, state);
    }

    /// <summary>A layer that is not registered.</summary>
    private sealed class Hiding(long size) : Module<Tensor, Tensor, Tensor>(nameof(Hiding))
    {
        private readonly TorchSharp.Modules.Linear _hidden = Linear(size, size);

        public override Tensor forward(Tensor time, Tensor state) => _hidden.call(state);
    }
}
