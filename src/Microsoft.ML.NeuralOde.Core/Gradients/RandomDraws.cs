using Microsoft.ML.NeuralOde.Solving;
using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Gradients;

/// <summary>
/// Notices that a right-hand side draws random numbers during a solve, as dropout does: evaluations made again are not the same then.
/// </summary>
/// <remarks>
/// That torch's generator moved says that somebody drew; it may have been another thread. Whether it was the right-hand side, two
/// evaluations at the same place tell. The generators of other devices cannot be looked at: there modules for dropout are looked for
/// instead.
/// </remarks>
internal sealed class RandomDraws : IDisposable
{
    private readonly OdeProblem _problem;
    private readonly Undisturbed _before;

    private RandomDraws(OdeProblem problem)
    {
        _problem = problem;
        _before = new Undisturbed(problem.Equation);
    }

    /// <summary>Whether there may have been draws.</summary>
    public bool Found =>
        _before.DrewNumbers || (_problem.InitialState.device_type != DeviceType.CPU && _problem.Equation.Reach.Dropout is not null);

    /// <summary>To be called before the solve; null where the right-hand side is known to draw none.</summary>
    public static RandomDraws? Watch(OdeProblem problem) => problem.Equation.IsComplete ? null : new RandomDraws(problem);

    /// <summary>Whether it was the right-hand side.</summary>
    public bool AreConfirmed(OdeSolution solution)
    {
        using Tensor final = solution.States[-1];
        return _problem.DrawsRandomNumbers(_problem.InitialState, final);
    }

    /// <exception cref="ArgumentException">It was the right-hand side.</exception>
    public void Refuse(OdeSolution solution)
    {
        if (!Found || !AreConfirmed(solution))
            return;
        solution.Dispose();
        throw _problem.RandomNumbersRefused();
    }

    /// <summary>Puts random numbers and buffers back as they were before the solve.</summary>
    public void Undo() => _before.Restore();

    public void Dispose() => _before.Keep();
}
