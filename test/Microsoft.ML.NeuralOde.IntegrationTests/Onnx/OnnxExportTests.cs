using Microsoft.ML.Data;
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Onnx;

/// <summary>Exported models, scored by ONNX Runtime, against the models they come from.</summary>
public sealed class OnnxExportTests : IDisposable
{
    private const int Rows = 40;

    private readonly string _folder = Directory.CreateTempSubdirectory("neural-ode-onnx-").FullName;
    private readonly MLContext _mlContext = new(1);
    private readonly Flower[] _rows = Flower.Draw(120);

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("euler", 0.25, FeatureNormalization.PerSlot)]
    [InlineData("rk4", 0.05, FeatureNormalization.Global)]
    [InlineData("heun3", null, FeatureNormalization.None)]
    [InlineData("dopri5", 0.2, FeatureNormalization.PerSlot)]
    public void A_multiclass_model_scores_the_same(string solver, double? stepSize, FeatureNormalization normalization)
    {
        using NeuralOdeClassificationTransformer model =
            _mlContext.MulticlassClassification.Trainers.NeuralOde(new NeuralOdeClassificationTrainer.Options
            {
                NumberOfEpochs = 3,
                EncoderLayers = [12, 6],
                DynamicsLayers = [10],
                Solver = OdeMethod.Parse(solver),
                StepSize = stepSize,
                Normalization = normalization,
            }).Fit(Keyed());
        using InferenceSession session = Export(model, null);

        using IDisposableReadOnlyCollection<DisposableNamedOnnxValue> results = Run(session);
        float[][] expected = [.. Scored(model).GetColumn<float[]>("Score")];
        Same(results.Single(r => r.Name == "Score").AsTensor<float>(), expected);
        results.Single(r => r.Name == "PredictedLabel")
            .AsTensor<uint>().Should().Equal(Scored(model).GetColumn<uint>("PredictedLabel").Take(Rows));
        session.ModelMetadata.CustomMetadataMap["classes"].Should().Be("[\"setosa\",\"versicolor\",\"virginica\"]");
    }

    [Fact]
    public void Binary_and_regression_models_score_the_same()
    {
        using NeuralOdeBinaryClassificationTransformer binary =
            _mlContext.BinaryClassification.Trainers.NeuralOde(new NeuralOdeBinaryClassificationTrainer.Options
            {
                NumberOfEpochs = 3,
                EncoderLayers = [6],
                DynamicsLayers = [6],
                Solver = OdeMethod.Rk4,
                StepSize = 0.5,
                LabelColumnName = nameof(Flower.IsLarge),
            }).Fit(View());
        using (InferenceSession session = Export(binary, null))
        using (IDisposableReadOnlyCollection<DisposableNamedOnnxValue> results = Run(session))
        {
            Same(results.Single(r => r.Name == "Score").AsTensor<float>(),
                [.. binary.Transform(View()).GetColumn<float>("Score").Select(s => new[] { s })]);
            Same(results.Single(r => r.Name == "Probability").AsTensor<float>(),
                [.. binary.Transform(View()).GetColumn<float>("Probability").Select(s => new[] { s })]);
            results.Single(r => r.Name == "PredictedLabel")
                .AsTensor<bool>().Should().Equal(binary.Transform(View()).GetColumn<bool>("PredictedLabel").Take(Rows));
        }
    }

    [Theory]
    [InlineData(DynamicsForm.FirstOrder, 0, false, "midpoint")]
    [InlineData(DynamicsForm.FirstOrder, 3, false, "midpoint")]
    [InlineData(DynamicsForm.SecondOrder, 2, true, "midpoint")]
    [InlineData(DynamicsForm.SecondOrder, 0, true, "leapfrog")]
    [InlineData(DynamicsForm.HeavyBall, 0, true, "midpoint")]
    [InlineData(DynamicsForm.HeavyBall, 1, false, "semi_implicit_euler")]
    [InlineData(DynamicsForm.Hamiltonian, 0, true, "rk4")]
    [InlineData(DynamicsForm.SeparableHamiltonian, 2, true, "leapfrog")]
    [InlineData(DynamicsForm.SeparableHamiltonian, 0, true, "midpoint")]
    public void Regression_models_of_every_form_score_the_same(DynamicsForm form, int augmented, bool learns, string solver)
    {
        using NeuralOdeRegressionTransformer regression = _mlContext.Regression.Trainers.NeuralOde(new NeuralOdeRegressionTrainer.Options
        {
            NumberOfEpochs = 3,
            EncoderLayers = [6],
            DynamicsLayers = [6],
            Solver = OdeMethod.Parse(solver),
            StepSize = 0.1,
            LabelColumnName = nameof(Flower.Size),
            DynamicsForm = form,
            AugmentedDimensions = augmented,
            LearnAugmentation = learns,
        }).Fit(View());
        using InferenceSession session = Export(regression, null);
        using IDisposableReadOnlyCollection<DisposableNamedOnnxValue> results = Run(session);
        Same(results.Single(r => r.Name == "Score").AsTensor<float>(),
            [.. regression.Transform(View()).GetColumn<float>("Score").Select(s => new[] { s })]);
    }

    [Fact]
    public void It_runs_in_a_pipeline_through_ApplyOnnxModel()
    {
        using NeuralOdeClassificationTransformer model = Fixed();
        string file = Path.Combine(_folder, "model.onnx");
        model.SaveAsOnnx(file);
        Directory.GetFiles(_folder).Should().Equal(file);

        IDataView scored = _mlContext.Transforms.ApplyOnnxModel(["Score"], ["Features"], file).Fit(View()).Transform(View());

        float[][] expected = [.. Scored(model).GetColumn<float[]>("Score")];
        float[][] found = [.. scored.GetColumn<float[]>("Score")];
        for (int i = 0; i < expected.Length; i++)
            found[i].Zip(expected[i], (a, b) => Math.Abs(a - b)).Max().Should().BeLessThan(1e-5f);
    }

    [Fact]
    public void An_adaptive_model_is_refused_unless_a_step_size_is_given_and_then_comes_close()
    {
        using NeuralOdeClassificationTransformer model =
            _mlContext.MulticlassClassification.Trainers.NeuralOde(new NeuralOdeClassificationTrainer.Options
            {
                NumberOfEpochs = 3,
                EncoderLayers = [6],
                DynamicsLayers = [6],
            }).Fit(Keyed());
        Action without = () => model.SaveAsOnnx(Stream.Null);
        without.Should().Throw<NotSupportedException>().WithMessage("*'dopri5'*stepSize*");

        using InferenceSession session = Export(model, 0.1);
        using IDisposableReadOnlyCollection<DisposableNamedOnnxValue> results = Run(session);
        float[][] expected = [.. Scored(model).GetColumn<float[]>("Score")];
        float[] found = results.Single(r => r.Name == "Score").AsTensor<float>().ToArray();
        found.Zip(expected.Take(Rows).SelectMany(s => s), (a, b) => Math.Abs(a - b)).Max().Should().BeLessThan(1e-3f);
    }

    [Fact]
    public void What_cannot_be_exported_is_named()
    {
        using NeuralOdeClassificationTransformer stiff =
            _mlContext.MulticlassClassification.Trainers.NeuralOde(new NeuralOdeClassificationTrainer.Options
            {
                NumberOfEpochs = 1,
                BatchSize = 120,
                EncoderLayers = [3],
                DynamicsLayers = [3],
                Solver = OdeMethod.ImplicitMidpoint,
                StepSize = 0.5,
            }).Fit(Keyed());
        Action implicitMethod = () => stiff.SaveAsOnnx(Stream.Null);
        implicitMethod.Should().Throw<NotSupportedException>().WithMessage("*'implicit_midpoint'*explicit*");

        NeuralOdeClassificationTransformer model = Fixed();
        Action negative = () => model.SaveAsOnnx(Stream.Null, stepSize: -1);
        negative.Should().Throw<ArgumentOutOfRangeException>().WithMessage("*stepSize*");
        model.Dispose();
        Action disposed = () => model.SaveAsOnnx(Stream.Null);
        disposed.Should().Throw<ObjectDisposedException>();
    }

    private NeuralOdeClassificationTransformer Fixed() =>
        _mlContext.MulticlassClassification.Trainers.NeuralOde(new NeuralOdeClassificationTrainer.Options
        {
            NumberOfEpochs = 2,
            EncoderLayers = [6],
            DynamicsLayers = [6],
            Solver = OdeMethod.Rk4,
            StepSize = 0.1,
        }).Fit(Keyed());

    private static InferenceSession Export(NeuralOdeTransformer model, double? stepSize)
    {
        using var stream = new MemoryStream();
        model.SaveAsOnnx(stream, stepSize);
        return new InferenceSession(stream.ToArray());
    }

    private IDisposableReadOnlyCollection<DisposableNamedOnnxValue> Run(InferenceSession session) => session.Run(
        [NamedOnnxValue.CreateFromTensor(
            "Features", new DenseTensor<float>(_rows.Take(Rows).SelectMany(row => row.Features).ToArray(), [Rows, 4]))]);

    private static void Same(Tensor<float> found, float[][] expected)
    {
        float[] flat = [.. expected.Take(Rows).SelectMany(row => row)];
        found.Length.Should().Be(flat.Length);
        float scale = 1 + flat.Max(Math.Abs);
        found.ToArray().Zip(flat, (a, b) => Math.Abs(a - b)).Max().Should().BeLessThan(1e-5f * scale);
    }

    private IDataView View() => _mlContext.Data.LoadFromEnumerable(_rows);

    private IDataView Keyed() => _mlContext.Transforms.Conversion.MapValueToKey("Species")
        .Append(_mlContext.Transforms.CopyColumns("Label", "Species")).Fit(View()).Transform(View());

    private IDataView Scored(NeuralOdeClassificationTransformer model) => model.Transform(View());

    private sealed class Flower
    {
        [VectorType(4)]
        public float[] Features { get; set; } = [];

        public string Species { get; set; } = "";

        public bool IsLarge { get; set; }

        public float Size { get; set; }

        public static Flower[] Draw(int count)
        {
            var random = new Random(3);
            string[] species = ["setosa", "versicolor", "virginica"];
            return [.. Enumerable.Range(0, count).Select(i =>
            {
                float[] features = [.. Enumerable.Range(0, 4).Select(j => (float)(i % 3 + j + random.NextDouble()))];
                return new Flower { Features = features, Species = species[i % 3], IsLarge = i % 3 == 2, Size = 100 * features.Sum() };
            })];
        }
    }
}
