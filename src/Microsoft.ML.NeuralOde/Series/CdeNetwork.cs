using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Networks;
using Microsoft.ML.NeuralOde.Persistence;
using Microsoft.ML.NeuralOde.Training;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Series;

/// <summary>
/// From series to outputs <c>[rows, outputs]</c>: values and times are normalised, and a network of Core makes the outputs of series of
/// similar length together.
/// </summary>
internal sealed class CdeNetwork : Module<SeriesRows, Tensor>, ITrainedNetwork, ILabelScale
{
    private readonly SeriesNetwork _network;
    private Affine? _input;
    private Affine? _output;
    private float _span = 1;

    /// <summary>A network with random weights.</summary>
    /// <param name="description">Its structure.</param>
    /// <param name="solver">How an equation that is not linear is solved; null for the way of the fitted model.</param>
    public CdeNetwork(CdeDescription description, OdeSolverOptions? solver = null)
        : base(nameof(CdeNetwork))
    {
        // The network outlives whatever dispose scope it is made in.
        using DisposeScope scope = NewDisposeScope();
        Description = description;
        _network = description.Create(solver ?? description.ScoringOptions());
        register_module("series", _network);
        // torch's default device may be another one.
        if (parameters().Any(parameter => parameter.device_type != DeviceType.CPU))
            this.to(CPU);
        KeepState();
    }

    public CdeDescription Description { get; }

    public Device Device { get; private set; } = CPU;

    /// <summary>Sets what values are normalised with, and what times are divided by.</summary>
    public void NormalizeInput((float[] Mean, float[] Scale)? statistics, double span)
    {
        if (statistics is { } values)
        {
            _input?.Dispose();
            _input = new Affine(values);
        }
        _span = span > 0 && (float)span > 0 && float.IsFinite((float)span) ? (float)span : 1;
    }

    public void NormalizeOutput((float[] Mean, float[] Scale) statistics)
    {
        _output?.Dispose();
        _output = new Affine(statistics);
    }

    public Tensor ToOutputs(Tensor labels) => _output is null ? labels : _output.Apply(labels);

    public Tensor FromOutputs(Tensor outputs) => _output is null ? outputs : _output.Invert(outputs);

    /// <summary>Outputs before they are turned into units of the label, in the order of the rows.</summary>
    public override Tensor forward(SeriesRows rows)
    {
        using DisposeScope scope = NewDisposeScope();
        var outputs = new List<Tensor>();
        var places = new List<long>();
        foreach (SeriesGroupRows group in rows.Groups())
        {
            outputs.Add(Forward(group));
            places.AddRange(group.Places);
        }
        Tensor all = outputs.Count == 1 ? outputs[0] : cat(outputs, 0);
        long[] order = new long[places.Count];
        for (int i = 0; i < order.Length; i++)
            order[places[i]] = i;
        return all.index_select(0, tensor(order, device: Device)).MoveToOuterDisposeScope();
    }

    /// <summary>The outputs for series up to each of their observations, <c>[rows, length, outputs]</c>.</summary>
    /// <inheritdoc cref="SeriesNetwork.AtObservations"/>
    public Tensor AtObservations(SeriesGroupRows group)
    {
        using DisposeScope scope = NewDisposeScope();
        using SeriesBatch series = Normalized(group);
        return _network.AtObservations(series).MoveToOuterDisposeScope();
    }

    /// <summary>Moves weights and statistics to a device.</summary>
    public void MoveTo(Device device)
    {
        if (device.type == Device.type && device.index == Device.index)
            return;
        Device = device;
        this.to(device);
        KeepState();
        _input?.MoveTo(device);
        _output?.MoveTo(device);
    }

