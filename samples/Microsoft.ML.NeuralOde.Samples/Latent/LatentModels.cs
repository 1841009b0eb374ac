using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Samples.Latent;

/// <summary>A network that is trained and judged.</summary>
internal interface ILatentModel : IDisposable
{
    string Name { get; }

    nn.Module Module { get; }

    /// <summary>One number a row.</summary>
    Tensor Loss(LatentBatch batch, double klWeight, Generator generator);

    /// <summary>Means and standard deviations, <c>[batch, n, channels]</c>.</summary>
    (Tensor Mean, Tensor Deviation) Predict(SeriesBatch given, Tensor times);
}

/// <summary>The latent ODE.</summary>
internal sealed class LatentOdeModel(LatentOdeOptions options) : ILatentModel
{
    private readonly LatentOde _model = new(options);

    public string Name => $"latent {(options.Evolution == LatentEvolution.Flow ? "flow" : "ODE")}";

    public nn.Module Module => _model;

    public Tensor Loss(LatentBatch batch, double klWeight, Generator generator) =>
        _model.Loss(batch.Given, batch.Asked, klWeight, _model.DrawNoise(batch.Given.Rows, generator));

    public (Tensor Mean, Tensor Deviation) Predict(SeriesBatch given, Tensor times)
    {
        LatentForecast forecast = _model.Forecast(given, times, 16);
        return (forecast.Mean, forecast.StandardDeviation);
    }

    public void Dispose() => _model.Dispose();
}

/// <summary>
/// The usual network beside it: one gated recurrent unit reads values, masks and gaps, a second goes on from its state along the asked
/// times, told the gaps between them.
/// </summary>
internal sealed class GruModel : nn.Module, ILatentModel
{
    private readonly TorchSharp.Modules.GRU _reader, _writer;
    private readonly TorchSharp.Modules.Linear _head;
    private readonly TorchSharp.Modules.Parameter _noise;

    public GruModel(int channels, long width)
        : base(nameof(GruModel))
    {
        _reader = nn.GRU((2 * channels) + 1, width, batchFirst: true);
        _writer = nn.GRU(1, width, batchFirst: true);
        _head = nn.Linear(width, channels);
        // In the unit of the latent ODE's, so that both come as far in a step.
        _noise = new TorchSharp.Modules.Parameter(full(channels, Math.Log(0.5) / 8));
        RegisterComponents();
    }

    public string Name => "GRU with gaps";

    public nn.Module Module => this;

    /// <summary>The width at which its weights are about so many.</summary>
    public static long WidthFor(int channels, long weights)
    {
        long width = 1;
        while (Weights(width + 1) <= weights)
            width++;
        return width;

        long Weights(long w) => (3 * w * ((2 * channels) + 1 + w + 2)) + (3 * w * (1 + w + 2)) + (channels * (w + 2));
    }

    public Tensor Loss(LatentBatch batch, double klWeight, Generator generator)
    {
        Tensor isAsked = batch.Asked.Values.isnan().logical_not();
        isAsked = isAsked.logical_and(arange(batch.Asked.Longest)
            .unsqueeze(0).lt(tensor(batch.Asked.Lengths.ToArray()).unsqueeze(1)).unsqueeze(2));
        (Tensor mean, Tensor deviation) = Predict(batch.Given, batch.Asked.Times);
        Tensor error = (where(isAsked, batch.Asked.Values, zeros_like(mean)) - mean) / deviation;
        Tensor loss = (((error * error * 0.5) + deviation.log() + (0.5 * Math.Log(2 * Math.PI))) * isAsked.to(mean.dtype)).sum([1L, 2L]);
        return loss / isAsked.sum([1L, 2L]).to(mean.dtype);
    }

    public (Tensor Mean, Tensor Deviation) Predict(SeriesBatch given, Tensor times)
    {
        Tensor isGiven = given.Values.isnan().logical_not().to(ScalarType.Float32);
        Tensor last = tensor(given.Lengths.Select(length => length - 1).ToArray()).reshape(-1, 1, 1);
        Tensor gaps = given.Times.diff(1, 1, zeros_like(given.Times.narrow(1, 0, 1)) + given.Times.narrow(1, 0, 1))
            .to(ScalarType.Float32).unsqueeze(2);
        Tensor read = _reader.call(cat([given.Values.nan_to_num(0), isGiven, gaps], 2)).Item1;
        Tensor state = read.gather(1, last.expand(read.size(0), 1, read.size(2))).transpose(0, 1).contiguous();
        Tensor ahead = times.diff(1, 1, given.Times.narrow(1, given.Longest - 1, 1)).to(ScalarType.Float32).unsqueeze(2);
        Tensor mean = _head.call(_writer.call(ahead, state).Item1);
        return (mean, ((_noise * 8).exp() + 1e-3).expand(mean.shape));
    }
}
