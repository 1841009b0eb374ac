using System.Runtime.InteropServices;
using Microsoft.ML.NeuralOde.Flows;
using Microsoft.ML.NeuralOde.Stepping;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde;

/// <summary>Which base sample each row of a batch is led to in flow matching.</summary>
public enum FlowPairing
{
    /// <summary>An independent one.</summary>
    Independent,

    /// <summary>
    /// The one that makes the sum of squared distances in the batch smallest: paths cross less, the flow gets straighter and cheaper to
    /// solve (A. Tong et al., Improving and Generalizing Flow-Based Generative Models with Minibatch Optimal Transport, 2024). Under a
    /// condition rows are paired among those of equal condition, since the flow must carry the whole base density to the data of each; a
    /// row whose condition no other row of the batch has gets an independent sample.
    /// </summary>
    OptimalTransport,
}

/// <summary>How flow matching draws its paths.</summary>
public sealed record FlowMatchingOptions
{
    /// <summary>Which base sample each row is led to. Default: <see cref="FlowPairing.Independent"/>.</summary>
    public FlowPairing Pairing { get; init; } = FlowPairing.Independent;

    /// <summary>
    /// Rows among which the optimal pairing is sought; its cost grows with their number's third power, so larger batches, or larger parts
    /// of a batch with one condition, are paired in groups. Default: 256.
    /// </summary>
    public int PairingGroup { get; init; } = 256;

    /// <summary>
    /// Standard deviation of the noise added to the points of a path, in units of the standardised data. Default: 0, straight lines. A
    /// small positive number smooths the learned density.
    /// </summary>
    public double Noise { get; init; }

    /// <summary>
    /// Whether the target at a point is the mean over all rows of the batch, weighted by how likely each is to have led there, instead of
    /// the row that did (Y. Xu, S. Tong, T. Jaakkola, Stable Target Field for Reduced Variance Score Estimation in Diffusion Models, 2023).
    /// Much less noise in the loss where a batch covers the data, as it does in few dimensions; batch² · features more work. Needs the
    /// standard normal base, independent pairing, no noise and no condition. Default: false.
    /// </summary>
    public bool AverageTargets { get; init; }

    /// <summary>Checks every option.</summary>
    /// <exception cref="ArgumentException">An option has a value that makes no sense.</exception>
    public void Validate()
    {
        if (!Enum.IsDefined(Pairing))
            throw new ArgumentException(
                $"{nameof(FlowMatchingOptions)}.{nameof(Pairing)} is {Pairing}; there is no such pairing.", nameof(Pairing));
        if (PairingGroup < 2)
            throw new ArgumentException(
                $"{nameof(FlowMatchingOptions)}.{nameof(PairingGroup)} is {PairingGroup}; it must be at least 2.", nameof(PairingGroup));
        if (!(Noise >= 0 && double.IsFinite(Noise)))
            throw new ArgumentException(
                $"{nameof(FlowMatchingOptions)}.{nameof(Noise)} is {Noise}; it must be zero or a positive number.", nameof(Noise));
        if (AverageTargets && (Pairing != FlowPairing.Independent || Noise > 0))
            throw new ArgumentException(
                $"{nameof(FlowMatchingOptions)}.{nameof(AverageTargets)} is set; "
                + $"{nameof(Pairing)} must be Independent and {nameof(Noise)} 0 then.", nameof(AverageTargets));
    }
}

/// <summary>
/// Trains a <see cref="ContinuousFlow"/> without solving it (Y. Lipman, R. T. Q. Chen, H. Ben-Hamu, M. Nickel, M. Le, Flow Matching for
/// Generative Modeling, 2023; in the form of straight paths also X. Liu, C. Gong, Q. Liu, Flow Straight and Fast, 2023). Afterwards the
/// flow has the same exact likelihood as any other.
/// </summary>
public static class FlowMatching
{
    /// <summary>
    /// Earliest time at which targets are averaged: before, one row has all the weight, and dividing by the time would cost digits.
    /// </summary>
    private const double EarliestAverage = 2e-3;

