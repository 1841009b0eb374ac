using Microsoft.ML.NeuralOde.Methods;
using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Gradients;

/// <summary>
/// The outputs that were taken from an explicit Runge–Kutta step: those at its end, and those on the method's own interpolant.
/// </summary>
internal sealed class ExtensionOutputs
{
    private readonly BackwardSweep _sweep;
    private readonly ButcherTableau _tableau;
    private readonly StepSpan _span;
    private readonly int _atLeast;

    public ExtensionOutputs(
        BackwardSweep sweep, ButcherTableau tableau, TapeStep step, StepSpan span, Func<int, Tensor> gradient, int atLeast = 0)
    {
        _atLeast = atLeast;
        _sweep = sweep;
        _tableau = tableau;
        _span = span;
        Inside = [.. step.Outputs.Where(output => !output.IsAtEnd)];
        Incoming = Array.ConvertAll(Inside, output => output.Masked(gradient(output.Output), step.Lanes));
        AtEnd = [.. step.Outputs.Where(output => output.IsAtEnd).Select(output => output.Masked(gradient(output.Output), step.Lanes))];
    }

    /// <summary>The outputs inside the step.</summary>
    public StepOutput[] Inside { get; }

    /// <summary>Their gradients.</summary>
    public Tensor[] Incoming { get; }

    /// <summary>The gradients of the outputs at the step's end.</summary>
    public Tensor[] AtEnd { get; }

    /// <summary>How many stages the step and these outputs take.</summary>
    public int Stages => Math.Max(_atLeast, Inside.Length > 0 ? _tableau.Extension.Polynomials.Length : _tableau.SolutionStages);

    /// <summary>The stages' weights in the solution at the step's end, lane-major.</summary>
    public double[] EndWeights()
    {
        var weights = new double[_span.Start.Length * Stages];
        for (int lane = 0; lane < _span.Start.Length; lane++)
            _tableau.B.AsSpan(0, Math.Min(Stages, _tableau.Stages)).CopyTo(weights.AsSpan(lane * Stages, Stages));
        return weights;
    }

    /// <summary>p_i(σ), or p_i′(σ), of an output inside the step, lane-major.</summary>
    public double[] Weights(StepOutput output, bool derivative = false)
    {
        var weights = new double[Stages * _span.Start.Length];
        for (int lane = 0; lane < _span.Start.Length; lane++)
        {
            Span<double> row = weights.AsSpan(lane * Stages, Stages);
            double sigma = output.Fraction(_span, lane);
            if (derivative)
                _tableau.Extension.WeightDerivatives(sigma, row);
            else
                _tableau.Extension.Weights(sigma, row);
        }
        return weights;
    }

    /// <summary>
    /// What the places σ = (t − t₀) / h of the outputs inside the step contribute to the gradients of the times: the slope there is Σ_i
    /// p_i′(σ) k_i.
    /// </summary>
    /// <param name="k">The stages.</param>
    /// <param name="linear">What the interpolant has besides, linear in σ: a state that it is multiplied with; null for nothing.</param>
    public void AddPlaces(Tensor[] k, Tensor? linear = null)
    {
        for (int o = 0; o < Inside.Length; o++)
        {
            double[] slopes = Weights(Inside[o], derivative: true);
            var place = new double[_span.Start.Length];
            for (int i = 0; i < k.Length; i++)
            {
                double[] dots = BackwardSweep.Dots(Incoming[o], k[i], place.Length);
                for (int lane = 0; lane < place.Length; lane++)
                    place[lane] += slopes[lane * k.Length + i] * dots[lane];
            }
            if (linear is not null)
            {
                double[] dots = BackwardSweep.Dots(Incoming[o], linear, place.Length);
                for (int lane = 0; lane < place.Length; lane++)
                    place[lane] += dots[lane] / _span.Size[lane];
            }
            _sweep.AddPlace(Inside[o], _span, place);
        }
    }
}
