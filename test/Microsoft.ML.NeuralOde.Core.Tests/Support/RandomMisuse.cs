
namespace Microsoft.ML.NeuralOde.Core.Tests.Support;

/// <summary>
/// Wrong uses of the public surface, made by chance: each ends in a right result or in an exception of ours or of the user's own.
/// </summary>
internal sealed class RandomMisuse
{
    /// <summary>
    /// Whether uses are made that break autograd's graphs; they end the process where autograd is called without a guard.
    /// </summary>
    private static readonly bool BreaksGraphs = Environment.GetEnvironmentVariable("NEURALODE_BREAK_GRAPHS") == "1";

    private static readonly ScalarType[] Types =
    [
        ScalarType.Float32, ScalarType.Float32, ScalarType.Float64, ScalarType.Float64, ScalarType.Float64, ScalarType.BFloat16,
        ScalarType.Float16, ScalarType.Int64, ScalarType.Bool,
        ScalarType.ComplexFloat64,
    ];

    private readonly Random _random;
    private readonly List<string> _story = [];

    private RandomMisuse(int seed) => _random = new Random(seed);

    /// <summary>Makes one use; says what was wrong with its outcome, or returns null.</summary>
    public static string? Try(int seed)
    {
        using DisposeScope scope = NewDisposeScope();
        var misuse = new RandomMisuse(seed);
        bool withGradient = misuse.Chance(0.5);
        using IDisposable? noGrad = withGradient ? null : no_grad();
        string outcome;
        try
        {
            outcome = misuse.Use() ?? "";
        }
        catch (Exception exception)
        {
            outcome = Complaint(exception) ?? "";
        }
        return outcome.Length == 0 ? null : $"use {seed} ({string.Join("; ", misuse._story)}): {outcome}";
    }

    /// <summary>Why an exception is none that a user should see; null where it is.</summary>
    private static string? Complaint(Exception exception)
    {
        bool isKnown = exception is ArgumentException
            or OdeSolverException or InvalidOperationException or OperationCanceledException or UsersException;
        bool isRaw = exception.Message.Contains("Exception raised from") || exception.Message.Contains("frame #")
            || (exception is not UsersException && exception.Message.Trim().Contains('\n') && exception is not ArgumentException);
        return isKnown && !isRaw ? null : $"{exception.GetType().Name}: {exception.Message} {exception.StackTrace}";
    }

    private bool Chance(double probability) => _random.NextDouble() < probability;

    private T One<T>(params ReadOnlySpan<T> values) => values[_random.Next(values.Length)];

    private T Told<T>(string name, T value)
    {
        _story.Add($"{name} {value}");
        return value;
    }

    private string? Use()
    {
        switch (Told("target", _random.Next(14)))
        {
            case <= 4:
                return Solve();
            case 5:
                return Check(Ode.Solve((t, y, arguments) => Derivative(t, y, arguments.Count > 0 ? arguments[0] : y),
                    State(out Tensor given), Times(), Arguments(), Options()), given);
            case 6:
                return SolveParts();
            case 7:
                return Check(Ode.Solve(Dynamics(), State(out Tensor state), Times(), Options()), state);
            case 8:
                using (var block = new OdeBlock(Dynamics(), One(1.0, -0.5, 0, double.NaN, 2, 1e-12), Chance(0.5) ? Options() : null))
                {
                    if (Chance(0.1))
                        block.Dispose();
                    block.call(State(out _)).Dispose();
                }
                return null;
            case 9:
                return Flow();
            case 10:
                Flows();
                return null;
            case 11:
                using (RegularizedSolution solution =
                    new PathRegularization { KineticEnergy = One(0.0, 1, -1, double.NaN), JacobianNorm = One(0.0, 0.1, 1) }
                    .Solve(Dynamics(), State(out _), One(0.0, 1, double.NaN), One(1.0, 0, double.PositiveInfinity),
                        Chance(0.5) ? Options() : null))
                    return null;
            case 12:
                Modules();
                return null;
            default:
                Values();
                return null;
        }
    }

    private string? Solve()
    {
        var initial = State(out Tensor given);
        return Check(
            Ode.Solve((t, y) => Derivative(t, y, y), initial, Times(), Options(), Chance(0.5) ? null : Chance(0.9) ? [] : [Some(given)!]),
            given);
    }

    private string? SolveParts()
    {
        Tensor first = State(out _), second = Chance(0.6) ? first : State(out _);
        using OdeTupleSolution solution = Ode.Solve(
            (Tensor t, IReadOnlyList<Tensor> y) => Chance(0.05) ? null!
            : Chance(0.05) ? [y[0]] : [Derivative(t, y[0], y[0]), Derivative(t, y[1], y[1])], Chance(0.05) ? [] : [first, second], Times(),
            Options());
        return solution.States.Count == 2 ? null : "The solution has other parts than the state.";
    }

