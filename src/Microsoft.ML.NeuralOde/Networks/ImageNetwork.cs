using Microsoft.ML.NeuralOde.Export;
using TorchSharp.Modules;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Networks;

/// <summary>Convolutions that make an image smaller, a block that keeps its size, and a head over the means of its channels.</summary>
internal sealed class ImageNetwork : NeuralOdeNetwork
{
    internal const double Epsilon = 1e-5;

    /// <summary>
    /// Rows that go through the convolutions together where no graph is recorded: their images are much larger than the states.
    /// </summary>
    private const int EncodedTogether = 64;

    /// <summary>Rows that are scored together.</summary>
    private const int ScoredTogether = 256;

    private readonly ConvolutionalDescription _description;
    private readonly Conv2d[] _convolutions;
    private readonly GroupNorm[] _norms;
    private readonly StateAugmentation? _augmentation;
    private readonly OdeBlock[] _blocks;
    private readonly GroupNorm _headNorm;
    private readonly Linear _head;
    private ImageScorer? _scorer;

    /// <summary>A network with random weights.</summary>
    public ImageNetwork(ConvolutionalDescription description)
        : base(description)
    {
        // The network outlives whatever dispose scope it is made in.
        using DisposeScope scope = NewDisposeScope();
        _description = description;
        ScoringOptions = description.ScoringOptions();
        int channels = description.Channels;
        long groups = ConvolutionalDynamics.DefaultGroups(channels);
        _convolutions =
        [
            Conv2d(description.Image.Channels, channels, ConvolutionalDescription.FirstKernel),
            Halving(channels),
            Halving(channels),
        ];
        _norms = [.. _convolutions.SkipLast(1).Select(_ => Norm(channels, groups))];
        for (int i = 0; i < _convolutions.Length; i++)
        {
            register_module($"encoder{i}", _convolutions[i]);
            if (i < _norms.Length)
                register_module($"norm{i}", _norms[i]);
        }
        _augmentation = description.CreateAugmentation();
        if (_augmentation is not null)
            register_module("augmentation", _augmentation);
        _blocks = Blocks(description);
        for (int i = 0; i < _blocks.Length; i++)
            register_module(description.BlockKind == ConvolutionalBlock.Residual ? $"block{i}" : "ode", _blocks[i]);
        _headNorm = Norm(description.StateChannels, description.StateGroups);
        register_module("head_norm", _headNorm);
        _head = Linear(description.StateChannels, description.OutputCount);
        register_module("head", _head);
        // torch's default device may be another one.
        if (parameters().Any(parameter => parameter.device_type != DeviceType.CPU))
            this.to(CPU);
        KeepState();
    }

    /// <summary>The equation, or the first of the layers in its place.</summary>
    public override OdeBlock Block => _blocks.Length > 0 ? _blocks[0] : throw new InvalidOperationException("The network has no block.");

    protected override OdeSolverOptions ScoringOptions { get; }

    public override Tensor forward(Tensor features)
    {
        if (is_grad_enabled() || features.size(0) == 0)
            return base.forward(features);
        using DisposeScope scope = NewDisposeScope();
        return cat(features.split(ScoredTogether).Select(rows => _scorer is null ? base.forward(rows) : Score(rows)).ToList())
            .MoveToOuterDisposeScope();
    }

    /// <summary>
    /// There is none: the block goes through tensors. But from now on the layers around it are computed image by image, with the weights
    /// as they are now, wherever no graph is recorded.
    /// </summary>
    public override RowNetwork? ToRowNetwork()
    {
        _scorer = new ImageScorer(_description.Image, InputStatistics(), _convolutions, _norms, _augmentation, _headNorm, _head);
        return null;
    }

    protected override Tensor Encode(Tensor features)
    {
        if (features.size(0) <= EncodedTogether || is_grad_enabled())
            return Convolve(features);
        using DisposeScope scope = NewDisposeScope();
        return cat(features.split(EncodedTogether).Select(Convolve).ToList()).MoveToOuterDisposeScope();
    }

