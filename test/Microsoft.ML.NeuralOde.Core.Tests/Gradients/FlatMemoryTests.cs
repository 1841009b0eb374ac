using System.Runtime.CompilerServices;
using Microsoft.ML.NeuralOde.Core.Tests.Support;

namespace Microsoft.ML.NeuralOde.Core.Tests.Gradients;

/// <summary>What solves leave behind: nothing, whether they are disposed of or left to the garbage collector.</summary>
public class FlatMemoryTests
{
    private const int Rounds = 200;

    /// <summary>An evaluator that stays is tens of thousands of bytes, a tensor some hundred; what is left is the runtime's own.</summary>
    private const long ManagedBytes = Rounds * 1500L;

    /// <summary>Short solves: what is left behind does not depend on how many steps were made.</summary>
    private const double End = 0.25;

    public static TheoryData<string, string> Cases
    {
        get
        {
            var data = new TheoryData<string, string>();
            foreach (string dynamics in new[] { "dense", "gated", "conditional", "convolution", "module", "heavy ball", "separable",
                "augmented", "function", "flow", "path", "row arguments", "tuple", "event" })
                foreach (string gradient in new[] { "direct", "adjoint", "checkpointed", "checkpointed again", "reversible" })
                    data.Add(dynamics, gradient);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Two_hundred_rounds_leave_nothing(string dynamics, string gradient)
    {
        OdeSolverOptions options = With(gradient);
        for (int i = 0; i < 5; i++)
            Round(dynamics, options, disposes: true);
        // What is left behind is left behind each time; what else lives in the process, the test runner's messages among it, comes and
        // goes.
        (long tensors, long pressure, long managed) least = (long.MaxValue, long.MaxValue, long.MaxValue);
        for (int batch = 0; batch < 3 && !IsFlat(); batch++)
        {
            (long tensors, long pressure, long managed) grown = Growth(dynamics, options);
            least = (Math.Min(least.tensors, grown.tensors), Math.Min(least.pressure, grown.pressure),
                Math.Min(least.managed, grown.managed));
        }
        least.tensors.Should().BeLessThanOrEqualTo(0);
        least.pressure.Should().BeLessThanOrEqualTo(0);
        least.managed.Should().BeLessThan(ManagedBytes);

        bool IsFlat() => least.tensors <= 0 && least.pressure <= 0 && least.managed < ManagedBytes;
    }

    /// <summary>
    /// By how much the counts of tensors, of bytes that the collector is told of, and of managed bytes grow in many rounds.
    /// </summary>
    private static (long Tensors, long Pressure, long Managed) Growth(string dynamics, OdeSolverOptions options)
    {
        Collect();
        long tensors = Tensor.TotalCount, pressure = NativeMemory.Alive, managed = GC.GetTotalMemory(forceFullCollection: true);
        int parameters = 0;
        for (int i = 0; i < Rounds; i++)
            parameters += Round(dynamics, options, disposes: true);
        Collect();
        return (Tensor.TotalCount - parameters - tensors, NativeMemory.Alive - pressure,
            GC.GetTotalMemory(forceFullCollection: true) - managed);
    }

    [Theory]
    [InlineData("dense")]
    [InlineData("module")]
    [InlineData("flow")]
    [InlineData("path")]
    [InlineData("event")]
    public void What_nobody_disposes_of_is_collected(string dynamics)
    {
        foreach (string gradient in new[] { "direct", "adjoint", "checkpointed", "checkpointed again", "reversible" })
        {
            Collect();
            long tensors = Tensor.TotalCount, pressure = NativeMemory.Alive;
            for (int i = 0; i < 10; i++)
                tensors += Round(dynamics, With(gradient), disposes: false);
            // Graphs are freed after the tensors that lead to them, and what they hold after that.
            for (int i = 0; i < 5 && Tensor.TotalCount > tensors; i++)
                Collect();
            Tensor.TotalCount.Should().BeLessThanOrEqualTo(tensors, gradient);
            NativeMemory.Alive.Should().BeLessThanOrEqualTo(pressure, gradient);
        }
    }

    [Fact]
    public void Dynamics_that_took_part_in_a_gradient_can_be_collected()
    {
        foreach (string kind in new[] { "dense", "convolution", "path" })
        {
            WeakReference[] left = [.. Enumerable.Range(0, 3).Select(_ => Use(kind))];
            Collect();
            Collect();
            left.Should().OnlyContain(reference => !reference.IsAlive, kind);
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        static WeakReference Use(string kind)
        {
            using DisposeScope scope = NewDisposeScope();
            nn.Module<Tensor, Tensor,
                Tensor> dynamics = kind == "convolution" ? new ConvolutionalDynamics(4) : new DenseDynamics(6, [8, 7, 6]);
            Tensor y0 = kind == "convolution" ? randn(2, 4, 5, 5) : randn(3, 6);
            if (kind == "path")
                new ContinuousFlow(
                    6, [dynamics], new ContinuousFlowOptions { Trace = TraceEstimator.Hutchinson() }).NegativeLogLikelihood(y0).backward();
            else
                Ode.Solve(dynamics, y0, 0, 1).Final.sum().backward();
            // Not disposed of: the collector has to find it free by itself.
            return new WeakReference(dynamics);
        }
    }

    [Fact]
    public void Disposing_of_dynamics_lets_go_of_their_evaluators()
    {
        var dynamics = new DenseDynamics(6, [8]);
        DynamicsEvaluator evaluator = dynamics.CreateEvaluator(ones(1, 6))!;
        WeakReference waiting = Use(dynamics);
        dynamics.Dispose();
        // One that comes back later is not kept either.
        evaluator.Dispose();
        WeakReference late = new(evaluator);
        evaluator = null!;
        Collect();
        waiting.IsAlive.Should().BeFalse();
        late.IsAlive.Should().BeFalse();
        GC.KeepAlive(dynamics);

        [MethodImpl(MethodImplOptions.NoInlining)]
        static WeakReference Use(DenseDynamics dynamics)
        {
            DynamicsEvaluator waiting = dynamics.CreateEvaluator(ones(1, 6))!;
            waiting.Dispose();
            return new WeakReference(waiting);
        }
    }

    [Fact]
    public void The_collector_is_told_of_solutions_that_wait_and_of_each_only_once()
    {
        Collect();
        long before = NativeMemory.Alive;
        // Not of small amounts; of what waits beyond them, until it is gone.
        var first = new NativeMemory(1L << 30);
        var second = new NativeMemory(1000);
        NativeMemory.Alive.Should().Be(before + (1L << 30) + 1000);
        first.Dispose();
        first.Dispose();
        second.Dispose();
        NativeMemory.Alive.Should().Be(before);
        Forget();
        Collect();
        NativeMemory.Alive.Should().Be(before);

        using Tensor y0 = ones(1000, 2, ScalarType.Float64).requires_grad_();
        using (OdeSolution solution = Ode.Solve((t, y) => -y, y0, tensor(new[] { 0.0, 1.0 })))
        {
            // States at two times, and a graph that is larger.
            NativeMemory.Alive.Should().BeGreaterThan(before + 10 * 16_000);
            solution.Dispose();
        }
        NativeMemory.Alive.Should().Be(before);

        [MethodImpl(MethodImplOptions.NoInlining)]
        static void Forget() => _ = new NativeMemory(1L << 30);
    }

    [Fact]
    public void A_thousand_solutions_that_nobody_disposes_of_do_not_pile_up()
    {
        using Tensor y0 = ones(1000, 2, ScalarType.Float64).requires_grad_();
        using Tensor times = tensor(new[] { 0.0, 1.0 });
        Collect();
        long before = NativeMemory.Alive, most = 0, together = 0;
        for (int i = 0; i < 1000; i++)
        {
            Ode.Solve((t, y) => -y, y0, times);
            long alive = NativeMemory.Alive - before;
            if (i == 0)
                together = 1000 * alive;
            most = Math.Max(most, alive);
            // Whether the collector is called is asked here, not when a busy machine lets the finalizers' thread run.
            if (i % 20 == 19)
                GC.WaitForPendingFinalizers();
        }
        together.Should().BeGreaterThan(2L << 30, "otherwise nothing could pile up");
        most.Should().BeLessThan(1L << 30);
    }

    private static OdeSolverOptions With(string gradient) => new()
    {
        Gradient = gradient == "checkpointed again" ? GradientMethod.Checkpointed(2) : GradientMethod.Parse(gradient),
        Method = gradient == "reversible" ? OdeMethod.ReversibleHeun : OdeMethod.Euler,
        // With larger steps the two states of a reversible method move apart, which is an error.
        StepSize = gradient == "reversible" ? 1.0 / 64 : 0.125,
    };

    /// <summary>
    /// Creates, solves and differentiates; returns how many parameters were made: torch's count of tensors goes up by one with each, for
    /// good, since a parameter takes over what it is made of.
    /// </summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int Round(string kind, OdeSolverOptions options, bool disposes)
    {
        using var all = new Owned(disposes);
        int parameters = 0;
        switch (kind)
        {
            case "dense" or "gated" or "convolution" or "module" or "second order" or "heavy ball" or "separable":
                {
                    nn.Module<Tensor, Tensor, Tensor> dynamics = kind switch
                    {
                        "dense" => all.Add(new DenseDynamics(4, [8, 6])),
                        "gated" => all.Add(new DenseDynamics(4, time: TimeDependence.ConcatSquash)),
                        "convolution" => all.Add(new ConvolutionalDynamics(2)),
                        "second order" or "heavy ball" or "separable" =>
                        all.Add(Dynamics.FamilyDynamicsTests.Create(kind, 2, Activation.Tanh, 5)),
                        _ => all.Add(new WithoutEvaluator(all.Add(new DenseDynamics(4)))),
                    };
                    parameters = dynamics.parameters().Count();
                    Tensor y0 = all.Add(kind == "convolution" ? all.Add(linspace(-1, 1, 64)).reshape(2, 2, 4, 4) : ones(3, 4))
                        .requires_grad_();
                    OdeSolution solution = all.Add(Ode.Solve(dynamics, y0, 0, kind == "convolution" ? 0.125 : End, options));
                    Back(solution.Final);
                    break;
                }
            case "augmented":
                {
                    OdeBlock block =
                        all.Add(new OdeBlock(all.Add(new DenseDynamics(4)), End, options, all.Add(StateAugmentation.Linear(3, 1))));
                    parameters = block.parameters().Count();
                    Tensor x = all.Add(ones(3, 3));
                    Back(block.call(x));
                    break;
                }
            case "conditional":
                {
                    DenseDynamics dynamics = all.Add(new DenseDynamics(4, conditions: 3));
                    parameters = dynamics.parameters().Count();
                    Tensor y0 = all.Add(ones(3, 4)), times = all.Add(tensor(new[] { 0.0, End })),
                        condition = all.Add(ones(3, 3)).requires_grad_();
                    Back(all.Add(Ode.Solve(dynamics, y0, times, condition, options)).Final);
                    break;
                }
            case "flow":
                {
                    ContinuousFlow flow = all.Add(new ContinuousFlow(3, new ContinuousFlowOptions { Hidden = [6, 5], Solver = options }));
                    parameters = flow.parameters().Count();
                    Tensor x = all.Add(ones(4, 3));
                    FlowEncoding encoding = all.Add(flow.Encode(x));
                    Back(encoding.LogDensity.alias());
                    break;
                }
            case "path":
                {
                    nn.Module<Tensor, Tensor, Tensor> dynamics = all.Add(new WithoutEvaluator(all.Add(new DenseDynamics(3))));
                    parameters = dynamics.parameters().Count();
                    Tensor y0 = all.Add(ones(4, 3));
                    RegularizedSolution solution =
                        all.Add(new PathRegularization { KineticEnergy = 1 }.Solve(dynamics, y0, 0, End, options));
                    Back(solution.Final.alias());
                    break;
                }
            default:
                {
                    Tensor w = all.Add(ones(2)).requires_grad_(), y0 = all.Add(ones(3, 2)), times = all.Add(tensor(new[] { 0.0, End })),
                        c = all.Add(ones(3, 2)).requires_grad_();
                    Tensor final = kind switch
                    {
                        "function" => all.Add(Ode.Solve((t, y) => w.neg() * y, y0, times, options, [w])).Final,
                        "row arguments" => all.Add(Ode.Solve((t, y, a) => w * a[0] - y, y0, times, [c], options, [w])).Final,
                        "tuple" => all.Add(
                            Ode.Solve((t, parts) => [w * parts[1], parts[0].neg()], [y0, y0], times, options, [w])).States[0].alias(),
                        _ => all.Add(
                            Ode.Solve((t, y) => w.neg() * y,
                                y0, times, options with { Events = [new OdeEvent((t, y) => y.sum() - 22 * t)] }, [w])).Final,
                    };
                    Back(final);
                    break;
                }
        }

        return parameters;

        void Back(Tensor final)
        {
            all.Add(final);
            all.Add(final.sum()).backward();
        }
    }

    private static void Collect()
    {
        for (int i = 0; i < 2; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }
    }

    /// <summary>Disposes of what a round made, or of nothing.</summary>
    private sealed class Owned(bool disposes) : IDisposable
    {
        private readonly Stack<IDisposable> _all = new();
        private readonly DisposeScope? _scope = disposes ? NewDisposeScope() : null;

        public T Add<T>(T item)
            where T : IDisposable
        {
            _all.Push(item);
            return item;
        }

        public void Dispose()
        {
            while (disposes && _all.TryPop(out IDisposable? item))
                item.Dispose();
            _scope?.Dispose();
        }
    }
}
