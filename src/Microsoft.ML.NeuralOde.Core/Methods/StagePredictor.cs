using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Methods;

/// <summary>
/// Where the Newton iteration for coupled stages starts: on the polynomial through the derivatives of the last accepted step, continued,
/// or, where there is none, on the tangent (E. Hairer, G. Wanner, Solving Ordinary Differential Equations II, IV.8).
/// </summary>
/// <remarks>Works without a graph.</remarks>
internal sealed class StagePredictor(ImplicitTableau tableau, StepperContext context)
{
    /// <summary>
    /// Derivatives at the stages of the last accepted step, and its size lane by lane; zero where no step was accepted yet.
    /// </summary>
    private Tensor[]? _slopes;
    private double[] _sizes = [];

    /// <summary>A step was accepted, in all lanes or the marked ones.</summary>
    public void Remember(StepSpan span, ReadOnlySpan<Tensor?> slopes, bool[]? mask)
    {
        using IDisposable noGrad = no_grad();
        Tensor[]? before = _slopes;
        var kept = new Tensor[slopes.Length];
        for (int j = 0; j < kept.Length; j++)
        {
            using Tensor slope = slopes[j]!.detach();
            kept[j] = mask is null || before is null ? context.Arithmetic.Copy(slope) : context.Arithmetic.Select(mask, slope, before[j]);
        }
        double[] sizes = _sizes;
        _sizes = [.. span.Size.Select((size, lane) => mask is null || mask[lane] ? size : before is null ? 0 : sizes[lane])];
        Release(before);
        _slopes = kept;
    }

    /// <summary>Goes on with these lanes only.</summary>
    public void Keep(int[] lanes)
    {
        if (_slopes is null)
            return;
        _slopes = Array.ConvertAll(_slopes, slope => context.Arithmetic.Keep(slope, lanes));
        _sizes = Array.ConvertAll(lanes, lane => _sizes[lane]);
    }

    /// <summary>Starts afresh.</summary>
    public void Forget()
    {
        Release(_slopes);
        _slopes = null;
    }

    /// <summary>The stages' states; the caller's.</summary>
    public Tensor[] Predict(StepSpan span, Tensor state, Tensor tangent)
    {
        using Tensor from = state.detach();
        using Tensor slope = tangent.detach();
        Tensor[] inputs = [slope, .. _slopes ?? []];
        var stages = new Tensor[tableau.Stages];
        for (int i = 0; i < stages.Length; i++)
        {
            var weights = new double[span.Size.Length * inputs.Length];
            for (int lane = 0; lane < span.Size.Length; lane++)
                Weights(tableau.C[i], span.Size[lane], lane, weights.AsSpan(lane * inputs.Length, inputs.Length));
            Tensor stage = context.Arithmetic.Combine(from, null, weights, inputs);
            stages[i] = stage.clone();
            context.Arithmetic.Release(stage);
        }
        return stages;
    }

    private void Weights(double node, double size, int lane, Span<double> weights)
    {
        if (_slopes is null || _sizes[lane] == 0)
        {
            weights[0] = node * size;
            return;
        }
        tableau.ExtrapolationWeights(node * size / _sizes[lane], weights[1..]);
        foreach (ref double weight in weights[1..])
            weight *= _sizes[lane];
    }

    private void Release(Tensor[]? slopes)
    {
        foreach (Tensor slope in slopes ?? [])
            context.Arithmetic.Release(slope);
    }
}
