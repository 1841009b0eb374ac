using Microsoft.ML.NeuralOde.Persistence;
using Microsoft.ML.NeuralOde.Scoring;
using TorchSharp.Modules;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Classification;

/// <summary>The structure of a network, as it stands in a model file.</summary>
internal sealed record NetworkDescription(
    int FeatureCount, int ClassCount, int[] EncoderLayers, int[] DynamicsLayers, double EndTime, string Solver, double RelativeTolerance, double AbsoluteTolerance,
    double? StepSize);

/// <summary>Normalisation, encoder, ODE block, linear head: from features <c>[batch, features]</c> to logits <c>[batch, classes]</c>.</summary>
internal sealed class ClassificationNetwork : Module<Tensor, Tensor>
{
    private readonly Linear[] _encoder;
    private readonly OdeBlock _block;
    private readonly Linear _head;
    private readonly OdeSolverOptions _scoring;
    private Tensor? _mean;
    private Tensor? _scale;

    public ClassificationNetwork(NetworkDescription description, OdeSolverOptions options)
        : base(nameof(ClassificationNetwork))
    {
        // The network outlives whatever dispose scope it is made in.
        using DisposeScope scope = NewDisposeScope();
        Description = description;
        int[] sizes = [description.FeatureCount, .. description.EncoderLayers];
        _encoder = new Linear[description.EncoderLayers.Length];
        for (int i = 0; i < _encoder.Length; i++)
        {
            _encoder[i] = Linear(sizes[i], sizes[i + 1]);
            register_module($"encoder{i}", _encoder[i]);
        }
        _block = new OdeBlock(new DenseDynamics(sizes[^1], [.. description.DynamicsLayers.Select(size => (long)size)]), description.EndTime, options);
        register_module("ode", _block);
        _head = Linear(sizes[^1], description.ClassCount);
        register_module("head", _head);
        _scoring = options with { PerRow = true, CancellationToken = default };
        foreach (Parameter parameter in parameters())
            parameter.DetachFromDisposeScope();
    }

    public NetworkDescription Description { get; }

    /// <summary>Sets the statistics that features are normalised with: (x − mean) · scale.</summary>
    public void Normalize(Tensor mean, Tensor scale)
    {
        _mean = mean.DetachFromDisposeScope();
        _scale = scale.DetachFromDisposeScope();
    }

    /// <summary>Logits for scoring: each row with its own steps, so that no row's result depends on its neighbours.</summary>
    public override Tensor forward(Tensor features)
    {
        using DisposeScope scope = NewDisposeScope();
        return Forward(features, _scoring).Logits.MoveToOuterDisposeScope();
    }

    /// <summary>The same logits computed without tensors, with the weights as they are now; null where the options need the general solver.</summary>
    public RowNetwork? ToRowNetwork() => RowNetwork.TryCreate(_mean, _scale, _encoder, _block, _scoring, _head);

    /// <summary>Logits for training, and what the solve cost.</summary>
    public (Tensor Logits, SolverStatistics Statistics) Train(Tensor features) => Forward(features, _block.Options);

    /// <summary>Every weight and statistic by name.</summary>
    public IReadOnlyList<NamedArray> ToArrays() =>
        [.. Named().Select(pair => new NamedArray(pair.Name, pair.Tensor.shape, pair.Tensor.detach().data<float>().ToArray()))];

    /// <exception cref="InvalidDataException">The arrays are not those of this network.</exception>
    public void FromArrays(IReadOnlyList<NamedArray> arrays)
    {
        Dictionary<string, NamedArray> byName = arrays.ToDictionary(array => array.Name);
        if (byName.TryGetValue("mean", out NamedArray? mean) && byName.TryGetValue("scale", out NamedArray? scale))
            Normalize(tensor(mean.Values, mean.Shape), tensor(scale.Values, scale.Shape));
        using IDisposable noGrad = no_grad();
        foreach ((string name, Tensor parameter) in Named())
        {
            if (!byName.TryGetValue(name, out NamedArray? array) || !array.Shape.AsSpan().SequenceEqual(parameter.shape))
                throw PayloadReader.Damaged($"the weights '{name}' are missing or have the wrong shape");
            using Tensor values = tensor(array.Values, array.Shape);
            parameter.copy_(values);
        }
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _mean?.Dispose();
            _scale?.Dispose();
        }
        base.Dispose(disposing);
    }

    private (Tensor Logits, SolverStatistics Statistics) Forward(Tensor features, OdeSolverOptions options)
    {
        Tensor x = _mean is null ? features : (features - _mean).mul_(_scale!);
        for (int i = 0; i < _encoder.Length; i++)
        {
            x = _encoder[i].call(x);
            if (i < _encoder.Length - 1)
                x = x.relu();
        }
        OdeSolution solution = _block.Solve(x, options);
        return (_head.call(solution.Final), solution.Statistics);
    }

    private IEnumerable<(string Name, Tensor Tensor)> Named()
    {
        foreach ((string name, Parameter parameter) in named_parameters())
            yield return (name, parameter);
        if (_mean is not null && _scale is not null)
        {
            yield return ("mean", _mean);
            yield return ("scale", _scale);
        }
    }
}
