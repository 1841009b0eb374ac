namespace Microsoft.ML.NeuralOde.Core.Tests.Modules.Flows;

public class FlowMatchingTests
{
    [Theory]
    [InlineData(FlowPairing.Independent, 1)]
    [InlineData(FlowPairing.OptimalTransport, 1)]
    [InlineData(FlowPairing.Independent, 2)]
    public void Matching_learns_a_Gaussian_whose_likelihood_is_then_exact(FlowPairing pairing, int blocks)
    {
        using DisposeScope outer = NewDisposeScope();
        random.manual_seed(1);
        using var flow = new ContinuousFlow(2, new ContinuousFlowOptions { Hidden = [32, 32], Blocks = blocks });
        Tensor factor = tensor(new[] { 1f, 0f, 0.8f, 0.6f }, [2, 2]);
        Tensor Draw(long n) => randn(n, 2).mm(factor.t()) * 3 + 5;
        flow.Observe(Draw(5000));
        using var optimizer = optim.Adam(flow.parameters(), 5e-3);
        var options = new FlowMatchingOptions { Pairing = pairing };
        for (int i = 0; i < 400; i++)
        {
            using DisposeScope scope = NewDisposeScope();
            optimizer.zero_grad();
            FlowMatching.Loss(flow, Draw(128), options: options).backward();
            optimizer.step();
        }
        using IDisposable noGrad = no_grad();
        // The entropy of the Gaussian: log 2πe + log det of 3 times the factor.
        double limit = -(Math.Log(2 * Math.PI * Math.E) + Math.Log(9 * 0.6));
        flow.call(Draw(4000)).mean().ToDouble().Should().BeInRange(limit - 0.12, limit + 0.06);
    }

    [Fact]
    public void Averaged_targets_have_the_mean_of_single_ones_and_less_variance()
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        random.manual_seed(2);
        using var flow = new ContinuousFlow(2, new ContinuousFlowOptions { Hidden = [16], Standardize = false });
        Tensor x = randn(4096, 2);
        double Loss(bool average) => FlowMatching.Loss(flow, x, options: new FlowMatchingOptions { AverageTargets = average }).ToDouble();
        // For standard normal data E[z₁ − z₀ | z_t] is (2t − 1) / (t² + (1 − t)²) z_t: what the loss loses is the rest of the variance of 2,
        // ∫ 2 − (2t − 1)² / (t² + (1 − t)²) dt = π/2.
        (Loss(false) - Loss(true)).Should().BeApproximately(Math.PI / 2, 0.08);
        Action paired = () => FlowMatching.Loss(flow, x, options: new FlowMatchingOptions { AverageTargets = true, Pairing = FlowPairing.OptimalTransport });
        paired.Should().Throw<ArgumentException>().WithMessage("*Pairing must be Independent*");
        using var other = new ContinuousFlow(2, new ContinuousFlowOptions { Hidden = [16] }, new GaussianMixtureBase(zeros(1, 2)));
        Action based = () => FlowMatching.Loss(other, x, options: new FlowMatchingOptions { AverageTargets = true });
        based.Should().Throw<ArgumentException>().WithMessage("*standard normal base*");
    }

    [Fact]
    public void A_seeded_generator_gives_the_same_loss_again()
    {
        using DisposeScope scope = NewDisposeScope();
        using var flow = new ContinuousFlow(2, new ContinuousFlowOptions { Hidden = [8], Conditions = 1 });
        Tensor x = randn(32, 2), c = randn(32, 1);
        var options = new FlowMatchingOptions { Pairing = FlowPairing.OptimalTransport, Noise = 0.1 };
        double Loss(ulong seed) => FlowMatching.Loss(flow, x, c, options, new Generator(seed)).ToDouble();
        Loss(3).Should().Be(Loss(3)).And.NotBe(Loss(4));
    }

    [Fact]
    public void Options_and_shapes_that_make_no_sense_are_named()
    {
        using DisposeScope scope = NewDisposeScope();
        using var flow = new ContinuousFlow(2, new ContinuousFlowOptions { Hidden = [8] });
        Action group = () => FlowMatching.Loss(flow, randn(4, 2), options: new FlowMatchingOptions { PairingGroup = 1 });
        group.Should().Throw<ArgumentException>().WithMessage("*PairingGroup is 1*");
        Action noise = () => FlowMatching.Loss(flow, randn(4, 2), options: new FlowMatchingOptions { Noise = double.NaN });
        noise.Should().Throw<ArgumentException>().WithMessage("*Noise*");
        Action shape = () => FlowMatching.Loss(flow, randn(4, 3));
        shape.Should().Throw<ArgumentException>().WithMessage("*[batch, 2]*");
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(5)]
    [InlineData(7)]
    public void The_assignment_is_the_best_of_all_permutations(int n)
    {
        var source = new Random(n);
        for (int trial = 0; trial < 20; trial++)
        {
            // Small whole numbers make ties.
            double[] costs = [.. Enumerable.Range(0, n * n).Select(_ => trial % 2 == 0 ? source.NextDouble() : source.Next(4))];
            int[] columns = LinearAssignment.Solve(costs, n);
            columns.Should().BeEquivalentTo(Enumerable.Range(0, n));
            double found = Enumerable.Range(0, n).Sum(i => costs[i * n + columns[i]]);
            found.Should().BeApproximately(Best(costs, n, 0, new bool[n]), 1e-12);
        }

        static double Best(double[] costs, int n, int row, bool[] used)
        {
            if (row == n)
                return 0;
            double best = double.PositiveInfinity;
            for (int j = 0; j < n; j++)
                if (!used[j])
                {
                    used[j] = true;
                    best = Math.Min(best, costs[row * n + j] + Best(costs, n, row + 1, used));
                    used[j] = false;
                }
            return best;
        }
    }

    [Fact]
    public void The_assignment_in_one_dimension_is_that_of_the_sorted_points()
    {
        var source = new Random(9);
        const int N = 200;
        double[] a = [.. Enumerable.Range(0, N).Select(_ => source.NextDouble())], b = [.. Enumerable.Range(0, N).Select(_ => source.NextDouble())];
        double[] costs = [.. a.SelectMany(x => b.Select(y => (x - y) * (x - y)))];
        int[] columns = LinearAssignment.Solve(costs, N);
        double[] sortedA = [.. a.Order()], sortedB = [.. b.Order()];
        double expected = Enumerable.Range(0, N).Sum(i => Math.Pow(sortedA[i] - sortedB[i], 2));
        Enumerable.Range(0, N).Sum(i => costs[i * N + columns[i]]).Should().BeApproximately(expected, 1e-9);
    }
}
