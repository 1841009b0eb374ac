using Microsoft.ML.NeuralOde.Core.Tests.Support;

namespace Microsoft.ML.NeuralOde.Core.Tests.Solving;

/// <summary>What a solve tells of what limited it, and of how far it is.</summary>
public class LimitTests
{
    private const string BeyondRounding = "In float32, relative tolerances below about 1e-6 ask an implicit method for more";
    private const string Stiff = "Stability, not accuracy, limited the steps";

    /// <summary>Options of a solve that takes too many steps, the state's type, and what is said of the reason.</summary>
    public static TheoryData<OdeSolverOptions, ScalarType, string?> Reasons => new()
    {
        { new() { Method = OdeMethod.Radau5, RelativeTolerance = 9.9e-7 }, ScalarType.Float32, BeyondRounding },
        { new() { Method = OdeMethod.Kvaerno5, RelativeTolerance = 1e-7, PerRow = true }, ScalarType.Float32, BeyondRounding },
        { new() { Method = OdeMethod.Radau5, RelativeTolerance = 1e-6 }, ScalarType.Float32, null },
        { new() { Method = OdeMethod.Radau5, RelativeTolerance = 1e-7 }, ScalarType.Float64, null },
        { new() { Method = OdeMethod.Dopri5, RelativeTolerance = 1e-7 }, ScalarType.Float32, null },
        { new() { Method = OdeMethod.Radau5, RelativeTolerance = 1e-7, RelativeTolerances = tensor(new[] { 1e-3 }) }, ScalarType.Float32,
            null },
    };

    [Theory]
    [MemberData(nameof(Reasons), DisableDiscoveryEnumeration = true)]
    public void Tolerances_beyond_what_a_type_holds_are_named_where_they_are_the_reason(
        OdeSolverOptions options, ScalarType type, string? reason)
    {
        using IDisposable noGrad = no_grad();
        using Tensor y0 = ones([12, 1], type);
        OdeSolverException failure = Fail((t, y) => -y, y0, 10, options with { MaximumSteps = 1, FirstStep = 1e-3 });
        failure.Message.Should().StartWith("The step limit was reached").And.Contain("MaximumSteps is 1.");
        failure.Message.Contains(BeyondRounding).Should().Be(reason is not null);
        failure.Message.Should().NotContain(Stiff);
        // Where rows have steps of their own, those that have not come to the end, ten at most.
        failure.Rows.Should().Equal(options.PerRow ? [.. Enumerable.Range(0, 10).Select(i => (long)i)] : Array.Empty<long>());
        failure.StepSize.Should().BePositive();
    }

    [Theory]
    [InlineData(1e4, true)]
    [InlineData(1, false)]
    public void A_stiff_problem_is_called_stiff(double rate, bool isStiff)
    {
        using IDisposable noGrad = no_grad();
        using Tensor y0 = ones(1, ScalarType.Float64);
        OdeSolverException failure = Fail((t, y) => rate * (t.cos() - y), y0, 100, new() { MaximumSteps = isStiff ? 200 : 5 });
        failure.Message.Contains(Stiff).Should().Be(isStiff);
        // Backward in time it is the other sign that is.
        OdeSolverException backward = Fail((t, y) => -rate * (t.cos() - y), y0, -100, new() { MaximumSteps = isStiff ? 200 : 5 });
        backward.Message.Contains(Stiff).Should().Be(isStiff);
        backward.StepSize.Should().BeNegative();
    }

    /// <summary>Shapes of a state, and the row of each whose second number, or only one, has a pole at 1/2.</summary>
    [Theory]
    [InlineData(new long[0], null)]
    [InlineData(new long[] { 1 }, 0L)]
    [InlineData(new long[] { 3, 2 }, 1L)]
    [InlineData(new long[] { 2, 2, 3 }, 0L)]
    public void What_blows_up_is_named_by_row_whatever_the_shape(long[] shape, long? row)
    {
        using IDisposable noGrad = no_grad();
        // y = 1 / (1/y₀ − t), which 0 stays.
        using Tensor y0 = zeros(shape, ScalarType.Float64);
        if (row is null)
            y0.fill_(2);
        else
            y0.reshape(shape[0], -1)[row.Value][^1] = 2;
        foreach (int direction in new[] { 1, -1 })
        {
            OdeSolverException failure = FluentActions.Invoking(() => Ode.Solve((t, y) => direction * y * y, y0, 0, direction, new()))
                .Should().Throw<OdeSolverException>().WithMessage("The solution blows up*").Which;
            failure.Rows.Should().Equal(row is { } its ? [its] : Array.Empty<long>());
            failure.Time.Should().BeApproximately(0.5 * direction, 1e-3);
        }
    }

