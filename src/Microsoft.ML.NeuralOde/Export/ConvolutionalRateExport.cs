namespace Microsoft.ML.NeuralOde.Export;

/// <summary>
/// <see cref="ConvolutionalDynamics"/> on images of one size: twice group normalisation, activation and convolution, and a normalisation at
/// the end.
/// </summary>
internal sealed class ConvolutionalRateExport : RateExport
{
    private const int Convolutions = 2;

    private readonly ConvolutionalDynamics _dynamics;
    private readonly (string Scale, string Bias)[] _norms;
    private readonly (string Weight, string Bias)[] _convolutions;
    private readonly string[] _timeImages;
    private readonly GroupNormalizationExport _normalization;

    public ConvolutionalRateExport(OperatorGraph graph, ConvolutionalDynamics dynamics, long height, long width)
    {
        if (dynamics.ConvolutionType is { } type and not (ScalarType.Float32 or ScalarType.Float64))
            throw new NotSupportedException($"The convolutions are computed in {type}; export dynamics whose convolutionType is null.");
        _dynamics = dynamics;
        long channels = dynamics.Channels;
        _norms = [.. Enumerable.Range(0, Convolutions + 1)
            .Select(i => (PerChannel(graph, dynamics, $"norm_weight{i}"), PerChannel(graph, dynamics, $"norm_bias{i}")))];
        _convolutions =
            [.. Enumerable.Range(0, Convolutions).Select(i => (Write(graph, dynamics, $"weight{i}"), Write(graph, dynamics, $"bias{i}")))];
        _normalization = new GroupNormalizationExport(graph, channels, dynamics.Groups, height, width);
        _timeImages = dynamics.Time switch
        {
            TimeDependence.Concatenate => [.. Enumerable.Range(0, Convolutions).Select(i => TimeImage(graph, dynamics, i, height, width))],
            TimeDependence.Add => [PerChannel(graph, dynamics, "time_weight")],
            _ => [],
        };
        Shapes = [[Batch, $"{channels}", $"{height}", $"{width}"]];
    }

    public override IReadOnlyList<string[]> Shapes { get; }

    public override bool UsesTime => _dynamics.Time != TimeDependence.None;

    public override string[] Evaluate(OperatorGraph graph, string[] state, string? time)
    {
        string x = state[0];
        for (int i = 0; i < Convolutions; i++)
        {
            x = Activate(graph, _dynamics.Activation, Normalize(graph, i, x));
            (string weight, string bias) = _convolutions[i];
            x = graph.Add("Conv", [x, weight, bias], null, OperatorGraph.Attribute("pads", 1, 1, 1, 1));
            if (_dynamics.Time == TimeDependence.Concatenate)
                x = graph.Add("Add", [x, graph.Add("Mul", [_timeImages[i], time!])]);
        }
        x = Normalize(graph, Convolutions, x);
        return [_dynamics.Time == TimeDependence.Add ? graph.Add("Add", [x, graph.Add("Mul", [_timeImages[0], time!])]) : x];
    }

    private string Normalize(OperatorGraph graph, int i, string x) => _normalization.Write(graph, x, _norms[i].Scale, _norms[i].Bias);

    /// <summary>What a channel that is 1 everywhere adds to a convolution; it differs at the borders only.</summary>
    private static string TimeImage(OperatorGraph graph, ConvolutionalDynamics dynamics, int i, long height, long width)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor weight = dynamics.get_parameter($"time_weight{i}")!.detach().cpu();
        Tensor channel = ones([1, 1, height, width], weight.dtype, CPU);
        Tensor image = nn.functional.conv2d(channel, weight, padding: [1, 1]);
        return GraphTensors.Write(graph, $"time_image{i}", image);
    }

    private static string Write(OperatorGraph graph, ConvolutionalDynamics dynamics, string name) =>
        GraphTensors.Write(graph, name, dynamics.get_parameter(name)!);

    private static string PerChannel(OperatorGraph graph, ConvolutionalDynamics dynamics, string name) =>
        GroupNormalizationExport.PerChannel(graph, name, dynamics.get_parameter(name)!);
}
