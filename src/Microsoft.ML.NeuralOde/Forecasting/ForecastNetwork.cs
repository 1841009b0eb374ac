using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Persistence;
using Microsoft.ML.NeuralOde.Training;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Forecasting;

/// <summary>What is forecast of one series, in units of its window; a step's channels stand behind those of the step before.</summary>
/// <param name="Means">The expected values; NaN where an exogenous value is not known.</param>
/// <param name="Deviations">The standard deviations of observations around them.</param>
internal sealed record WindowForecast(double[] Means, double[] Deviations);

/// <summary>A linear map of the last values, and a latent equation that forecasts what the map leaves.</summary>
internal sealed class ForecastNetwork : Module, ITrainedNetwork
{
    private const double LeastSpread = 1e-8;

    private readonly LatentOde _latent;

    /// <param name="description">Its structure.</param>
    /// <param name="linear">The linear map.</param>
    /// <param name="spreads">The root mean square of what the map leaves of each channel, in units of windows; null for 1.</param>
    public ForecastNetwork(ForecastDescription description, LinearForecast linear, IReadOnlyList<double>? spreads = null)
        : base(nameof(ForecastNetwork))
    {
        // The network outlives whatever dispose scope it is made in.
        using DisposeScope scope = NewDisposeScope();
        Description = description;
        Linear = linear;
        Spreads = [.. Enumerable.Range(0, description.Channels)
            .Select(channel => (double)(float)Math.Max(spreads?[channel] ?? 1, LeastSpread))];
        Shares = [.. Enumerable.Repeat(1.0, description.Channels)];
        register_module("latent", _latent = description.Create());
        // torch's default device may be another one.
        if (parameters().Any(parameter => parameter.device_type != DeviceType.CPU))
            this.to(CPU);
        KeepState();
    }

    public ForecastDescription Description { get; }

    public LinearForecast Linear { get; private set; }

    /// <summary>The root mean square of what the map leaves, of each channel.</summary>
    public double[] Spreads { get; private set; }

    /// <summary>How much of the latent equation's forecasts of each channel counts, from 0 to 1: as much as helped on windows that it was
    /// not trained on.</summary>
    public double[] Shares { get; set; }

    public Device Device { get; private set; } = CPU;

    /// <summary>The loss of each row: series whose last observations are to be forecast.</summary>
    /// <param name="rows">The windows.</param>
    /// <param name="klWeight">The weight of the divergence.</param>
    /// <param name="seed">For the latent samples; null for fixed ones.</param>
    public Tensor Loss(SeriesRows rows, double klWeight, int? seed)
    {
        var contexts = new List<ContextView>();
        var targets = new List<(double Lead, double[] Values)[]>();
        foreach (ForecastWindow window in rows.Groups().SelectMany(Windows))
            if (window.Context(Description.ContextLength) is { } context && Left(window, context) is { Length: > 0 } left)
            {
                contexts.Add(context);
                targets.Add(left);
            }
        using SeriesBatch observed = Batch([.. contexts.Select(Observed)]), wanted = Batch([.. targets]);
        using ControlPath? path = Path(contexts);
        using Generator? generator = seed is { } number ? new Generator((ulong)number, Device) : null;
        Tensor? noise = generator is null ? null : _latent.DrawNoise(observed.Rows, generator);
        return _latent.Loss(observed, wanted, klWeight, noise, covariates: path);
    }

    /// <summary>What the latent equation says of what the map leaves at the steps ahead of each channel's end, in units of the
    /// spreads.</summary>
    public (double[] Means, double[] Deviations)[] Corrections(IReadOnlyList<ContextView> contexts)
    {
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        int leads = Description.Leads, size = leads * Description.Channels;
        using SeriesBatch observed = Batch([.. contexts.Select(Observed)]);
        using ControlPath? path = Path(contexts);
        double[] times = [.. Enumerable.Range(1, leads).Select(lead => Scaled(lead))];
        Tensor asked = tensor(times, [1, leads], device: Device).expand(contexts.Count, leads);
        using LatentForecast forecast = _latent.Forecast(observed, asked, Description.Samples, covariates: path);
        float[] means = ToArray(forecast.Mean), deviations = ToArray(forecast.StandardDeviation);
        return [.. contexts.Select((_, i) => (Row(means, i), Row(deviations, i)))];

        // The equation counts from the last value of any channel, and says nothing of what lies before.
        double[] Row(float[] all, int row)
        {
            double[] said = [.. all.AsSpan(row * size, size).ToArray().Select(value => (double)value)];
            ContextView context = contexts[row];
            return Enumerable.Range(0, Description.Channels).All(channel => context.EndOf(channel) == context.End) ? said
                : [.. Enumerable.Range(0, size)
                    .Select(place => Later(said, place / Description.Channels, place % Description.Channels, context))];
        }

        double Later(double[] said, int lead, int channel, ContextView context) => LinearForecast.Between(
            said, Math.Max(lead + 1 - context.Lead(context.End, channel), 0), channel, Description.Channels);
    }

