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
        new(name, "s", HigherIsBetter: false, () => Epoch(digits, quick, dynamics, gradient),
            line => new Outcome(line.GetProperty("seconds_per_epoch").GetDouble(), Number(line, "nfe_forward"),
                Number(line, "nfe_backward"), Number(line, "loss")))
        {
            Diffrax = gradient?.Name == GradientMethod.Direct().Name ? null : new DiffraxLine(
                $"seed {(gradient is null ? "checkpointed" : "backsolve")} batch {BatchSize}", ms => ms / 1000 * BatchesPerEpoch),
        };

    private static Workload Inference(Digits digits, bool quick, int size, string dynamics) =>
        new($"seed inference, batch {size}, {dynamics} dynamics", "images/s", HigherIsBetter: true,
            () => Rate(digits, quick, size, dynamics),
            line => line.GetProperty("batch").GetInt32() == size ? new Outcome(line.GetProperty("images_per_second").GetDouble()) : null)
        {
            Diffrax = new DiffraxLine($"infer batch {size}", ms => size / ms * 1000),
        };

    private static double? Number(JsonElement line, string name) => line.GetProperty(name).GetDouble();

    /// <summary>Training steps, of another batch each.</summary>
    public static Measured Train(Digits digits, string dynamics, GradientMethod? gradient, Amount amount)
    {
        random.manual_seed(0);
        using DisposeScope outer = NewDisposeScope();
        var network = new SeedNetwork(dynamics, gradient);
        network.to(amount.Device);
        using var optimizer = new AdamOptimizer(network.parameters(), 1e-3);
        Tensor images = digits.TrainImages.to(amount.Device), labels = digits.TrainLabels.to(amount.Device);
        Tensor order = randperm(images.shape[0]).to(amount.Device);
        return amount.Measure(
            step => order.narrow(0, step * amount.BatchSize % (order.shape[0] - amount.BatchSize), amount.BatchSize),
            rows =>
            {
                optimizer.ZeroGradients();
                Tensor logits = network.call(images.index_select(0, rows));
                Tensor loss = functional.cross_entropy(logits, labels.index_select(0, rows));
                loss.backward();
                optimizer.Step();
                return StepCost.Of(network.Statistics!, loss);
            });
    }

    /// <summary>Rounds of inference, each of so many batches.</summary>
    public static Measured Infer(Digits digits, string dynamics, int batches, Amount amount)
    {
        random.manual_seed(0);
        using DisposeScope outer = NewDisposeScope();
        var network = new SeedNetwork(dynamics, null);
        network.to(amount.Device);
        Tensor images = digits.TestImages.to(amount.Device);
        using IDisposable noGrad = no_grad();
        return amount.Measure(
            step => step,
            _ =>
            {
                double evaluations = 0;
                for (int b = 0; b < batches; b++)
                {
                    using DisposeScope scope = NewDisposeScope();
                    long first = (long)b * amount.BatchSize;
                    network.call(images.narrow(0, first, Math.Min(amount.BatchSize, images.shape[0] - first)));
                    evaluations += network.Statistics!.FunctionEvaluations;
                }
                return new StepCost(evaluations / batches);
            });
    }

    private static Outcome Epoch(Digits digits, bool quick, string dynamics, GradientMethod? gradient)
    {
        Measured steps = Train(digits, dynamics, gradient, new Amount(CPU, BatchSize, quick ? 1 : 50, quick ? 2 : 200));
        return steps.With(steps.MeanSeconds * BatchesPerEpoch);
    }

    private static Outcome Rate(Digits digits, bool quick, int size, string dynamics)
    {
        // The peer's side times as many images a round, and takes the median of its rounds.
        int count = quick ? size : size == 1 ? 400 : (int)digits.TestImages.shape[0];
        Measured rounds = Infer(digits, dynamics, (count + size - 1) / size, new Amount(CPU, size, 0, quick ? 1 : 10));
        return new Outcome(count / rounds.Median * 1000, rounds.Forward);
    }
}
