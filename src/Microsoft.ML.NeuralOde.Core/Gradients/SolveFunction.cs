using Microsoft.ML.NeuralOde.Solving;
using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Gradients;

/// <summary>What a gradient method returns from its backward pass; null where no gradient is needed or there is none.</summary>
internal sealed record Gradients(Tensor? InitialState, Tensor? Times, Tensor?[] Parameters);

/// <summary>A solve that is a node of the autograd graph: how its gradients come back is the subclass's business.</summary>
internal abstract class DifferentiableSolve
{
    private readonly (ScalarType Type, Device Device)? _times;
    private readonly DeviceType _device;
    private readonly ReachedOutputs? _outputs;
    private Tensor? _joined;

    protected DifferentiableSolve(OdeProblem problem, OdeSolution solution)
    {
        Problem = problem;
        Solution = solution;
        _device = problem.InitialState.device_type;
        StateNeedsGradient = problem.InitialState.requires_grad;
        _outputs = ReachedOutputs.Of(solution, problem.Options.PerRow);
        if (problem.TimesRequireGradient)
            _times = (problem.Times!.dtype, problem.Times.device);
    }

    /// <summary>The problem; its initial state and times may be disposed of when the backward pass runs.</summary>
    protected OdeProblem Problem { get; }

    protected bool StateNeedsGradient { get; }

    protected bool TimesNeedGradient => _times is not null;

    protected OdeSolution Solution { get; }

    /// <summary>Which outputs were reached; null where all were.</summary>
    protected ReachedOutputs? Outputs => _outputs;

    /// <summary>Tensors the backward pass needs; kept by the graph and freed with it.</summary>
    protected abstract IReadOnlyList<Tensor> Saved { get; }

    /// <summary>Puts the solution into the graph.</summary>
    public OdeSolution Attach()
    {
        if (Solution.Penalty is not null)
            return AttachWithPenalty();
        Tensor states = Solution.States;
        object?[] arguments = [this, Problem.InitialState, Problem.Times, .. Problem.Parameters];
        Tensor attached = SolveFunction.apply(arguments!);
        if (!ReferenceEquals(attached, states))
            states.Dispose();
        return Solution.With(attached);
    }

    /// <summary>The same with what the steps cost as one more state behind the others: a node has one output.</summary>
    private OdeSolution AttachWithPenalty()
    {
        Tensor states = Solution.States;
        using (Tensor penalty = Solution.Penalty!)
        {
            using Tensor last = penalty.unsqueeze(0);
            _joined = cat([states, last]).DetachFromDisposeScope();
        }
        Solution.Penalty = null;
        object?[] arguments = [this, Problem.InitialState, Problem.Times, .. Problem.Parameters];
        Tensor attached = SolveFunction.apply(arguments!);
        long times = states.shape[0];
        OdeSolution solution = Solution.With(attached.narrow(0, 0, times));
        solution.Penalty = attached.select(0, times);
        attached.Dispose();
        if (!ReferenceEquals(attached, _joined))
            _joined.Dispose();
        _joined = null;
        states.Dispose();
        return solution;
    }

    /// <summary>Runs with gradients off, inside a dispose scope; the results must be detached from it.</summary>
    protected abstract Gradients Backward(Tensor gradient, IReadOnlyList<Tensor> saved);

    /// <summary>The node. One instance serves all solves: what belongs to a solve travels as an argument and in the context.</summary>
    internal sealed class SolveFunction : autograd.SingleTensorFunction<SolveFunction>
    {
        private const string Key = "solve";

        public override string Name => nameof(SolveFunction);

        public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
        {
            var solve = (DifferentiableSolve)vars[0];
            ctx.set_materialize_grads(false);
            ctx.save_data(Key, solve);
            ctx.save_for_backward([.. solve.Saved]);
            return solve._joined ?? solve.Solution.States;
        }

