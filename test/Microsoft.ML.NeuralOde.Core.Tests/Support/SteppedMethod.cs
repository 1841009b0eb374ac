using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Core.Tests.Support;

/// <summary>One step of a method, without step control.</summary>
internal sealed class SteppedMethod : IDisposable
{
    private readonly Stepper _stepper;
    private readonly StateArithmetic _arithmetic;

    private SteppedMethod(Stepper stepper, StateArithmetic arithmetic)
    {
        _stepper = stepper;
        _arithmetic = arithmetic;
    }

    public static SteppedMethod Of(Func<Tensor, Tensor, Tensor> f, Tensor y0, OdeSolverOptions options)
    {
        var statistics = new SolverStatistics();
        StateArithmetic arithmetic = StateArithmetic.Create(y0, 1, differentiable: false);
        var context = new StepperContext(
            new RightHandSide(new FunctionField(f), statistics), arithmetic, new Clock(TimeGrid.Of(0, 1), y0, perRow: false),
            options, statistics);
        Stepper stepper = options.Method.CreateStepper(context);
        stepper.Start([0], arithmetic.Copy(y0));
        return new SteppedMethod(stepper, arithmetic);
    }

    /// <summary>The interpolant, at a time, of a step from 0 to <paramref name="end"/>.</summary>
    public Tensor Interpolate(double end, double time)
    {
        _stepper.Try([end]);
        Tensor state = _stepper.Interpolate([time]);
        Tensor value = state.clone();
        _arithmetic.Release(state);
        return value;
    }

    public void Dispose()
    {
        _stepper.Dispose();
        _arithmetic.Dispose();
    }
}

internal static class OdeExtensions
{
    extension(Ode)
    {
        /// <summary>From one time to another.</summary>
        public static OdeSolution Solve(Func<Tensor, Tensor, Tensor> f, Tensor y0, double from, double to, OdeSolverOptions options)
        {
            using Tensor times = tensor(new[] { from, to });
            return Ode.Solve(f, y0, times, options);
        }

        /// <summary>Fixed steps of a size.</summary>
        public static OdeSolution Solve(
            Func<Tensor, Tensor, Tensor> f, Tensor y0, double from, double to, OdeMethod method, double stepSize)
        {
            using Tensor times = tensor(new[] { from, to });
            using IDisposable noGrad = no_grad();
            return Ode.Solve(f, y0, times, new OdeSolverOptions { Method = method, StepSize = stepSize });
        }
    }
}
