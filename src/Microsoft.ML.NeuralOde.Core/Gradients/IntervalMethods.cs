using Microsoft.ML.NeuralOde.Methods;
using Microsoft.ML.NeuralOde.Solving;

namespace Microsoft.ML.NeuralOde.Gradients;

/// <summary>
/// The methods that the intervals between output times are solved backward by. λ jumps at each output, and so a step must end there: where
/// outputs lie closer together than the method's steps, one of lower order reaches the same tolerance with fewer evaluations.
/// </summary>
internal sealed class IntervalMethods
{
    private static readonly OdeMethod[] Cheaper =
    [
        OdeMethod.Dopri5,
        new ExplicitRungeKutta("single step of order 4", SingleStepPairs.FourthOrder, isKnownByName: false),
        new ExplicitRungeKutta("single step of order 3", SingleStepPairs.ThirdOrder, isKnownByName: false),
        OdeMethod.AdaptiveHeun,
    ];

    private readonly Candidate[] _candidates;
    private readonly OdeSolverOptions _options;
    private bool _isBegun;

    /// <param name="options">How to solve backward, with the method that serves where intervals are long.</param>
    /// <param name="isGiven">Whether the user gave that method, and so means no other.</param>
    /// <param name="guess">What the solve tells of that method's steps; null for nothing.</param>
    public IntervalMethods(OdeSolverOptions options, bool isGiven, StepGuess? guess)
    {
        _options = options;
        var own = new Candidate(options.Method) { Guess = guess };
        bool mayDiffer = !isGiven && options.StepSize is null && options.Method is { IsAdaptive: true, ExplicitTableau: not null };
        _candidates = !mayDiffer ? [own]
            : [own, .. Cheaper.Where(method => method.Order < own.Method.Order).Select(method => new Candidate(method))];
    }

    /// <summary>
    /// Solves an interval by the own method or, where that would take one step of it, by the one that needs the fewest evaluations.
    /// </summary>
    /// <param name="length">The length of the interval.</param>
    /// <param name="statistics">Where the solve counts what it does.</param>
    /// <param name="solve">Solves, with options and what is known of the steps.</param>
    public Tensor Solve(double length, SolverStatistics statistics, Func<OdeSolverOptions, StepGuess?, Tensor> solve)
    {
        // The solve tells of the own method's steps alone: what that means for another's is worth a try where more intervals follow.
        Candidate chosen =
            _isBegun && Size(Own) >= length ? _candidates.MinBy(candidate => Evaluations(candidate, length))! : Own;
        _isBegun = true;
        Tensor result = solve(_options with { Method = chosen.Method }, chosen.Guess);
        Note(chosen, StepGuess.From(statistics));
        return result;
    }

    private Candidate Own => _candidates[0];

    /// <summary>How many evaluations an interval takes, as far as that is known.</summary>
    private double Evaluations(Candidate candidate, double length)
    {
        double steps = Math.Max(1, Math.Ceiling(length / Size(candidate)));
        return candidate.IsFirstSameAsLast ? 1 + steps * (candidate.Stages - 1) : steps * candidate.Stages;
    }

    /// <summary>
    /// The step that a method would take: as it took last; before that, as the own method's tells of the length over which the solution
    /// changes, error = (step / length)^k with k the exponent of the error estimate.
    /// </summary>
    /// <returns>0 where nothing is known.</returns>
    private double Size(Candidate candidate)
    {
        if (candidate.Guess is { } known)
            return known.First;
        if (Own.Guess is not { } own)
            return 0;
        double tolerance = Math.Clamp(Math.Max(_options.RelativeTolerance, _options.AbsoluteTolerance), 1e-15, 1);
        return own.First * Math.Pow(tolerance, 1.0 / candidate.Exponent - 1.0 / Own.Exponent);
    }

    /// <summary>Takes note of the steps that a method took last; where these are the own method's, the others' change alike.</summary>
    private void Note(Candidate chosen, StepGuess? found)
    {
        if (found is not { } now)
            return;
        if (ReferenceEquals(chosen, Own) && Own.Guess is { } before)
            foreach (Candidate other in _candidates.AsSpan(1))
                if (other.Guess is { } guess)
                    other.Guess = guess with { First = guess.First * now.First / before.First };
        chosen.Guess = now;
    }

    private sealed class Candidate(OdeMethod method)
    {
        private readonly ButcherTableau? _tableau = method.ExplicitTableau;

        public OdeMethod Method => method;

        public int Stages => _tableau?.Stages ?? 1;

        public bool IsFirstSameAsLast => _tableau is { IsFirstSameAsLast: true };

        /// <summary>The power of the step size that the error grows with.</summary>
        public int Exponent => Math.Max(1, _tableau?.ErrorOrder ?? 1) + 1;

        /// <summary>What its last interval tells of its steps; null before the first.</summary>
        public StepGuess? Guess { get; set; }
    }
}