    /// <summary>
    /// Beyond t = 1/2 the rate of the third row is no number; the first has grown ten thousandfold by then, which is no pole.
    /// </summary>
    [Fact]
    public void A_row_behind_whose_time_there_is_nothing_is_named_and_not_one_that_merely_grows()
    {
        using IDisposable noGrad = no_grad();
        using Tensor y0 = ones([4, 1], ScalarType.Float64);
        using Tensor growth = tensor(new[] { 20.0, 0, 0, -1 }, [4, 1]), ends = tensor(new[] { false, false, true, false }, [4, 1]);
        OdeSolverException failure = FluentActions.Invoking(() => Ode.Solve(
            (t, y) => growth * y + where(ends, (0.5 - t).sqrt(), zeros_like(y)), y0, 0, 1, new()))
            .Should().Throw<OdeSolverException>().WithMessage("The solution became NaN or infinite*, batch row 2.*").Which;
        failure.Failure.Should().Be(SolverFailure.NonFinite);
        failure.Rows.Should().Equal(2);
        failure.Time.Should().BeApproximately(0.5, 1e-3);
    }

    /// <summary>Whether a solve ends at a pole, the state's type, and whether its tolerance is to blame.</summary>
    [Theory]
    [InlineData(false, ScalarType.Float32, true)]
    [InlineData(false, ScalarType.Float64, false)]
    [InlineData(true, ScalarType.Float32, false)]
    public void Steps_that_become_too_small_have_their_reason_told_unless_it_is_a_pole(bool isPole, ScalarType type, bool isRounding)
    {
        using IDisposable noGrad = no_grad();
        using Tensor y0 = ones([2, 1], type);
        var options = new OdeSolverOptions
        {
            Method = OdeMethod.Radau5,
            RelativeTolerance = isPole ? 9e-7 : 1e-9,
            AbsoluteTolerance = 1e-12,
            MinimumStep = isPole ? 1e-7 : 0.5,
            FirstStep = 0.5,
        };
        OdeSolverException failure = FluentActions.Invoking(() => Ode.Solve((t, y) => isPole ? y * y : t.sin() - 3 * y, y0, 0, 4, options))
            .Should().Throw<OdeSolverException>().Which;
        failure.Message.Contains(BeyondRounding).Should().Be(isRounding, failure.Message);
        failure.Message.StartsWith("The solution blows up", StringComparison.Ordinal).Should().Be(isPole);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(-1)]
    public void Progress_is_that_of_the_row_that_is_least_far(int direction)
    {
        using IDisposable noGrad = no_grad();
        // The first row's steps are short, those of the second grow as fast as they may.
        using Tensor y0 = tensor(new[] { 1.0, 0 }, [2, 1]);
        using Tensor rate = tensor(new[] { 100.0, 0 }, [2, 1]);
        var events = new List<(double? Progress, double[]? Times)>();
        OdeSolverOptions options = new()
        {
            PerRow = true,
            FirstStep = 1e-3,
            Progress = new Immediate(seen => events.Add((seen.Time * direction, null))),
        };
        using Tensor times = tensor(new[] { 0.0, direction });
        using OdeSolution solution = Ode.Solve((t, y, arguments) =>
        {
            events.Add((null, [.. t.reshape(-1).data<double>().ToArray().Select(time => time * direction)]));
            return -direction * arguments[0] * y;
        }, y0, times, [rate], options);
        solution.Status.Should().OnlyContain(status => status == RowStatus.Completed);
        double[] progress = [.. events.Where(item => item.Progress is not null).Select(item => item.Progress!.Value)];
        progress[0].Should().Be(0);
        progress.Should().BeInAscendingOrder();
        for (int i = 0; i < events.Count; i++)
            if (events[i].Progress is { } reported)
                events.Skip(i).Where(item => item.Times is not null).SelectMany(item => item.Times!).Should()
                    .OnlyContain(time => time >= reported);
        // The fast row is done in a few steps; the other goes on alone.
        progress.Should().HaveCountGreaterThan(10);
        events[^1].Times!.Length.Should().Be(1);
    }

    private static OdeSolverException Fail(Func<Tensor, Tensor, Tensor> f, Tensor y0, double end, OdeSolverOptions options)
    {
        OdeSolverException failure =
            FluentActions.Invoking(() => Ode.Solve(f, y0, 0, end, options)).Should().Throw<OdeSolverException>().Which;
        failure.Failure.Should().Be(SolverFailure.StepLimit);
        return failure;
    }

    private sealed class Immediate(Action<SolverProgress> report) : IProgress<SolverProgress>
    {
        public void Report(SolverProgress value) => report(value);
    }
}
