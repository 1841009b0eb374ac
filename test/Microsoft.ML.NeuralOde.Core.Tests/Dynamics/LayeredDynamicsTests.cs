using Microsoft.ML.NeuralOde.Core.Tests.Support;
using TorchSharp.Modules;

namespace Microsoft.ML.NeuralOde.Core.Tests.Dynamics;

/// <summary>
/// Modules that name their layers: on the kernels they give the results of their forward, for every structure and gradient method, and
/// where they are not put there the reason is told.
/// </summary>
public class LayeredDynamicsTests
{
    private const int Features = 3;

    private static readonly (string Name, Func<Layered> Create)[] Lowered =
    [
        ("linear", () => new Layered([nn.Linear(Features, Features)])),
        ("tanh, a sequence", () => new Layered([nn.Sequential(nn.Linear(Features, 7), nn.Tanh(), nn.Linear(7, Features))])),
        ("softplus, time", () => new Layered([nn.Linear(Features, 5), nn.Softplus(), nn.Linear(5, Features)], nn.Linear(1, Features))),
        ("silu, time without bias",
            () => new Layered([nn.Linear(Features, 5), nn.SiLU(), nn.Linear(5, Features)], nn.Linear(1, Features, hasBias: false))),
        ("mixed, no biases", () => new Layered(
            [nn.Linear(Features, 9, hasBias: false), nn.ReLU(), nn.Linear(9, 4), nn.Tanh(), nn.Linear(4, Features, hasBias: false)],
            nn.Linear(1, Features))),
        ("gelu", () => new Layered([nn.Linear(Features, 5), nn.GELU(), nn.Linear(5, Features)])),
        ("gelu by tanh", () => new Layered(
            [nn.Linear(Features, 17), nn.GELU(GELU.Approximate.tanh), nn.Linear(17, Features)], nn.Linear(1, Features))),
        ("sigmoid", () => new Layered([nn.Linear(Features, 5), nn.Sigmoid(), nn.Linear(5, Features)])),
        ("time is the first input",
            () => new Layered([nn.Linear(Features + 1, 5), nn.Tanh(), nn.Linear(5, Features)], input: TimeInput.First)),
        ("time is the last input of two layers, and added", () => new Layered(
            [nn.Linear(Features + 1, 5), nn.Tanh(), nn.Linear(5, 5), nn.GELU(), nn.Linear(6, Features)], nn.Linear(1, Features),
            input: TimeInput.Last)),
        ("normalised in front", () => new Layered([Norm(Features), nn.Linear(Features, 5), nn.Tanh(), nn.Linear(5, Features)])),
        ("normalised behind", () => new Layered([nn.Linear(Features, 9), Norm(9), nn.SiLU(), nn.Linear(9, Features), Norm(Features)])),
        ("normalised everywhere, time", () => new Layered(
            [Norm(Features), nn.Linear(Features + 1, 9), Norm(9), nn.Sigmoid(), nn.LayerNorm(9, elementwise_affine: false),
                nn.Linear(10, Features)], nn.Linear(1, Features), input: TimeInput.First)),
        ("a cube in front", () => new Layered([new Power(3), nn.Linear(Features, 5), nn.Tanh(), nn.Linear(5, Features)])),
        ("a square in front of a normalisation, a cube between, time", () => new Layered(
            [nn.Sequential(new Power(2), Norm(Features)), nn.Linear(Features + 1, 5), new Power(3), nn.Linear(5, Features)],
            nn.Linear(1, Features), input: TimeInput.Last)),
        ("tanh in front of one layer", () => new Layered([nn.Tanh(), nn.Linear(Features, Features)])),
        ("frozen", () => new Layered([nn.Linear(Features, 5), nn.Tanh(), nn.Linear(5, Features)]).Freeze()),
    ];

