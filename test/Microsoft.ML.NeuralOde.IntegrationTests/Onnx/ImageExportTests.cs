using Microsoft.ML.Data;
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Onnx;

/// <summary>Exported networks for images, scored by ONNX Runtime, against the models they come from.</summary>
public sealed class ImageExportTests
{
    private const int Rows = 12, Numbers = 3 * 9 * 11;

    private readonly MLContext _mlContext = new(1);

    [Theory]
    [InlineData(ConvolutionalBlock.Ode, 0.5, 0, 0, false)]
    [InlineData(ConvolutionalBlock.Ode, 0.05, 0, 0, false)]
    [InlineData(ConvolutionalBlock.Ode, 0.5, 0, 3, false)]
    [InlineData(ConvolutionalBlock.Ode, 0.05, 0, 2, true)]
    [InlineData(ConvolutionalBlock.Residual, null, 2, 0, false)]
    [InlineData(ConvolutionalBlock.Residual, null, 2, 2, true)]
    [InlineData(ConvolutionalBlock.SharedResidual, null, 3, 0, false)]
    [InlineData(ConvolutionalBlock.SharedResidual, null, 12, 0, false)]
    [InlineData(ConvolutionalBlock.None, null, 0, 0, false)]
    public void A_network_of_any_block_scores_the_same(ConvolutionalBlock block, double? step, int layers, int augmented, bool learns)
    {
        IDataView data = View();
        using NeuralOdeClassificationTransformer model =
            _mlContext.MulticlassClassification.Trainers.NeuralOde(new NeuralOdeClassificationTrainer.Options
            {
                Network = new ConvolutionalNetwork
                {
                    Channels = 4,
                    Block = block,
                    ResidualLayers = Math.Max(1, layers),
                    Image = new ImageShape(3, 9, 11)
                },
                AugmentedDimensions = augmented,
                LearnAugmentation = learns,
                NumberOfEpochs = 2,
                BatchSize = 4,
                Solver = OdeMethod.Rk4,
                StepSize = step,
                Seed = 1,
            }).Fit(data);
        using var stream = new MemoryStream();
        model.SaveAsOnnx(stream);

        using var session = new InferenceSession(stream.ToArray());
        using IDisposableReadOnlyCollection<DisposableNamedOnnxValue> results = session.Run(
            [NamedOnnxValue.CreateFromTensor("Features",
                new DenseTensor<float>(data.GetColumn<float[]>("Features").SelectMany(row => row).ToArray(), [Rows, Numbers]))]);

        float[] expected = [.. model.Transform(data).GetColumn<float[]>("Score").SelectMany(score => score)];
        results.Single(r => r.Name == "Score")
            .AsTensor<float>().ToArray().Zip(expected, (a, b) => Math.Abs(a - b)).Max().Should().BeLessThan(1e-5f);
    }

    private IDataView View()
    {
        var random = new Random(2);
        return _mlContext.Transforms.Conversion.MapValueToKey("Label").Fit(Load()).Transform(Load());

        IDataView Load() => _mlContext.Data.LoadFromEnumerable(Enumerable.Range(0, Rows).Select(i => new Row
        {
            Label = i % 3,
            Features = [.. Enumerable.Range(0, Numbers).Select(k => (float)random.NextDouble() + (k / 11 % 3 == i % 3 ? 1 : 0))],
        }).ToList());
    }

    private sealed class Row
    {
        public int Label { get; set; }

        [VectorType(Numbers)]
        public float[] Features { get; set; } = [];
    }
}
