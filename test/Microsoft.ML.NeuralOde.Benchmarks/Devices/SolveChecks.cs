using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Benchmarks.Devices;

/// <summary>Solves: every method with every gradient method, rows with steps of their own, events, types, kinds of states.</summary>
internal static class SolveChecks
{
    private static readonly (string Name, GradientMethod? Method)[] Gradients =
    [
        ("default", null), ("direct", GradientMethod.Direct()), ("checkpointed by 3", GradientMethod.Checkpointed(3)),
        ("adjoint", GradientMethod.Adjoint()),
        ("reversible", GradientMethod.Reversible()),
    ];

    public static IEnumerable<DeviceCheck> All()
    {
        foreach (OdeMethod method in OdeMethod.All)
        {
            foreach ((string gradient, GradientMethod? gradientMethod) in Gradients)
                foreach (bool perRow in new[] { false, true })
                    yield return new DeviceCheck(
                        $"solve {method}, gradient {gradient}{(perRow ? ", per row" : "")}", 1e-7,
                        device => Solve(device, ScalarType.Float64,
                            new OdeSolverOptions
                            {
                                Method = method,
                                Gradient = gradientMethod,
                                PerRow = perRow,
                                StepSize = method.IsAdaptive
                                ? null : 0.125
                            }));
            yield return new DeviceCheck(
                $"solve {method}, float32", 2e-3,
                device => Solve(device, ScalarType.Float32,
                    new OdeSolverOptions
                    {
                        Method = method,
                        RelativeTolerance = 1e-3,
                        AbsoluteTolerance = 1e-3,
                        StepSize = method.IsAdaptive
                        ? null : 0.125
                    }));
        }
        foreach ((string gradient, GradientMethod? gradientMethod) in Gradients)
        {
            yield return new DeviceCheck(
                $"derivatives of output times, gradient {gradient}", 1e-7, device => Times(device, gradientMethod));
            yield return new DeviceCheck($"several parts of a state, gradient {gradient}", 1e-7, device => Parts(device, gradientMethod));
            yield return new DeviceCheck(
                $"arguments of rows, gradient {gradient}", 1e-7, device => Arguments(device, gradientMethod, perRow: false));
            yield return new DeviceCheck(
                $"arguments of rows, per row, gradient {gradient}", 1e-7, device => Arguments(device, gradientMethod, perRow: true));
            foreach (bool isTerminal in new[] { false, true })
                foreach (bool perRow in new[] { false, true })
                    yield return new DeviceCheck(
                        $"{(isTerminal ? "terminal event" : "event with reset")}{(perRow ? ", per row" : "")}, gradient {gradient}", 1e-6,
                        device => Event(device, gradientMethod, isTerminal, perRow));
        }
        yield return new DeviceCheck("tolerances of components", 1e-7, device => Solve(device, ScalarType.Float64, new OdeSolverOptions
        {
            RelativeTolerances = tensor(new[] { 1e-5, 1e-6 }, device: device),
            AbsoluteTolerances = tensor(new[] { 1e-6, 1e-7 }, device: device),
        }));
        yield return new DeviceCheck(
            "a jump", 1e-7, device => Solve(device, ScalarType.Float64, new OdeSolverOptions { Discontinuities = [0.3] }));
        yield return new DeviceCheck("a state of bfloat16", 0.05,
            device => Solve(device, ScalarType.BFloat16, new OdeSolverOptions { Method = OdeMethod.Rk4, StepSize = 0.125 }));
        yield return new DeviceCheck("a state on the processor while the default device is another", 1e-7, device =>
        {
            // What is made on the way must be made where the state is.
            set_default_device(device);
            try
            {
                return [.. new[] { OdeMethod.Dopri5, OdeMethod.Radau5, OdeMethod.Adams }.SelectMany(method =>
                    Solve(CPU, ScalarType.Float64, new OdeSolverOptions { Method = method }))];
            }
            finally
            {
                set_default_device(CPU);
            }
        });
    }

    private static Tensor[] Solve(Device device, ScalarType type, OdeSolverOptions options)
    {
        using var dynamics = new Pendulum(device, type);
        Tensor start = Start(device, type);
        Tensor times = linspace(0.0, 1.0, 5, ScalarType.Float64, device);
        OdeSolution solution = Ode.Solve(dynamics, start, times, options);
        solution.States.square().sum().backward();
        return [solution.States, start.grad!, .. dynamics.parameters().Select(parameter => parameter.grad!)];
    }

