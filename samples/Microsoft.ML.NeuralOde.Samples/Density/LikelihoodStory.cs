using System.Globalization;
using Microsoft.ML.NeuralOde.Samples.Data;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Samples.Density;

/// <summary>A density that flows learn for the same time by both methods.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Features">The features.</param>
/// <param name="Hidden">The hidden layers of the flow's right-hand side.</param>
/// <param name="IsEndless">
/// Whether there is no end of points: then dynamics start sharp, for fine structures, and targets are averaged. From few rows a smooth
/// start and single targets learn less of what is chance.
/// </param>
/// <param name="Noise">Standard deviation of the noise that is added to training points.</param>
/// <param name="Draw">Training points.</param>
/// <param name="Test">Points for the test.</param>
/// <param name="Limit">The mean log-density of points under the density itself, where that is known.</param>
internal sealed record LikelihoodSet(
    string Name, int Features, long[] Hidden, bool IsEndless, double Noise, Func<int, Random, float[]> Draw, float[] Test, double? Limit)
{
    private const int TestPoints = 4000, LimitPoints = 40_000;

    /// <summary>A density of the plane.</summary>
    public static LikelihoodSet Of(ToyDensity density, int seed) => new(
        density.Name, 2, [128, 128, 128], true, 0, density.Sample, density.Sample(TestPoints, new Random(seed + 1)),
        density.NegativeEntropy(LimitPoints, new Random(seed + 2)));

    /// <summary>The rows of a table of numbers, standardised by the training rows; a file beside it says which those are.</summary>
    /// <exception cref="UserException">A file is missing.</exception>
    public static LikelihoodSet Of(string name, string file)
    {
        string split = Path.ChangeExtension(file, ".split.csv");
        foreach (string needed in new[] { file, split })
            if (!File.Exists(needed))
                throw new UserException($"--data: there is no file '{needed}'.");
        float[][] rows = [.. File.ReadLines(file).Skip(1)
            .Select(line => line.Split(',').Select(cell => float.Parse(cell, CultureInfo.InvariantCulture)).ToArray())];
        bool[] trains = [.. File.ReadLines(split).Skip(1).Select(line => line.Trim() == "1")];
        float[][] training = [.. rows.Where((_, i) => trains[i])];
        var scale = new FeatureScale(training);
        float[][] known = scale.Apply(training), test = scale.Apply(rows.Where((_, i) => !trains[i]));
        return new LikelihoodSet(
            name, rows[0].Length, [128, 128], false, 0.05,
            (count, random) => [.. Enumerable.Range(0, count).SelectMany(_ => known[random.Next(known.Length)])],
            [.. test.SelectMany(row => row)], null);
    }
}

/// <summary>What a training came to.</summary>
/// <param name="Set">The density.</param>
/// <param name="Method">How the flow was trained.</param>
/// <param name="Steps">Steps in the time that was given.</param>
/// <param name="LogLikelihood">The mean of log p on test points, in nats, exact to the tolerance of the solver.</param>
/// <param name="Limit">What no model exceeds, where that is known.</param>
internal sealed record LikelihoodResult(string Set, string Method, int Steps, double LogLikelihood, double? Limit);

/// <summary>Trains the same flow for the same time by flow matching and by maximum likelihood.</summary>
internal static class LikelihoodStory
{
    private const double Rate = 5e-3, CarefulRate = 2e-3, MostNorm = 5, Warm = 0.02, Tolerance = 1e-5;
    private const int MatchingPoints = 1024, LikelihoodPoints = 512, FewPoints = 256, TestSlice = 500;

    // Of the steps by which maximum likelihood solves the flow in training.
    private const double StepSize = 1.0 / 8;

    public static LikelihoodResult Run(
        LikelihoodSet set, DensityMethod method, double seconds, int seed, CancellationToken cancellationToken)
    {
        random.manual_seed(seed);
        var source = new Random(seed);
        bool isMatching = method == DensityMethod.Matching;
        using var flow = new ContinuousFlow(set.Features, new ContinuousFlowOptions
        {
            Hidden = set.Hidden,
            Activation = isMatching ? Activation.Silu : Activation.Tanh,
            InitialGain = set.IsEndless && isMatching ? 3 : 1,
            InputScale = set.IsEndless && isMatching ? 4 : 1,
            Trace = TraceEstimator.Exact,
            Solver = new OdeSolverOptions { Method = OdeMethod.Rk4, StepSize = StepSize },
            EvaluationSolver = new OdeSolverOptions { RelativeTolerance = Tolerance, AbsoluteTolerance = Tolerance },
        });
        using (Tensor first = Batch(set, 10_000, source))
            flow.Observe(first);
        int steps = Train(flow, set, isMatching, seconds, source, cancellationToken);
        flow.eval();
        return new LikelihoodResult(
            set.Name, isMatching ? "flow matching" : "maximum likelihood", steps, LogLikelihood(flow, set, cancellationToken), set.Limit);
    }

    private static int Train(
        ContinuousFlow flow, LikelihoodSet set, bool isMatching, double seconds, Random source, CancellationToken cancellationToken)
    {
        double rate = set.IsEndless ? Rate : CarefulRate;
        using var optimizer = new AdamOptimizer(flow.parameters(), rate);
        var matching = new FlowMatchingOptions { AverageTargets = set.IsEndless };
        int points = !set.IsEndless ? FewPoints : isMatching ? MatchingPoints : LikelihoodPoints, steps = 0;
        // Of the processor's time, from which work of others beside it takes nothing away.
        TimeSpan started = Environment.CpuUsage.TotalTime;
        while ((Environment.CpuUsage.TotalTime - started).TotalSeconds / seconds is < 1 and var share)
        {
            cancellationToken.ThrowIfCancellationRequested();
            using DisposeScope scope = NewDisposeScope();
            // Up during the first steps, then down along a cosine to zero by the end of the time.
            optimizer.LearningRate = rate * Math.Min(1, (share + 1e-3) / Warm) * 0.5 * (1 + Math.Cos(Math.PI * share));
            Tensor batch = Batch(set, points, source);
            optimizer.ZeroGradients();
            (isMatching ? FlowMatching.Loss(flow, batch, options: matching) : flow.NegativeLogLikelihood(batch)).backward();
            nn.utils.clip_grad_norm_(flow.parameters(), MostNorm);
            optimizer.Step();
            steps++;
        }
        return steps;
    }

    private static double LogLikelihood(ContinuousFlow flow, LikelihoodSet set, CancellationToken cancellationToken)
    {
        using IDisposable noGrad = no_grad();
        int count = set.Test.Length / set.Features;
        double sum = 0;
        for (int done = 0; done < count;)
        {
            cancellationToken.ThrowIfCancellationRequested();
            using DisposeScope scope = NewDisposeScope();
            int size = Math.Min(TestSlice, count - done);
            float[] points = set.Test[(done * set.Features)..((done + size) * set.Features)];
            sum += flow.LogDensity(tensor(points, [size, set.Features])).sum().ToDouble();
            done += size;
        }
        return sum / count;
    }

    private static Tensor Batch(LikelihoodSet set, int count, Random source)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor points = tensor(set.Draw(count, source), [count, set.Features]);
        return (set.Noise > 0 ? points + randn(points.shape) * set.Noise : points).MoveToOuterDisposeScope();
    }
}
