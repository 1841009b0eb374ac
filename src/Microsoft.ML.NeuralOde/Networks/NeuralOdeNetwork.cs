using System.Text.Json.Serialization;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Export;
using Microsoft.ML.NeuralOde.Persistence;
using TorchSharp.Modules;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Networks;

/// <summary>The structure of a network and how its equation is solved for predictions, as it stands in a model file.</summary>
/// <param name="FeatureCount">Features of a row.</param>
/// <param name="OutputCount">Outputs of a row.</param>
/// <param name="EncoderLayers">Sizes of the encoder's layers.</param>
/// <param name="DynamicsLayers">Sizes of the hidden layers of the right-hand side.</param>
/// <param name="EndTime">The equation is solved on [0, EndTime].</param>
/// <param name="Solver">The numerical method.</param>
/// <param name="RelativeTolerance">rtol.</param>
/// <param name="AbsoluteTolerance">atol.</param>
/// <param name="StepSize">Its fixed step; null for error control.</param>
/// <param name="SparseFeatures">Whether rows come without their zeros, which then stay zeros; false in files that do not have it.</param>
internal sealed record NetworkDescription(
    int FeatureCount, int OutputCount, int[] EncoderLayers, int[] DynamicsLayers, double EndTime, string Solver, double RelativeTolerance, double AbsoluteTolerance,
    double? StepSize, [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)] bool SparseFeatures = false)
{
    /// <summary>How the equation is solved for predictions: each row with its own steps, so that no row's result depends on its neighbours.</summary>
    public OdeSolverOptions ScoringOptions() => new()
    {
        Method = OdeMethod.Parse(Solver),
        RelativeTolerance = RelativeTolerance,
        AbsoluteTolerance = AbsoluteTolerance,
        StepSize = StepSize,
        PerRow = true,
    };

    /// <summary>The number of weights of such a network; more than any file holds where the product overflows.</summary>
    public long WeightCount()
    {
        try
        {
            long count = 0;
            int[] encoder = [FeatureCount, .. EncoderLayers];
            int[] dynamics = [encoder[^1], .. DynamicsLayers, encoder[^1]];
            foreach (int[] sizes in new[] { encoder, dynamics, [encoder[^1], OutputCount] })
                for (int i = 1; i < sizes.Length; i++)
                    count = checked(count + ((long)sizes[i - 1] + 1) * sizes[i]);
            // The weights of time.
            return checked(count + encoder[^1]);
        }
        catch (OverflowException)
        {
            return long.MaxValue;
        }
    }

    /// <summary>What makes no sense in a description that was read, as a clause; null for nothing.</summary>
    public string? FindDefect()
    {
        if (FeatureCount <= 0 || OutputCount <= 0 || EncoderLayers.Append(1).Concat(DynamicsLayers).Any(size => size <= 0))
            return "a size of its network is not positive";
        if (SparseFeatures && EncoderLayers.Length == 0)
            return "it has sparse features and no layer that takes them";
        if (EndTime == 0 || !double.IsFinite(EndTime))
            return $"its end time is {EndTime}";
        try
        {
            ScoringOptions().Validate();
            return RelativeTolerance > 0 && AbsoluteTolerance > 0 ? null : $"its tolerances are {RelativeTolerance} and {AbsoluteTolerance}";
        }
        catch (ArgumentException exception)
        {
            return exception.Message;
        }
    }

    /// <summary>What differs between two structures, as a clause; null where the weights of one fit the other.</summary>
    public string? DifferenceOfStructure(NetworkDescription other)
    {
        if (FeatureCount != other.FeatureCount)
            return $"{FeatureCount} and {other.FeatureCount} features";
        if (OutputCount != other.OutputCount)
            return $"{OutputCount} and {other.OutputCount} outputs";
        if (!EncoderLayers.AsSpan().SequenceEqual(other.EncoderLayers))
            return $"EncoderLayers [{string.Join(", ", EncoderLayers)}] and [{string.Join(", ", other.EncoderLayers)}]";
        return DynamicsLayers.AsSpan().SequenceEqual(other.DynamicsLayers)
            ? null
            : $"DynamicsLayers [{string.Join(", ", DynamicsLayers)}] and [{string.Join(", ", other.DynamicsLayers)}]";
    }
}

/// <summary>Normalisation, encoder, ODE block, linear head: from features <c>[batch, features]</c> to outputs <c>[batch, outputs]</c>.</summary>
internal sealed class NeuralOdeNetwork : Module<Tensor, Tensor>
{
    private readonly Linear[] _encoder;
    private readonly OdeBlock _block;
    private readonly Linear _head;
    private Affine? _input;
    private Affine? _output;

