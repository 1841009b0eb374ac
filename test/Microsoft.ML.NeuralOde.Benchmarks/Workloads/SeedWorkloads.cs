using System.Diagnostics;
using System.Text.Json;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Benchmarks.Workloads;

/// <summary>Training and inference of the reference model.</summary>
internal static class SeedWorkloads
{
    private const int BatchSize = 128;
    private const double BatchesPerEpoch = 469;

    public static IEnumerable<WorkloadGroup> Create(Digits digits, bool quick)
    {
        yield return new WorkloadGroup(["seed_adjoint"],
        [
            Epoch("seed epoch, adjoint, user-written dynamics", digits, quick, "user-written", GradientMethod.Adjoint()),
            Epoch("seed epoch, adjoint, layered dynamics", digits, quick, "layered", GradientMethod.Adjoint()),
            Epoch("seed epoch, adjoint, built-in dynamics", digits, quick, "built-in", GradientMethod.Adjoint()),
        ]);
        yield return new WorkloadGroup(["seed_direct"],
        [
            Epoch("seed epoch, default gradient against their direct, user-written dynamics", digits, quick, "user-written", null),
            Epoch("seed epoch, default gradient against their direct, layered dynamics", digits, quick, "layered", null),
            Epoch("seed epoch, default gradient against their direct, built-in dynamics", digits, quick, "built-in", null),
            Epoch("seed epoch, direct, user-written dynamics", digits, quick, "user-written", GradientMethod.Direct()),
        ]);
        yield return new WorkloadGroup(["infer"],
        [
            .. from size in new[] { 1, 128, 1000 }
               from dynamics in new[] { "user-written", "layered", "built-in" }
               select Inference(digits, quick, size, dynamics),
        ]);
    }

    private static Workload Epoch(string name, Digits digits, bool quick, string dynamics, GradientMethod? gradient) =>
        new(name, "s", HigherIsBetter: false, () => Train(digits, quick, dynamics, gradient),
            line => new Outcome(line.GetProperty("seconds_per_epoch").GetDouble(), Number(line, "nfe_forward"),
                Number(line, "nfe_backward"), Number(line, "loss")))
        {
            Diffrax = gradient?.Name == GradientMethod.Direct().Name ? null : new DiffraxLine(
                $"seed {(gradient is null ? "checkpointed" : "backsolve")} batch {BatchSize}", ms => ms / 1000 * BatchesPerEpoch),
        };

    private static Workload Inference(Digits digits, bool quick, int size, string dynamics) =>
        new($"seed inference, batch {size}, {dynamics} dynamics", "images/s", HigherIsBetter: true,
            () => Infer(digits, quick, size, dynamics),
            line => line.GetProperty("batch").GetInt32() == size ? new Outcome(line.GetProperty("images_per_second").GetDouble()) : null)
        {
            Diffrax = new DiffraxLine($"infer batch {size}", ms => size / ms * 1000),
        };

    private static double? Number(JsonElement line, string name) => line.GetProperty(name).GetDouble();

    private static Outcome Train(Digits digits, bool quick, string dynamics, GradientMethod? gradient)
    {
        random.manual_seed(0);
        using DisposeScope outer = NewDisposeScope();
        var network = new SeedNetwork(dynamics, gradient);
        using var optimizer = new AdamOptimizer(network.parameters(), 1e-3);
        Tensor order = randperm(digits.TrainImages.shape[0]);
        int warmup = quick ? 1 : 50, batches = quick ? 2 : 200;
        double seconds = 0, forward = 0, backward = 0, last = 0;
        for (int b = 0; b < warmup + batches; b++)
        {
            using DisposeScope scope = NewDisposeScope();
            Tensor rows = order.narrow(0, b * BatchSize % (order.shape[0] - BatchSize), BatchSize);
            long started = Stopwatch.GetTimestamp();
            optimizer.ZeroGradients();
            Tensor logits = network.call(digits.TrainImages.index_select(0, rows));
            Tensor loss = functional.cross_entropy(logits, digits.TrainLabels.index_select(0, rows));
            loss.backward();
            optimizer.Step();
            if (b < warmup)
                continue;
            seconds += Stopwatch.GetElapsedTime(started).TotalSeconds;
            forward += network.Statistics!.FunctionEvaluations;
            backward += network.Statistics.BackwardEvaluations;
            last = loss.ToDouble();
        }
        return new Outcome(seconds / batches * BatchesPerEpoch, forward / batches, backward / batches, last);
    }

    private static Outcome Infer(Digits digits, bool quick, int size, string dynamics)
    {
        random.manual_seed(0);
        using DisposeScope outer = NewDisposeScope();
        var network = new SeedNetwork(dynamics, null);
        using IDisposable noGrad = no_grad();
        // The peer's side times as many images a round, and takes the median of its rounds.
        int count = quick ? size : size == 1 ? 400 : (int)digits.TestImages.shape[0];
        var rates = new List<double>();
        double evaluations = 0;
        for (int round = 0; round < (quick ? 1 : 10); round++)
        {
            long started = Stopwatch.GetTimestamp();
            int solves = 0;
            evaluations = 0;
            for (int b = 0; b < count; b += size, solves++)
            {
                using DisposeScope scope = NewDisposeScope();
                network.call(digits.TestImages.narrow(0, b, Math.Min(size, count - b)));
                evaluations += network.Statistics!.FunctionEvaluations;
            }
            rates.Add(count / Stopwatch.GetElapsedTime(started).TotalSeconds);
            evaluations /= solves;
        }
        rates.Sort();
        return new Outcome(rates[rates.Count / 2], evaluations);
    }
}
