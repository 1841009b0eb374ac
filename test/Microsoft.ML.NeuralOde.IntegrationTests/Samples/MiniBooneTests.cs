using System.Globalization;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Samples;

/// <summary>A real density of 43 features, from 1,000 rows.</summary>
[Collection(OwnGenerator.Name)]
public class MiniBooneTests
{
    /// <summary>
    /// Test log-likelihood, in nats on standardised features, of the best mixture of Gaussians in the folder's list of baselines.
    /// </summary>
    private const double BestMixture = -28.9955;

    [RealData("density")]
    [Trait("Category", "Slow")]
    public void A_flow_trained_by_matching_is_likelier_than_the_best_mixture_of_Gaussians()
    {
        const int Steps = 3500;
        using DisposeScope outer = NewDisposeScope();
        random.manual_seed(1);
        (Tensor train, Tensor test) = Load();
        using var flow = new ContinuousFlow(43, new ContinuousFlowOptions
        {
            Hidden = [128, 128],
            Solver = new OdeSolverOptions { RelativeTolerance = 1e-4, AbsoluteTolerance = 1e-4 },
        });
        flow.Observe(train);
        using var optimizer = new AdamOptimizer(flow.parameters(), 2e-3);
        var options = new FlowMatchingOptions { Noise = 0.05 };
        for (int step = 0; step < Steps; step++)
        {
            using DisposeScope scope = NewDisposeScope();
            optimizer.LearningRate = 2e-3 * Math.Min(1, step / 175.0) * 0.5 * (1 + Math.Cos(Math.PI * step / Steps));
            optimizer.ZeroGradients();
            FlowMatching.Loss(flow, train.index_select(0, randint(0, train.shape[0], [256])), options: options).backward();
            nn.utils.clip_grad_norm_(flow.parameters(), 5);
            optimizer.Step();
        }
        flow.eval();
        using IDisposable noGrad = no_grad();
        flow.call(test).mean().ToDouble().Should().BeGreaterThan(BestMixture);
    }

    /// <summary>Both parts, standardised by the moments of the first.</summary>
    private static (Tensor Train, Tensor Test) Load()
    {
        bool[] isTrain = [.. File.ReadLines(RealDataAttribute.PathOf("density", "miniboone_first1523.split.csv"))
            .Skip(1).Select(line => line.Trim() == "1")];
        float[][] rows = [.. File.ReadLines(RealDataAttribute.PathOf("density", "miniboone_first1523.csv")).Skip(1)
            .Select(line => line.Split(',').Select(cell => float.Parse(cell, CultureInfo.InvariantCulture)).ToArray())];
        Tensor train = Part(true), test = Part(false);
        Tensor mean = train.mean([0L]), deviation = train.std(0L, unbiased: false);
        return ((train - mean) / deviation, (test - mean) / deviation);

        Tensor Part(bool part) =>
            tensor([.. rows.Where((_, i) => isTrain[i] == part).SelectMany(row => row)], [isTrain.Count(value => value == part), 43]);
    }
}
