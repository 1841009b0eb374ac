using Microsoft.ML.NeuralOde.Benchmarks.Workloads;

namespace Microsoft.ML.NeuralOde.Benchmarks.Devices;

/// <summary>A workload that is timed on a device.</summary>
/// <param name="Name">What it is.</param>
/// <param name="Sides">Our ways of computing it.</param>
/// <param name="Recorded">What the peers' took on <see cref="Card"/>.</param>
internal sealed record TimedWorkload(string Name, IReadOnlyList<TimedSide> Sides, params IReadOnlyList<RecordedTime> Recorded)
{
    /// <summary>The card that the peers' times were recorded on.</summary>
    public const string Card = "H100";

    /// <summary>What was recorded.</summary>
    public const string Peers = "torchdiffeq 0.2.5 on PyTorch 2.11, Diffrax 0.7.2 on JAX 0.11.2 (compiled)";

    private const string Default = "default", Adjoint = "adjoint", Direct = "direct", Inference = "inference";

    /// <summary>All of them.</summary>
    /// <param name="digits">Images, at least 16,384 to train on and 10,000 to test, unless it is to be quick.</param>
    /// <param name="device">Where.</param>
    /// <param name="quick">A step or two of a few rows: shows that everything runs, measures nothing.</param>
    public static IEnumerable<TimedWorkload> All(Digits digits, Device device, bool quick)
    {
        RecordedTime[] seed = [Torchdiffeq(Direct, Default, 27, 32), Torchdiffeq(Adjoint, Adjoint, 43, 49)];
        RecordedTime[] compiled = [Diffrax("checkpointed", Default, 4.3), Diffrax("backsolve", Adjoint, 3.9)];
        yield return Seed("batch 128, built-in", 128, "built-in", [.. seed, .. compiled]);
        yield return Seed("batch 128, user-written", 128, "user-written", [.. seed, .. compiled]);
        yield return Seed(
            "batch 16,384, built-in", 16384, "built-in", [Torchdiffeq(Direct, Default, 28, 30), Torchdiffeq(Adjoint, Adjoint, 50, 60)]);
        yield return OdeNet(128, Torchdiffeq(Direct, Default, 56, 61), Torchdiffeq(Adjoint, Adjoint, 101, 101));
        yield return OdeNet(512, Torchdiffeq(Direct, Default, 51, 57), Torchdiffeq(Adjoint, Adjoint, 115, 122));
        yield return Flow(2, Torchdiffeq(Direct, Default, 78, 78), Torchdiffeq(Adjoint, Adjoint, 127, 139),
            Diffrax("checkpointed", Default, 12.6), Diffrax("backsolve", Adjoint, 10.4));
        yield return Flow(43, Torchdiffeq(Direct, Default, 58, 79), Torchdiffeq(Adjoint, Adjoint, 143, 146),
            Diffrax("checkpointed", Default, 10.1), Diffrax("backsolve", Adjoint, 9.2));
        yield return Answers(1, Torchdiffeq(Inference, Inference, 9.6, 10.3), Diffrax(Inference, Inference, 1));
        yield return Answers(128, Torchdiffeq(Inference, Inference, 10.7, 11), Diffrax(Inference, Inference, 1.5));
        yield return Answers(10000, Torchdiffeq(Inference, Inference, 10.7, 11), Diffrax(Inference, Inference, 1.5));

        TimedWorkload Seed(string name, int batch, string dynamics, RecordedTime[] recorded) => new(
            $"seed training step, {name}",
            Ways(gradient => SeedWorkloads.Train(digits, dynamics, gradient, Amount(batch, 50, 200)).Median), recorded);

        TimedWorkload OdeNet(int batch, params RecordedTime[] recorded) => new(
            $"ODE-Net step, batch {batch}",
            Ways(gradient => OdeNetWorkloads.Train(digits, gradient, null, Amount(batch, 3, 20)).Median), recorded);

        TimedWorkload Flow(int dimension, params RecordedTime[] recorded) => new(
            $"flow step, Hutchinson, d = {dimension}",
            Ways(gradient => FlowWorkloads.Measure(device, dimension, FlowWorkloads.Estimate, quick, gradient).Value), recorded);

        TimedWorkload Answers(int batch, params RecordedTime[] recorded) => new(
            $"seed inference, user-written, batch {batch:N0}",
            [new(Inference, () => SeedWorkloads.Infer(digits, "user-written", 1, Amount(batch, 50, 200)).Median)], recorded);

        Amount Amount(int batch, int warmup, int steps) =>
            quick ? new Amount(device, Math.Min(batch, 4), 1, 1) : new Amount(device, batch, warmup, steps);
    }

    private static TimedSide[] Ways(Func<GradientMethod?, double> milliseconds) =>
    [
        new(Default, () => milliseconds(null)), new(Adjoint, () => milliseconds(GradientMethod.Adjoint())),
        new(Direct, () => milliseconds(GradientMethod.Direct())),
    ];

    private static RecordedTime Torchdiffeq(string name, string beside, double least, double most) =>
        new("torchdiffeq", name, beside, least, most);

    private static RecordedTime Diffrax(string name, string beside, double time) => new("Diffrax", name, beside, time, time);
}

/// <summary>One of our ways of computing a workload.</summary>
/// <param name="Name">The gradient.</param>
/// <param name="Milliseconds">Measures the median time of a step.</param>
internal sealed record TimedSide(string Name, Func<double> Milliseconds);

/// <summary>A peer's time that was recorded on <see cref="TimedWorkload.Card"/>.</summary>
/// <param name="Peer">The peer.</param>
/// <param name="Name">Its gradient.</param>
/// <param name="Beside">Which of our sides it is comparable to.</param>
/// <param name="Least">The smallest median of several runs, in milliseconds.</param>
/// <param name="Most">The largest.</param>
internal sealed record RecordedTime(string Peer, string Name, string Beside, double Least, double Most);
