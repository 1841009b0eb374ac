using Microsoft.ML.NeuralOde.Stepping;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Series;

/// <summary>Solves controlled equations along the number of the knot, in which all rows have their knots at the same places.</summary>
internal static class KnotSolve
{
    /// <summary>
    /// Pieces that are solved in one: more save little, and the place in a piece, in the state's type, loses digits as the number grows.
    /// </summary>
    private const int Stretch = 32;

    /// <summary>The options, or the defaults.</summary>
    /// <exception cref="ArgumentException">An option makes no sense here.</exception>
    public static OdeSolverOptions Checked(OdeSolverOptions? options)
    {
        options ??= new OdeSolverOptions { Method = OdeMethod.Rk4, StepSize = 1 };
        options.Validate();
        if (options.Events.Count > 0 || options.Discontinuities.Count > 0)
            throw new ArgumentException(
                $"The options have {(options.Events.Count > 0 ? "events" : "discontinuities")}; a controlled equation has none but its knots.",
                nameof(options));
        return options;
    }

    /// <summary>The states at all knots, <c>[batch, knots, width]</c>, or the last alone, <c>[batch, width]</c>.</summary>
    /// <param name="module">What the equation belongs to.</param>
    /// <param name="forward">dz/ds, given s, z and the pieces around s.</param>
    /// <param name="pieces">What belongs to the pieces, <c>[batch, pieces, …]</c> each.</param>
    /// <param name="initial">The state at the first knot.</param>
    /// <param name="all">Whether all states are wanted.</param>
    /// <param name="options">How to solve.</param>
    public static Tensor Run(
        Module module, Func<Tensor, Tensor, IReadOnlyList<Tensor>, Tensor> forward, IReadOnlyList<Tensor> pieces, Tensor initial, bool all,
        OdeSolverOptions options)
    {
        int count = (int)pieces[0].size(1);
        Tensor state = initial;
        var states = new List<Tensor> { initial.unsqueeze(1) };
        for (int start = 0; start < count; start += Stretch)
        {
            int length = Math.Min(Stretch, count - start);
            double[] knots = [.. Enumerable.Range(0, length + 1).Select(knot => (double)knot)];
            // Along the number of the knot even a smooth path has kinks there: its pieces are of different lengths in time.
            // The way back asks for them when this scope is gone.
            Tensor[] part = [.. pieces.Select(whole => whole.narrow(1, start, length).DetachFromDisposeScope())];
            using OdeSolution solution = Ode.Solve(
                new RowArgumentField(module, forward, RowArgumentField.Apart(part)),
                state, all ? TimeGrid.Of(knots) : TimeGrid.Of(0, length), null,
                options with { Discontinuities = knots });
            state = solution.Final;
            if (all)
                states.Add(solution.States.narrow(0, 1, length).transpose(0, 1));
        }
        return all ? cat(states, 1) : state;
    }
}