    /// <summary>What a solution must be like.</summary>
    private string? Check(OdeSolution solution, Tensor given)
    {
        using (solution)
        {
            if (!solution.States.shape.AsSpan(1).SequenceEqual(given.shape) || solution.States.dtype != given.dtype)
                return $"The states have {solution.States}.";
            using Tensor first = solution.States[0].detach();
            using Tensor equal = first.eq(given.detach()).logical_or(first.isnan());
            if (!equal.all().item<bool>())
                return "The first state is not the initial one.";
            bool isEveryRowDone = solution.Status.All(status => status == RowStatus.Completed);
            if (_isPlain && isEveryRowDone
                && !solution.States.detach().isfinite().all().item<bool>() && given.detach().isfinite().all().item<bool>())
                return "A completed solution holds numbers that are none.";
            if (!solution.States.requires_grad || !solution.States.dtype.IsFloatingPoint())
                return null;
            Tensor loss = solution.Final.sum();
            try
            {
                if (loss.requires_grad)
                    loss.backward();
            }
            catch (System.Runtime.InteropServices.ExternalException) when (solution.Statistics.BackwardFailure is not null)
            {
                // torch can only throw its own exception, which quotes ours; ours is looked at below.
            }
            return solution.Statistics.BackwardFailure is { } failure ? Complaint(failure) : null;
        }
    }

    private Tensor State(out Tensor given)
    {
        ScalarType type = Told("type", One(Types));
        long[] shape = Told2("shape",
            Chance(0.7) ? One<long[]>([2, 3], [1, 3], [3], [2, 2], [2, 2, 4, 4])
            : [.. Enumerable.Range(0, _random.Next(5)).Select(_ => (long)_random.Next(4))]);
        Tensor values = ones(shape, type);
        if (type.IsFloatingPoint() && Chance(0.05) && values.numel() > 0)
            values.reshape(-1).select(0, 0).fill_(One(double.NaN, double.PositiveInfinity));
        if (type is ScalarType.Float32 or ScalarType.Float64 && Chance(0.3))
            values = values.requires_grad_();
        given = values.detach().clone();
        return Some(values)!;
    }

    private long[] Told2(string name, long[] value)
    {
        _story.Add($"{name} [{string.Join(", ", value)}]");
        return value;
    }

    /// <summary>A tensor, now and then disposed of or null.</summary>
    private Tensor? Some(Tensor tensor)
    {
        if (Chance(0.04))
        {
            _story.Add("disposed");
            tensor.Dispose();
        }
        return Chance(0.03) ? null : tensor;
    }

    private Tensor Times()
    {
        double[] values = One<double[]>(
            [0.0, 1], [0.0, 1], [0.0, 0.5, 1], [1.0, 0.3], [0.0], [], [0.0, 0], [0.0, 1, 0.5], [0.0, double.NaN],
            [double.PositiveInfinity, 0], [1e6, 1e6 + 1], [0.0, 1e-300], [0.0, 50], [-1.0, 1, 2]);
        _story.Add($"times [{string.Join(", ", values)}]");
        Tensor times = Chance(0.9)
            ? tensor(values) : Chance(0.5) ? tensor(values).unsqueeze(0) : tensor(values).nan_to_num().to(One(Types));
        if (Chance(0.1) && times.dtype == ScalarType.Float64)
            times = times.requires_grad_();
        return Some(times)!;
    }

    private List<Tensor> Arguments() =>
        [.. Enumerable.Range(0, _random.Next(3)).Select(_ => Some(ones(One<long[]>([2, 3], [1, 3], [2, 1], [], [0]), One(Types)))!)];

    private bool _isPlain = true;
    private int _calls;
    private int _kind = -1;

    /// <summary>A right-hand side: good as a rule, at some call bad in one of many ways.</summary>
    private Tensor Derivative(Tensor t, Tensor y, Tensor other)
    {
        if (_kind < 0)
        {
            _kind = Told("right-hand side", Chance(0.4) ? 0 : _random.Next(1, 18));
            _isPlain = _kind == 0;
        }
        if (_calls++ < (_kind % 3 == 0 ? 0 : 4))
            return -y;
        switch (_kind)
        {
            case 1:
                return null!;
            case 2:
                throw new UsersException();
            case 3:
                return y.sum();
            case 4:
                return y.to(ScalarType.Float16);
            case 5:
                return y.mul_(-1);
            case 6:
                Tensor dead = -y;
                dead.Dispose();
                return dead;
            case 7:
                return full_like(y, double.NaN);
            case 8:
                return y * double.PositiveInfinity;
            case 9:
                return y * y * 1e3;
            case 10:
                Tensor result = -y;
                y.Dispose();
                t.Dispose();
                return result;
            case 11:
                return y;
            case 12:
                return nn.functional.linear(y, ones(7, 9, y.dtype));
            case 13:
                return ones_like(y);
            case 14:
                return y.unsqueeze(0);
            case 15:
                return other.mul(-1);
            case 16:
                return BreaksGraphs ? y.sigmoid().mul_(2) : -y.detach();
            case 17:
                return BreaksGraphs ? t.add_(1) * y : (t + 1) * y;
            default:
                return -y;
        }
    }

