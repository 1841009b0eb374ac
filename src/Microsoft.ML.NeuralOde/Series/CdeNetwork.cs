using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Networks;
using Microsoft.ML.NeuralOde.Persistence;

namespace Microsoft.ML.NeuralOde.Series;

/// <summary>
/// From series to outputs <c>[rows, outputs]</c>: values and times are normalised, and a network of Core makes the outputs of series of
/// similar length together.
/// </summary>
internal sealed class CdeNetwork : SupervisedNetwork<SeriesRows>
{
    private const string Span = "span";

    private readonly SeriesNetwork _network;
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

    protected override IReadOnlyList<int> InputWidths => [Description.ChannelCount];

    protected override int OutputWidth => Description.OutputCount;

    /// <summary>Sets what times are divided by.</summary>
    public void NormalizeTimes(double span) => _span = span > 0 && (float)span > 0 && float.IsFinite((float)span) ? (float)span : 1;

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

    /// <summary>The layers in words.</summary>
    public NeuralOdeModelSummary Summarize()
    {
        CdeDescription d = Description;
        string path =
            $"{d.Path.ToLowerInvariant()}{(d.TimeChannel ? ", time" : "")}{(d.IntensityChannels ? ", counts" : "")}, {d.PathChannels} channels";
        string equation = d.IsLinear
            ? $"linear, {d.Layers} of width {d.Width} in blocks of {d.BlockSize}"
            : $"{d.Model}, layers {string.Join(", ", [d.Width, .. d.HiddenLayers, d.Width * d.PathChannels])}";
        return new NeuralOdeModelSummary(
            [
                new NeuralOdeLayerSummary("path", path, 0),
                new NeuralOdeLayerSummary(
                    "series", $"dz = F(z) dX, {equation}, to {d.OutputCount}", parameters().Sum(parameter => parameter.numel())),
            ],
            d.IsLinear ? "none" : d.Solver, d.RelativeTolerance, d.AbsoluteTolerance, d.StepSize, 1);
    }

    /// <inheritdoc/>
    public override IReadOnlyList<NamedArray> ToArrays() => [.. base.ToArrays(), new NamedArray(Span, [1], [_span])];

    /// <inheritdoc/>
    public override void FromArrays(IReadOnlyList<NamedArray> arrays)
    {
        if (arrays.FirstOrDefault(array => array.Name == Span)?.Values is not [> 0 and <= float.MaxValue and var span])
            throw PayloadReader.Damaged("what its times are divided by is missing");
        NormalizeTimes(span);
        base.FromArrays([.. arrays.Where(array => array.Name != Span)]);
    }

    private Tensor Forward(SeriesGroupRows group)
    {
        using SeriesBatch series = Normalized(group);
        return _network.call(series);
    }

    private SeriesBatch Normalized(SeriesGroupRows group) =>
        new(Normalized(group.Values.to(Device)), group.Times.to(Device).Over(_span), group.Lengths.to(Device));
}
