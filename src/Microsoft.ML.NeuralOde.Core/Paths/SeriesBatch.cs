using System.Globalization;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// Series of observations, one a row of the batch, each with its own times and length; values may be missing. Checked once, and immutable.
/// </summary>
/// <remarks>
/// Gradients flow to the values and times that it was made of. It owns handles of its own on them and is disposed of like a tensor that is
/// in no dispose scope.
/// </remarks>
public sealed class SeriesBatch : IDisposable
{
    private readonly long[] _lengths;

    /// <summary>Takes series over.</summary>
    /// <param name="values">
    /// Shape <c>[batch, length, channels]</c>, float32 or float64. NaN is a missing value; what lies behind a row's length is not looked
    /// at.
    /// </param>
    /// <param name="times">
    /// When they were observed, in any unit: shape <c>[batch, length]</c>, or <c>[length]</c> for all rows; float64 advised. They increase
    /// strictly within a row's length. Null for 0, 1, 2, ….
    /// </param>
    /// <param name="lengths">The number of observations of each row, integers of shape <c>[batch]</c>; null where all rows are
    /// full.</param>
    /// <exception cref="ArgumentException">
    /// A shape or type is wrong, a series is empty, a time is not finite or not later than the one before it, or a value is infinite; the
    /// message names row and observation.
    /// </exception>
    public SeriesBatch(Tensor values, Tensor? times = null, Tensor? lengths = null)
    {
        Inputs.RequireAlive(values, nameof(values), "The tensor of values");
        if (values.dim() != 3 || values.numel() == 0 || values.dtype is not (ScalarType.Float32 or ScalarType.Float64))
            throw new ArgumentException(
                $"The values have shape [{string.Join(", ", values.shape)}] and type {values.dtype}; they must be float32 or float64 of shape "
                + "[batch, length, channels], with at least one row, observation and channel.", nameof(values));
        using DisposeScope scope = NewDisposeScope();
        _lengths = ReadLengths(values, lengths);
        Longest = values.size(1);
        Tensor used = times is null ? Counted(values) : Spread(values, times);
        if (times is not null)
            CheckTimes(used);
        LengthTensor = tensor(_lengths, ScalarType.Int64, values.device).DetachFromDisposeScope();
        IsFull = Array.TrueForAll(_lengths, length => length == Longest);
        CheckFinite(values);
        Values = values.alias().DetachFromDisposeScope();
        Times = (IsFull ? used.alias() : Padded(used)).DetachFromDisposeScope();
    }

    /// <summary>The values as they were given, shape <c>[batch, length, channels]</c>.</summary>
    public Tensor Values { get; }

    /// <summary>The times, float64 of shape <c>[batch, length]</c>; behind a row's length its last time.</summary>
    public Tensor Times { get; }

    /// <summary>The number of observations of each row.</summary>
    public IReadOnlyList<long> Lengths => _lengths;

    /// <summary>The number of rows.</summary>
    public long Rows => _lengths.Length;

    /// <summary>The length of the tensors, which no row exceeds.</summary>
    public long Longest { get; }

    /// <summary>The number of channels.</summary>
    public long Channels => Values.size(2);

    /// <summary>The lengths, int64 of shape <c>[batch]</c>.</summary>
    internal Tensor LengthTensor { get; }

    /// <summary>Whether all rows have the full length.</summary>
    internal bool IsFull { get; }

    /// <summary>Which places hold an observation, <c>[batch, length]</c>.</summary>
    internal Tensor Present()
    {
        using Tensor places = Numbers.Range(Longest, ScalarType.Int64, LengthTensor.device);
        using Tensor column = LengthTensor.unsqueeze(1);
        return places.lt(column);
    }

    /// <summary>Gives its handles back; the tensors that it was made of live on.</summary>
    public void Dispose()
    {
        Values.Dispose();
        Times.Dispose();
        LengthTensor.Dispose();
    }

