using Microsoft.ML.NeuralOde.Methods;
using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Gradients;

/// <summary>Undoes steps of a reversible method and carries gradients backward over them.</summary>
internal abstract class ReversibleStepReversal(BackwardSweep sweep) : IDisposable
{
    protected BackwardSweep Sweep { get; } = sweep;

    /// <summary>The reversal for a method.</summary>
    public static ReversibleStepReversal For(IReversibleMethod method, BackwardSweep sweep) => method.Undo(new Factory(sweep));

    /// <summary>The place before a step; its tensors are owned by the arithmetic of the step's lanes.</summary>
    /// <param name="step">The step, with no lane that rejected it.</param>
    /// <param name="point">The place behind it, which stays the caller's.</param>
    /// <param name="gradient">The gradient of an output, for the rows of the step.</param>
    public abstract ReversiblePoint Undo(TapeStep step, ReversiblePoint point, Func<int, Tensor> gradient);

    /// <summary>
    /// Adds to a place what is held back for the next step to be undone, where it is not the one before in time. Takes the place over.
    /// </summary>
    public virtual ReversiblePoint Finish(ReversiblePoint point) => point;

    public virtual void Dispose()
    {
    }

    protected static double[] Fill(int lanes, double value)
    {
        var values = new double[lanes];
        Array.Fill(values, value);
        return values;
    }

    private sealed class Factory(BackwardSweep sweep) : IUndoFactory<ReversibleStepReversal>
    {
        public ReversibleStepReversal ForCoupling(ButcherTableau tableau, double coupling) =>
            new CouplingReversal(tableau, coupling, sweep);

        public ReversibleStepReversal ForReversibleHeun() => new ReversibleHeunReversal(sweep);
    }
}

/// <summary>
/// The outputs that were taken from a step: those at its end, and those on the cubic through its ends. What they add to the gradients of
/// the step's states and slopes.
/// </summary>
internal sealed class HermiteOutputs
{
    private readonly BackwardSweep _sweep;
    private readonly StepSpan _span;
    private readonly StepOutput[] _inside;
    private readonly Tensor[] _atEnd;
    private readonly Tensor[] _incoming;

    public HermiteOutputs(BackwardSweep sweep, TapeStep step, StepSpan span, Func<int, Tensor> gradient)
    {
        _sweep = sweep;
        _span = span;
        _inside = [.. step.Outputs.Where(output => !output.IsAtEnd)];
        _incoming = Array.ConvertAll(_inside, output => output.Masked(gradient(output.Output), step.Lanes));
        _atEnd = [.. step.Outputs.Where(output => output.IsAtEnd).Select(output => output.Masked(gradient(output.Output), step.Lanes))];
    }

    /// <summary>What the state at the step's end gets.</summary>
    public IEnumerable<Term> End =>
        Terms(basis => basis.End).Concat(_atEnd.Select(g => new Term(g, Enumerable.Repeat(1.0, _span.Start.Length).ToArray())));

    /// <summary>What the state at the step's start gets.</summary>
    public IEnumerable<Term> Start => Terms(basis => 1 - basis.End);

    /// <summary>What the slope at the step's start gets, in units of the step size.</summary>
    public IEnumerable<Term> StartSlope => Terms(basis => basis.StartSlope);

    /// <summary>What the slope at the step's end gets, in units of the step size.</summary>
    public IEnumerable<Term> EndSlope => Terms(basis => basis.EndSlope);

    /// <summary>Adds what the places of the outputs inside the step contribute to the gradients of the times.</summary>
    public void AddPlaces(Tensor start, Tensor end, Tensor startSlope, Tensor endSlope)
    {
        int lanes = _span.Start.Length;
        for (int o = 0; o < _inside.Length; o++)
        {
            double[] y0 = BackwardSweep.Dots(_incoming[o], start, lanes), y1 = BackwardSweep.Dots(_incoming[o], end, lanes);
            double[] f0 = BackwardSweep.Dots(_incoming[o], startSlope, lanes), f1 = BackwardSweep.Dots(_incoming[o], endSlope, lanes);
            var slopes = new double[lanes];
            for (int lane = 0; lane < lanes; lane++)
            {
                HermiteBasis basis = HermiteBasis.DerivativeAt(_inside[o].Fraction(_span, lane));
                slopes[lane] =
                    basis.End * (y1[lane] - y0[lane]) / _span.Size[lane] + basis.StartSlope * f0[lane] + basis.EndSlope * f1[lane];
            }
            _sweep.AddPlace(_inside[o], _span, slopes);
        }
    }

    private IEnumerable<Term> Terms(Func<HermiteBasis, double> weight) => _inside.Select((output, o) => new Term(
        _incoming[o], [.. Enumerable.Range(0, _span.Start.Length).Select(lane => weight(HermiteBasis.At(output.Fraction(_span, lane))))]));
}
