using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Networks;
using Microsoft.ML.NeuralOde.Persistence;
using Microsoft.ML.NeuralOde.Training;
using TorchSharp.Modules;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Series;

/// <summary>
/// From series to outputs: normalised series become paths, which drive an equation; of its states at the observations the last one and the
/// mean of what a layer makes of them become outputs <c>[rows, outputs]</c>.
/// </summary>
internal sealed class CdeNetwork : Module<SeriesRows, Tensor>, ITrainedNetwork, ILabelScale
{
    private readonly ControlledEquation _equation;
    private readonly Linear _features;
    private readonly Linear _head;
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
        solver ??= description.ScoringOptions();
        IReadOnlyList<long> hidden = [.. description.HiddenLayers.Select(size => (long)size)];
        _equation = description.EquationKind switch
        {
            NeuralCdeKind.Linear => new LinearCde(
                description.PathChannels, description.Width, description.BlockSize, description.Depth, description.Window),
            NeuralCdeKind.NonLinear => new NeuralCde(description.PathChannels, description.Width, hidden, options: solver),
            _ => throw new NotSupportedException(),
        };
        register_module("equation", _equation);
        _features = Linear(description.Width, description.Width);
        register_module("features", _features);
        _head = Linear(description.ReadoutSize, description.OutputCount);
        register_module("head", _head);
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

    /// <summary>The same as if the series ended at each of its observations, <c>[rows, length, outputs]</c>: what is known by then.</summary>
    /// <remarks>Only a causal path does not look ahead: then it is what <see cref="forward"/> says of the series up to there.</remarks>
    public Tensor ForwardAtObservations(SeriesGroupRows group)
    {
        using DisposeScope scope = NewDisposeScope();
        (Tensor states, Tensor _) = States(group);
        Tensor means = Features(states).cumsum(1) / Numbers.Range(states.size(1), ScalarType.Float32, Device).Plus(1).unsqueeze(1);
        return _head.call(cat([states, means], 2)).MoveToOuterDisposeScope();
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
        string equation = d.EquationKind == NeuralCdeKind.Linear
            ? $"dz = A z dX, {d.PathChannels} channels, width {d.Width}, blocks of {d.BlockSize}"
            : $"dz = F(z) dX, {d.PathChannels} channels, layers {string.Join(", ", [d.Width, .. d.HiddenLayers, d.Width * d.PathChannels])}";
        return new NeuralOdeModelSummary(
            [
                new NeuralOdeLayerSummary("path", $"{d.Path.ToLowerInvariant()}{(d.TimeChannel ? ", time" : "")}{(d.IntensityChannels ? ", intensities" : "")}", 0),
                new NeuralOdeLayerSummary("equation", equation, Count(_equation)),
                new NeuralOdeLayerSummary("features", $"linear {d.Width} to {d.Width}, GELU, mean over observations", Count(_features)),
                new NeuralOdeLayerSummary("head", $"linear {d.ReadoutSize} to {d.OutputCount}", Count(_head)),
            ],
            d.EquationKind == NeuralCdeKind.Linear ? "none" : d.Solver, d.RelativeTolerance, d.AbsoluteTolerance, d.StepSize, 1);

        static long Count(Module module) => module.parameters().Sum(parameter => parameter.numel());
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
        (Tensor states, Tensor counts) = States(group);
        Tensor places = Numbers.Range(states.size(1), ScalarType.Int64, Device).unsqueeze(0);
        Tensor isThere = places.lt(counts.unsqueeze(1)).unsqueeze(2).to(ScalarType.Float32);
        Tensor means = (Features(states) * isThere).sum(1) / counts.unsqueeze(1).to(ScalarType.Float32);
        Tensor last = states.gather(1, counts.Minus(1).reshape(-1, 1, 1).expand(-1, 1, states.size(2))).squeeze(1);
        return _head.call(cat([last, means], 1));
    }

    /// <summary>The states at the observations, or windows, of series, and how many of them each has.</summary>
    private (Tensor States, Tensor Counts) States(SeriesGroupRows group)
    {
        Tensor values = group.Values.to(Device), lengths = group.Lengths.to(Device);
        Tensor times = group.Times.to(Device).Over(_span);
        if (Description.IntensityChannels)
        {
            Tensor counts = values.isfinite().to(ScalarType.Float32).cumsum(1);
            values = cat([_input is null ? values : _input.Apply(values), counts.Over(counts.size(1))], 2);
        }
        else if (_input is not null)
            values = _input.Apply(values);
        using var series = new SeriesBatch(values, times, lengths);
        using ControlPath path = ControlPath.Create(series, Description.Interpolation, Description.TimeChannel);
        return Description.Window == 1
            ? (_equation.StatesAtObservations(path), lengths)
            : (_equation.StatesAtWindows(path), lengths);
    }

    private Tensor Features(Tensor states) => functional.gelu(_features.call(states));

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