        public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
        {
            Exception? failure = BackwardFailure.Earlier();
            var solve = (DifferentiableSolve)ctx.get_data(Key);
            int parameters = solve.Problem.Parameters.Count;
            var result = new List<Tensor>(new Tensor[3 + parameters]);
            if (grad_output.IsInvalid && failure is null)
                return result;

            // No exception may leave this method: native code calls it.
            Gradients? gradients = null;
            List<Tensor> saved = [];
            try
            {
                if (failure is null && is_grad_enabled())
                    failure = new NotSupportedException(
                        "The gradient of an ODE solve was asked for with a graph of its own (create_graph: true), for second " +
                        $"derivatives, which gradients by '{solve.Problem.Gradient.Name}' do not have: " +
                        $"set {nameof(OdeSolverOptions)}.{nameof(OdeSolverOptions.Gradient)} to GradientMethod.Direct().");
                if (failure is null)
                {
                    saved = Unpack(ctx);
                    using IDisposable noGrad = no_grad();
                    using DisposeScope scope = NewDisposeScope();
                    gradients = solve.Run(grad_output, saved);
                }
            }
            catch (Exception exception)
            {
                failure = exception;
            }
            foreach (Tensor? tensor in saved)
                tensor?.Dispose();
            if (grad_output.IsInvalid)
                gradients = new Gradients(null, null, new Tensor?[parameters]);
            gradients ??= solve.Undefined(grad_output);
            result[1] = gradients.InitialState!;
            result[2] = gradients.Times!;
            for (int i = 0; i < parameters; i++)
                result[3 + i] = gradients.Parameters[i]!;
            // The caller reads the handles after this returns: nothing else holds the tensors until then.
            ctx.save_data("gradients", result);
            if (failure is not null)
                solve.Solution.Statistics.Fail(failure, BackwardFailure.Tell(failure, solve._device), solve.Problem.Parameters);
            return result;
        }
    }

    /// <exception cref="InvalidOperationException">A tensor was changed since it was saved.</exception>
    private static List<Tensor> Unpack(autograd.AutogradContext context)
    {
        try
        {
            List<Tensor> saved = context.get_saved_variables();
            return saved.TrueForAll(tensor => tensor is not null)
                ? saved
                : throw new InvalidOperationException(
                    "What the backward pass of the solution needs is gone; solve again, and keep what the solution was made of alive.");
        }
        catch (System.Runtime.InteropServices.ExternalException exception)
        {
            throw new InvalidOperationException(
                "A parameter of the right-hand side was changed between the solve and its backward pass, by a step of an optimiser, say: "
                + "the solution's gradients belong to the old value. Call backward() first, or solve again.", exception);
        }
    }

    /// <summary>
    /// The backward pass, after which buffers are as they were: evaluations made again must not be counted by batch normalisation again.
    /// Rows that did not reach an output that the loss depends on have no gradient of their own.
    /// </summary>
    private Gradients Run(Tensor gradient, IReadOnlyList<Tensor> saved)
    {
        using var buffers = new BufferState(Problem.Equation.Buffers);
        Gradients gradients;
        try
        {
            gradients = Backward(gradient, saved);
        }
        finally
        {
            buffers.Restore();
        }
        Solution.Statistics.RowsWithoutGradient = _outputs?.MarkMissing(gradient, gradients.InitialState) ?? [];
        return gradients;
    }

    /// <summary>The gradient of the times from numbers; null where none is needed. In the current scope.</summary>
    protected Tensor? TimesGradient(double[]? values) =>
        _times is { } times && values is not null ? tensor(values, times.Type, times.Device) : null;

    private Gradients Undefined(Tensor gradient)
    {
        double[] times = new double[Problem.Grid.Count];
        Array.Fill(times, double.NaN);
        return new Gradients(
            StateNeedsGradient ? full_like(gradient[0], Numbers.NaN) : null, TimesGradient(times),
            [.. Problem.Parameters.Select(BackwardFailure.Undefined)]);
    }
}
