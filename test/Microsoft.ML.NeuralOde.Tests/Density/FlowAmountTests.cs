using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Flows;
using Microsoft.ML.NeuralOde.Scoring;
using Microsoft.ML.NeuralOde.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Tests.Density;

/// <summary>How much the options of flows do, where it can be computed by hand.</summary>
public class FlowAmountTests
{
    /// <summary>Noise, share and reach of coverage.</summary>
    public static TheoryData<double, double, double> Draws => new()
    {
        { 0.1, 0, 2 }, { 0.5, 0, 2 }, { 0.5, 1, 2 }, { 0.5, 1, 4 }, { 0.5, 0.5, 4 }, { 0.5, 1, 0.1 },
    };

    [Theory]
    [MemberData(nameof(Draws))]
    public void Points_lie_as_far_from_the_rows_as_noise_and_coverage_say(double noise, double share, double reach)
    {
        // One row r and a flow that stands still: the loss is the mean square of the velocities. With x = r + s n at one end of a path, z
        // at the other and
        // (a, b) = (cos, sin)(πt/2), the velocity is π/2 (a b (1 − σ²) / (a²σ² + b²) (a s n + b z) − b r).
        using DisposeScope scope = NewDisposeScope();
        const float Row = 2;
        double found = Loss(Still(conditions: 0), tensor(new[] { Row }, [1, 1]), null, null, new PathDraw(40_000, noise, share, reach));

        // The square of a spread whose logarithm is uniform between σ and the reach, for the share of paths that cover.
        double most = Math.Max(reach, noise);
        double wide = most > noise ? (most * most - noise * noise) / (2 * Math.Log(most / noise)) : noise * noise;
        double spread = share * wide + (1 - share) * noise * noise;
        double expected = 0;
        const int Times = 2000;
        for (int i = 0; i < Times; i++)
        {
            double angle = Math.PI / 2 * (i + 0.5) / Times, a = Math.Cos(angle), b = Math.Sin(angle), s2 = a * a * noise * noise + b * b;
            double slope = a * b * (1 - noise * noise) / s2;
            expected += Math.PI * Math.PI / 4 * (slope * slope * (a * a * spread + b * b) + b * b * Row * Row) / Times;
        }
        found.Should().BeApproximately(expected, 0.04 * expected);
    }

    [Fact]
    public void Rows_are_drawn_by_their_weights_and_disturbed_by_the_noise()
    {
        // Under conditions each path belongs to one row: its velocity is π/2 (a z − b (r + σ n)), of mean square π²/8 (1 + r² + σ²).
        using DisposeScope scope = NewDisposeScope();
        Tensor rows = tensor(new[] { 1f, 3 }, [2, 1]), conditions = tensor(new[] { 0f, 1 }, [2, 1]);
        foreach ((Tensor? weights, double square) in new (Tensor?, double)[] { (null, (1 + 9) / 2.0),
            (tensor(new[] { 3f, 1 }), (3 + 9) / 4.0), (tensor(new[] { 0f, 1 }), 9) })
            foreach (double noise in new[] { 0, 2 })
            {
                double expected = Math.PI * Math.PI / 8 * (1 + square + noise * noise);
                Loss(Still(conditions: 1), rows, conditions, weights, new PathDraw(40_000, noise, 0, 2)).Should()
                    .BeApproximately(expected, 0.04 * expected);
            }
    }

