using Microsoft.ML.NeuralOde.Networks;
using Microsoft.ML.NeuralOde.Tests.Support;
using TorchSharp;
using Options = Microsoft.ML.NeuralOde.NeuralOdeRegressionTrainer.Options;

namespace Microsoft.ML.NeuralOde.Tests.Networks;

/// <summary>Networks with more dimensions, and those of second-order, heavy-ball and Hamiltonian equations, through the trainers.</summary>
public sealed class DynamicsFormTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("dynamics-form").FullName;
    private readonly MLContext _mlContext = new(1);

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    /// <summary>Form, augmented dimensions, whether they are learned; a new form is a line here.</summary>
    public static TheoryData<DynamicsForm, int, bool> Kinds => new()
    {
        { DynamicsForm.FirstOrder, 3, false },
        { DynamicsForm.FirstOrder, 2, true },
        { DynamicsForm.SecondOrder, 0, false },
        { DynamicsForm.SecondOrder, 1, true },
        { DynamicsForm.HeavyBall, 0, true },
        { DynamicsForm.Hamiltonian, 0, false },
        { DynamicsForm.SeparableHamiltonian, 1, true },
    };

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Models_are_trained_saved_loaded_and_scored_as_others(DynamicsForm form, int augmented, bool learns)
    {
        using NeuralOdeRegressionTransformer model = Fit(Of(form, augmented, learns));
        model.TrainingHistory[^1].TrainLoss.Should().BeLessThan(model.TrainingHistory[0].TrainLoss);
        float[] scores = Scores(model);

        string file = Path.Combine(_folder, "model.zip");
        _mlContext.Model.Save(model, Data().Schema, file);
        ITransformer loaded = new MLContext(2).Model.Load(file, out _);
        Scores(loaded).Should().Equal(scores);
        var schema = Microsoft.ML.Data.SchemaDefinition.Create(typeof(TableRow));
        schema[nameof(TableRow.Features)].ColumnType =
            new Microsoft.ML.Data.VectorDataViewType(Microsoft.ML.Data.NumberDataViewType.Single, 2);
        using PredictionEngine<TableRow, Scored> engine =
            _mlContext.Model.CreatePredictionEngine<TableRow, Scored>(loaded, inputSchemaDefinition: schema);
        int place = 0;
        foreach (TableRow row in Rows().Take(20))
            engine.Predict(row).Score.Should().BeApproximately(scores[place++], 1e-4f);

        var description = (DenseDescription)model.Model.Network.Description;
        description.WeightCount().Should().Be(model.Model.Network.parameters().Sum(parameter => parameter.numel()));
        description.Version.Should().Be(2, "older versions are to say that they do not know it");
        model.Model.Summary.ParameterCount.Should().Be(description.WeightCount());
        model.Model.Summary.ToString().Should().Contain(learns ? "dimensions by a linear layer" : "dimensions at zero");
    }

    [Theory]
    [InlineData(3, false)]
    [InlineData(20, true)]
    public void Rows_are_scored_without_tensors_in_more_dimensions_too(int augmented, bool learns)
    {
        using NeuralOdeRegressionTransformer model = Fit(Of(DynamicsForm.FirstOrder, augmented, learns));
        NeuralOdeNetwork network = model.Model.Network;
        RowNetwork rows = network.ToRowNetwork()!;
        float[] features = [.. Rows().SelectMany(row => row.Features)];
        var found = new float[Rows().Count];
        rows.Forward(features, found.Length, found);
        using (torch.no_grad())
        using (torch.NewDisposeScope())
        {
            torch.Tensor expected =
                network.FromOutputs(network.Solve(torch.tensor(features, [found.Length, 2]), network.Block.Options).Outputs);
            float[] right = [.. expected.data<float>()];
            // The scorer's outputs are before the label's units.
            torch.Tensor scored = network.FromOutputs(torch.tensor(found, [found.Length, 1]));
            scored.data<float>().ToArray().Zip(right, (a, b) => Math.Abs(a - b)).Max().Should().BeLessThan(2e-4f);
        }
        var alone = new float[1];
        rows.Forward(features[..2], 1, alone);
        alone[0].Should().Be(found[0]);
    }

    [Fact]
    public void Models_without_any_of_it_are_those_that_older_versions_read()
    {
        using NeuralOdeRegressionTransformer model = Fit(_ => { });
        var description = (DenseDescription)model.Model.Network.Description;
        description.Version.Should().Be(1);
        string json = System.Text.Json.JsonSerializer.Serialize<NetworkDescription>(description);
        json.Should().NotContain("Augment").And.NotContain("Form");
    }

    [Theory]
    [InlineData("direct")]
    [InlineData("checkpointed")]
    public void A_training_with_random_end_times_that_is_interrupted_ends_as_one_that_is_not(string gradient)
    {
        float[] expected = Scores(Fit(Configure));
        using (var source = new CancellationTokenSource())
        {
            Action interrupted = () => Fit(o =>
            {
                Checkpoint(o);
                o.CancellationToken = source.Token;
                o.EpochCallback = report =>
                {
                    if (report.Epoch == 2)
                        source.Cancel();
                };
            });
            interrupted.Should().Throw<OperationCanceledException>();
        }
        Scores(Fit(Checkpoint)).Should().Equal(expected);
        Scores(Fit(o => { Configure(o); o.EndTimeSpread = 0; })).Should().NotEqual(expected);

        void Configure(Options options)
        {
            Of(DynamicsForm.SecondOrder, 1, true)(options);
            options.NumberOfEpochs = 4;
            options.EndTimeSpread = 0.5;
            options.GradientMethod = GradientMethod.Parse(gradient);
        }

        void Checkpoint(Options options)
        {
            Configure(options);
            options.CheckpointFolder = _folder;
            options.CheckpointInterval = TimeSpan.Zero;
        }
    }

    [Fact]
    public void Descriptions_that_make_no_sense_are_refused()
    {
        var good = new DenseDescription(2, 1, [4], [6], 1, "dopri5", 1e-3, 1e-4, null) { AugmentedDimensions = 2 };
        good.FindDefect().Should().BeNull();
        (good with { AugmentedDimensions = -1 }).FindDefect().Should().Contain("-1 augmented dimensions");
        (good with { AugmentedDimensions = int.MaxValue }).FindDefect().Should().Contain("augmented dimensions");
        (good with { Form = "Third" }).FindDefect().Should().Contain("'Third'");
        (good with { Form = "FirstOrder" }).FindDefect().Should().NotBeNull("it has no text");
        (good with { Form = "1" }).FindDefect().Should().NotBeNull();
        (good with { Form = "Hamiltonian", DynamicsLayers = [] }).FindDefect().Should().Contain("no layers");
        good.DifferenceOfStructure(good with { AugmentedDimensions = 3 }).Should().Be("2 and 3 augmented dimensions");
        good.DifferenceOfStructure(good with { LearnsAugmentation = true }).Should().Contain("learned");
        good.DifferenceOfStructure(good with { Form = "HeavyBall" }).Should().Be("equations of the forms FirstOrder and HeavyBall");
        good.DifferenceOfStructure(good).Should().BeNull();
    }

    [Fact]
    public void Options_that_contradict_each_other_are_named()
    {
        foreach ((Action<Options> change, string message) in new (Action<Options>, string)[]
        {
            (o => (o.DynamicsForm, o.DynamicsLayers) = (DynamicsForm.Hamiltonian, []),
                "DynamicsLayers is []; it must be at least one size*"),
            (o => (o.DynamicsForm, o.Solver) = (DynamicsForm.Hamiltonian, OdeMethod.Leapfrog),
                "Solver is 'leapfrog'; *implicit_midpoint*SeparableHamiltonian*"),
            (o => (o.DynamicsForm, o.Dynamics) = (DynamicsForm.HeavyBall,
                NeuralOdeDynamics.FromModule("own", size => new DenseDynamics(size))), "DynamicsForm is *Dynamics is set*"),
            (o => (o.DynamicsForm, o.Network) = (DynamicsForm.SecondOrder, new ConvolutionalNetwork()),
                "DynamicsForm is SecondOrder; it must be FirstOrder where Network is set*"),
        })
        {
            var options = new Options();
            change(options);
            Action act = () => _mlContext.Regression.Trainers.NeuralOde(options);
            act.Should().Throw<ArgumentOutOfRangeException>().WithMessage(message);
        }
    }

    [Fact]
    public void A_model_whose_steps_have_become_a_part_of_it_is_warned_of_once()
    {
        Warnings(o => (o.Solver, o.EndTime) = (OdeMethod.Euler, 8)).Should().ContainSingle()
            .Which.Should()
            .Contain("256 training rows").And.Contain("steps of 4 instead of the steps of 8 of training").And.Contain("StepSize");
        Warnings(o => (o.Solver, o.EndTime, o.SkipSolverCheck) = (OdeMethod.Euler, 8, true)).Should().BeEmpty();
        Warnings(_ => { }).Should().BeEmpty();
    }

    /// <summary>A right-hand side that exists only where the steps of the training look.</summary>
    [Fact]
    public void A_model_that_finer_steps_cannot_solve_is_warned_of()
    {
        NeuralOdeDynamics broken = NeuralOdeDynamics.FromModule("broken", size => new Broken(size));
        Warnings(o => (o.Solver, o.EndTime, o.Dynamics) = (OdeMethod.Euler, 8, broken)).Should().ContainSingle()
            .Which.Should().Contain("cannot be solved with steps of 4 on 256 training rows").And.Contain("StepSize");
    }

    private sealed class Broken : torch.nn.Module<torch.Tensor, torch.Tensor, torch.Tensor>
    {
        private readonly DenseDynamics _network;

        public Broken(long size)
            : base(nameof(Broken))
        {
            _network = new DenseDynamics(size, [4]);
            RegisterComponents();
        }

        public override torch.Tensor forward(torch.Tensor t, torch.Tensor y)
        {
            torch.Tensor slope = _network.call(t, y);
            return t.ToDouble() is > 3 and < 5 ? slope.mul(float.NaN) : slope;
        }
    }

    private static List<string> Warnings(Action<Options> change)
    {
        var found = new List<string>();
        var context = new MLContext(3);
        context.Log += (_, e) =>
        {
            if (e.Kind == Microsoft.ML.Runtime.ChannelMessageKind.Warning)
                found.Add(e.Message);
        };
        var options = new Options
        {
            LabelColumnName = "Target",
            EncoderLayers = [6],
            DynamicsLayers = [8],
            NumberOfEpochs = 12,
            BatchSize = 16,
            LearningRate = 0.02,
            Seed = 4
        };
        change(options);
        using NeuralOdeRegressionTransformer model = context.Regression.Trainers.NeuralOde(options)
            .Fit(TabularData.View(context, TabularData.Circle(300)));
        return found;
    }

    private static Action<Options> Of(DynamicsForm form, int augmented, bool learns) =>
        o => (o.DynamicsForm, o.AugmentedDimensions, o.LearnAugmentation) = (form, augmented, learns);

    private NeuralOdeRegressionTransformer Fit(Action<Options> change)
    {
        var options = new Options
        {
            LabelColumnName = "Target",
            EncoderLayers = [5, 4],
            DynamicsLayers = [6],
            NumberOfEpochs = 3,
            BatchSize = 16,
            LearningRate = 0.02,
            Seed = 7,
        };
        change(options);
        return _mlContext.Regression.Trainers.NeuralOde(options).Fit(Data());
    }

    private static IReadOnlyList<TableRow> Rows() => [.. TabularData.Circle(90)];

    private IDataView Data() => TabularData.View(_mlContext, Rows());

    private float[] Scores(ITransformer model) =>
        [.. Microsoft.ML.Data.ColumnCursorExtensions.GetColumn<float>(model.Transform(Data()), "Score")];

    private sealed class Scored
    {
        public float Score { get; set; }
    }
}