    /// <summary>Forecasts at the steps ahead of each context.</summary>
    public WindowForecast[] Forecast(IReadOnlyList<ContextView> contexts)
    {
        (double[] Means, double[] Deviations)[] corrections = Corrections(contexts);
        return [.. contexts.Select((context, i) =>
        {
            double[] linear = Linear.At(context);
            return new WindowForecast(
                [.. linear.Select(
                    (value, place) => value + Shares[Channel(place)] * Spreads[Channel(place)] * corrections[i].Means[place])],
                [.. corrections[i].Deviations.Select((deviation, place) => Spreads[Channel(place)] * deviation)]);
        })];

        int Channel(int place) => place % Description.Channels;
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
                new NeuralOdeLayerSummary("linear", Linear(d), (long)d.Linear.Features * d.Leads * d.Channels),
                new NeuralOdeLayerSummary(
                    "latent", $"{d.Recognition} of {d.HiddenSize}, {d.Evolution} of {d.LatentSize}",
                    parameters().Sum(parameter => parameter.numel())),
            ],
            d.Solver, 0, 0, d.StepSize, 1);

        static string Linear(ForecastDescription d) => $"{d.ContextLength} lags{(d.Channels > 1 ? $" of {d.Channels} channels" : "")}"
            + $"{(d.Exogenous > 0 ? $" and {d.Exogenous} exogenous" : "")} to {d.Leads} steps";
    }

    /// <summary>Every weight and statistic by name.</summary>
    public IReadOnlyList<NamedArray> ToArrays() =>
    [
        .. NamedTensors.ToArrays(NamedTensors.Of(this)),
        new NamedArray(
            "linear", [Linear.Weights.Length, Linear.Shape.Features],
            [.. Linear.Weights.SelectMany(map => map).Select(weight => (float)weight)]),
        new NamedArray("units", [2 * Description.Channels], [.. Spreads.Concat(Shares).Select(unit => (float)unit)]),
        .. Description.Exogenous == 0 ? [] : (NamedArray[])
        [
            Array("exogenous.means", Linear.Units.Means),
            Array("exogenous.deviations", Linear.Units.Deviations),
            Array("exogenous.scales", Linear.Units.Scales),
        ],
    ];

    /// <exception cref="InvalidDataException">The arrays are not those of this network.</exception>
    public void FromArrays(IReadOnlyList<NamedArray> arrays)
    {
        Dictionary<string, NamedArray> byName = arrays.ToDictionary(array => array.Name);
        LinearShape shape = Description.Linear;
        int channels = shape.Channels;
        if (!byName.TryGetValue("linear", out NamedArray? linear) || linear.Values.Length != shape.Leads * channels * shape.Features)
            throw PayloadReader.Damaged("its linear map is missing or has another size");
        if (!byName.TryGetValue("units", out NamedArray? units) || units.Values.Length != 2 * channels
            || !System.Array.TrueForAll(units.Values[..channels], spread => spread is > 0 and <= float.MaxValue)
            || !System.Array.TrueForAll(units.Values[channels..], share => share is >= 0 and <= 1))
            throw PayloadReader.Damaged("the units of its forecasts are missing or make no sense");
        ExogenousUnits exogenous = shape.Exogenous == 0 ? ExogenousUnits.None(channels) : new ExogenousUnits(
            Numbers("exogenous.means", shape.Exogenous, float.IsFinite),
            Numbers("exogenous.deviations", shape.Exogenous, value => value is > 0 and <= float.MaxValue),
            Numbers("exogenous.scales", channels, value => value is >= 0 and <= float.MaxValue));
        Linear = new LinearForecast(shape, [.. linear.Values.Select(weight => (double)weight).Chunk(shape.Features)], exogenous);
        Spreads = [.. units.Values.Take(channels).Select(unit => (double)unit)];
        Shares = [.. units.Values.Skip(channels).Select(unit => (double)unit)];
        NamedTensors.Fill(NamedTensors.Of(this), byName);

        double[] Numbers(string name, int count, Predicate<float> suits) =>
            byName.TryGetValue(name, out NamedArray? array) && array.Values.Length == count && System.Array.TrueForAll(array.Values, suits)
                ? [.. array.Values.Select(value => (double)value)]
                : throw PayloadReader.Damaged($"'{name}' is missing or makes no sense");
    }

    /// <summary>Rows of a batch as windows.</summary>
    private IEnumerable<ForecastWindow> Windows(SeriesGroupRows group)
    {
        using DisposeScope scope = NewDisposeScope();
        float[] values = ToArray(group.Values);
        double[] times = group.Times.cpu().contiguous().data<double>().ToArray();
        long[] lengths = group.Lengths.cpu().data<long>().ToArray();
        int longest = times.Length / lengths.Length, channels = Description.Channels, width = channels + Description.Exogenous;
        return [.. lengths.Select((length, row) =>
        {
            ExogenousTrack? exogenous = Description.Exogenous == 0 ? null : new ExogenousTrack(new string[Description.Exogenous]);
            var series = new ObservedSeries("", channels, exogenous);
            for (int i = 0; i < length; i++)
            {
                ReadOnlySpan<float> all = values.AsSpan((row * longest + i) * width, width);
                series.Add(times[row * longest + i], all[..channels]);
                exogenous?.Set(times[row * longest + i], all[channels..]);
            }
            return new ForecastWindow(series, (int)length - Description.Leads);
        })];
    }

    /// <summary>What the linear map leaves of what came, in units of the spreads.</summary>
    private (double Lead, double[] Values)[] Left(ForecastWindow window, ContextView context)
    {
        double[] linear = Linear.At(context);
        int channels = Description.Channels;
        var left = new List<(double, double[])>();
        for (int i = window.End; i < window.Series.Count; i++)
        {
            double time = window.Series.Time(i);
            double[] values = [.. Enumerable.Range(0, channels).Select(channel =>
                (context.Normalize(window.Series.Value(i, channel), channel) - LinearForecast.Between(
                    linear, Math.Min(context.Lead(time, channel), Description.Leads), channel, channels)) / Spreads[channel])];
            if (!System.Array.TrueForAll(values, double.IsNaN))
                left.Add((context.Lead(time), values));
        }
        return [.. left];
    }

    private static (double Lead, double[] Values)[] Observed(ContextView context) =>
        [.. Enumerable.Range(0, context.Length).Select(place => context[place])];

    /// <summary>The exogenous values in front of the end and behind it; null where there are none. The last known ones stay, and what is
    /// forecast behind them is not used.</summary>
    private ControlPath? Path(IReadOnlyList<ContextView> contexts)
    {
        int columns = Description.Exogenous;
        if (columns == 0)
            return null;
        int first = 1 - Description.ContextLength, knots = Description.Leads - first + 1;
        float[] values = new float[contexts.Count * knots * columns];
        for (int row = 0; row < contexts.Count; row++)
            for (int k = 0; k < knots; k++)
                for (int column = 0; column < columns; column++)
                {
                    int place = (row * knots + k) * columns + column;
                    double value = Linear.Units.Normalize(contexts[row].Exogenous(column, first + k), column);
                    values[place] = double.IsNaN(value) ? k == 0 ? 0 : values[place - columns] : (float)value;
                }
        double[] grid = [.. Enumerable.Range(first, knots).Select(lead => Scaled(lead))];
        using Tensor times = tensor(
            [.. Enumerable.Repeat(grid, contexts.Count).SelectMany(row => row)], [contexts.Count, knots], device: Device);
        using Tensor known = tensor(values, [contexts.Count, knots, columns], device: Device);
        using var series = new SeriesBatch(known, times);
        return ControlPath.Linear(series, time: false);
    }

    /// <summary>Times in units in which a context takes 1.</summary>
    private double Scaled(double lead) => lead / Description.ContextLength;

    private SeriesBatch Batch((double Lead, double[] Values)[][] rows)
    {
        using DisposeScope scope = NewDisposeScope();
        int longest = rows.Max(row => row.Length), channels = Description.Channels;
        float[] values = new float[rows.Length * longest * channels];
        double[] times = new double[rows.Length * longest];
        for (int row = 0; row < rows.Length; row++)
            for (int i = 0; i < rows[row].Length; i++)
            {
                times[row * longest + i] = Scaled(rows[row][i].Lead);
                for (int channel = 0; channel < channels; channel++)
                    values[(row * longest + i) * channels + channel] = (float)rows[row][i].Values[channel];
            }
        return new SeriesBatch(
            tensor(values, [rows.Length, longest, channels], device: Device), tensor(times, [rows.Length, longest], device: Device),
            tensor([.. rows.Select(row => (long)row.Length)], device: Device));
    }

    private static NamedArray Array(string name, double[] values) => new(name, [values.Length], [.. values.Select(value => (float)value)]);

    private static float[] ToArray(Tensor values) => values.cpu().contiguous().data<float>().ToArray();

    /// <summary>Keeps weights and buffers from the dispose scope that they were made in.</summary>
    private void KeepState()
    {
        foreach ((string _, Tensor tensor) in NamedTensors.Of(this))
            tensor.DetachFromDisposeScope();
    }
}