    [Theory]
    [InlineData(FlowTrainingMethod.FlowMatching, 1)]
    [InlineData(FlowTrainingMethod.FlowMatching, 3)]
    [InlineData(FlowTrainingMethod.MaximumLikelihood, 1)]
    [InlineData(FlowTrainingMethod.MaximumLikelihood, 2)]
    public void The_loss_of_an_ensemble_is_the_mean_of_its_members_with_the_options_draws(FlowTrainingMethod method, int members)
    {
        using DisposeScope scope = NewDisposeScope();
        FlowNetwork network = Network(members, conditions: 1);
        network.Standardize(([1, -1], [0.5f, 2]), null, ([4], [0.25f]));
        var options = new ContinuousFlowDensityEstimator.Options
        {
            Method = method,
            PathsPerBatch = 37,
            CoverageShare = 0.4,
            CoverageReach = 3
        };
        var training = new FlowTraining(network, options, noise: 0.3);
        Tensor x = tensor(new[] { 1f, 2, 3, 4, -1, 0 }, [3, 2]), c = tensor(new[] { 4f, 5, 2 }, [3, 1]), w = tensor(new[] { 1f, 2, 5 });
        Tensor u = (x - tensor(new[] { 1f, -1 })) * tensor(new[] { 0.5f, 2 }), v = (c - 4) * 0.25;

        foreach ((bool isTraining, int seed, double coverage) in new[] { (true, 11, 0.4), (false, 0, 0) })
        {
            using var generator = new Generator((ulong)seed, CPU);
            double sum = 0;
            foreach (ContinuousFlow flow in network.Flows)
                sum += method == FlowTrainingMethod.FlowMatching
                    ? VelocityMatching.Loss(flow, u, v, w, new PathDraw(37, 0.3, coverage, 3), generator).ToDouble()
                    : -(flow.LogDensity(u + 0.3 * randn(3, 2, generator: generator), v) * w).sum().ToDouble() / 8;
            using var batch = new RowBatch(DenseFormat.BatchOf(x.clone()), c.clone(), w.clone());
            BatchResult result = isTraining ? training.Loss(batch, new TrainingMoment(seed, 0)) : training.Evaluate(batch);
            result.Loss.ToDouble().Should().BeApproximately(sum / members, 1e-4 * Math.Abs(sum));
            result.Weight.Should().Be(8);
            (result.Figure, result.FigureWeight).Should().Be((null, 0));
        }
    }

    [Fact]
    public void Rows_that_are_mapped_once_are_those_that_each_batch_would_map()
    {
        using DisposeScope scope = NewDisposeScope();
        FlowNetwork network = Network(members: 1, conditions: 1);
        network.Standardize(([1, -1], [0.5f, 2]), null, ([4], [0.25f]));
        Tensor x = randn(10_000, 2), c = randn(10_000, 1), w = rand(10_000);
        using MemoryRows rows = MemoryRows.Of(new DenseFormat(2), new DenseFormat(2).StoreOf(x.clone()), c.clone(), w.clone());
        using MemoryRows mapped = rows.Map(network.ToFlow);
        var options = new ContinuousFlowDensityEstimator.Options { PathsPerBatch = 37 };
        var training = new FlowTraining(network, options, noise: 0.3);

        mapped.Count.Should().Be(10_000);
        mapped.Statistics.Should().BeSameAs(rows.Statistics);
        Check(all => all.Batches(3000, 7));
        Check(all => all.Batches(3000));
        Check(all => all.Cut([100, 5000], 100, 7, 0));

        void Check(Func<MemoryRows, IEnumerable<RowBatch>> batches)
        {
            foreach ((RowBatch batch, RowBatch same) in batches(rows).Zip(batches(mapped)))
            {
                using DisposeScope inner = NewDisposeScope();
                using (batch)
                using (same)
                {
                    (batch.IsMapped, same.IsMapped).Should().Be((false, true));
                    training.Loss(same, new TrainingMoment(5, 0)).Loss.ToDouble().Should()
                        .Be(training.Loss(batch, new TrainingMoment(5, 0)).Loss.ToDouble());
                    training.Evaluate(same).Loss.ToDouble().Should().Be(training.Evaluate(batch).Loss.ToDouble());
                }
            }
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(5)]
    public void An_ensembles_density_is_the_mean_of_its_members_densities_under_the_same_condition(int members)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        FlowNetwork network = Network(members, conditions: 1);
        network.eval();
        network.Standardize(([1, -1], [0.5f, 4]), null, ([4], [0.25f]));
        Tensor x = tensor(new[] { 1f, 2, 3, -1, -1, 0 }, [3, 2]), c = tensor(new[] { 4f, 5, 2 }, [3, 1]);
        Tensor u = (x - tensor(new[] { 1f, -1 })) * tensor(new[] { 0.5f, 4 }), v = (c - 4) * 0.25;
        double[][] each = [.. network.Flows.Select(flow => Numbers(flow.LogDensity(u, v)))];
        double[][] latent = [.. network.Flows.Select(flow => Numbers(flow.Encode(u, v).Latent.square().sum(1)))];

        double[] found = Numbers(network.LogDensity(x, c)), whole = Numbers(network.call(cat([x, c], 1)));
        FlowEvidence evidence = network.Evidence(x, c);
        for (int row = 0; row < 3; row++)
        {
            // Standardised features are squeezed by 0.5 and 4: so much denser are they in their own units.
            double expected = Math.Log(each.Average(member => Math.Exp(member[row]))) + Math.Log(0.5 * 4);
            found[row].Should().BeApproximately(expected, 1e-4);
            whole[row].Should().BeApproximately(expected, 1e-4);
            // An anomaly's surprise is the mean of the logarithms, and its latent energy half the mean square.
            Numbers(evidence.Surprise)[row].Should().BeApproximately(-each.Average(member => member[row]) - Math.Log(2), 1e-4);
            Numbers(evidence.LatentEnergy)[row].Should().BeApproximately(latent.Average(member => member[row]) / 2, 1e-4);
        }
        each[0].Should().NotEqual(Numbers(network.Flows[0].LogDensity(u, v + 1)), "the condition counts, else this test could not fail");
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(0.75, 1.25)]
    [InlineData(2.4, 2.6)]
    public void Smoothing_widens_the_unit_of_each_feature_as_independent_noise_does(double smoothing, double widening)
    {
        var mlContext = new MLContext(1);
        DensityRow[] rows = [.. new[] { -3f, 1, 5 }.Select(x => new DensityRow { Features = [x, 10 * x] })];
        using ContinuousFlowDensityTransformer model = mlContext.Transforms.ContinuousFlowDensity(new ContinuousFlowDensityEstimator.Options
        {
            NumberOfEpochs = 1,
            BatchesPerEpoch = 1,
            HiddenLayers = [4],
            EnsembleSize = 2,
            Blocks = 3,
            Smoothing = smoothing,
        }).Fit(mlContext.Data.LoadFromEnumerable(rows));

        using SharedNetwork<FlowNetwork>.Loan loan = model.Model.Borrow();
        FlowNetwork network = loan.Network;
        (float[] mean, float[] scale) = network.FeatureStatistics();
        mean.Should().Equal([1, 10], (a, b) => Math.Abs(a - b) < 1e-5);
        // Squares of −4, 0 and 4.
        double deviation = Math.Sqrt(32.0 / 3) * widening;
        scale.Should().Equal([(float)(1 / deviation), (float)(0.1 / deviation)], (a, b) => Math.Abs(a - b) < 1e-6);
        (network.Flows.Count, network.Flows[0].Blocks.Count).Should().Be((2, 3));
    }

