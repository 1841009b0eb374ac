namespace Microsoft.ML.NeuralOde.Core.Tests.Solving;

/// <summary>States of unusual types and sizes are solved, or refused by name.</summary>
public class StateTypeTests
{
    public static TheoryData<string, ScalarType> Halves
    {
        get
        {
            var data = new TheoryData<string, ScalarType>();
            foreach (OdeMethod method in OdeMethod.All)
            {
                data.Add(method.Name, ScalarType.Float16);
                data.Add(method.Name, ScalarType.BFloat16);
            }
            return data;
        }
    }

    public static TheoryData<string> Methods => [.. OdeMethod.All.Select(method => method.Name)];

    [Theory]
    [MemberData(nameof(Halves))]
    public void Half_precision_is_solved_by_explicit_methods_and_refused_by_those_that_solve_equations(string name, ScalarType type)
    {
        OdeMethod method = OdeMethod.Parse(name);
        foreach (double? step in method.IsAdaptive ? new double?[] { 0.1, null } : [0.1])
            foreach (string? gradient in new[] { null, "direct", "checkpointed", "adjoint" })
            {
                using DisposeScope scope = NewDisposeScope();
                Tensor y0 = tensor(new[] { 1f, 0f, 0.5f, 0f }, [2, 2]).to(type).requires_grad_(gradient is not null);
                var options = new OdeSolverOptions
                {
                    Method = method,
                    StepSize = step,
                    RelativeTolerance = 0.02,
                    AbsoluteTolerance = 0.02,
                    Gradient = gradient is null ? null : GradientMethod.Parse(gradient),
                };
                Tensor times = tensor(new[] { 0.0, 0.4, 1.0 });
                Func<OdeSolution> solve = () =>
                    Ode.Solve((t, y) => cat([y.narrow(1, 1, 1), -y.narrow(1, 0, 1)], 1), y0, times, options, []);
                if (method.SolvesEquations)
                {
                    solve.Should().Throw<ArgumentException>().WithMessage($"*{type}*'{name}'*float32*");
                    continue;
                }
                OdeSolution solution = solve();
                solution.Final.dtype.Should().Be(type);
                solution.Final[0, 0].to(ScalarType.Float64).ToDouble().Should().BeApproximately(Math.Cos(1), 0.1);
                if (gradient is null)
                    continue;
                solution.Final[0, 0].backward();
                solution.Statistics.BackwardFailure.Should().BeNull();
                y0.grad![0, 0].to(ScalarType.Float64).ToDouble().Should().BeApproximately(Math.Cos(1), 0.1);
            }
    }

    [Fact]
    public void An_implicit_method_of_the_adjoint_refuses_half_precision_before_the_solve()
    {
        using Tensor y0 = ones(2, ScalarType.BFloat16).requires_grad_();
        Action act = () =>
            Ode.Solve((t, y) => -y, y0, tensor(new[] { 0.0, 1.0 }),
                new OdeSolverOptions { Gradient = GradientMethod.Adjoint(OdeMethod.Radau5) }, []);
        act.Should().Throw<ArgumentException>().WithMessage("*BFloat16*'radau5'*float32*");
    }

    [Theory]
    [MemberData(nameof(Methods))]
    public void States_without_elements_are_solved(string name)
    {
        OdeMethod method = OdeMethod.Parse(name);
        foreach (long[] shape in new long[][] { [0], [0, 2], [3, 0] })
            foreach (bool perRow in method.SupportsPerRow ? [false, true] : new[] { false })
                foreach (double? step in method.IsAdaptive ? new double?[] { 0.3, null } : [0.3])
                    foreach (string gradient in new[] { "direct", "checkpointed", "adjoint" })
                    {
                        using DisposeScope scope = NewDisposeScope();
                        Tensor y0 = zeros(shape, ScalarType.Float64).requires_grad_();
                        Tensor rate = tensor(0.7, ScalarType.Float64).requires_grad_();
                        var options = new OdeSolverOptions
                        {
                            Method = method,
                            StepSize = step,
                            PerRow = perRow,
                            Gradient = GradientMethod.Parse(gradient)
                        };
                        OdeSolution solution = Ode.Solve((t, y) => -rate * y, y0, tensor(new[] { 0.0, 0.4, 1.0 }), options, [rate]);
                        solution.States.shape.Should().Equal([3, .. shape]);
                        solution.Status.All(status => status == RowStatus.Completed).Should().BeTrue();
                        solution.Final.sum().backward();
                        solution.Statistics.BackwardFailure.Should().BeNull();
                        y0.grad!.shape.Should().Equal(shape);
                    }
    }
}
