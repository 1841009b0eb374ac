namespace Microsoft.ML.NeuralOde.Stepping;

/// <summary>
/// How a state of several tensors lies in one: row by row side by side where all have the same first dimension (so that rows stay rows),
/// else one behind the other.
/// </summary>
internal sealed class StateLayout
{
    private readonly long[][] _shapes;
    private readonly long[] _widths;
    private readonly long? _rows;

    /// <exception cref="ArgumentException">The parts differ in type or device, or there are none.</exception>
    public StateLayout(IReadOnlyList<Tensor> parts)
    {
        if (parts.Count == 0)
            throw new ArgumentException("The initial state has no parts; it needs at least one tensor.", nameof(parts));
        for (int i = 0; i < parts.Count; i++)
        {
            Inputs.RequireAlive(parts[i], nameof(parts), $"Part {i} of the initial state");
            if (parts[i].dtype != parts[0].dtype
                || parts[i].device_type != parts[0].device_type || parts[i].device_index != parts[0].device_index)
                throw new ArgumentException(
                    $"Part {i} of the initial state has {RightHandSide.Describe(parts[i])}, part 0 {RightHandSide.Describe(parts[0])}; "
                    + "type and device must be the same.", nameof(parts));
        }
        _shapes = [.. parts.Select(part => part.shape)];
        _rows = _shapes.All(shape => shape.Length > 0 && shape[0] == _shapes[0][0]) ? _shapes[0].FirstOrDefault() : null;
        _widths = [.. _shapes.Select(shape => shape.Skip(_rows is null ? 0 : 1).Aggregate(1L, (product, size) => product * size))];
    }

    /// <summary>The parts as one tensor.</summary>
    public Tensor Pack(IReadOnlyList<Tensor> parts)
    {
        var flat = new Tensor[parts.Count];
        for (int i = 0; i < flat.Length; i++)
            flat[i] = _rows is null ? parts[i].reshape(-1) : parts[i].reshape(parts[i].shape[0], _widths[i]);
        return cat(flat, _rows is null ? 0 : 1);
    }

    /// <summary>Packs what a right-hand side returned, after a look at its shapes.</summary>
    public Tensor PackDerivative(IReadOnlyList<Tensor>? parts, long rows)
    {
        if (parts is null || parts.Count != _shapes.Length)
            throw new InvalidOperationException(
                $"The right-hand side returned {(parts is null ? "null" : $"{parts.Count} tensors")} for a state of {_shapes.Length}; "
                + "it must return one derivative a part.");
        for (int i = 0; i < parts.Count; i++)
            if (!UserFunction.Returned("The right-hand side", parts[i], $"one derivative a part; it is so for part {i}").shape.AsSpan()
                .SequenceEqual(Shape(i, rows)))
                throw new InvalidOperationException(
                    $"The right-hand side returned shape [{string.Join(", ", parts[i].shape)}] for part {i} of the state; "
                    + $"it must be [{string.Join(", ", Shape(i, rows))}].");
        return Pack(parts);
    }

    /// <summary>The parts of a packed state, whose rows may be fewer than at the start.</summary>
    public Tensor[] Unpack(Tensor state) => Split(state, leading: 0);

    /// <summary>The parts of packed states at several times, <c>[times, …]</c> each.</summary>
    public Tensor[] UnpackTimes(Tensor states) => Split(states, leading: 1);

    private Tensor[] Split(Tensor packed, int leading)
    {
        var parts = new Tensor[_shapes.Length];
        long offset = 0;
        long rows = _rows is null ? 0 : packed.shape[leading];
        for (int i = 0; i < parts.Length; i++)
        {
            using Tensor part = packed.narrow(-1, offset, _widths[i]);
            parts[i] = part.reshape([.. packed.shape.Take(leading), .. Shape(i, rows)]);
            offset += _widths[i];
        }
        return parts;
    }

    private long[] Shape(int part, long rows) => _rows is null ? _shapes[part] : [rows, .. _shapes[part].Skip(1)];
}
