using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Persistence;
using Microsoft.ML.NeuralOde.Training;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Forecasting;

/// <summary>What is forecast of one series, in units of its window.</summary>
/// <param name="Means">The expected values.</param>
/// <param name="Deviations">The standard deviations of observations around them.</param>
internal sealed record WindowForecast(double[] Means, double[] Deviations);

/// <summary>A linear map of the last values, and a latent equation that forecasts what the map leaves.</summary>
internal sealed class ForecastNetwork : Module, ITrainedNetwork
{
    private const double LeastSpread = 1e-8;

    private readonly LatentOde _latent;

    /// <param name="description">Its structure.</param>
    /// <param name="linear">The linear map.</param>
    /// <param name="spread">The root mean square of what the map leaves, in units of windows.</param>
    public ForecastNetwork(ForecastDescription description, LinearForecast linear, double spread = 1)
        : base(nameof(ForecastNetwork))
    {
        // The network outlives whatever dispose scope it is made in.
        using DisposeScope scope = NewDisposeScope();
        Description = description;
        Linear = linear;
        Spread = (float)Math.Max(spread, LeastSpread);
        register_module("latent", _latent = description.Create());
        // torch's default device may be another one.
        if (parameters().Any(parameter => parameter.device_type != DeviceType.CPU))
            this.to(CPU);
        KeepState();
    }

    public ForecastDescription Description { get; }

    public LinearForecast Linear { get; private set; }

    public double Spread { get; private set; }

    /// <summary>How much of the latent equation's forecasts counts, from 0 to 1: as much as helped on windows that it was not trained
    /// on.</summary>
    public double Share { get; set; } = 1;

    public Device Device { get; private set; } = CPU;

    /// <summary>The loss of each row: series whose last observations are to be forecast.</summary>
    /// <param name="rows">The windows.</param>
    /// <param name="klWeight">The weight of the divergence.</param>
    /// <param name="seed">For the latent samples; null for fixed ones.</param>
    public Tensor Loss(SeriesRows rows, double klWeight, int? seed)
    {
        var contexts = new List<ContextView>();
        var targets = new List<(double Lead, double Value)[]>();
        foreach (ForecastWindow window in rows.Groups().SelectMany(Windows))
            if (window.Context(Description.ContextLength) is { } context && Left(window, context) is { Length: > 0 } left)
            {
                contexts.Add(context);
                targets.Add(left);
            }
        using SeriesBatch observed = Batch([.. contexts.Select(Observed)]), wanted = Batch([.. targets]);
        using Generator? generator = seed is { } number ? new Generator((ulong)number, Device) : null;
        Tensor? noise = generator is null ? null : _latent.DrawNoise(observed.Rows, generator);
        return _latent.Loss(observed, wanted, klWeight, noise);
    }

    /// <summary>What the latent equation says of what the map leaves at the steps ahead of each context, in units of the spread.</summary>
    public (double[] Means, double[] Deviations)[] Corrections(IReadOnlyList<ContextView> contexts)
    {
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        int leads = Description.Leads;
        using SeriesBatch observed = Batch([.. contexts.Select(Observed)]);
        double[] times = [.. Enumerable.Range(1, leads).Select(lead => Scaled(lead))];
        Tensor asked = tensor(times, [1, leads], device: Device).expand(contexts.Count, leads);
        using LatentForecast forecast = _latent.Forecast(observed, asked, Description.Samples);
        float[] means = ToArray(forecast.Mean), deviations = ToArray(forecast.StandardDeviation);
        return [.. contexts.Select((_, i) => (Row(means, i), Row(deviations, i)))];

        double[] Row(float[] all, int row) => [.. all.AsSpan(row * leads, leads).ToArray().Select(value => (double)value)];
    }

    /// <summary>Forecasts at the steps ahead of each context.</summary>
    public WindowForecast[] Forecast(IReadOnlyList<ContextView> contexts)
    {
        (double[] Means, double[] Deviations)[] corrections = Corrections(contexts);
        return [.. contexts.Select((context, i) =>
        {
            double[] linear = Linear.At(context);
            return new WindowForecast(
                [.. linear.Select((value, lead) => value + Share * Spread * corrections[i].Means[lead])],
                [.. corrections[i].Deviations.Select(deviation => Spread * deviation)]);
        })];
    }

    public void MoveTo(Device device)
    {
        if (device.type == Device.type && device.index == Device.index)
            return;
        Device = device;
        this.to(device);
        KeepState();
    }

