using Microsoft.ML.NeuralOde.Series;

namespace Microsoft.ML.NeuralOde.Core.Tests.Series;

public class LatentOdeTests
{
    // A new kind of latent ODE enters the tests by a line here.
    private static readonly Dictionary<string, LatentOdeOptions> Shapes = new()
    {
        ["ODE-RNN"] = Small with { Recognition = LatentRecognition.OdeRnn },
        ["GRU"] = Small with { Recognition = LatentRecognition.ReversedGru },
        ["ODE-RNN from the end"] = Small with { Recognition = LatentRecognition.OdeRnn, Anchor = LatentAnchor.End },
        ["flow"] = Small with { Recognition = LatentRecognition.OdeRnn, Evolution = LatentEvolution.Flow },
        ["one state"] = Small with { Recognition = LatentRecognition.OdeRnn, Variational = false, StateNoise = true },
        ["with static covariates"] = Small with { StaticCovariates = 2 },
        ["with covariates"] =
        Small with { Recognition = LatentRecognition.ReversedGru, StaticCovariates = 1, Covariates = 2, Anchor = LatentAnchor.End },
        ["flow with covariates"] = Small with { Evolution = LatentEvolution.Flow, StaticCovariates = 1, Covariates = 2 },
        ["another method"] = Small with { Method = OdeMethod.Midpoint, Anchor = LatentAnchor.End },
    };

    private static LatentOdeOptions Small =>
        new() { Channels = 2, LatentSize = 3, HiddenSize = 6, StepSize = 0.125, Anchor = LatentAnchor.Start };