    /// <summary>The layers in words.</summary>
    public NeuralOdeModelSummary Summarize()
    {
        CdeDescription d = Description;
        string path = $"{d.Path.ToLowerInvariant()}{(d.TimeChannel ? ", time" : "")}{(d.IntensityChannels ? ", counts" : "")}, {d.PathChannels} channels";
        string equation = d.IsLinear
            ? $"linear, {d.Layers} of width {d.Width} in blocks of {d.BlockSize}"
            : $"{d.Model}, layers {string.Join(", ", [d.Width, .. d.HiddenLayers, d.Width * d.PathChannels])}";
        return new NeuralOdeModelSummary(
            [
                new NeuralOdeLayerSummary("path", path, 0),
                new NeuralOdeLayerSummary("series", $"dz = F(z) dX, {equation}, to {d.OutputCount}", parameters().Sum(parameter => parameter.numel())),
            ],
            d.IsLinear ? "none" : d.Solver, d.RelativeTolerance, d.AbsoluteTolerance, d.StepSize, 1);
    }

    /// <summary>Every weight and statistic by name.</summary>
    public IReadOnlyList<NamedArray> ToArrays() => [.. NamedTensors.ToArrays(Named()), new NamedArray("span", [1], [_span])];

    /// <summary>Takes over the weights and statistics of another network of the same structure.</summary>
    public void CopyFrom(CdeNetwork other) => FromArrays(other.ToArrays());

    /// <exception cref="InvalidDataException">The arrays are not those of this network.</exception>
    public void FromArrays(IReadOnlyList<NamedArray> arrays)
    {
        Dictionary<string, NamedArray> byName = arrays.ToDictionary(array => array.Name);
        if (!byName.Remove("span", out NamedArray? span) || span.Values is not [> 0 and <= float.MaxValue])
            throw PayloadReader.Damaged("what its times are divided by is missing");
        NormalizeInput(Statistics("mean", "scale", Description.ChannelCount), span.Values[0]);
        if (Statistics("output_mean", "output_scale", Description.OutputCount) is { } output)
            NormalizeOutput(output);
        NamedTensors.Fill(Named(), byName);
        HashSet<string> known = [.. Named().Select(pair => pair.Name)];
        if (byName.Keys.FirstOrDefault(name => !known.Contains(name)) is { } left)
            throw PayloadReader.Damaged($"the weights '{left}' belong to no part of it");

        (float[] Mean, float[] Scale)? Statistics(string meanName, string scaleName, int length)
        {
            if (!byName.TryGetValue(meanName, out NamedArray? mean) || !byName.TryGetValue(scaleName, out NamedArray? scale))
                return null;
            return mean.Values.Length == length && scale.Values.Length == length
                ? (mean.Values, scale.Values)
                : throw PayloadReader.Damaged($"'{meanName}' and '{scaleName}' have {mean.Values.Length} and {scale.Values.Length} numbers");
        }
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _input?.Dispose();
            _output?.Dispose();
        }
        base.Dispose(disposing);
    }

    private Tensor Forward(SeriesGroupRows group)
    {
        using SeriesBatch series = Normalized(group);
        return _network.call(series);
    }

    private SeriesBatch Normalized(SeriesGroupRows group)
    {
        Tensor values = group.Values.to(Device);
        return new SeriesBatch(_input is null ? values : _input.Apply(values), group.Times.to(Device).Over(_span), group.Lengths.to(Device));
    }

    private IEnumerable<(string Name, Tensor Tensor)> Named()
    {
        foreach ((string name, Tensor tensor) in NamedTensors.Of(this))
            yield return (name, tensor);
        if (_input is not null)
        {
            yield return ("mean", _input.Mean);
            yield return ("scale", _input.Scale);
        }
        if (_output is not null)
        {
            yield return ("output_mean", _output.Mean);
            yield return ("output_scale", _output.Scale);
        }
    }

    /// <summary>Keeps weights and buffers from the dispose scope that they were made in.</summary>
    private void KeepState()
    {
        foreach ((string _, Tensor tensor) in NamedTensors.Of(this))
            tensor.DetachFromDisposeScope();
    }
}