    protected override (Tensor Final, SolverStatistics Statistics) Integrate(Tensor state, OdeSolverOptions options, double endTime)
    {
        if (_description.SolvesEquation)
            return base.Integrate(state, options, endTime);
        // A residual layer y + f(y) is a step of Euler's method of size 1. The discrete gradient is the exact one.
        OdeSolverOptions steps = options with
        {
            Method = OdeMethod.Euler,
            StepSize = 1,
            Gradient = GradientMethod.Checkpointed(),
        };
        var sum = new SolverStatistics();
        foreach (OdeBlock block in _blocks)
        {
            OdeSolution solution = block.Solve(state, steps);
            state = solution.Final;
            if (_blocks.Length == 1)
                return (state, solution.Statistics);
            sum.FunctionEvaluations += solution.Statistics.FunctionEvaluations;
            sum.RowEvaluations += solution.Statistics.RowEvaluations;
        }
        return (state, sum);
    }

    protected override Tensor Decode(Tensor state)
    {
        using DisposeScope scope = NewDisposeScope();
        return _head.call(_headNorm.call(state).relu_().mean([2, 3])).MoveToOuterDisposeScope();
    }

    protected override IEnumerable<NeuralOdeLayerSummary> Layers()
    {
        int from = _description.Image.Channels;
        (int height, int width) = _description.StateSize;
        for (int i = 0; i < _convolutions.Length; i++)
        {
            string what = i == 0 ? $"convolution 3x3, {from} to {_description.Channels} channels"
                : $"convolution 4x4, stride 2, {_description.Channels} channels";
            bool isLast = i == _convolutions.Length - 1;
            yield return new NeuralOdeLayerSummary(
                $"encoder{i}", isLast ? $"{what}: {height} x {width}" : $"{what}, group norm, ReLU",
                Count(_convolutions[i]) + (isLast ? 0 : Count(_norms[i])));
        }
        if (_augmentation is not null)
            yield return new NeuralOdeLayerSummary("augmentation", $"{_augmentation}", Count(_augmentation));
        long inBlocks = _blocks.Sum(Count);
        if (_description.SolvesEquation)
            yield return new NeuralOdeLayerSummary("ode", $"dy/dt, {Block.Dynamics}", inBlocks);
        else if (_blocks.Length > 0)
            yield return new NeuralOdeLayerSummary(
                "block", $"{_description.Layers} residual layers{(_blocks.Length == 1 ? " with the same weights" : "")}, {Block.Dynamics}",
                inBlocks);
        yield return new NeuralOdeLayerSummary(
            "head", $"group norm, ReLU, mean, linear {_description.StateChannels} to {_description.OutputCount}",
            Count(_headNorm) + Count(_head));

        static long Count(Module module) => module.parameters().Sum(parameter => parameter.numel());
    }

    protected override string Write(OperatorGraph graph, string features, double? stepSize)
    {
        ImageShape image = _description.Image;
        (long height, long width) = _description.StateSize;
        long h = 0, w = 0;
        string x = graph.Add("Reshape", [features, graph.Constant("image", [-1, image.Channels, image.Height, image.Width])]);
        for (int i = 0; i < _convolutions.Length; i++)
        {
            string[] inputs = [x, GraphTensors.Write(graph, "weight", _convolutions[i].weight!),
                GraphTensors.Write(graph, "bias", _convolutions[i].bias!)];
            x = i == 0
                ? graph.Add("Conv", inputs)
                : graph.Add("Conv", inputs, null, OperatorGraph.Attribute("strides", 2, 2), OperatorGraph.Attribute("pads", 1, 1, 1, 1));
            if (i == _norms.Length)
                break;
            (h, w) = i == 0 ? (image.Height - 2L, image.Width - 2L) : (h / 2, w / 2);
            x = graph.Add("Relu", [Normalize(_norms[i], x, h, w)]);
        }
        if (_augmentation is not null)
            x = graph.Add("Concat", [x, Lift(graph, _augmentation, _description.Channels, x)], null, OperatorGraph.Attribute("axis", 1L));
        foreach (OdeBlock block in _blocks)
        {
            var rate = RateExport.Of(graph, block.Dynamics, [_description.StateChannels, height, width]);
            x = OdeExport.Write(graph, rate, block.EndTime, block.Options, _description.SolvesEquation ? stepSize : null, x)[0];
        }
        x = graph.Add("GlobalAveragePool", [graph.Add("Relu", [Normalize(_headNorm, x, height, width)])]);
        x = graph.Add("Flatten", [x], null, OperatorGraph.Attribute("axis", 1L));
        return graph.Add(
            "Gemm", [x, GraphTensors.Write(graph, "weight", _head.weight!), GraphTensors.Write(graph, "bias", _head.bias!)], null,
            OperatorGraph.Attribute("transB", 1L));

        string Normalize(GroupNorm norm, string from, long rows, long columns) =>
            new GroupNormalizationExport(graph, norm.weight!.numel(), norm.num_groups, rows, columns).Write(
                graph, from, GroupNormalizationExport.PerChannel(graph, "scale", norm.weight!),
                GroupNormalizationExport.PerChannel(graph, "bias", norm.bias!));
    }