    private static Tensor Start(Device device, ScalarType type) =>
        tensor(new[] { 0.5, -0.25, 1.0, 0.75, -0.5, 0.125 }, [3, 2], device: CPU).to(type).to(device).requires_grad_();

    private static Tensor[] Times(Device device, GradientMethod? gradient)
    {
        using var dynamics = new Pendulum(device, ScalarType.Float64);
        Tensor times = tensor(new[] { 0.0, 0.4, 1.0 }, device: device).requires_grad_();
        OdeSolution solution = Ode.Solve(dynamics, Start(device, ScalarType.Float64), times, new OdeSolverOptions { Gradient = gradient });
        solution.States.square().sum().backward();
        return [solution.States, times.grad!];
    }

    private static Tensor[] Parts(Device device, GradientMethod? gradient)
    {
        Tensor rate = tensor(0.7, ScalarType.Float64, device).requires_grad_();
        Tensor[] start = [ones([2, 3], ScalarType.Float64, device), ones([2], ScalarType.Float64, device)];
        OdeTupleSolution solution = Ode.Solve(
            (t, parts) => [parts[0].neg() * rate, parts[0].sum(dim: 1L) * parts[1]], start, tensor(new[] { 0.0, 1.0 }, device: device),
            new OdeSolverOptions { Gradient = gradient }, [rate]);
        solution.States[1].sum().backward();
        return [.. solution.States, rate.grad!];
    }

    private static Tensor[] Arguments(Device device, GradientMethod? gradient, bool perRow)
    {
        Tensor rates = tensor(new[] { 0.5, 1.0, 2.0 }, [3, 1], device: device).requires_grad_();
        OdeSolution solution = Ode.Solve(
            (t, y, rows) => y.neg() * rows[0], Start(device, ScalarType.Float64), tensor(new[] { 0.0, 1.0 }, device: device), [rates],
            new OdeSolverOptions { Gradient = gradient, PerRow = perRow });
        solution.Final.square().sum().backward();
        return [solution.Final, rates.grad!];
    }

    private static Tensor[] Event(Device device, GradientMethod? gradient, bool isTerminal, bool perRow)
    {
        // A falling ball that stops at the floor or bounces.
        Tensor gravity = tensor(9.81, ScalarType.Float64, device).requires_grad_();
        Tensor start = tensor(new[] { 1.0, 0.0, 2.0, 0.5 }, [2, 2], device: device).requires_grad_();
        start = perRow ? start : start.narrow(0, 0, 1);
        var floor = new OdeEvent(
            (t, y) => y.select(-1, 0), EventDirection.Falling, isTerminal,
            isTerminal ? null : (t, y) => cat([y.narrow(-1, 0, 1).abs(), y.narrow(-1, 1, 1).mul(-0.8)], -1));
        OdeSolution solution = Ode.Solve(
            (t, y) => cat([y.narrow(-1, 1, 1), gravity.neg().expand_as(y.narrow(-1, 1, 1))], -1),
            start, tensor(new[] { 0.0, 1.0 }, device: device),
            new OdeSolverOptions { Events = [floor], Gradient = gradient, PerRow = perRow }, [gravity]);
        Tensor[] found = [.. solution.Events.Select(occurrence => occurrence.Time.reshape(-1)[0]),
            .. solution.Events.Select(occurrence => occurrence.State)];
        found.Select(part => part.square().sum()).Aggregate((a, b) => a + b).backward();
        return [.. found, gravity.grad!];
    }

    /// <summary>Damped oscillations, position beside velocity, with two parameters.</summary>
    private sealed class Pendulum : Module<Tensor, Tensor, Tensor>
    {
        private readonly TorchSharp.Modules.Parameter _stiffness, _damping;

        public Pendulum(Device device, ScalarType type)
            : base(nameof(Pendulum))
        {
            _stiffness = Parameter(tensor(2.0, ScalarType.Float64, CPU).to(type).to(device));
            _damping = Parameter(tensor(0.1, ScalarType.Float64, CPU).to(type).to(device));
            RegisterComponents();
        }

        public override Tensor forward(Tensor t, Tensor y)
        {
            using DisposeScope scope = NewDisposeScope();
            Tensor position = y.narrow(-1, 0, 1), velocity = y.narrow(-1, 1, 1);
            return cat([velocity, position.sin().neg() * _stiffness - velocity * _damping], -1).MoveToOuterDisposeScope();
        }
    }
}