    public static TheoryData<string> Kinds => [.. Shapes.Keys];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Gradients_to_weights_values_and_times_are_those_of_finite_differences(string kind)
    {
        using DisposeScope scope = NewDisposeScope();
        using LatentOde model = Model(kind, ScalarType.Float64);
        Given given = Draw(model, 3);
        Tensor values = given.Values.clone().requires_grad_(), times = given.Times.clone().requires_grad_();
        Tensor noise = Noise(model, 3, 2);
        Tensor Loss(Tensor x, Tensor t) => model.Loss(
            new SeriesBatch(x, t, given.Lengths), given.Targets, 0.3, noise, given.Statics, given.Path).sum();
        Loss(values, times).backward();
        Check(values, at => Loss(at, given.Times), "values");
        Check(times, at => Loss(given.Values, at), "times");
        foreach ((string name, var parameter) in model.named_parameters())
        {
            Tensor before = parameter.detach().clone();
            Check(parameter, at =>
            {
                using (no_grad())
                    parameter.copy_(at);
                return Loss(given.Values, given.Times);
            }, name);
            using (no_grad())
                parameter.copy_(before);
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Neither_order_nor_size_nor_padding_of_the_batch_changes_a_row(string kind)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        using LatentOde model = Model(kind, ScalarType.Float64);
        Given all = Draw(model, 3);
        Tensor noise = Noise(model, 3, 2), times = all.Times.narrow(1, 0, 3) * 2 - 0.4;
        Tensor loss = all.Loss(model, noise);
        LatentForecast forecast = all.Forecast(model, times);
        Given permuted = all.Of([2, 0, 1], 0);
        Tensor order = tensor(new long[] { 2, 0, 1 });
        Near(permuted.Loss(model, noise.index_select(1, order)), loss[order]);
        Near(permuted.Forecast(model, times[order]).Trajectories, forecast.Trajectories.index_select(1, order));
        for (int row = 0; row < 3; row++)
        {
            Given alone = all.Of([row], 4 - row);
            Near(alone.Loss(model, noise.narrow(1, row, 1))[0], loss[row]);
            LatentForecast own = alone.Forecast(model, times.narrow(0, row, 1));
            Near(own.Mean[0], forecast.Mean[row]);
            Near(own.StandardDeviation[0], forecast.StandardDeviation[row]);
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Times_count_from_an_observation_of_the_row(string kind)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        using LatentOde model = Model(kind, ScalarType.Float64);
        Given given = Draw(model, 3);
        Tensor shift = tensor([-40, 0.3, 1000.0]).unsqueeze(1), asked = given.Times.narrow(1, 0, 4) * 1.5 - 0.2;
        Given later = given with { Times = given.Times + shift, CovariateTimes = given.CovariateTimes + shift };
        Near(later.Forecast(model, asked + shift).Mean, given.Forecast(model, asked).Mean, 1e-9);
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Asked_times_may_come_in_any_order_and_what_is_asked_besides_changes_nothing(string kind)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        using LatentOde model = Model(kind, ScalarType.Float64);
        Given given = Draw(model, 3);
        Tensor asked = (rand(3, 5, ScalarType.Float64) * 3) - 1;
        Tensor all = given.Forecast(model, asked).Mean;
        Near(given.Forecast(model, asked.flip(1)).Mean.flip(1), all);
        for (int i = 0; i < 5; i++)
            Near(given.Forecast(model, asked.narrow(1, i, 1)).Mean, all.narrow(1, i, 1));
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void An_observation_without_values_is_as_good_as_none(string kind)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        using LatentOde model = Model(kind, ScalarType.Float64);
        Given given = Draw(model, 1);
        Tensor kept = tensor(new long[] { 1, 2, 4 }), values = given.Values.clone(), asked = given.Times + 0.01;
        values[0, 0] = values[0, 3] = values[0, 5] = double.NaN;
        Given fewer = given with
        {
            Values = given.Values.index_select(1, kept),
            Times = given.Times.index_select(1, kept),
            Lengths = tensor(new[] { 3L })
        };
        Near((given with { Values = values }).Forecast(model, asked).Mean, fewer.Forecast(model, asked).Mean);
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_model_that_is_loaded_says_the_same(string kind)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        using LatentOde model = Model(kind, ScalarType.Float32), loaded = Model(kind, ScalarType.Float32);
        Given given = Draw(model, 2);
        Tensor asked = given.Times + 0.5, expected = given.Forecast(model, asked).Mean;
        given.Forecast(loaded, asked).Mean.Equals(expected).Should().BeFalse("its weights are others");
        using var file = new MemoryStream();
        model.save(file);
        loaded.load(new MemoryStream(file.ToArray()));
        given.Forecast(loaded, asked).Mean.Equals(expected).Should().BeTrue();
    }

    [Fact]
    public void The_loss_of_one_state_is_the_mean_of_gaussian_log_likelihoods()
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        using LatentOde model = Model("one state", ScalarType.Float64);
        Given given = Draw(model, 3);
        LatentForecast forecast = given.Forecast(model, given.Targets.Times);
        Near(forecast.StandardDeviation, forecast.Noise);
        Tensor mean = forecast.Mean, noise = forecast.Noise, loss = given.Loss(model, null);
        for (int row = 0; row < 3; row++)
        {
            var found = new List<double>();
            for (int i = 0; i < given.Targets.Lengths[row]; i++)
                for (int c = 0; c < 2; c++)
                {
                    double x = given.Targets.Values[row, i, c].item<double>(), sigma = noise[row, i, c].item<double>();
                    double error = (x - mean[row, i, c].item<double>()) / sigma;
                    if (double.IsFinite(x))
                        found.Add((0.5 * error * error) + Math.Log(sigma) + (0.5 * Math.Log(2 * Math.PI)));
                }
            loss[row].item<double>().Should().BeApproximately(found.Average(), 1e-10);
        }
    }

    [Fact]
    public void The_divergence_has_its_closed_form_and_its_weight()
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        // KL(N(1, 2²) ‖ N(0, 1)) = (1 + 4 − 1 − log 4) / 2, KL(N(−3, 1) ‖ N(0, 1)) = 9/2.
        Gaussians.Divergence(tensor(new[,] { { 1.0, -3 } }), tensor(new[,] { { Math.Log(2), 0 } })).item<double>()
            .Should().BeApproximately(((4 - Math.Log(4)) / 2) + 4.5, 1e-12);
        using LatentOde model = Model("GRU", ScalarType.Float64);
        Given given = Draw(model, 3);
        Tensor noise = Noise(model, 3, 1);
        Tensor Loss(double weight) => model.Loss(given.Observed, given.Targets, weight, noise);
        Tensor divergence = Loss(1) - Loss(0);
        divergence.min().item<double>().Should().BePositive();
        Near(Loss(0.25) - Loss(0), divergence * 0.25);
    }