    private static readonly (string Reason, Func<Layered> Create)[] Refused =
    [
        ("ELU", () => new Layered([nn.Linear(Features, 5), nn.ELU(), nn.Linear(5, Features)])),
        ("LayerNorm follow each other", () => new Layered([nn.LayerNorm(Features), nn.LayerNorm(Features), nn.Linear(Features, Features)])),
        ("rows of 5", () => new Layered([nn.Linear(Features, 5), nn.LayerNorm([4, 5]), nn.Tanh(), nn.Linear(5, Features)])),
        ("4 inputs, and the state 3 features",
            () => new Layered([nn.Linear(Features + 1, Features)], input: TimeInput.Last, says: TimeInput.None)),
        ("something else",
            () => new Layered([nn.Linear(Features + 1, Features)], input: TimeInput.Last, says: TimeInput.First)),
        ("beta 1", () => new Layered([nn.Linear(Features, 5), nn.Softplus(2), nn.Linear(5, Features)])),
        ("is no Linear", () => new Layered([nn.Linear(Features, Features), nn.Tanh()])),
        ("is no Linear", () => new Layered([])),
        ("behind a Linear", () => new Layered([nn.Tanh(), nn.Tanh(), nn.Linear(Features, Features)])),
        ("behind a Linear", () => new Layered([nn.LayerNorm(Features), nn.Tanh(), nn.Linear(Features, Features)])),
        ("Power (of 2 and 3)", () => new Layered([new Power(4), nn.Linear(Features, Features)])),
        ("something else", () => new Layered([new Power(3), nn.Linear(Features, Features)], change: x => x.abs())),
        ("follow each other", () => new Layered([nn.Linear(Features, 4), nn.Linear(4, Features)])),
        ("shape [1, 1]", () => new Layered([nn.Linear(Features, Features)], nn.Linear(1, 1))),
        ("something else", () => new Layered([nn.Linear(Features, 5), nn.Tanh(), nn.Linear(5, Features)], change: x => x.sin())),
        ("something else",
            () => new Layered([nn.Linear(Features, 5), nn.Tanh(), nn.Linear(5, Features)], change: x => nn.functional.dropout(x, 0.5))),
        ("Dropout", () => new Layered([nn.Linear(Features, Features)], extra: nn.Dropout(0.5))),
        ("other parameters", () => new Layered([nn.Linear(Features, Features)], extra: nn.Linear(2, 2))),
        ("a buffer", () => new Layered([nn.Linear(Features, Features)], extra: nn.BatchNorm1d(2, affine: false))),
        ("has hooks", () => new Layered([nn.Linear(Features, Features)]).Hook()),
        ("share a parameter", Shared),
        ("no kernels", () => (Layered)new Layered([nn.Linear(Features, Features)]).to(ScalarType.BFloat16)),
    ];

    public static TheoryData<string> LoweredNames => [.. Lowered.Select(item => item.Name)];

    public static TheoryData<int> RefusedPlaces => [.. Enumerable.Range(0, Refused.Length)];

    [Theory]
    [MemberData(nameof(LoweredNames))]
    public void Results_and_gradients_are_those_of_the_module_by_every_method(string name)
    {
        foreach (ScalarType type in new[] { ScalarType.Float64, ScalarType.Float32 })
            foreach (bool perRow in new[] { false, true })
                foreach (GradientMethod gradient in new[]
                {
                    GradientMethod.Checkpointed(), GradientMethod.Checkpointed(2, evaluationBytes: 0), GradientMethod.Adjoint(),
                    GradientMethod.Reversible(),
                })
                {
                    if (perRow && gradient.Name == "reversible")
                        continue;
                    using DisposeScope scope = NewDisposeScope();
                    var module = (Layered)Lowered.Single(item => item.Name == name).Create().to(type);
                    Tensor start = randn([6, Features], type);
                    OdeSolverOptions options = new()
                    {
                        Method = gradient.Name == "reversible"
                        ? OdeMethod.ReversibleCoupling(OdeMethod.Dopri5) : OdeMethod.Dopri5,
                        PerRow = perRow,
                        Gradient = gradient,
                        // In float32 rounding would decide on steps at the kinks of ReLU.
                        StepSize = type == ScalarType.Float32 ? 0.1 : null,
                    };
                    Tensor[] plain = Solve(module, start, options with { LowerLayers = false }, lowered: false);
                    Tensor[] fused = Solve(module, start, options, lowered: true);
                    double tolerance = type == ScalarType.Float64 ? 1e-9 : 1e-4;
                    for (int i = 0; i < plain.Length; i++)
                        Problems.MaximumDifference(fused[i], plain[i])
                        .Should().BeLessThan(tolerance * Math.Max(1, plain[i].abs().max().ToDouble()), $"{gradient} {i}");
                }
    }

    [Fact]
    public void Weights_that_change_between_solves_are_seen()
    {
        using DisposeScope scope = NewDisposeScope();
        var module = new Layered([nn.Linear(Features, 5), nn.Tanh(), nn.Linear(5, Features)], nn.Linear(1, Features));
        Tensor start = randn(4, Features);
        var options = new OdeSolverOptions();
        Solve(module, start, options, lowered: true);
        using (no_grad())
            foreach (Parameter parameter in module.parameters())
                parameter.add_(0.3);
        Tensor fused = Solve(module, start, options, lowered: true)[0];
        Problems.MaximumDifference(fused, Solve(module, start, options with { LowerLayers = false }, lowered: false)[0])
            .Should().BeLessThan(1e-4);
        // Other parameters are another structure.
        module.to(ScalarType.Float64);
        Solve(module, start.to(ScalarType.Float64), options, lowered: true);
    }

    [Theory]
    [MemberData(nameof(RefusedPlaces))]
    public void What_the_kernels_do_not_know_stays_with_the_module_and_the_reason_is_told(int place)
    {
        using DisposeScope scope = NewDisposeScope();
        (string reason, Func<Layered> create) = Refused[place];
        Layered module = create();
        using IDisposable noGrad = no_grad();
        using Tensor start = randn(4, Features).to(module.parameters().FirstOrDefault()?.dtype ?? ScalarType.Float32);
        var options = new OdeSolverOptions { Method = OdeMethod.Rk4, StepSize = 0.25 };
        Tensor before = random.get_rng_state();
        using OdeSolution solution = Ode.Solve(module, start, 0, 1, options);
        solution.Statistics.IsLowered.Should().BeFalse();
        solution.Statistics.WhyNotLowered.Should().Contain(reason);
        module.Calls.Should().BeGreaterThanOrEqualTo((int)solution.Statistics.FunctionEvaluations);
        if (reason is "has hooks")
            module.Hooked.Should().BeGreaterThanOrEqualTo((int)solution.Statistics.FunctionEvaluations);
    }