    [Fact]
    public void Samples_come_from_all_members_alike()
    {
        // The members' flows stand still, but for one that moves its points away.
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        FlowNetwork network = Network(members: 3, conditions: 0);
        network.Standardize(([1, -1], [0.5f, 4]), null, null);
        foreach (TorchSharp.Modules.Parameter parameter in network.parameters())
            parameter.zero_();
        network.Flows[1].named_parameters().Last(pair => pair.name.Contains("bias", StringComparison.Ordinal)).parameter.fill_(-50);
        using var generator = new Generator(3, CPU);

        double[] first = Numbers(network.Sample(301, null, generator).select(1, 0));
        // Others are of mean 1 and deviation 2.
        int moved = first.Count(value => Math.Abs(value - 1) > 40);
        moved.Should().BeInRange(100, 101);
        double[] rest = [.. first.Where(value => Math.Abs(value - 1) <= 40)];
        rest.Average().Should().BeApproximately(1, 0.5);
        Math.Sqrt(rest.Average(value => (value - 1) * (value - 1))).Should().BeApproximately(2, 0.3);
    }

    private static ContinuousFlow Still(int conditions)
    {
        var flow = new ContinuousFlow(1, new ContinuousFlowOptions { Hidden = [2], Conditions = conditions, Standardize = false });
        using (no_grad())
            foreach (TorchSharp.Modules.Parameter parameter in flow.parameters())
                parameter.zero_();
        return flow;
    }

    private static double Loss(ContinuousFlow flow, Tensor rows, Tensor? conditions, Tensor? weights, PathDraw draw)
    {
        using var generator = new Generator(5, CPU);
        return VelocityMatching.Loss(flow, rows, conditions, weights, draw, generator).ToDouble();
    }

    private static FlowNetwork Network(int members, int conditions)
    {
        TorchSharp.torch.random.manual_seed(6);
        return new FlowNetwork(new FlowDescription(2, conditions, members, 1, [6], Activation.Silu, "rk4", 1e-4, 1e-5, 1.0 / 16, []));
    }

    private static double[] Numbers(Tensor values) => values.detach().to(ScalarType.Float64).contiguous().data<double>().ToArray();
}
