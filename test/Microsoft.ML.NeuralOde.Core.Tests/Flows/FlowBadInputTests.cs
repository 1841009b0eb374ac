using Microsoft.ML.NeuralOde.Core.Tests.Support;

namespace Microsoft.ML.NeuralOde.Core.Tests.Flows;

public class FlowBadInputTests
{
    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    public void Values_that_are_not_finite_are_not_trained_on(float value)
    {
        using DisposeScope scope = NewDisposeScope();
        using var flow = new ContinuousFlow(2, new ContinuousFlowOptions { Hidden = [8] });
        Tensor rows = tensor(new[] { 0f, 1f, value, 2f }, [2, 2]);

        flow.Invoking(f => f.Observe(rows)).Should().Throw<ArgumentException>().WithMessage("*NaN or infinite*");
        flow.Invoking(f => f.NegativeLogLikelihood(rows)).Should().Throw<ArgumentException>().WithMessage("*NaN or infinite*");
        Action matching = () => FlowMatching.Loss(flow, rows);
        matching.Should().Throw<ArgumentException>().WithMessage("*NaN or infinite*");
    }

    [Fact]
    public void A_missing_value_has_no_density_and_infinity_the_density_zero()
    {
        using DisposeScope scope = NewDisposeScope();
        using var flow = new ContinuousFlow(2, new ContinuousFlowOptions { Hidden = [8] });
        Tensor missing = tensor(new[] { 0f, float.NaN }, [1, 2]);

        flow.Invoking(f => f.LogDensity(missing)).Should().Throw<OdeSolverException>().WithMessage("*NaN*");
        flow.Invoking(f => f.Decode(missing)).Should().Throw<OdeSolverException>().WithMessage("*NaN*");
        flow.LogDensity(tensor(new[] { 0f, float.PositiveInfinity }, [1, 2])).item<float>().Should().Be(float.NegativeInfinity);
    }

    [Fact]
    public void No_rows_have_no_density_and_no_loss()
    {
        using DisposeScope scope = NewDisposeScope();
        using var flow = new ContinuousFlow(2, new ContinuousFlowOptions { Hidden = [8] });
        Tensor none = zeros(0, 2);

        flow.Observe(none);
        Action matching = () => FlowMatching.Loss(flow, none);
        matching.Should().Throw<ArgumentException>().WithMessage("*no rows*");
        flow.Invoking(f => f.NegativeLogLikelihood(none)).Should().Throw<ArgumentException>().WithMessage("*no rows*");
    }

    [Fact]
    public void Equal_rows_one_row_and_constant_features_keep_a_finite_density_and_loss()
    {
        using DisposeScope scope = NewDisposeScope();
        foreach (Tensor rows in new[] { tensor(new[] { 3f, 1e8f }, [1, 2]), tensor(new[] { 3f, 1e8f }, [1, 2]).repeat(50, 1),
            cat([randn(50, 1), full([50, 1], 0.1f)], 1) })
        {
            using var flow = new ContinuousFlow(2, new ContinuousFlowOptions { Hidden = [8] });
            flow.Observe(rows);
            Finite(flow.LogDensity(rows));
            Finite(FlowMatching.Loss(flow, rows, options: new FlowMatchingOptions { AverageTargets = true }));
            // Moved by one unit in the constant feature: less probable.
            (flow.LogDensity(rows[..1]) - flow.LogDensity(rows[..1] + tensor(new[] { 0f, 64f }))).item<float>().Should().BePositive();
        }
    }

    [Fact]
    public void A_density_in_extreme_units_is_that_in_usual_ones_times_the_units()
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        random.manual_seed(1);
        Tensor usual = randn(200, 4);
        Tensor units = tensor(new[] { 1e-8f, 1e8f, 1e-20f, 1f }), offsets = tensor(new[] { 0f, 0f, 0f, 1e6f });
        Tensor rows = usual * units + offsets;
        using var flow = new ContinuousFlow(4, new ContinuousFlowOptions { Hidden = [16, 16] });
        flow.Observe(rows);
        Tensor found = flow.LogDensity(rows);

        using var plain = new ContinuousFlow(4, new ContinuousFlowOptions { Hidden = [16, 16] });
        plain.load_state_dict(flow.state_dict());
        plain.Standardization!.load_state_dict(new Standardization(4).state_dict());
        // In float64, as the flow itself does it: what is left of the noise at 1e6 has steps of 1/16.
        Tensor exact = rows.to(ScalarType.Float64);
        Tensor mean = exact.mean([0L]), scale = exact.std(0L, unbiased: false);
        Tensor expected = plain.LogDensity(((exact - mean) / scale).to(ScalarType.Float32)) - scale.log().sum();
        Problems.MaximumDifference(found, expected).Should().BeLessThan(1e-3);
    }

    [Fact]
    public void Five_hundred_features_have_a_finite_density_whatever_the_trace()
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        random.manual_seed(1);
        Tensor rows = randn(16, 500);
        foreach (ContinuousFlowOptions options in new[]
        {
            new ContinuousFlowOptions { Hidden = [32, 32] },
            new ContinuousFlowOptions { Hidden = [32, 32, 32], Trace = TraceEstimator.Hutchinson(1) },
        })
        {
            using var flow = new ContinuousFlow(500, options);
            flow.Observe(rows);
            Tensor density = flow.LogDensity(rows);
            Finite(density);
            Finite(flow.Sample(4));
        }
    }

    private static void Finite(Tensor values) => values.isfinite().all().item<bool>().Should().BeTrue();
}
