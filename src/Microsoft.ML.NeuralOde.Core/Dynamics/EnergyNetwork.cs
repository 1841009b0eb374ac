using TorchSharp.Modules;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Dynamics;

/// <summary>
/// A dense network with one number as its result, E(x) = w · σ(… σ(W₀ x + b₀) …), and its gradient by x as an expression of torch, which
/// may be differentiated again. Without a bias at the end, on which the gradient does not depend.
/// </summary>
internal sealed class EnergyNetwork
{
    private readonly Module _owner;
    private readonly string _prefix;
    private readonly int _hidden;
    private readonly Activation _activation;

    /// <summary>Registers the network's parameters, uniform in ±1/√inputs of each layer, as the owner's.</summary>
    public EnergyNetwork(Module owner, string prefix, long inputs, IReadOnlyList<long> hidden, Activation activation)
    {
        _owner = owner;
        _prefix = prefix;
        _hidden = hidden.Count;
        _activation = activation;
        long[] sizes = [inputs, .. hidden];
        for (int i = 0; i < _hidden; i++)
        {
            double bound = 1 / Math.Sqrt(sizes[i]);
            owner.OwnUniform($"{prefix}weight{i}", [sizes[i + 1], sizes[i]], bound);
            owner.OwnUniform($"{prefix}bias{i}", [sizes[i + 1]], bound);
        }
        owner.OwnUniform($"{prefix}weight{_hidden}", [sizes[^1]], 1 / Math.Sqrt(sizes[^1]));
    }

    public Parameter Weight(int layer) => _owner.get_parameter($"{_prefix}weight{layer}")!;

    /// <summary>E of each row, shape <c>[batch]</c>.</summary>
    public Tensor Value(Tensor x)
    {
        for (int i = 0; i < _hidden; i++)
            x = _activation.Value(functional.linear(x, Weight(i), Bias(i)));
        return x.matmul(Weight(_hidden));
    }

    /// <summary>∂E/∂x, shape <c>[batch, inputs]</c>; in the current scope.</summary>
    public Tensor Gradient(Tensor x) => Differentiate(x).InputGradient;

    /// <summary>∂E/∂x with all that its own derivatives are made of; in the current scope.</summary>
    public EnergyPoint Differentiate(Tensor x)
    {
        var weights = new Tensor[_hidden + 1];
        var values = new Tensor[_hidden + 1];
        var before = new Tensor[_hidden];
        var slopes = new Tensor[_hidden];
        values[0] = x;
        for (int i = 0; i < _hidden; i++)
        {
            weights[i] = Weight(i);
            before[i] = functional.linear(values[i], weights[i], Bias(i));
            values[i + 1] = _activation.Value(before[i]);
            slopes[i] = _activation.FirstDerivative(before[i], values[i + 1]);
        }
        weights[_hidden] = Weight(_hidden);
        // δ_i = ∂E/∂(W_i x_i + b_i), and ∂E/∂x_i = δ_i W_i.
        var gradients = new Tensor[_hidden + 1];
        var deltas = new Tensor[_hidden];
        gradients[_hidden] = weights[_hidden].unsqueeze(0);
        for (int i = _hidden - 1; i >= 0; i--)
        {
            deltas[i] = gradients[i + 1] * slopes[i];
            gradients[i] = deltas[i].matmul(weights[i]);
        }
        return new EnergyPoint(_activation, weights, values, before, slopes, gradients, deltas);
    }

    /// <summary>Where the gradients of the parameters are added: weights and biases of the layers in turn, the last weight.</summary>
    public int[] Slots(ParameterSlots slots) =>
        [.. Enumerable.Range(0, _hidden).SelectMany(i => (int[])[slots[$"{_prefix}weight{i}"], slots[$"{_prefix}bias{i}"]]),
            slots[$"{_prefix}weight{_hidden}"]];

    private Parameter Bias(int layer) => _owner.get_parameter($"{_prefix}bias{layer}")!;
}

/// <summary>An energy's gradient at some rows, and the derivatives of μ · ∂E/∂x.</summary>
/// <param name="Activation">σ.</param>
/// <param name="Weights">W_i.</param>
/// <param name="Values">x_i, the inputs of the layers.</param>
/// <param name="Before">W_i x_i + b_i.</param>
/// <param name="Slopes">σ′ there.</param>
/// <param name="Gradients">∂E/∂x_i.</param>
/// <param name="Deltas">∂E/∂(W_i x_i + b_i).</param>
internal sealed record EnergyPoint(
    Activation Activation, Tensor[] Weights, Tensor[] Values, Tensor[] Before, Tensor[] Slopes, Tensor[] Gradients, Tensor[] Deltas)
{
    public Tensor InputGradient => Gradients[0];

    /// <summary>What must stay for the derivatives.</summary>
    public IEnumerable<Tensor> Kept => [.. Values, .. Before, .. Slopes, .. Gradients, .. Deltas];

    /// <summary>
    /// s = μ · ∂E/∂x is the rate of E along μ: that rate goes through the layers as a tangent, and s is differentiated backward through
    /// both. In the current scope.
    /// </summary>
    /// <param name="direction">μ, shape <c>[batch, inputs]</c>.</param>
    /// <returns>
    /// ∂s/∂x, and what makes up the gradients of the parameters: those of W_i are <c>Before_iᵀ x_i + Tangent_iᵀ ẋ_i</c>.
    /// </returns>
    public (Tensor State, EnergySensitivities Sensitivities) Pull(Tensor direction)
    {
        int hidden = Before.Length;
        var tangents = new Tensor[hidden + 1];
        var tangentsBefore = new Tensor[hidden];
        tangents[0] = direction;
        for (int i = 0; i < hidden; i++)
        {
            tangentsBefore[i] = tangents[i].matmul(Weights[i].t());
            tangents[i + 1] = Slopes[i] * tangentsBefore[i];
        }
        var before = new Tensor[hidden];
        Tensor? state = null;
        for (int i = hidden - 1; i >= 0; i--)
        {
            Tensor? curvature = Activation.SecondDerivative(Before[i], Values[i + 1], Slopes[i]);
            Tensor? bent = curvature is null ? null : Gradients[i + 1] * tangentsBefore[i] * curvature;
            Tensor? carried = state is null ? null : state * Slopes[i];
            before[i] = (bent, carried) switch
            {
                (null, null) => zeros_like(Before[i]),
                (null, _) => carried,
                (_, null) => bent,
                _ => bent.Plus(carried),
            };
            state = before[i].matmul(Weights[i]);
        }
        return (state ?? zeros_like(direction), new EnergySensitivities(Values, Deltas, tangents, before));
    }
}

/// <summary>What the gradients of an energy's parameters are made of.</summary>
internal sealed record EnergySensitivities(Tensor[] Values, Tensor[] Deltas, Tensor[] Tangents, Tensor[] Before)
{
    /// <summary>The gradients in the order of <see cref="EnergyNetwork.Slots"/>; in the current scope.</summary>
    public IEnumerable<Tensor> Gradients()
    {
        for (int i = 0; i < Before.Length; i++)
        {
            yield return Before[i].t().matmul(Values[i]).Plus(Deltas[i].t().matmul(Tangents[i]));
            yield return Before[i].sum(dim: 0L);
        }
        yield return Tangents[^1].sum(dim: 0L);
    }
}
