using Microsoft.ML.NeuralOde.Solving;
using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Gradients;

/// <summary>The sweep of the adjoint method with everything on its way kept, from output time to output time.</summary>
internal static class AdjointTrace
{
    /// <param name="problem">The problem, checked.</param>
    /// <param name="names">Names of its parameters.</param>
    /// <param name="loss">L of the last state.</param>
    /// <exception cref="ArgumentException">An option does not fit.</exception>
    public static AdjointSolution Run(OdeProblem problem, string[] names, Func<Tensor, Tensor> loss)
    {
        if (problem.Gradient is not BacksolveAdjoint adjoint)
            throw new ArgumentException(
                $"{nameof(OdeSolverOptions)}.{nameof(OdeSolverOptions.Gradient)} is {problem.Gradient.Name}; an adjoint trajectory is that of "
                + "GradientMethod.Adjoint(), which, or null, it must be.");
        if (problem.Options.Events.Count > 0 || problem.Options.PerRow)
            throw new ArgumentException("An adjoint trajectory has neither events nor steps of single rows; leave both options out.");
        if (problem.Grid.Count < 2)
            throw new ArgumentException("An adjoint trajectory needs at least two output times.");
        OdeSolverOptions options = adjoint.OnTheWayBack(problem.Options);
        options.Method.CheckType(problem.InitialState, "initialState");
        problem = problem with { Options = problem.Options with { OnStepLimit = StepLimitBehavior.Throw } };
        using DisposeScope scope = NewDisposeScope();
        OdeSolution solution;
        using (RandomDraws? draws = RandomDraws.Watch(problem))
        {
            solution = problem.SolveWithoutGradient();
            draws?.Refuse(solution);
        }
        Tensor states = solution.States;
        (Tensor last, double value) = Differentiate(loss, states[-1]);
        using IDisposable noGrad = no_grad();
        using var buffers = new BufferState(problem.Equation.Buffers);
        using var sums = new ParameterSums(problem.Parameters);
        var statistics = new SolverStatistics();
        double[] times = problem.Grid.Values;
        var adjoints = new Tensor[times.Length];
        var gradients = new Tensor[times.Length][];
        adjoints[^1] = last;
        gradients[^1] = Copies(sums);
        var methods = new IntervalMethods(options, adjoint.IsMethodGiven, guess: null);
        try
        {
            for (int i = times.Length - 1; i > 0; i--)
            {
                // λ is solved for in units of its own size, so that the absolute tolerance means the same for every loss.
                double size = AdjointSolve.RootMeanSquare(adjoints[i]);
                TimeGrid interval = TimeGrid.Of(times[i], times[i - 1]);
                adjoints[i - 1] = size == 0 ? adjoints[i]
                    : AdjointSolve.Sweep(
                        problem.Equation, interval, states[i], adjoints[i].Over(size), size, methods, sums, statistics)
                        .Times(size);
                gradients[i - 1] = Copies(sums);
            }
        }
        finally
        {
            buffers.Restore();
        }
        string[] active = [.. names.Where((_, i) => problem.Parameters[i].requires_grad)];
        return new AdjointSolution(
            tensor(times).MoveToOuterDisposeScope(), states.MoveToOuterDisposeScope(), stack(adjoints).MoveToOuterDisposeScope(), value,
            [.. active.Select((name, i) => (name, stack(Array.ConvertAll(gradients, all => all[i])).MoveToOuterDisposeScope()))],
            solution.Statistics, statistics);
    }

    private static Tensor[] Copies(ParameterSums sums) => [.. sums.Tensors.Select(sum => sum.clone())];

    /// <summary>∂L/∂y and L.</summary>
    private static (Tensor Gradient, double Loss) Differentiate(Func<Tensor, Tensor> loss, Tensor state)
    {
        using IDisposable grad = enable_grad();
        Tensor leaf = state.detach().clone().requires_grad_();
        Tensor? value = loss(leaf);
        if (value is null || value.IsInvalid || value.numel() != 1 || !value.is_floating_point())
        {
            string found = value is null ? "null" : value.IsInvalid ? "a tensor that is disposed of" : RightHandSide.Describe(value);
            throw new InvalidOperationException(
                $"The loss returned {found}; it must return one number of a floating-point type, such as y.square().sum().");
        }
        double number = value.detach().to(ScalarType.Float64).cpu().reshape(1).data<double>()[0];
        if (!double.IsFinite(number))
            throw new InvalidOperationException($"The loss of the last state is {number}; it must be finite.");
        Tensor? gradient = Autograd.PullSum("the loss", value, [leaf])[0];
        return ((gradient ?? zeros_like(leaf)).detach(), number);
    }
}
