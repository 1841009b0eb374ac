using Microsoft.ML.Data;
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
}