    /// <summary>
    /// The mean of ‖f(z_t, t) − (z₁ − z₀)‖² over the straight paths z_t = (1 − t) z₀ + t z₁ from standardised rows z₀ to samples z₁ of the
    /// base distribution, at random times: its minimum is the flow that carries the one density to the other. Divided by the number of
    /// features.
    /// </summary>
    /// <param name="flow">
    /// The flow; several blocks divide the path's time among them. <see cref="ContinuousFlow.Observe"/> should have seen the data.
    /// Parameters of the base distribution get no gradient.
    /// </param>
    /// <param name="data">x, shape <c>[batch, features]</c>.</param>
    /// <param name="condition">c, shape <c>[batch, conditions]</c>; null where the flow has none.</param>
    /// <param name="options">How paths are drawn; null for the defaults.</param>
    /// <param name="generator">Source of randomness; null for the global one.</param>
    /// <returns>A scalar.</returns>
    /// <exception cref="ArgumentException">A shape or an option is wrong, there are no rows, or a value is NaN or infinite.</exception>
    public static Tensor Loss(
        ContinuousFlow flow, Tensor data, Tensor? condition = null, FlowMatchingOptions? options = null, Generator? generator = null)
    {
        ArgumentNullException.ThrowIfNull(flow);
        options ??= new FlowMatchingOptions();
        options.Validate();
        flow.CheckTrainable(data, condition);
        if (options.AverageTargets && (condition is not null || flow.Base is not StandardNormalBase))
            throw new ArgumentException(
                $"{nameof(FlowMatchingOptions.AverageTargets)} needs a flow without condition and with a standard normal base.",
                nameof(options));
        using DisposeScope scope = NewDisposeScope();
        long rows = data.shape[0];
        Tensor start, end;
        using (no_grad())
        {
            // In random order, because times will not be.
            Tensor order = Draws.Permutation(rows, data.device, generator);
            start = flow.Standardize(data).index_select(0, order);
            condition = condition?.index_select(0, order);
            end = flow.Base.Sample(rows, generator).to(start.dtype);
            if (options.Pairing == FlowPairing.OptimalTransport)
                end = end.index_select(0, Pair(start, end, condition, options.PairingGroup));
        }

        // One time in each of as many equal intervals as there are rows: uniform over all, with less variance.
        Tensor times = Numbers.Range(rows, start.dtype, start.device).Plus(Draws.Uniform([rows], start.dtype, start.device, generator))
            .Over(rows).unsqueeze(1);
        if (options.AverageTargets)
            times = times.AtLeast(EarliestAverage);
        Tensor points = lerp(start, end, times);
        if (options.Noise > 0)
            points = points.Plus(Draws.Normal(points.shape, points.dtype, points.device, generator).Times(options.Noise));
        Tensor velocity = options.AverageTargets ? Average(start, points, times) : end - start;
        return VelocityError(flow, times, points, velocity, condition).MoveToOuterDisposeScope();
    }

