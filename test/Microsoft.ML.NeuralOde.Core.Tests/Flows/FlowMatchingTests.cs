using Microsoft.ML.NeuralOde.Flows;

namespace Microsoft.ML.NeuralOde.Core.Tests.Flows;

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
        using var optimizer = new AdamOptimizer(flow.parameters(), 5e-3);
        var options = new FlowMatchingOptions { Pairing = pairing };
        for (int i = 0; i < 400; i++)
        {
            using DisposeScope scope = NewDisposeScope();
            optimizer.ZeroGradients();
            FlowMatching.Loss(flow, Draw(128), options: options).backward();
            optimizer.Step();
        }
        using IDisposable noGrad = no_grad();
        // The entropy of the Gaussian: log 2πe + log det of 3 times the factor.
        double limit = -(Math.Log(2 * Math.PI * Math.E) + Math.Log(9 * 0.6));
        flow.call(Draw(4000)).mean().ToDouble().Should().BeInRange(limit - 0.12, limit + 0.06);
    }

    public static TheoryData<string> Conditions =>
        new() { "one column", "one-hot", "two columns", "numbers", "a column of each", "half precision" };

    [Theory]
    [MemberData(nameof(Conditions))]
    public void Under_a_condition_base_samples_are_standard_normal_however_rows_are_paired(string kind)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        random.manual_seed(3);
        const int Rows = 3000;
        Tensor label = randint(0, 2, [Rows, 1], ScalarType.Float32), other = randint(0, 3, [Rows, 1], ScalarType.Float32),
            number = randn(Rows, 1);
        (Tensor condition, Tensor data) = kind switch
        {
            "one column" => (label, label * 4),
            "one-hot" => (cat([label, label.From(1)], 1), label * 4),
            // Rows with one label have different data, and those are the second column's.
            "two columns" => (cat([label, other], 1), (label * 4).Plus(other * 3)),
            "numbers" => (number, number * 4),
            "half precision" => (label.to(ScalarType.Float16), label * 4),
            _ => (cat([label, number], 1), (label * 4).Plus(number)),
        };
        // Known data let the base samples be read from the points of the paths: z₁ = (z_t − (1 − t) z₀) / t.
        var watch = new Watch(condition.shape[1]);
        using var flow = new ContinuousFlow(1, [watch], new ContinuousFlowOptions { Standardize = false });
        foreach (int group in new[] { 64, Rows })
        {
            FlowMatching.Loss(
                flow, data, condition, new FlowMatchingOptions { Pairing = FlowPairing.OptimalTransport, PairingGroup = group });
            Tensor c = watch.Condition!.to(ScalarType.Float32);
            Tensor start = kind switch
            {
                "two columns" => (c.narrow(1, 0, 1) * 4).Plus(c.narrow(1, 1, 1) * 3),
                "a column of each" => (c.narrow(1, 0, 1) * 4).Plus(c.narrow(1, 1, 1)),
                _ => c.narrow(1, 0, 1) * 4,
            };
            // Early times leave no digits.
            Tensor late = watch.Times!.reshape(-1).gt(0.2).nonzero().reshape(-1);
            Tensor end = ((watch.Points! - start * watch.Times!.From(1)) / watch.Times!).index_select(0, late);
            end.mean().ToDouble().Should().BeApproximately(0, 0.1);
            end.std().ToDouble().Should().BeApproximately(1, 0.07);
            for (int column = 0; column < c.shape[1]; column++)
            {
                Tensor by = c.narrow(1, column, 1).index_select(0, late);
                ((by - by.mean()) * (end - end.mean())).mean()
                    .Over(by.std().ToDouble()).ToDouble().Should().BeApproximately(0, 0.1, $"z and column {column} are independent");
            }
        }
    }

    [Fact]
    public void Rows_of_one_condition_are_paired_best()
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        random.manual_seed(4);
        // The condition tells a row's group alone, the sign of the data is what a pairing can follow: left rows to left samples.
        const int Rows = 1000;
        Tensor condition = randint(0, 3, [Rows, 1], ScalarType.Float32);
        Tensor side = randint(0, 2, [Rows, 1], ScalarType.Float32).Times(2).Minus(1);
        var watch = new Watch(1);
        using var flow = new ContinuousFlow(1, [watch], new ContinuousFlowOptions { Standardize = false });
        FlowMatching.Loss(
            flow, side.Times(100), condition, new FlowMatchingOptions { Pairing = FlowPairing.OptimalTransport, PairingGroup = Rows });
        // At t ≤ 0.9 a point's sign is its row's: |100 (1 − t)| > |t z|.
        Tensor row = watch.Points!.sign(), early = watch.Times!.le(0.9);
        Tensor end = (watch.Points! - row * watch.Times!.From(1).Times(100)) / watch.Times!;
        Tensor known = early.logical_and(watch.Times!.gt(0.2)).reshape(-1).nonzero().reshape(-1);
        row = row.index_select(0, known);
        end = end.index_select(0, known);
        // Groups are not quite balanced: a few samples near the middle go to the other side.
        (row * end).gt(0).to(ScalarType.Float32).mean().ToDouble().Should().BeGreaterThan(0.9);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Optimally_paired_classes_keep_their_means_and_deviations(int blocks)
    {
        using DisposeScope outer = NewDisposeScope();
        random.manual_seed(5);
        const int Rows = 256;
        using var flow = new ContinuousFlow(1, new ContinuousFlowOptions { Hidden = [32, 32], Conditions = 1, Blocks = blocks });
        (Tensor Rows, Tensor Labels) Draw()
        {
            // Unequal classes: N(−2, 1²) three times as often as N(2, 0.6²).
            Tensor label = rand(Rows, 1).lt(0.25).to(ScalarType.Float32);
            return ((randn(Rows, 1) * label.Times(-0.4).Plus(1)).Plus(label.Times(4).Minus(2)), label);
        }
        for (int i = 0; i < 20; i++)
            flow.Observe(Draw().Rows);
        using var optimizer = new AdamOptimizer(flow.parameters(), 1e-2);
        var options = new FlowMatchingOptions { Pairing = FlowPairing.OptimalTransport, PairingGroup = 64 };
        for (int i = 0; i < 300; i++)
        {
            using DisposeScope scope = NewDisposeScope();
            (Tensor rows, Tensor labels) = Draw();
            optimizer.LearningRate = 1e-2 * (1 - i / 300.0);
            optimizer.ZeroGradients();
            FlowMatching.Loss(flow, rows, labels, options).backward();
            optimizer.Step();
        }
        flow.eval();
        foreach ((double label, double mean, double deviation) in new[] { (0, -2.0, 1.0), (1, 2.0, 0.6) })
        {
            Tensor samples = flow.Sample(2000, full([2000, 1], label, ScalarType.Float32));
            samples.mean().ToDouble().Should().BeApproximately(mean, 0.2);
            samples.std().ToDouble().Should().BeApproximately(deviation, 0.2);
        }
    }

    /// <summary>Dynamics that remember what they were asked.</summary>
    private sealed class Watch : nn.Module<Tensor, Tensor, Tensor>, IConditionalDynamics
    {
        public Watch(long conditions)
            : base(nameof(Watch)) => Conditions = conditions;

        public long Conditions { get; }

        public Tensor? Times { get; private set; }

        public Tensor? Points { get; private set; }

        public Tensor? Condition { get; private set; }

        public override Tensor forward(Tensor t, Tensor y) => zeros_like(y);

        public Tensor Evaluate(Tensor t, Tensor y, Tensor condition)
        {
            Times = t.clone().DetachFromDisposeScope();
            Points = y.clone().DetachFromDisposeScope();
            Condition = condition.clone().DetachFromDisposeScope();
            return zeros_like(y);
        }
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
        // For standard normal data E[z₁ − z₀ | z_t] is (2t − 1) / (t² + (1 − t)²) z_t: what the loss loses is the rest of the variance of
        // 2, ∫ 2 − (2t − 1)² / (t² + (1 − t)²) dt = π/2.
        (Loss(false) - Loss(true)).Should().BeApproximately(Math.PI / 2, 0.08);
        Action paired = () =>
            FlowMatching.Loss(flow, x, options: new FlowMatchingOptions { AverageTargets = true, Pairing = FlowPairing.OptimalTransport });
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
        double[] a = [.. Enumerable.Range(0, N).Select(_ => source.NextDouble())],
            b = [.. Enumerable.Range(0, N).Select(_ => source.NextDouble())];
        double[] costs = [.. a.SelectMany(x => b.Select(y => (x - y) * (x - y)))];
        int[] columns = LinearAssignment.Solve(costs, N);
        double[] sortedA = [.. a.Order()], sortedB = [.. b.Order()];
        double expected = Enumerable.Range(0, N).Sum(i => Math.Pow(sortedA[i] - sortedB[i], 2));
        Enumerable.Range(0, N).Sum(i => costs[i * N + columns[i]]).Should().BeApproximately(expected, 1e-9);
    }
}
