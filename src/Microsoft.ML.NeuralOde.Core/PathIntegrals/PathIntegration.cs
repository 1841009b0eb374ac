using Microsoft.ML.NeuralOde.Stepping;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.PathIntegrals;

/// <summary>
/// A final state and the integrals along the way to it; those that were not asked for are null. Tensors are the caller's.
/// </summary>
internal sealed record PathResult(
    Tensor State, Tensor? Divergence, Tensor? KineticEnergy, Tensor? JacobianNorm, SolverStatistics Statistics,
    Tensor? StepPenalty = null);

/// <summary>Solves for a state together with integrals along its path.</summary>
internal static class PathIntegration
{
    /// <summary>Solves from one time to another.</summary>
    /// <param name="dynamics">f(t, y).</param>
    /// <param name="initialState">y at <paramref name="start"/>, shape <c>[batch, …]</c>.</param>
    /// <param name="start">Where the path starts.</param>
    /// <param name="end">Where it ends; may lie before the start.</param>
    /// <param name="options">How to solve.</param>
    /// <param name="quantities">What is integrated.</param>
    /// <param name="trace">How the Jacobian's trace and norm are computed; automatic means by dimension and by the dynamics' mode.</param>
    /// <param name="condition">The conditioning vectors, shape <c>[batch, conditions]</c>; null for none.</param>
    /// <param name="controlIntegrals">Whether the integrals take part in the error control.</param>
    /// <param name="penalty">What the steps cost; null for nothing.</param>
    public static PathResult Solve(
        Module<Tensor, Tensor, Tensor> dynamics, Tensor initialState, double start, double end, OdeSolverOptions options,
        PathQuantities quantities,
        TraceEstimator trace, Tensor? condition = null, bool controlIntegrals = true, Methods.StepPenalty? penalty = null) =>
        UserFunction.Call(
            "The solve along a path", initialState, () =>
                SolveAlong(dynamics, initialState, start, end, options, quantities, trace, condition, controlIntegrals, penalty));

    private static PathResult SolveAlong(
        Module<Tensor, Tensor, Tensor> dynamics, Tensor initialState, double start, double end, OdeSolverOptions options,
        PathQuantities quantities,
        TraceEstimator trace, Tensor? condition, bool controlIntegrals, Methods.StepPenalty? penalty)
    {
        using DisposeScope scope = NewDisposeScope();
        var request = new PathRequest(quantities, Choose(trace, dynamics, initialState, quantities), condition, options.PerRow);
        var rate = PathRate.Create(dynamics, initialState, request);
        if (!controlIntegrals && rate.Width > rate.Features)
            options = options with { Norm = StateNorm(options.Norm, rate) };
        Tensor packed = rate.Pack(initialState);
        Tensor times = tensor(new[] { start, end }, packed.dtype == ScalarType.Float64 ? ScalarType.Float64 : ScalarType.Float32);
        using OdeSolution solution = Ode.Solve(new PathField(dynamics, rate), packed, TimeGrid.Create(times), times, options, penalty);
        Tensor final = solution.Final;
        var result = new PathResult(
            rate.State(final).MoveToOuterDisposeScope(),
            rate.Integral(final, PathQuantities.Divergence)?.MoveToOuterDisposeScope(),
            rate.Integral(final, PathQuantities.KineticEnergy)?.MoveToOuterDisposeScope(),
            rate.Integral(final, PathQuantities.JacobianNorm)?.MoveToOuterDisposeScope(),
            solution.Statistics, solution.Penalty?.MoveToOuterDisposeScope());
        // A backward pass to come evaluates the rate again.
        if (!final.requires_grad)
            rate.Dispose();
        return result;
    }

    private static TraceEstimator Choose(
        TraceEstimator trace, Module<Tensor, Tensor, Tensor> dynamics, Tensor initialState, PathQuantities quantities)
    {
        if (trace.IsExact || trace.Probes > 0)
            return trace;
        long features = initialState.numel() / Math.Max(1, initialState.shape[0]);
        bool isCheap = features <= TraceEstimator.SmallDimension
            || (dynamics is DenseDynamics { Layers: <= DenseTrace.MaximumLayers } && (quantities & PathQuantities.JacobianNorm) == 0);
        // In evaluation a likelihood should not depend on chance.
        return isCheap || !dynamics.training ? TraceEstimator.Exact : TraceEstimator.Hutchinson();
    }

    /// <summary>A norm that looks at the state's own components only.</summary>
    private static ErrorNorm StateNorm(ErrorNorm norm, PathRate rate)
    {
        long width = rate.Width, features = rate.Features;
        return ErrorNorm.Custom($"{norm.Name} without integrals", errors =>
        {
            Tensor state = errors.reshape(errors.shape[0], -1, width).narrow(2, 0, features).reshape(errors.shape[0], -1);
            return norm.Measure.Of(state);
        });
    }
}
