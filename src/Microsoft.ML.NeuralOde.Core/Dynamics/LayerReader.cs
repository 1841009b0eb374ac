using System.Collections;
using System.Reflection;
using Microsoft.ML.NeuralOde.Kernels;
using TorchSharp.Modules;
using static TorchSharp.torch.nn;
using GeluForm = TorchSharp.Modules.GELU.Approximate;
using Module = TorchSharp.torch.nn.Module;

namespace Microsoft.ML.NeuralOde.Dynamics;

/// <summary>Reads a network from the layers that a module names, or says what stands in the way.</summary>
internal sealed class LayerReader
{
    private readonly List<Linear> _linear = [];
    private readonly List<Nonlinearity> _activations = [];
    private Nonlinearity? _inputActivation;
    private readonly Dictionary<int, LayerNorm> _before = [];
    private readonly Dictionary<int, LayerNorm> _behind = [];
    private readonly HashSet<Module> _named = new(ReferenceEqualityComparer.Instance);

    /// <summary>Why there is no network.</summary>
    public string? WhyNot { get; private set; }

    /// <summary>The network; null where <see cref="WhyNot"/> says why.</summary>
    /// <param name="module">The module.</param>
    /// <param name="layered">The same, as what it says of itself.</param>
    public DenseNetwork? Read(Module module, ILayeredDynamics layered)
    {
        if (HasHooks(module))
            WhyNot = $"{module.GetName()} has hooks, which only calls of its forward reach";
        foreach (Module<Tensor, Tensor> layer in layered.Layers ?? [])
            Add(layer);
        if (WhyNot is null && _linear.Count != _activations.Count + 1)
            WhyNot = "the last of the layers is no Linear";
        if (layered.AddedTime is { } time)
            AddTime(time);
        DenseParameters[] layers =
            WhyNot is null ? Parameters([.. module.parameters()], layered.AddedTime, layered.ConcatenatedTime) : [];
        foreach (DenseParameters layer in layers)
            CheckWidths(layer);
        if (WhyNot is null && Unnamed(module) is { } unnamed)
            WhyNot = $"{module.GetName()} holds {unnamed}, which is not among the layers that it names";
        return WhyNot is null
            ? new DenseNetwork(layers, _activations, new EvaluatorPool<DenseEvaluator>()) { InputActivation = _inputActivation }
            : null;
    }

    private void Add(Module layer)
    {
        if (WhyNot is not null)
            return;
        _named.Add(layer);
        if (HasHooks(layer))
            WhyNot = $"a layer, {layer.GetName()}, has hooks, which only calls of its forward reach";
        else if (layer.GetType() == typeof(Sequential))
            foreach (Module inner in layer.children())
                Add(inner);
        else if (layer.GetType() == typeof(Linear))
            Add((Linear)layer);
        else if (layer.GetType() == typeof(LayerNorm))
            Add((LayerNorm)layer);
        else if (Known(layer) is not { } activation)
            WhyNot = $"a layer is {layer.GetType().Name}; "
                + "the kernels know Linear, LayerNorm, Tanh, ReLU, SiLU, Sigmoid, GELU, Softplus (of beta 1 and threshold 20) "
                + "and Power (of 2 and 3)";
        else if (_linear.Count == 0 && _inputActivation is null && _before.Count == 0)
            _inputActivation = activation;
        else if (_activations.Count + 1 != _linear.Count)
            WhyNot = $"{layer.GetName()} does not stand behind a Linear";
        else
            _activations.Add(activation);
    }

    private void Add(Linear layer)
    {
        if (_linear.Count != _activations.Count)
            WhyNot = "two layers of type Linear follow each other without an activation between them";
        _linear.Add(layer);
    }

    private void Add(LayerNorm layer)
    {
        bool isBehind = _linear.Count > _activations.Count;
        if (!(isBehind ? _behind : _before).TryAdd(isBehind ? _linear.Count - 1 : _linear.Count, layer))
            WhyNot = "two layers of type LayerNorm follow each other";
    }

