using FluentAssertions.Execution;
using FluentAssertions.Primitives;

namespace Microsoft.ML.NeuralOde.Core.Tests.Support;

/// <summary>The gradients of a loss that looks at every output of the reference network, for all its inputs.</summary>
internal sealed record NetworkGradients(IReadOnlyList<Tensor> All)
{
    public static NetworkGradients Of(OdeSolverOptions options)
    {
        using var network = new ReferenceNetwork();
        using Tensor y0 = References.Network("y0").requires_grad_();
        using Tensor times = tensor(new[] { 0.0, 0.11, 0.13, 0.6, 1.0 }).requires_grad_();
        using OdeSolution solution = Ode.Solve(network, y0, times, options);
        using Tensor weights = linspace(1, 2, solution.States.numel(), ScalarType.Float64).reshape(solution.States.shape);
        (solution.States * weights).sin().sum().backward();
        solution.Statistics.BackwardFailure.Should().BeNull();
        return new NetworkGradients([y0.grad!.clone(), times.grad!.clone(), .. network.Weights.Select(weight => weight.grad!.clone())]);
    }

    public NetworkGradientsAssertions Should() => new(this);
}

internal sealed class NetworkGradientsAssertions(NetworkGradients subject)
    : ReferenceTypeAssertions<NetworkGradients, NetworkGradientsAssertions>(subject)
{
    protected override string Identifier => "gradients";

    /// <summary>Each number lies within a tolerance of the other's.</summary>
    public void Agree(NetworkGradients other, double tolerance)
    {
        double difference = Subject.All.Zip(other.All, Problems.MaximumDifference).Max(d => double.IsNaN(d) ? double.PositiveInfinity : d);
        Execute.Assertion.ForCondition(difference <= tolerance)
            .FailWith("Expected gradients to agree within {0}, but they differ by {1}.", tolerance, difference);
    }
}
