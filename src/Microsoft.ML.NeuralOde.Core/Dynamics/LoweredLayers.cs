using System.Runtime.CompilerServices;
using Microsoft.ML.NeuralOde.Stepping;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Dynamics;

/// <summary>Modules that name their layers, evaluated by the fused kernels where these know them.</summary>
internal sealed class LoweredLayers : IAnalyticDynamics
{
    private static readonly ConditionalWeakTable<Module, LoweredLayers> Known = new();

    private readonly DenseNetwork _network;
    private readonly bool _isTraining;

    private LoweredLayers(DenseNetwork network, Module module)
    {
        _network = network;
        _isTraining = module.training;
    }

    /// <summary>The equation on the kernels, or as it is.</summary>
    /// <param name="equation">f(t, y).</param>
    /// <param name="state">A state like those to come.</param>
    /// <param name="time">A time, where the module's own result is compared.</param>
    /// <param name="whyNot">Why it is left as it is; null where the kernels serve, or nothing says that they might.</param>
    public static VectorField Apply(VectorField equation, Tensor state, double time, out string? whyNot)
    {
        whyNot = null;
        if (equation.Module is not ILayeredDynamics layered || equation.Analytic is not null)
            return equation;
        LoweredLayers? lowered = equation is ModuleField field ? Find(field, layered, state, time, out whyNot) : null;
        if (lowered is not null)
            return new LoweredField(equation, lowered);
        whyNot ??= "the module is only a part of the equation";
        return equation;
    }

    private static LoweredLayers? Find(ModuleField equation, ILayeredDynamics layered, Tensor state, double time, out string? whyNot)
    {
        var reader = new LayerReader();
        DenseNetwork? network = reader.Read(equation.Module, layered);
        whyNot = reader.WhyNot;
        if (network is null)
            return null;
        if (state.dim() == 2 && network.Layers[0].Inputs != state.shape[1])
        {
            whyNot = $"the first layer has {network.Layers[0].Inputs} inputs, and the state {state.shape[1]} features; "
                + $"where one is the time, {nameof(ILayeredDynamics.ConcatenatedTime)} says so";
            return null;
        }
        if (!network.HasKernelsFor(state))
        {
            whyNot = $"there are no kernels for a state of {RightHandSide.Describe(state)} "
                + $"with parameters of type {network.Layers[0].Weight.dtype}: "
                + "they compute in float32 and float64 on the CPU, for states of shape [batch, features] and up to a thousand units";
            return null;
        }
        if (Known.TryGetValue(equation.Module, out LoweredLayers? known) && known.IsOf(network, equation.Module))
            return known;
        var lowered = new LoweredLayers(network, equation.Module);
        whyNot = lowered.Disagreement(equation, state, time);
        if (whyNot is not null)
            return null;
        Known.AddOrUpdate(equation.Module, lowered);
        return lowered;
    }

    public DynamicsEvaluator? CreateEvaluator(Tensor state) => _network.HasKernelsFor(state) ? _network.CreateEvaluator(state) : null;

    /// <summary>Whether a module is still what was looked at.</summary>
    private bool IsOf(DenseNetwork now, Module module) =>
        module.training == _isTraining && now.InputActivation == _network.InputActivation
        && now.LayerActivations.SequenceEqual(_network.LayerActivations)
        && now.Layers.Select(layer => layer.Structure).SequenceEqual(_network.Layers.Select(layer => layer.Structure))
        && now.Layers.SelectMany(layer => layer.All)
            .SequenceEqual(_network.Layers.SelectMany(layer => layer.All), ReferenceEqualityComparer.Instance);

    /// <summary>What the module computes otherwise than its layers; null where both agree.</summary>
    private string? Disagreement(ModuleField equation, Tensor state, double time)
    {
        using DisposeScope scope = NewDisposeScope();
        using var undisturbed = new Undisturbed(equation);
        // Not the state itself, which may be zero or not finite.
        Tensor pattern = Numbers.Range(state.numel(), state.dtype, state.device).sin().reshape(state.shape);
        foreach (double at in new[] { time, time + 0.37 })
            if (!Agrees(equation, pattern, pattern.cos(), at))
                return $"{equation.Module.GetName()} computes something else than the layers that it names";
        return undisturbed.DrewNumbers ? $"{equation.Module.GetName()} draws random numbers" : null;
    }

    private bool Agrees(ModuleField equation, Tensor state, Tensor cotangent, double time)
    {
        Tensor[] active = [.. equation.Parameters.Where(parameter => parameter.requires_grad)];
        Tensor[] expected;
        using (enable_grad())
        {
            Tensor y = state.clone().requires_grad_();
            Tensor value = equation.Evaluate(tensor(time, state.dtype, state.device), y);
            Tensor?[] derivatives = Autograd.Pull("the right-hand side", [value], [y, .. active], [cotangent]);
            expected = [value.detach(), .. derivatives.Select((derivative, i) => derivative ?? zeros_like(i == 0 ? y : active[i - 1]))];
        }
        using IDisposable noGrad = no_grad();
        Tensor mine = empty_like(state), pulled = empty_like(state);
        Tensor?[] gradients = [.. equation.Parameters.Select(parameter => parameter.requires_grad ? zeros_like(parameter) : null)];
        using DynamicsEvaluator evaluator = _network.CreateEvaluator(state);
        using DynamicsLinearization linearization = evaluator.Linearize([time], state, mine);
        linearization.Pull(cotangent, pulled, default);
        linearization.AddParameterGradients(1, gradients);
        return expected.Zip([mine, pulled, .. gradients.OfType<Tensor>()], AreClose).All(close => close);
    }

    private static bool AreClose(Tensor expected, Tensor found)
    {
        double tolerance = expected.dtype == ScalarType.Float32 ? 1e-3 : 1e-8;
        double difference = (expected - found).abs().max().ToDouble();
        double size = expected.abs().max().ToDouble();
        return difference <= tolerance * (size + tolerance);
    }

    /// <summary>The module's equation, on the kernels.</summary>
    private sealed class LoweredField(VectorField original, LoweredLayers layers) : VectorField
    {
        public override IReadOnlyList<Tensor> Parameters => original.Parameters;

        public override IAnalyticDynamics Analytic => layers;

        public override Module? Module => original.Module;

        public override bool IsComplete => true;

        public override Tensor Evaluate(Tensor time, Tensor state) => original.Evaluate(time, state);
    }
}