    private void AddTime(Linear layer)
    {
        _named.Add(layer);
        if (WhyNot is not null)
            return;
        if (layer.GetType() != typeof(Linear) || HasHooks(layer))
            WhyNot = "the layer of time is no plain Linear without hooks";
        else if (layer.weight!.shape[1] != 1 || layer.weight.shape[0] != _linear[^1].weight!.shape[0])
            WhyNot = $"the layer of time has a weight of shape [{string.Join(", ", layer.weight.shape)}]; it must be "
                + $"[{_linear[^1].weight!.shape[0]}, 1]";
    }

    /// <summary>The layers' parameters, with their places among all of the module's.</summary>
    private DenseParameters[] Parameters(Parameter[] all, Linear? time, TimeInput concatenated)
    {
        DenseParameters[] layers = [.. _linear.Select((layer, i) => Of(layer, i == _linear.Count - 1 ? time : null) with
        {
            TimeColumn = i == 0 || layer.weight!.shape[1] == _linear[i - 1].weight!.shape[0] + 1 ? concatenated : TimeInput.None,
            Before = Normalization(_before.GetValueOrDefault(i)),
            Behind = Normalization(_behind.GetValueOrDefault(i)),
        })];
        Parameter[] used = [.. layers.SelectMany(layer => layer.All)];
        if (used.Distinct(ReferenceEqualityComparer.Instance).Count() < used.Length)
            WhyNot = "two of the layers share a parameter";
        else if (used.Length != all.Length || !Array.TrueForAll(used, parameter => Place(parameter) is not null))
            WhyNot = "the module has other parameters than those of the layers that it names";
        return layers;

        DenseParameters Of(Linear layer, Linear? added) => new(
            layer.weight!, layer.bias, added?.weight, added?.bias,
            new DenseSlots(Place(layer.weight!) ?? 0, Place(layer.bias), Place(added?.weight), null, null, Place(added?.bias)));

        NormalizationParameters? Normalization(LayerNorm? layer) => layer is null ? null : new NormalizationParameters(
            layer.normalized_shape.Length == 1 ? (int)layer.normalized_shape[0] : 0, layer.eps, layer.weight, layer.bias,
            Place(layer.weight), Place(layer.bias));

        int? Place(Parameter? parameter) =>
            Array.FindIndex(all, other => ReferenceEquals(other, parameter)) is >= 0 and int place ? place : null;
    }

    private void CheckWidths(DenseParameters layer)
    {
        Check(layer.Before, layer.Inputs);
        Check(layer.Behind, layer.Weight.shape[0]);

        void Check(NormalizationParameters? normalization, long width)
        {
            if (normalization is not null && normalization.Width != width)
                WhyNot ??= $"a LayerNorm does not normalise rows of {width} as a whole";
        }
    }

    /// <summary>A part of a module that it does not name, such as a dropout or a buffer; null where there is none.</summary>
    private string? Unnamed(Module module) =>
        module.buffers().Any() ? "a buffer"
        : module.modules().FirstOrDefault(IsUnnamed)?.GetType().Name;

    /// <summary>Whether a part is neither named nor a container of parts.</summary>
    private bool IsUnnamed(Module part) => part is not ILayeredDynamics && !_named.Contains(part) && !part.children().Any();

    private static Nonlinearity? Known(Module layer) => layer switch
    {
        Tanh _ => Nonlinearity.Tanh,
        ReLU _ => Nonlinearity.Relu,
        SiLU _ => Nonlinearity.Silu,
        Sigmoid _ => Nonlinearity.Sigmoid,
        GELU { approximate: GeluForm.none } => Nonlinearity.Gelu,
        GELU { approximate: GeluForm.tanh } => Nonlinearity.GeluTanh,
        Softplus { beta: 1, threshold: 20 } => Nonlinearity.Softplus,
        Power { Exponent: 2 } => Nonlinearity.Square,
        Power { Exponent: 3 } => Nonlinearity.Cube,
        _ => null,
    };

    /// <summary>Whether functions wait for calls of a module. TorchSharp does not tell; it keeps them in fields of its base
    /// classes.</summary>
    private static bool HasHooks(Module module)
    {
        for (Type? type = module.GetType(); type is not null && type != typeof(object); type = type.BaseType)
            foreach (FieldInfo field in type.GetFields(BindingFlags.Instance | BindingFlags.NonPublic | BindingFlags.DeclaredOnly))
                if (field.Name.Contains("hooks", StringComparison.Ordinal) && field.GetValue(module) is ICollection { Count: > 0 })
                    return true;
        return false;
    }
}