    private OdeSolverOptions? Options()
    {
        if (Chance(0.2))
            return null;
        OdeMethod method = Told("method", One([.. OdeMethod.All]));
        bool isHalf = _story.Exists(line => line.EndsWith("16", StringComparison.Ordinal));
        // What implicit methods do with half precision is theirs to say.
        if (isHalf && method.Stages > 0 && !BreaksGraphs)
            method = OdeMethod.Dopri5;
        double? Step() => One<double?>(null, null, null, 0.5, 0.1, 0, -1, double.NaN);
        return Told("options", new OdeSolverOptions
        {
            Method = Chance(0.02) ? null! : method,
            RelativeTolerance = One(1e-3, 1e-3, 1e-2, 0, -1, double.NaN),
            AbsoluteTolerance = One(1e-3, 1e-3, 1e-4, 0, double.PositiveInfinity),
            RelativeTolerances = Chance(0.1) ? Some(ones(One<long[]>([3], [2, 3], [], [7]), One(Types))) : null,
            AbsoluteTolerances = Chance(0.1) ? Some(zeros(One<long[]>([3], [2, 3], [], [7]), One(Types))) : null,
            Norm = Chance(0.1) ? ErrorNorm.Custom("wrong", e => One(e, e.sum(), null!, e.amax(1))) : One(ErrorNorm.Rms, ErrorNorm.Maximum),
            StepSize = Chance(0.4) ? Step() : null,
            FirstStep = Chance(0.1) ? Step() : null,
            MinimumStep = Chance(0.05) ? One(1e-3, -1, 1e9) : 0,
            MaximumStep = Chance(0.1) ? One(0.1, 0, double.NaN) : double.PositiveInfinity,
            MaximumSteps = One(100, 100, 100, 20, 0, -1),
            OnStepLimit = One(StepLimitBehavior.Throw, StepLimitBehavior.ReturnPartial),
            PerRow = Chance(0.3),
            Discontinuities = Chance(0.15) ? One<double[]>([0.5], [0, 1], [0.5, 0.5], [double.NaN], [0.1, 0.1 + 1e-17]) : [],
            Jacobian = Chance(0.1) ? (t, y) => One(y, null!, eye(3), t) : null,
            Events = Chance(0.2) ? [Event(), .. Chance(0.3) ? (OdeEvent[])[Event()] : []] : [],
            Gradient = Chance(0.6) ? null
            : One(GradientMethod.Direct(), GradientMethod.Adjoint(), GradientMethod.Checkpointed(), GradientMethod.Checkpointed(2),
                GradientMethod.Reversible()),
        });
    }

    private OdeEvent Event()
    {
        int kind = Told("event", _random.Next(8)), reset = Told("reset", _random.Next(7));
        bool isTerminal = Chance(0.2);
        return new OdeEvent(
            (t, y) => kind switch
            {
                0 => y.sum() - 0.7,
                1 => t.sum() - 0.5 + 0 * y.sum(),
                2 => (y.sum() - 0.9).sqrt(),
                3 => null!,
                4 => y,
                5 => throw new UsersException(),
                6 => y.mul_(-1).sum() + 1,
                _ => BreaksGraphs ? (y > 0.5).to(ScalarType.Float64).sum() - 0.5 : (20 * y).sin().sum(),
            },
            One(EventDirection.Both, EventDirection.Falling), isTerminal, isTerminal && Chance(0.9) ? null : reset switch
            {
                0 => null,
                1 => (t, y) => y + 1,
                2 => (t, y) => y,
                3 => (t, y) => null!,
                4 => (t, y) => y.sum(),
                5 => (t, y) => y.add_(0.5),
                _ => (t, y) => throw new UsersException(),
            });
    }

    private nn.Module<Tensor, Tensor, Tensor> Dynamics()
    {
        nn.Module<Tensor, Tensor, Tensor> dynamics = Told("dynamics", _random.Next(5)) switch
        {
            0 => new DenseDynamics(3, [4]),
            1 => new DenseDynamics(3, [4], time: One(Enum.GetValues<TimeDependence>()), conditions: Chance(0.1) ? 2 : 0),
            2 => new ConvolutionalDynamics(2, time: One(TimeDependence.None, TimeDependence.Concatenate)),
            _ => new Users(this),
        };
        if (Chance(0.1))
            dynamics = (nn.Module<Tensor, Tensor, Tensor>)dynamics.to(ScalarType.Float64);
        if (Chance(0.05))
            dynamics.Dispose();
        return dynamics;
    }