    /// <summary>The mean square of what f misses of the velocities at points of paths, per feature.</summary>
    /// <param name="flow">The flow; each block is asked on its part of the path, in its own unit of time.</param>
    /// <param name="times">Shape <c>[points, 1]</c>, the i-th of n between i/n and (i + 1)/n.</param>
    /// <param name="points">Shape <c>[points, features]</c>.</param>
    /// <param name="velocities">In the shape of the points.</param>
    /// <param name="condition">Shape <c>[points, conditions]</c>; null where the flow has none.</param>
    /// <returns>A scalar.</returns>
    internal static Tensor VelocityError(ContinuousFlow flow, Tensor times, Tensor points, Tensor velocities, Tensor? condition)
    {
        using DisposeScope scope = NewDisposeScope();
        IReadOnlyList<Module<Tensor, Tensor, Tensor>> blocks = flow.Blocks;
        long all = points.shape[0];
        Tensor? sum = null;
        for (int k = 0; k < blocks.Count; k++)
        {
            long first = k * all / blocks.Count, count = (k + 1) * all / blocks.Count - first;
            if (count == 0)
                continue;
            Tensor time = times.narrow(0, first, count).Times(blocks.Count).Minus(k).clamp(Numbers.Zero, Numbers.One);
            Tensor y = points.narrow(0, first, count);
            Module<Tensor, Tensor, Tensor> block = blocks[k];
            Tensor f = UserFunction.Call("A block of the flow", y, () => block is IConditionalDynamics { Conditions: > 0 } conditional
                ? conditional.Evaluate(time, y, condition!.narrow(0, first, count))
                : block.call(time, y));
            RightHandSide.Check(UserFunction.Returned("A block of the flow", f, "dz/dt"), y);
            // In a block's own time the path is walked in a fraction of it.
            Tensor part = (f.Times(blocks.Count) - velocities.narrow(0, first, count)).Squared().sum();
            sum = sum is null ? part : sum.Plus(part);
        }
        return sum!.Over(points.numel()).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// E[z₁ − z₀ | z_t] = (z_t − E[z₀ | z_t]) / t, where the rows of the batch are what z₀ may have been: z_t is normal around (1 − t) z₀
    /// with standard deviation t.
    /// </summary>
    private static Tensor Average(Tensor start, Tensor points, Tensor times)
    {
        using IDisposable noGrad = no_grad();
        Tensor left = times.From(1);
        // −‖z_t − (1 − t) z₀‖², without what is the same for every row.
        Tensor closeness = left.Times(2) * points.mm(start.t()) - left.Squared() * start.Squared().sum(dim: 1L);
        Tensor weights = (closeness / times.Squared().Times(2)).softmax(1);
        return (points - weights.mm(start)) / times;
    }

    /// <summary>The place in <paramref name="end"/> of each row's partner, which is paired with a row of the same condition.</summary>
    /// <remarks>
    /// A flow carries all of the base density to the data of each condition. Chosen among rows of several conditions, the nearest samples
    /// of one condition's rows would be a part of it.
    /// </remarks>
    private static Tensor Pair(Tensor start, Tensor end, Tensor? condition, int largestGroup)
    {
        var places = new long[start.shape[0]];
        foreach (long[] rows in RowsOfEqualConditions(condition, places.Length))
        {
            for (int first = 0; first < rows.Length; first += largestGroup)
            {
                ReadOnlySpan<long> group = rows.AsSpan(first, Math.Min(largestGroup, rows.Length - first));
                int[] columns = group.Length == 1 ? [0] : Assign(start, end, group);
                for (int i = 0; i < group.Length; i++)
                    places[group[i]] = group[columns[i]];
            }
        }
        return tensor(places, device: start.device);
    }

    private static int[] Assign(Tensor start, Tensor end, ReadOnlySpan<long> rows)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor index = tensor(rows.ToArray(), device: start.device);
        // The squares of the distances, without what is the same for every pairing.
        Tensor product = start.index_select(0, index).mm(end.index_select(0, index).t());
        Tensor costs = product.neg().to(ScalarType.Float64, CPU).contiguous();
        return LinearAssignment.Solve(MemoryMarshal.Cast<byte, double>(costs.bytes), rows.Length);
    }

    private static IEnumerable<long[]> RowsOfEqualConditions(Tensor? condition, int count)
    {
        IEnumerable<long> all = Enumerable.Range(0, count).Select(row => (long)row);
        if (condition is null)
            return [[.. all]];
        using DisposeScope scope = NewDisposeScope();
        (_, Tensor? kind, _) = condition.detach().unique(sorted: true, return_inverse: true, return_counts: false, dim: 0);
        long[] kinds = kind!.to(CPU).contiguous().data<long>().ToArray();
        return [.. all.GroupBy(row => kinds[row]).Select(group => group.ToArray())];
    }
}