    /// <summary>A network with random weights.</summary>
    public NeuralOdeNetwork(NetworkDescription description)
        : base(nameof(NeuralOdeNetwork))
    {
        // The network outlives whatever dispose scope it is made in.
        using DisposeScope scope = NewDisposeScope();
        Description = description;
        int[] sizes = [description.FeatureCount, .. description.EncoderLayers];
        _encoder = new Linear[description.EncoderLayers.Length];
        for (int i = 0; i < _encoder.Length; i++)
        {
            _encoder[i] = Linear(sizes[i], sizes[i + 1]);
            if (i == 0 && description.SparseFeatures)
                SparseLayer.KeepByInput(_encoder[0]);
            register_module($"encoder{i}", _encoder[i]);
        }
        _block = new OdeBlock(new DenseDynamics(sizes[^1], [.. description.DynamicsLayers.Select(size => (long)size)]), description.EndTime, description.ScoringOptions());
        register_module("ode", _block);
        _head = Linear(sizes[^1], description.OutputCount);
        register_module("head", _head);
        // torch's default device may be another one.
        if (_head.weight!.device_type != DeviceType.CPU)
            this.to(CPU);
        foreach (Parameter parameter in parameters())
            parameter.DetachFromDisposeScope();
    }

    public NetworkDescription Description { get; }

    public Device Device { get; private set; } = CPU;

    /// <summary>Linear layers with ReLU between them.</summary>
    public IReadOnlyList<Linear> Encoder => _encoder;

    public OdeBlock Block => _block;

    public Linear Head => _head;

    /// <summary>Sets what features are normalised with: (x − mean) · scale.</summary>
    public void NormalizeInput((float[] Mean, float[] Scale) statistics) => Replace(ref _input, statistics);

    /// <summary>Sets what turns outputs into units of the label: output / scale + mean.</summary>
    public void NormalizeOutput((float[] Mean, float[] Scale) statistics) => Replace(ref _output, statistics);

    /// <summary>The labels as the outputs are to be before they are turned into units of the label.</summary>
    public Tensor ToOutputs(Tensor labels) => _output is null ? labels : _output.Apply(labels);

    /// <summary>Outputs in units of the label.</summary>
    public Tensor FromOutputs(Tensor outputs) => _output is null ? outputs : _output.Invert(outputs);