    [Fact]
    public void Direct_gradients_and_modules_that_name_nothing_say_what_was_used()
    {
        using DisposeScope scope = NewDisposeScope();
        var module = new Layered([nn.Linear(Features, Features)]);
        using Tensor start = randn(4, Features);
        using (OdeSolution direct = Ode.Solve(module, start, 0, 1, new OdeSolverOptions { Gradient = GradientMethod.Direct() }))
            direct.Statistics.WhyNotLowered.Should().Contain("Direct");
        using (OdeSolution off = Ode.Solve(module, start, 0, 1, new OdeSolverOptions { LowerLayers = false }))
            off.Statistics.WhyNotLowered.Should().Contain("LowerLayers");
        using OdeSolution plain = Ode.Solve(new DenseDynamics(Features), start, 0, 1);
        plain.Statistics.WhyNotLowered.Should().BeNull();
        plain.Statistics.IsLowered.Should().BeFalse();
    }

    /// <summary>Final state and gradients of start and parameters.</summary>
    private static Tensor[] Solve(Layered module, Tensor start, OdeSolverOptions options, bool lowered)
    {
        module.zero_grad();
        Tensor y0 = start.detach().clone().requires_grad_();
        int calls = module.Calls;
        using OdeSolution solution = Ode.Solve(module, y0, 0, 1, options);
        solution.Statistics.WhyNotLowered.Should().Be(lowered ? null : "OdeSolverOptions.LowerLayers is false");
        solution.Statistics.IsLowered.Should().Be(lowered);
        solution.Final.sin().sum().backward();
        solution.Statistics.ThrowIfBackwardFailed();
        if (lowered)
            (module.Calls - calls).Should().BeLessThanOrEqualTo(2, "forward serves the comparison alone");
        return [solution.Final.detach().clone(), y0.grad!.clone(),
            .. module.parameters().Where(parameter => parameter.requires_grad).Select(parameter => parameter.grad!.clone())];
    }

    /// <summary>
    /// A normalisation whose weights differ from 1 and 0. Its ε keeps slopes so small that the two states of the reversible coupling stay
    /// together.
    /// </summary>
    private static LayerNorm Norm(long width)
    {
        LayerNorm norm = nn.LayerNorm(width, eps: 0.3);
        using IDisposable noGrad = no_grad();
        foreach (Parameter parameter in norm.parameters())
            parameter.add_(rand(width));
        return norm;
    }

    private static Layered Shared()
    {
        Linear layer = nn.Linear(Features, Features);
        return new Layered([layer, nn.Tanh(), layer]);
    }

    private sealed class Layered : nn.Module<Tensor, Tensor, Tensor>, ILayeredDynamics
    {
        private readonly Func<Tensor, Tensor> _change;
        private readonly TimeInput _input;

        public Layered(
            nn.Module<Tensor, Tensor>[] layers, Linear? time = null, Func<Tensor, Tensor>? change = null, nn.Module? extra = null,
            TimeInput input = TimeInput.None, TimeInput? says = null)
            : base(nameof(Layered))
        {
            _input = input;
            ConcatenatedTime = says ?? input;
            Layers = layers;
            AddedTime = time;
            _change = change ?? (x => x);
            foreach ((int i, nn.Module<Tensor, Tensor> layer) in layers.Distinct().Index())
                register_module($"layer{i}", layer);
            if (time is not null)
                register_module("time", time);
            if (extra is not null)
                register_module("extra", extra);
        }

        public IReadOnlyList<nn.Module<Tensor, Tensor>> Layers { get; }

        public Linear? AddedTime { get; }

        public TimeInput ConcatenatedTime { get; }

        public int Calls { get; private set; }

        public int Hooked { get; private set; }

        public Layered Freeze()
        {
            parameters().First().requires_grad = false;
            return this;
        }

        public Layered Hook()
        {
            Layers[0].register_forward_hook((_, _, output) =>
            {
                Hooked++;
                return output;
            });
            return this;
        }

        public override Tensor forward(Tensor t, Tensor y)
        {
            Calls++;
            Tensor x = Layers.Aggregate(_change(y), (at, layer) => layer.call(WithTime(t, at, layer)));
            if (AddedTime is not { } time)
                return x;
            Tensor added = time.call(t.reshape(-1, 1));
            return added.shape[^1] == Features ? x + added : x + added.expand(1, Features);
        }

        private Tensor WithTime(Tensor t, Tensor x, nn.Module layer)
        {
            if (_input == TimeInput.None || layer is not Linear linear || linear.weight!.shape[1] == x.shape[1])
                return x;
            Tensor column = t.reshape(-1, 1).expand(x.shape[0], 1);
            return cat(_input == TimeInput.First ? [column, x] : [x, column], 1);
        }
    }
}