    /// <summary>The parts in words.</summary>
    public NeuralOdeModelSummary Summarize()
    {
        ForecastDescription d = Description;
        return new NeuralOdeModelSummary(
            [
                new NeuralOdeLayerSummary("linear", $"{d.ContextLength} lags to {d.Leads} steps", (long)d.ContextLength * d.Leads),
                new NeuralOdeLayerSummary(
                    "latent", $"{d.Recognition} of {d.HiddenSize}, {d.Evolution} of {d.LatentSize}",
                    parameters().Sum(parameter => parameter.numel())),
            ],
            d.Solver, 0, 0, d.StepSize, 1);
    }

    /// <summary>Every weight and statistic by name.</summary>
    public IReadOnlyList<NamedArray> ToArrays() =>
    [
        .. NamedTensors.ToArrays(NamedTensors.Of(this)),
        new NamedArray(
            "linear", [Linear.Leads, Linear.ContextLength], [.. Linear.Weights.SelectMany(map => map).Select(weight => (float)weight)]),
        new NamedArray("units", [2], [(float)Spread, (float)Share]),
    ];

    /// <exception cref="InvalidDataException">The arrays are not those of this network.</exception>
    public void FromArrays(IReadOnlyList<NamedArray> arrays)
    {
        Dictionary<string, NamedArray> byName = arrays.ToDictionary(array => array.Name);
        int leads = Description.Leads, length = Description.ContextLength;
        if (!byName.TryGetValue("linear", out NamedArray? linear) || linear.Values.Length != leads * length)
            throw PayloadReader.Damaged("its linear map is missing or has another size");
        if (!byName.TryGetValue("units", out NamedArray? units) || units.Values is not [> 0 and <= float.MaxValue, >= 0 and <= 1])
            throw PayloadReader.Damaged("the units of its forecasts are missing or make no sense");
        Linear = new LinearForecast([.. linear.Values.Select(weight => (double)weight).Chunk(length)]);
        (Spread, Share) = (units.Values[0], units.Values[1]);
        NamedTensors.Fill(NamedTensors.Of(this), byName);
    }

    /// <summary>Rows of a batch as windows.</summary>
    private IEnumerable<ForecastWindow> Windows(SeriesGroupRows group)
    {
        using DisposeScope scope = NewDisposeScope();
        float[] values = ToArray(group.Values);
        double[] times = group.Times.cpu().contiguous().data<double>().ToArray();
        long[] lengths = group.Lengths.cpu().data<long>().ToArray();
        int longest = values.Length / lengths.Length;
        return [.. lengths.Select((length, row) =>
        {
            var series = new ObservedSeries("");
            for (int i = 0; i < length; i++)
                series.Add(times[row * longest + i], values[row * longest + i]);
            return new ForecastWindow(series, (int)length - Description.Leads);
        })];
    }

    /// <summary>What the linear map leaves of what came, in units of the spread.</summary>
    private (double Lead, double Value)[] Left(ForecastWindow window, ContextView context)
    {
        double[] linear = Linear.At(context);
        var left = new List<(double, double)>();
        for (int i = window.End; i < window.Series.Count; i++)
        {
            double lead = context.Lead(window.Series.Time(i));
            if (!float.IsNaN(window.Series.Value(i)))
                left.Add((lead, (context.Normalize(window.Series.Value(i)) - LinearForecast.Between(linear, lead)) / Spread));
        }
        return [.. left];
    }

    private static (double Lead, double Value)[] Observed(ContextView context) =>
        [.. Enumerable.Range(0, context.Length).Select(place => context[place])];

    /// <summary>Times in units in which a context takes 1.</summary>
    private double Scaled(double lead) => lead / Description.ContextLength;

    private SeriesBatch Batch((double Lead, double Value)[][] rows)
    {
        using DisposeScope scope = NewDisposeScope();
        int longest = rows.Max(row => row.Length);
        float[] values = new float[rows.Length * longest];
        double[] times = new double[rows.Length * longest];
        for (int row = 0; row < rows.Length; row++)
            for (int i = 0; i < rows[row].Length; i++)
                (times[row * longest + i], values[row * longest + i]) = (Scaled(rows[row][i].Lead), (float)rows[row][i].Value);
        return new SeriesBatch(
            tensor(values, [rows.Length, longest, 1], device: Device), tensor(times, [rows.Length, longest], device: Device),
            tensor([.. rows.Select(row => (long)row.Length)], device: Device));
    }

    private static float[] ToArray(Tensor values) => values.cpu().contiguous().data<float>().ToArray();

    /// <summary>Keeps weights and buffers from the dispose scope that they were made in.</summary>
    private void KeepState()
    {
        foreach ((string _, Tensor tensor) in NamedTensors.Of(this))
            tensor.DetachFromDisposeScope();
    }
}