    /// <summary>Outputs for predictions, in units of the label.</summary>
    public override Tensor forward(Tensor features)
    {
        using DisposeScope scope = NewDisposeScope();
        return FromOutputs(Solve(features, _block.Options).Outputs).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// The same outputs as <see cref="Solve(Tensor, OdeSolverOptions)"/> with the options for predictions, computed without tensors, with the weights as they are now; null where the options need
    /// the general solver.
    /// </summary>
    public RowNetwork? ToRowNetwork() => RowNetwork.TryCreate(
        _input?.Mean, _input?.Scale, _encoder, _block, _block.Options, _head, Description.SparseFeatures);

    /// <summary>What turns outputs into units of the label, as numbers; null where they are already.</summary>
    public (float[] Mean, float[] Scale)? OutputStatistics() => _output?.ToNumbers();

    /// <summary>What features are normalised with, as numbers; null for nothing.</summary>
    public (float[] Mean, float[] Scale)? InputStatistics() => _input?.ToNumbers();

    /// <summary>Outputs before they are turned into units of the label, and what the solve cost.</summary>
    public (Tensor Outputs, SolverStatistics Statistics) Solve(Tensor features, OdeSolverOptions options) => SolveEncoded(Encode(features), options);

    /// <summary>Outputs of encoded rows before they are turned into units of the label, and what the solve cost.</summary>
    public (Tensor Outputs, SolverStatistics Statistics) SolveEncoded(Tensor state, OdeSolverOptions options)
    {
        OdeSolution solution = _block.Solve(state, options);
        return (_head.call(solution.Final), solution.Statistics);
    }

    /// <summary>Outputs for predictions of rows without their zeros, in units of the label.</summary>
    public Tensor Predict(SparseBatch features)
    {
        using DisposeScope scope = NewDisposeScope();
        return FromOutputs(SolveEncoded(Encode(features, inPieces: false).State, _block.Options).Outputs).MoveToOuterDisposeScope();
    }

    /// <summary>The ODE's initial states.</summary>
    /// <param name="features">Rows in the format of the network.</param>
    /// <param name="inPieces">Whether the first layer's weights of the slots in use are to be leaves of the graph by themselves.</param>
    public EncodedRows Encode(FeatureBatch features, bool inPieces)
    {
        if (features is not SparseBatch sparse)
            return new EncodedRows(Encode(features.ToDense()), null);
        EncodedRows first = SparseLayer.Apply(_encoder[0], sparse, _input?.Scale, inPieces);
        return first with { State = Encode(first.State, layers: 1) };
    }

    /// <summary>Whether features that are zero stay zero when they are normalised.</summary>
    public bool KeepsZeros => _input is null || !_input.ToNumbers().Mean.AsSpan().ContainsAnyExcept(0f);

    /// <summary>The layers in words.</summary>
    public NeuralOdeModelSummary Summarize()
    {
        var layers = new List<NeuralOdeLayerSummary>();
        if (_input is not null)
            layers.Add(new NeuralOdeLayerSummary("normalization", _input.Mean.numel() == 1 ? "one mean and deviation" : "mean and deviation of each feature", 0));
        int[] sizes = [Description.FeatureCount, .. Description.EncoderLayers];
        for (int i = 0; i < _encoder.Length; i++)
            layers.Add(new NeuralOdeLayerSummary($"encoder{i}", $"linear {sizes[i]} to {sizes[i + 1]}{(i < _encoder.Length - 1 ? ", ReLU" : "")}", Count(_encoder[i])));
        layers.Add(new NeuralOdeLayerSummary("ode", $"dy/dt, layers {string.Join(", ", [sizes[^1], .. Description.DynamicsLayers, sizes[^1]])}, {DynamicsActivation}", Count(_block)));
        layers.Add(new NeuralOdeLayerSummary("head", $"linear {sizes[^1]} to {Description.OutputCount}", Count(_head)));
        return new NeuralOdeModelSummary(
            layers, Description.Solver, Description.RelativeTolerance, Description.AbsoluteTolerance, Description.StepSize, Description.EndTime);

        static long Count(Module module) => module.parameters().Sum(parameter => parameter.numel());
    }

    private string DynamicsActivation => ((DenseDynamics)_block.Dynamics).Activation.ToString().ToLowerInvariant();

    /// <summary>Writes the network as operators.</summary>
    /// <param name="graph">Where the operators go.</param>
    /// <param name="features">The features, <c>[batch, features]</c>.</param>
    /// <param name="stepSize">The size of the solver's steps; null for the network's own.</param>
    /// <returns>Outputs for predictions, in units of the label.</returns>
    /// <exception cref="NotSupportedException">The network cannot be written; the message names the option that stands in the way.</exception>
    public string Export(OperatorGraph graph, string features, double? stepSize)
    {
        string x = features;
        if (InputStatistics() is { } input)
        {
            x = graph.Add("Sub", [x, graph.Constant("mean", input.Mean, input.Mean.Length)]);
            x = graph.Add("Mul", [x, graph.Constant("scale", input.Scale, input.Scale.Length)]);
        }
        for (int i = 0; i < _encoder.Length; i++)
        {
            x = Write(_encoder[i], x);
            if (i < _encoder.Length - 1)
                x = graph.Add("Relu", [x]);
        }
        RateExport rate = RateExport.Of(graph, _block.Dynamics, [_head.weight!.shape[1]]);
        x = OdeExport.Write(graph, rate, _block.EndTime, _block.Options, stepSize, x)[0];
        x = Write(_head, x);
        if (OutputStatistics() is { } statistics)
        {
            x = graph.Add("Div", [x, graph.Constant("output_scale", statistics.Scale, statistics.Scale.Length)]);
            x = graph.Add("Add", [x, graph.Constant("output_mean", statistics.Mean, statistics.Mean.Length)]);
        }
        return x;

        string Write(Linear layer, string from) => graph.Add(
            "Gemm", [from, GraphTensors.Write(graph, "weight", layer.weight!), GraphTensors.Write(graph, "bias", layer.bias!)], null, OperatorGraph.Attribute("transB", 1));
    }

    /// <summary>The same with what the path costs, a scalar.</summary>
    public (Tensor Outputs, SolverStatistics Statistics, Tensor Penalty) SolveEncoded(Tensor state, OdeSolverOptions options, PathRegularization regularization)
    {
        RegularizedSolution solution = regularization.Solve(_block.Dynamics, state, 0, _block.EndTime, options);
        return (_head.call(solution.Final), solution.Statistics, solution.Penalty);
    }

    /// <summary>The squared spectral norms of the right-hand side's weights, a scalar.</summary>
    public Tensor SpectralNorms() => SpectralNorm.Penalty(_block.Dynamics);

    /// <summary>Moves weights and statistics to a device.</summary>
    public void MoveTo(Device device)
    {
        if (device.type == Device.type && device.index == Device.index)
            return;
        Device = device;
        this.to(device);
        foreach (Parameter parameter in parameters())
            parameter.DetachFromDisposeScope();
        _input?.MoveTo(device);
        _output?.MoveTo(device);
    }

    /// <summary>Every weight and statistic by name.</summary>
    public IReadOnlyList<NamedArray> ToArrays()
    {
        // Keeps tensors in the middle of a chain of calls from being finalised while native code reads them.
        using DisposeScope scope = NewDisposeScope();
        return [.. Named().Select(pair => new NamedArray(pair.Name, pair.Tensor.shape, pair.Tensor.detach().cpu().contiguous().data<float>().ToArray()))];
    }

    /// <summary>Takes over the weights and statistics of another network of the same structure.</summary>
    public void CopyFrom(NeuralOdeNetwork other) => FromArrays(other.ToArrays());

    /// <exception cref="InvalidDataException">The arrays are not those of this network.</exception>
    public void FromArrays(IReadOnlyList<NamedArray> arrays)
    {
        Dictionary<string, NamedArray> byName = arrays.ToDictionary(array => array.Name);
        if (Statistics("mean", "scale", 1, Description.FeatureCount) is { } input)
            NormalizeInput(input);
        if (Description.SparseFeatures && !KeepsZeros)
            throw PayloadReader.Damaged("its sparse features have means other than zero");
        if (Statistics("output_mean", "output_scale", Description.OutputCount) is { } output)
            NormalizeOutput(output);
        using IDisposable noGrad = no_grad();
        foreach ((string name, Tensor parameter) in Named())
        {
            if (!byName.TryGetValue(name, out NamedArray? array) || !array.Shape.AsSpan().SequenceEqual(parameter.shape))
                throw PayloadReader.Damaged($"the weights '{name}' are missing or have the wrong shape");
            using Tensor values = tensor(array.Values, array.Shape, device: CPU);
            parameter.copy_(values);
        }

        (float[] Mean, float[] Scale)? Statistics(string meanName, string scaleName, params ReadOnlySpan<int> lengths)
        {
            if (!byName.TryGetValue(meanName, out NamedArray? mean) || !byName.TryGetValue(scaleName, out NamedArray? scale))
                return null;
            if (!lengths.Contains(mean.Values.Length) || mean.Values.Length != scale.Values.Length)
                throw PayloadReader.Damaged($"'{meanName}' and '{scaleName}' have {mean.Values.Length} and {scale.Values.Length} numbers");
            return (mean.Values, scale.Values);
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

    private Tensor Encode(Tensor features) => Encode(_input is null ? features : _input.Apply(features), layers: 0);

    /// <summary>What the encoder makes of the result of its first layers.</summary>
    private Tensor Encode(Tensor x, int layers)
    {
        for (int i = layers; i < _encoder.Length; i++)
            x = _encoder[i].call(i == 0 ? x : x.relu());
        return x;
    }

    private static void Replace(ref Affine? target, (float[] Mean, float[] Scale) statistics)
    {
        target?.Dispose();
        target = new Affine(statistics);
    }

    private IEnumerable<(string Name, Tensor Tensor)> Named()
    {
        foreach ((string name, Parameter parameter) in named_parameters())
            yield return (name, parameter);
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

    /// <summary>(x − mean) · scale and back. Not a module: its tensors are statistics, which no optimizer is to touch.</summary>
    private sealed class Affine((float[] Mean, float[] Scale) statistics) : IDisposable
    {
        public Tensor Mean { get; private set; } = tensor(statistics.Mean, device: CPU).DetachFromDisposeScope();

        public Tensor Scale { get; private set; } = tensor(statistics.Scale, device: CPU).DetachFromDisposeScope();

        public Tensor Apply(Tensor x) => (x - Mean).mul_(Scale);

        public (float[] Mean, float[] Scale) ToNumbers()
        {
            using Tensor mean = Mean.cpu();
            using Tensor scale = Scale.cpu();
            return (mean.data<float>().ToArray(), scale.data<float>().ToArray());
        }

        public Tensor Invert(Tensor x) => (x / Scale).Add(Mean);

        public void MoveTo(Device device)
        {
            Mean = Mean.to(device).DetachFromDisposeScope();
            Scale = Scale.to(device).DetachFromDisposeScope();
        }

        public void Dispose()
        {
            Mean.Dispose();
            Scale.Dispose();
        }
    }
}