    [Fact]
    public void The_spread_is_that_of_the_trajectories_and_the_noise()
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        using LatentOde model = Model("ODE-RNN", ScalarType.Float64);
        Given given = Draw(model, 3);
        LatentForecast forecast = given.Forecast(model, given.Times + 1);
        forecast.Trajectories.shape.Should().Equal(6, 3, 6, 2);
        Near(forecast.Mean, forecast.Trajectories.mean([0L]));
        Near(forecast.StandardDeviation.square(), forecast.Trajectories.var([0L], false) + forecast.Noise.square());
        (forecast.StandardDeviation - forecast.Noise).min().item<double>().Should().BePositive();
        using LatentOde other = new(model.Options with { Seed = 5 });
        other.to(ScalarType.Float64);
        other.load_state_dict(model.state_dict());
        given.Forecast(other, given.Times + 1).Mean.Equals(forecast.Mean).Should().BeFalse("the samples are others");
    }

    [Fact]
    public void Nothing_is_drawn_from_the_global_generator()
    {
        using DisposeScope scope = NewDisposeScope();
        using LatentOde model = Model("ODE-RNN", ScalarType.Float64);
        Given given = Draw(model, 3);
        using var one = new Generator(4);
        manual_seed(1);
        float expected = rand(1).item<float>();
        manual_seed(1);
        Tensor noise = model.DrawNoise(3, one, 2);
        given.Loss(model, noise).sum().backward();
        given.Forecast(model, given.Times);
        rand(1).item<float>().Should().Be(expected);
        using var another = new Generator(4);
        model.DrawNoise(3, another, 2).Equals(noise).Should().BeTrue();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void States_are_those_of_an_accurate_solver_on_both_sides_of_the_anchor(bool hasCovariates)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        LatentOdeOptions options = Small with { StepSize = 1.0 / 256, Covariates = hasCovariates ? 2 : 0 };
        using var motion = new SolvedMotion(options);
        motion.to(ScalarType.Float64);
        DenseDynamics dynamics = motion.children().OfType<DenseDynamics>().Single();
        Tensor state = randn(4, 3, ScalarType.Float64), anchor = tensor([3.0, -1.0]);
        Tensor knots = tensor(new[,] { { 2, 2.7, 3.5, 5 }, { -3, -2, 0, 1 } });
        ControlPath? path = hasCovariates
            ? ControlPath.NaturalCubic(new SeriesBatch(randn(2, 4, 2, ScalarType.Float64), knots), time: false) : null;
        Tensor elapsed = tensor([-0.7, -0.2, 0, 0.31, 1.2]).expand(2, 5);
        Tensor states = motion.call(state, elapsed, new LatentConditions(null, path, anchor, 2));
        Tensor Field(Tensor t, Tensor y) => path is null
            ? dynamics.call(zeros([], ScalarType.Float64), y)
            : dynamics.Evaluate(zeros([], ScalarType.Float64), y, path.Evaluate(anchor + t).repeat(2, 1));
        var accurate = new OdeSolverOptions { RelativeTolerance = 1e-10, AbsoluteTolerance = 1e-10 };
        Tensor after = Ode.Solve(Field, state, tensor([0, 0.31, 1.2]), accurate, []).States.transpose(0, 1);
        Tensor before = Ode.Solve(Field, state, tensor([0, -0.2, -0.7]), accurate, []).States.transpose(0, 1);
        Near(states.narrow(1, 2, 3), after, 2e-4);
        Near(states.narrow(1, 0, 3).flip(1), before, 2e-4);
    }

    [Fact]
    public void A_flow_begins_with_its_state_and_folds_nothing()
    {
        using DisposeScope scope = NewDisposeScope();
        using var flow = new CouplingFlow(3, 8, 0);
        flow.to(ScalarType.Float64);
        Tensor state = randn(5, 3, ScalarType.Float64);
        Near(flow.call(state, zeros(5, 1, ScalarType.Float64), null), state);
        foreach (double time in new[] { -2, -0.3, 0.5, 4 })
        {
            Tensor at = state.clone().requires_grad_(), moved = flow.call(at, ones(5, 1, ScalarType.Float64) * time, null);
            Tensor jacobian =
                stack([.. Enumerable.Range(0, 3).Select(i => Autograd.PullSum("the flow", moved.select(1, i), [at], true)[0]!)], 1);
            linalg.det(jacobian).min().item<double>().Should().BePositive();
            (moved - state).abs().max().item<double>().Should().BeGreaterThan(0.01);
        }
    }

    [Fact]
    public void Covariates_matter_where_they_are_known_beyond_the_observations()
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        using LatentOde model = Model("with covariates", ScalarType.Float64);
        Given given = Draw(model, 2);
        Tensor asked = given.Times.select(1, -1).unsqueeze(1) + tensor([0.0, 3.0]);
        Tensor changed = given.CovariateValues.clone();
        changed.narrow(1, 4, 4).add_(1);
        Given other = given with { CovariateValues = changed };
        Tensor difference = (other.Forecast(model, asked).Mean - given.Forecast(model, asked).Mean).abs();
        difference.select(1, 1).min().item<double>().Should().BeGreaterThan(1e-4);
    }

    [Fact]
    public void A_short_training_learns_sines_of_any_phase()
    {
        using DisposeScope scope = NewDisposeScope();
        manual_seed(3);
        using var model = new LatentOde(new LatentOdeOptions { LatentSize = 8, HiddenSize = 32, Variational = false });
        Tensor times = (rand(32, 12, ScalarType.Float64) + 0.1).cumsum(1) / 6, phase = rand(32, 1, ScalarType.Float64) * 6.3;
        Tensor values = (times * 6.3 + phase).sin().to(ScalarType.Float32).unsqueeze(2);
        using SeriesBatch half = new(values.narrow(1, 0, 7), times.narrow(1, 0, 7)), whole = new(values, times);
        using var optimizer = new AdamOptimizer(model.parameters(), 0.01);
        for (int i = 0; i < 200; i++)
        {
            using DisposeScope step = NewDisposeScope();
            optimizer.ZeroGradients();
            model.Loss(half, whole).mean().backward();
            nn.utils.clip_grad_norm_(model.parameters(), 1);
            optimizer.Step();
        }
        using IDisposable noGrad = no_grad();
        (model.Forecast(half, times).Mean - values).square().mean().item<float>().Should().BeLessThan(0.1f, "the variance is a half");
    }

    [Fact]
    public void Bad_input_is_named()
    {
        using DisposeScope scope = NewDisposeScope();
        using LatentOde model = new(Small), covered = new(Small with { StaticCovariates = 1 });
        Tensor values = randn(2, 4, 2), times = tensor(new[,] { { 0.5, 1 }, { 0.5, 1 } }), gone = values.clone();
        gone[1] = float.NaN;
        SeriesBatch good = new(values), none = new(gone), wide = new(randn(2, 4, 3)), one = new(randn(1, 4, 2)),
            large = new(values.to(ScalarType.Float64));
        Refuses(() => model.Loss(none, good), "Row 1*every value is missing*");
        Refuses(() => model.Loss(good, none), "Row 1 has no target*");
        Refuses(() => model.Loss(wide, wide), "*3 channels*made for 2*");
        Refuses(() => model.Loss(good, one), "*targets have 1 rows of 2 channels*2 of 2*");
        Refuses(() => model.Loss(large, large), "*Float64*Float32*");
        Refuses(() => model.Loss(good, good, -1), "*KL*zero or a positive*");
        Refuses(() => model.Loss(good, good, 1, randn(2, 4)), "*noise has shape*2, 3*");
        Refuses(() => model.Loss(good, good, statics: randn(2, 1)), "*0 static covariates and 0 in time*");
        Refuses(() => covered.Loss(good, good), "*1 static covariates*");
        Refuses(() => covered.Loss(good, good, statics: randn(2, 2)), "*static covariates have shape*2, 1*");
        Refuses(() => covered.Loss(good, good, statics: randn(2, 1) * float.NaN), "*static covariate is NaN*");
        Refuses(() => model.Forecast(good, times.narrow(0, 0, 1)), "*times have shape*2, n*");
        Refuses(() => model.Forecast(good, times * double.NaN), "Row 0: time 0 is NaN*");
        Refuses(() => model.Forecast(good, times * 1e9), "Row 0: a time lies*StepSize*");
        Refuses(() => model.Forecast(good, times, 0), "*samples*");
        using SeriesBatch dead = new(randn(2, 4, 2));
        dead.Dispose();
        ((Action)(() => model.Loss(dead, good))).Should().Throw<ObjectDisposedException>();
    }

    [Fact]
    public void Options_that_make_no_sense_are_named()
    {
        Refuses(() => new LatentOde(Small with { Channels = 0 }).Dispose(), "*Channels is 0*");
        Refuses(() => new LatentOde(Small with { LatentSize = 0 }).Dispose(), "*LatentSize is 0*");
        Refuses(() => new LatentOde(Small with { LatentSize = 1, Evolution = LatentEvolution.Flow }).Dispose(),
            "*LatentSize is 1*at least 2*");
        Refuses(() => new LatentOde(Small with { HiddenSize = -1 }).Dispose(), "*HiddenSize is -1*");
        Refuses(() => new LatentOde(Small with { Covariates = -1 }).Dispose(), "*Covariates is -1*");
        Refuses(() => new LatentOde(Small with { StaticCovariates = -1 }).Dispose(), "*StaticCovariates is -1*");
        Refuses(() => new LatentOde(Small with { StepSize = double.NaN }).Dispose(), "*StepSize is NaN*");
        Refuses(() => new LatentOde(Small with { Method = null! }).Dispose(), "*Method is null*");
        Refuses(() => new LatentOde(Small with { Recognition = (LatentRecognition)7 }).Dispose(), "*Recognition is 7*");
        Refuses(() => new LatentOde(Small with { Evolution = (LatentEvolution)7 }).Dispose(), "*Evolution is 7*");
        Refuses(() => new LatentOde(Small with { Anchor = (LatentAnchor)7 }).Dispose(), "*Anchor is 7*");
    }

    private static void Refuses(Action action, string message) => action.Should().Throw<ArgumentException>().WithMessage(message);

    private static void Near(Tensor found, Tensor expected, double tolerance = 1e-10)
    {
        found.shape.Should().Equal(expected.shape);
        (found - expected).abs().max().item<double>().Should().BeLessThan(tolerance);
    }

    /// <summary>The derivative along a random direction.</summary>
    private static void Check(Tensor input, Func<Tensor, Tensor> loss, string name)
    {
        const double H = 1e-5;
        Tensor direction = randn_like(input.detach()), at = input.detach().clone();
        double slope = ((loss(at + direction * H) - loss(at - direction * H)) / (2 * H)).item<double>();
        input.grad.Should().NotBeNull($"{name} has a part in the loss");
        (input.grad!.nan_to_num(0) * direction).sum().item<double>().Should().BeApproximately(slope, 1e-6 + (1e-5 * Math.Abs(slope)), name);
    }

    private static LatentOde Model(string kind, ScalarType type)
    {
        var model = new LatentOde(Shapes[kind]);
        model.to(type);
        // Some begin with zeros, whose derivatives say little.
        using (no_grad())
            foreach (var parameter in model.parameters())
                parameter.add_(randn_like(parameter) * 0.05);
        return model;
    }

    private static Tensor Noise(LatentOde model, long rows, int samples)
    {
        using var generator = new Generator(2);
        return model.DrawNoise(rows, generator, samples);
    }

    /// <summary>Series of 6, 4 and 1 observations with gaps.</summary>
    private static Given Draw(LatentOde model, int rows)
    {
        ScalarType type = model.parameters().First().dtype;
        Tensor values = randn(rows, 6, 2, type);
        values[0, 2, 1] = values[0, 5, 0] = double.NaN;
        Tensor later = randn(rows, 5, 2, type);
        later[0, 1, 1] = double.NaN;
        LatentOdeOptions options = model.Options;
        return new Given(
            values, (rand(rows, 6, ScalarType.Float64) * 0.3 + 0.05).cumsum(1) - 0.5, tensor(new long[] { 6, 4, 1 }).narrow(0, 0, rows),
            new SeriesBatch(
                later, (rand(rows, 5, ScalarType.Float64) * 0.3 + 0.05).cumsum(1), tensor(new long[] { 5, 5, 2 }).narrow(0, 0, rows)),
            options.StaticCovariates > 0 ? randn(rows, options.StaticCovariates, type) : null,
            randn(rows, 8, 2, type), (rand(rows, 8, ScalarType.Float64) * 0.3 + 0.2).cumsum(1) - 1, options.Covariates > 0);
    }

    private sealed record Given(
        Tensor Values, Tensor Times, Tensor Lengths, SeriesBatch Targets, Tensor? Statics, Tensor CovariateValues,
        Tensor CovariateTimes, bool HasPath)
    {
        public SeriesBatch Observed => new(Values, Times, Lengths);

        public ControlPath? Path =>
            HasPath ? ControlPath.HermiteCubic(new SeriesBatch(CovariateValues, CovariateTimes), time: false) : null;

        public Tensor Loss(LatentOde model, Tensor? noise) => model.Loss(Observed, Targets, 0.5, noise, Statics, Path);

        public LatentForecast Forecast(LatentOde model, Tensor times) => model.Forecast(Observed, times, 6, Statics, Path);

        /// <summary>Some rows, with more padding behind them.</summary>
        public Given Of(long[] rows, long padding)
        {
            Tensor index = tensor(rows), more = full(rows.Length, padding, 2, double.PositiveInfinity, Values.dtype);
            Tensor values = cat([Values[index], more], 1), times = cat([Times[index], zeros(rows.Length, padding, ScalarType.Float64)], 1);
            return new Given(
                values, times, Lengths[index],
                new SeriesBatch(Targets.Values[index], Targets.Times[index] + zeros(1),
                    tensor(rows.Select(row => Targets.Lengths[(int)row]).ToArray())),
                Statics?[index], CovariateValues[index], CovariateTimes[index], HasPath);
        }
    }
}