    private string? Flow()
    {
        using var flow = new ContinuousFlow(3, [Dynamics()], new ContinuousFlowOptions
        {
            Standardize = Chance(0.5),
            Trace = One(TraceEstimator.Auto, TraceEstimator.Exact, TraceEstimator.Hutchinson()),
            Solver = new OdeSolverOptions { RelativeTolerance = 1e-2, AbsoluteTolerance = 1e-2, MaximumSteps = 50, PerRow = Chance(0.3) },
        });
        if (Chance(0.05))
            flow.Dispose();
        Tensor? condition = Chance(0.1) ? State(out _) : null;
        switch (Told("use", _random.Next(7)))
        {
            case 0:
                return flow.LogDensity(State(out _), condition).dim() == 1 ? null : "The densities are not one a row.";
            case 1:
                Tensor loss = flow.NegativeLogLikelihood(State(out _), condition);
                if (loss.requires_grad)
                    loss.backward();
                return null;
            case 2:
                flow.Decode(State(out _), condition).Dispose();
                return null;
            case 3:
                flow.Sample(One(1, 5, 0, -2), condition);
                return null;
            case 4:
                flow.DecodePath(State(out _), One(1, 2, 0), condition);
                return null;
            case 5:
                flow.Observe(State(out _));
                return null;
            default:
                FlowMatching.Loss(flow, State(out _), condition,
                    new FlowMatchingOptions
                    {
                        Pairing = One(FlowPairing.Independent, FlowPairing.OptimalTransport),
                        PairingGroup = One(256, 2, 1),
                        Noise = One(0, 0.1, -1)
                    });
                return null;
        }
    }

    private void Flows()
    {
        using var standardization = new Standardization(3);
        switch (_random.Next(4))
        {
            case 0:
                standardization.Observe(State(out _));
                standardization.call(State(out _));
                break;
            case 1:
                standardization.Invert(State(out _));
                break;
            default:
                using (var mixture =
                    new GaussianMixtureBase(State(out _), Chance(0.5) ? State(out _) : null, Chance(0.3) ? State(out _) : null))
                    mixture.Sample(One(3, 1));
                break;
        }
    }

    private void Modules()
    {
        using nn.Module<Tensor, Tensor,
            Tensor> dynamics = _random.Next(2) == 0 ? new DenseDynamics(3, [4], conditions: One(0, 2)) : new ConvolutionalDynamics(2);
        if (Chance(0.1))
            dynamics.Dispose();
        Tensor time = Chance(0.8) ? tensor(0.5f) : State(out _);
        if (dynamics is DenseDynamics dense && Chance(0.4))
            dense.Evaluate(time, State(out _), State(out _));
        else
            dynamics.call(time, State(out _));
        SpectralNorm.Penalty(dynamics, One(3, 0, -1));
    }

    private void Values()
    {
        switch (_random.Next(8))
        {
            case 0:
                new DenseDynamics(One(0, -1, 3), One<long[]?>(null, [], [0], [-4], [2])).Dispose();
                break;
            case 1:
                new ConvolutionalDynamics(One(0, 2, 3), One<long?>(null, 0, 2, 5), time: One(Enum.GetValues<TimeDependence>())).Dispose();
                break;
            case 2:
                StepController.ProportionalIntegral(One(0.3, -1, double.NaN), One(0.4, double.PositiveInfinity), One(0.9, 2));
                break;
            case 3:
                OdeMethod.Parse(One("dopri5", "", "x", null!));
                break;
            case 4:
                GradientMethod.Parse(One("direct", "", " adjoint ", null!));
                break;
            case 5:
                OdeMethod.ReversibleCoupling(One([.. OdeMethod.All]), One(0.9, 0, 1, double.NaN));
                break;
            case 6:
                GradientMethod.Adjoint(One([.. OdeMethod.All]), One<double?>(null, -1, 1e-3));
                break;
            default:
                _ = new OdeEvent(null!);
                break;
        }
    }

    /// <summary>An exception of the user's own.</summary>
    internal sealed class UsersException() : Exception("The user's own.");

    /// <summary>A module of the user's.</summary>
    private sealed class Users(RandomMisuse misuse) : nn.Module<Tensor, Tensor, Tensor>(nameof(Users))
    {
        public override Tensor forward(Tensor t, Tensor y) => misuse.Derivative(t, y, y);
    }
}

internal static class ScalarTypes
{
    public static bool IsFloatingPoint(this ScalarType type) =>
        type is ScalarType.Float16 or ScalarType.BFloat16 or ScalarType.Float32 or ScalarType.Float64;
}
