using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Samples.Augmented;

/// <summary>What came of training one model on one problem.</summary>
/// <param name="Problem">The problem.</param>
/// <param name="Model">The kind of equation.</param>
/// <param name="Loss">The mean square of the errors at the end of the training.</param>
/// <param name="Evaluations">Evaluations of the right-hand side in the last solve.</param>
/// <param name="Parameters">How many weights.</param>
internal sealed record CrossingResult(string Problem, string Model, double Loss, long Evaluations, long Parameters);

/// <summary>An ODE block, and a linear layer behind it where the problem has one.</summary>
internal sealed class CrossingModel : Module<Tensor, Tensor>
{
    private const int Hidden = 32;

    private readonly OdeBlock _block;
    private readonly Linear? _head;

    private CrossingModel(string kind, CrossingProblem problem, Module<Tensor, Tensor, Tensor> dynamics, long further)
        : base(nameof(CrossingModel))
    {
        Kind = kind;
        var options = new OdeSolverOptions { RelativeTolerance = 1e-4, AbsoluteTolerance = 1e-5 };
        _block = new OdeBlock(dynamics, 1, options, further > 0 ? StateAugmentation.Zeros(further) : null);
        register_module("block", _block);
        if (!problem.HasHead)
            return;
        _head = Linear(problem.Features + further, 1);
        register_module("head", _head);
    }

    public string Kind { get; }

    /// <summary>The kinds of equations for a problem.</summary>
    public static IEnumerable<CrossingModel> For(CrossingProblem problem)
    {
        long features = problem.Features;
        yield return new CrossingModel("plain", problem, new DenseDynamics(features, [Hidden, Hidden]), 0);
        yield return new CrossingModel("augmented", problem, new DenseDynamics(features + 1, [Hidden, Hidden]), 1);
        yield return new CrossingModel("second order", problem, new SecondOrderDynamics(features, [Hidden, Hidden]), features);
        yield return new CrossingModel("heavy ball", problem, new HeavyBallDynamics(features, [Hidden, Hidden]), features);
    }

    public override Tensor forward(Tensor input)
    {
        Tensor state = _block.call(input);
        return _head is null ? state.narrow(1, 0, 1) : _head.call(state);
    }

    /// <summary>Trains on all points at once, with Adam and a rate that falls along a cosine.</summary>
    public CrossingResult Train(CrossingProblem problem, int steps, CancellationToken cancellationToken)
    {
        const double Rate = 0.01;
        using var optimizer = new AdamOptimizer(parameters(), Rate);
        for (int step = 0; step < steps; step++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            using DisposeScope scope = NewDisposeScope();
            optimizer.LearningRate = Rate * 0.5 * (1 + Math.Cos(Math.PI * step / steps));
            optimizer.ZeroGradients();
            functional.mse_loss(call(problem.Inputs), problem.Targets).backward();
            optimizer.Step();
        }
        using IDisposable noGrad = no_grad();
        using DisposeScope last = NewDisposeScope();
        using OdeSolution solution = _block.Solve(problem.Inputs);
        double loss = functional.mse_loss(call(problem.Inputs), problem.Targets).ToDouble();
        return new CrossingResult(
            problem.Name, Kind, loss, solution.Statistics.FunctionEvaluations, parameters().Sum(parameter => parameter.numel()));
    }

    /// <summary>The states of some points on their way, <c>[times, points, state]</c>.</summary>
    public Tensor Way(Tensor inputs, Tensor times)
    {
        using IDisposable noGrad = no_grad();
        Tensor start = _block.Augmentation is { } augmentation ? augmentation.call(inputs) : inputs;
        return Ode.Solve(_block.Dynamics, start, times, _block.Options).States;
    }
}
