using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Methods;

/// <summary>∂f/∂y row by row, shape <c>[rows, n, n]</c>: from the user, or column by column through autograd, all rows at once.</summary>
internal static class JacobianEvaluator
{
    /// <summary>The number of rows that f treats independently: the first dimension of states of two or more.</summary>
    public static long Rows(Tensor state) => state.dim() < 2 ? 1 : state.shape[0];

    /// <summary>The Jacobian; the caller's, and without a graph.</summary>
    public static Tensor Evaluate(StepperContext context, Tensor time, Tensor state)
    {
        context.Statistics.Jacobians++;
        return Evaluate(context.RightHandSide.Evaluate, context.Options.Jacobian, time, state);
    }

    /// <summary>The Jacobian of a function; the caller's, and without a graph.</summary>
    /// <param name="function">f(t, y); its result is the caller's.</param>
    /// <param name="own">∂f/∂y from the user; null for autograd.</param>
    /// <param name="time">t.</param>
    /// <param name="state">y.</param>
    public static Tensor Evaluate(Func<Tensor, Tensor, Tensor> function, Func<Tensor, Tensor, Tensor>? own, Tensor time, Tensor state)
    {
        using DisposeScope scope = NewDisposeScope();
        long rows = Rows(state);
        long n = state.numel() / Math.Max(1, rows);
        if (rows * n == 0)
            return zeros([rows, n, n], state.dtype, state.device).DetachFromDisposeScope();
        if (own is not null)
        {
            using IDisposable noGrad = no_grad();
            Tensor given = UserFunction.Call("The Jacobian", state, () => own(time, state.clone()));
            if (given is null || given.IsInvalid || given.numel() != rows * n * n)
                throw new InvalidOperationException(
                    $"The Jacobian has {(given is null || given.IsInvalid ? "no value" : $"shape [{string.Join(", ", given.shape)}]")}; "
                    + $"it must have shape [{rows}, {n}, {n}].");
            return given.reshape(rows, n, n).to(state.dtype, state.device).clone().DetachFromDisposeScope();
        }

        using IDisposable grad = enable_grad();
        Tensor y = state.detach().clone().requires_grad_();
        Tensor value = function(time.detach(), y);
        scope.Attach(value);
        if (!value.requires_grad)
            return zeros([rows, n, n], state.dtype, state.device).DetachFromDisposeScope();
        Tensor flat = value.reshape(rows, n);
        var lines = new Tensor[n];
        for (long i = 0; i < n; i++)
        {
            Tensor? derivative = Autograd.PullSum("the right-hand side", flat.select(1, i), [y], retainGraph: i < n - 1)[0];
            lines[i] = derivative?.reshape(rows, n) ?? zeros([rows, n], state.dtype, state.device);
        }
        return stack(lines, 1).detach().DetachFromDisposeScope();
    }
}
