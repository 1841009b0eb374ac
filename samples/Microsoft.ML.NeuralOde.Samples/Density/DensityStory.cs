using System.Diagnostics;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Samples.Density;

/// <summary>What came of training.</summary>
/// <param name="Dataset">The density that was learned.</param>
/// <param name="Method">How the flow was trained.</param>
/// <param name="TestLogLikelihood">Mean log-density of points that were not trained on, in nats.</param>
/// <param name="TrueNegativeEntropy">The same mean under the density that the points come from: what no model can exceed.</param>
/// <param name="SecondsPerStep">Mean duration of a training step.</param>
/// <param name="Steps">Number of training steps.</param>
/// <param name="SampleSeconds">Duration of drawing 10,000 points.</param>
internal sealed record DensityResult(
    string Dataset, string Method, double TestLogLikelihood, double TrueNegativeEntropy, double SecondsPerStep, int Steps,
    double SampleSeconds);

/// <summary>Trains a flow on points of a density that is known, and measures how near it comes.</summary>
internal sealed class DensityStory(DensitySettings settings)
{
    private const int Samples = 10_000;

    /// <summary>Trains; the flow is the caller's.</summary>
    public (ContinuousFlow Flow, DensityResult Result) Run(
        Action<int, double>? report = null, CancellationToken cancellationToken = default)
    {
        random.manual_seed(settings.Seed);
        var source = new Random(settings.Seed);
        bool matching = settings.Method == DensityMethod.Matching;
        var flow = new ContinuousFlow(2, new ContinuousFlowOptions
        {
            Hidden = [settings.Width, settings.Width, settings.Width],
            Activation = matching ? Activation.Silu : Activation.Tanh,
            // Rings, squares and spirals are fine structures, and there is no end of points to learn them from.
            InitialGain = matching ? 3 : 1,
            InputScale = matching ? 4 : 1,
            Solver = new OdeSolverOptions { RelativeTolerance = 1e-5, AbsoluteTolerance = 1e-5 },
        });
        try
        {
            using (Tensor first = Batch(source, 10_000))
                flow.Observe(first);
            double secondsPerStep = Train(flow, source, report, cancellationToken);
            flow.eval();
            double likelihood = LogLikelihood(flow, cancellationToken);
            long started = Stopwatch.GetTimestamp();
            flow.Sample(Samples).Dispose();
            double sampleSeconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
            double limit = settings.Dataset.NegativeEntropy(4 * settings.TestRows, new Random(settings.Seed + 2));
            return (flow, new DensityResult(
                settings.Dataset.Name, settings.Method.ToString().ToLowerInvariant(), likelihood, limit, secondsPerStep,
                settings.StepsToTake, sampleSeconds));
        }
        catch
        {
            flow.Dispose();
            throw;
        }
    }

    private double Train(ContinuousFlow flow, Random source, Action<int, double>? report, CancellationToken cancellationToken)
    {
        using var optimizer = new AdamOptimizer(flow.parameters(), settings.LearningRate);
        var matching = new FlowMatchingOptions { Pairing = settings.Pairing, AverageTargets = settings.Pairing == FlowPairing.Independent };
        int steps = settings.StepsToTake;
        long started = Stopwatch.GetTimestamp();
        for (int step = 0; step < steps; step++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            using DisposeScope scope = NewDisposeScope();
            SetLearningRate(optimizer, step, steps);
            Tensor batch = Batch(source, settings.PointsPerStep);
            optimizer.ZeroGradients();
            Tensor loss = settings.Method == DensityMethod.Matching
                ? FlowMatching.Loss(flow, batch, options: matching) : flow.NegativeLogLikelihood(batch);
            loss.backward();
            optimizer.Step();
            if (report is not null && (step + 1) % Math.Max(1, steps / 20) == 0)
                report(step + 1, loss.ToDouble());
        }
        return Stopwatch.GetElapsedTime(started).TotalSeconds / steps;
    }

    /// <summary>
    /// Up over the first steps, then down along a cosine to zero, so that the last steps average the noise of the batches away.
    /// </summary>
    private void SetLearningRate(AdamOptimizer optimizer, int step, int steps)
    {
        double warm = Math.Min(1, (step + 1) / (0.02 * steps + 1));
        double rate = settings.LearningRate * warm * 0.5 * (1 + Math.Cos(Math.PI * step / steps));
        optimizer.LearningRate = rate;
    }

    private double LogLikelihood(ContinuousFlow flow, CancellationToken cancellationToken)
    {
        using IDisposable noGrad = no_grad();
        var source = new Random(settings.Seed + 1);
        double sum = 0;
        for (int done = 0; done < settings.TestRows;)
        {
            cancellationToken.ThrowIfCancellationRequested();
            using DisposeScope scope = NewDisposeScope();
            int count = Math.Min(2000, settings.TestRows - done);
            sum += flow.LogDensity(Batch(source, count)).sum().ToDouble();
            done += count;
        }
        return sum / settings.TestRows;
    }

    private Tensor Batch(Random source, int count) => tensor(settings.Dataset.Sample(count, source), [count, 2]);
}