    /// <summary>The further channels of images, as a convolution of size 1.</summary>
    private static string Lift(OperatorGraph graph, StateAugmentation augmentation, long channels, string x)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        Tensor weight = augmentation.Weight?.detach().cpu() ?? zeros(augmentation.Dimensions, channels);
        Tensor bias = augmentation.Bias?.detach().cpu() ?? zeros(augmentation.Dimensions);
        return graph.Add("Conv", [x, GraphTensors.Write(graph, "lift", weight.reshape(augmentation.Dimensions, channels, 1, 1)),
            GraphTensors.Write(graph, "lift_bias", bias)]);
    }

    private static OdeBlock[] Blocks(ConvolutionalDescription description)
    {
        OdeSolverOptions options = description.ScoringOptions();
        return description.BlockKind switch
        {
            ConvolutionalBlock.Ode => [new OdeBlock(Dynamics(TimeDependence.Concatenate), description.EndTime, options)],
            ConvolutionalBlock.SharedResidual => [Layers(description.Layers)],
            ConvolutionalBlock.Residual => [.. Enumerable.Range(0, description.Layers).Select(_ => Layers(1))],
            _ => [],
        };

        OdeBlock Layers(int count) => new(Dynamics(TimeDependence.None), count, options);

        ConvolutionalDynamics Dynamics(TimeDependence time) => new(description.StateChannels, description.StateGroups, time: time);
    }

    private static Conv2d Halving(int channels) =>
        Conv2d(channels, channels, ConvolutionalDescription.HalvingKernel, stride: 2, padding: 1);

    /// <summary>Group normalisation that begins without effect; TorchSharp leaves its weights uninitialised.</summary>
    private static GroupNorm Norm(int channels, long groups)
    {
        GroupNorm norm = GroupNorm(groups, channels, Epsilon);
        init.ones_(norm.weight!);
        init.zeros_(norm.bias!);
        return norm;
    }

    /// <summary>Outputs of some rows, each the same to the last bit whatever rows come with it.</summary>
    private Tensor Score(Tensor features)
    {
        (int height, int width) = _description.StateSize;
        Tensor states = empty([features.size(0), _description.StateChannels, height, width], ScalarType.Float32, CPU);
        _scorer!.Encode(features.contiguous(), states);
        // An image with a missing value has no score, and is not to keep the others from theirs.
        Tensor missing = states.isfinite().flatten(1).all(1).logical_not();
        Tensor start = states.masked_fill(missing.reshape(-1, 1, 1, 1), Numbers.Zero);
        Tensor end = Integrate(start, ScoringOptions, _description.EndTime).Final.contiguous();
        Tensor outputs = empty([features.size(0), _description.OutputCount], ScalarType.Float32, CPU);
        _scorer.Decode(end, outputs);
        return FromOutputs(outputs.masked_fill(missing.reshape(-1, 1), Numbers.NaN));
    }

    private Tensor Convolve(Tensor features)
    {
        using DisposeScope scope = NewDisposeScope();
        ImageShape image = _description.Image;
        Tensor x = features.reshape(features.size(0), image.Channels, image.Height, image.Width);
        for (int i = 0; i < _convolutions.Length; i++)
        {
            x = _convolutions[i].call(x);
            if (i < _norms.Length)
                x = _norms[i].call(x).relu_();
        }
        return (_augmentation is null ? x : _augmentation.call(x)).MoveToOuterDisposeScope();
    }
}