    private static long[] ReadLengths(Tensor values, Tensor? lengths)
    {
        long rows = values.size(0), longest = values.size(1);
        var all = new long[rows];
        if (lengths is null)
        {
            Array.Fill(all, longest);
            return all;
        }
        Inputs.RequireAlive(lengths, nameof(lengths), "The tensor of lengths");
        if (lengths.dim() != 1
            || lengths.size(0) != rows || lengths.dtype is not (ScalarType.Int64 or ScalarType.Int32 or ScalarType.Int16))
            throw new ArgumentException(
                $"The lengths have shape [{string.Join(", ", lengths.shape)}] and type {lengths.dtype}; they must be integers of shape [{rows}], "
                + "one a row.", nameof(lengths));
        lengths.to(ScalarType.Int64, CPU).contiguous().data<long>().CopyTo(all);
        for (int row = 0; row < all.Length; row++)
            if (all[row] < 1 || all[row] > longest)
                throw new ArgumentException(
                    all[row] == 0
                        ? $"The series of row {row} is empty; each needs at least one observation: leave the row out."
                        : $"Row {row} has length {all[row]}; it must be from 1 to {longest}, the length of the tensor of values.",
                        nameof(lengths));
        return all;
    }

    private static Tensor Counted(Tensor values)
    {
        Tensor count = Numbers.Range(values.size(1), ScalarType.Float64, values.device);
        return count.expand(values.size(0), values.size(1));
    }

    private static Tensor Spread(Tensor values, Tensor times)
    {
        Inputs.RequireAlive(times, nameof(times), "The tensor of times");
        long rows = values.size(0), longest = values.size(1);
        bool isShared = times.dim() == 1 && times.size(0) == longest;
        if (!times.is_floating_point() || (!isShared && !(times.dim() == 2 && times.size(0) == rows && times.size(1) == longest)))
            throw new ArgumentException(
                $"The times have shape [{string.Join(", ", times.shape)}] and type {times.dtype}; they must be of a floating-point type and of shape "
                + $"[{rows}, {longest}], or [{longest}] for all rows.", nameof(times));
        Tensor all = times.to(ScalarType.Float64, values.device);
        return isShared ? all.expand(rows, longest) : all;
    }

    private void CheckTimes(Tensor times)
    {
        double[] all = times.detach().to(CPU).contiguous().data<double>().ToArray();
        for (int row = 0; row < _lengths.Length; row++)
            for (long i = 0; i < _lengths[row]; i++)
            {
                double time = all[(row * Longest) + i];
                if (!double.IsFinite(time))
                    throw new ArgumentException(
                        $"Row {row}: time {i} is {time.ToString(CultureInfo.InvariantCulture)}; times must be finite.", nameof(times));
                if (i > 0 && time <= all[(row * Longest) + i - 1])
                    throw new ArgumentException(
                        string.Create(
                            CultureInfo.InvariantCulture,
                            $"Row {row}: time {i} is {time} after {all[(row * Longest) + i - 1]}; times must strictly increase. Sort the observations, ")
                        + "and join those of the same time into one.", nameof(times));
            }
    }

    private void CheckFinite(Tensor values)
    {
        using IDisposable noGrad = no_grad();
        Tensor infinite = values.detach().isinf();
        if (!infinite.any().item<bool>())
            return;
        Tensor inside = infinite.logical_and(Present().unsqueeze(2));
        if (!inside.any().item<bool>())
            return;
        long[] place = inside.nonzero()[0].to(CPU).data<long>().ToArray();
        throw new ArgumentException(
            $"Row {place[0]}: the value of channel {place[2]} at observation {place[1]} is infinite; values must be finite, or NaN where they are "
            + "missing.", nameof(values));
    }

    private Tensor Padded(Tensor times)
    {
        Tensor last = LengthTensor.unsqueeze(1).Shift(-1);
        Tensor places = Numbers.Range(Longest, ScalarType.Int64, times.device).unsqueeze(0);
        return times.gather(1, minimum(places, last));
    }
}
