namespace Microsoft.ML.NeuralOde.Gradients;

/// <summary>
/// Which outputs the rows of a batch reached, where some failed or the solve ended early; a batch without rows of its own counts as one.
/// </summary>
internal sealed class ReachedOutputs
{
    private readonly bool[] _reached;
    private readonly bool _perRow;
    private readonly int _times;
    private readonly int _rows;

    private ReachedOutputs(Tensor states, bool perRow)
    {
        using DisposeScope scope = NewDisposeScope();
        _perRow = perRow;
        _times = (int)states.shape[0];
        _rows = perRow ? (int)states.shape[1] : 1;
        _reached = Any(states.isfinite().logical_not());
        for (int i = 0; i < _reached.Length; i++)
            _reached[i] = !_reached[i] && (i < _rows || _reached[i - _rows]);
    }

    /// <summary>Null where all outputs were reached.</summary>
    public static ReachedOutputs? Of(OdeSolution solution, bool perRow) =>
        solution.Status.All(status => status == RowStatus.Completed) ? null : new ReachedOutputs(solution.States.detach(), perRow);

    /// <summary>
    /// The rows that reached an output and no later one, output by output, the last first; rows are null for the whole batch.
    /// </summary>
    public IEnumerable<(int Output, int[]? Rows)> Groups()
    {
        for (int output = _times - 1; output >= 0; output--)
        {
            int[] rows =
                [.. Enumerable.Range(0, _rows).Where(row => Reached(output, row) && (output == _times - 1 || !Reached(output + 1, row)))];
            if (rows.Length > 0)
                yield return (output, _perRow ? rows : null);
        }
    }

    /// <summary>
    /// Makes the gradient of the initial state NaN in rows that the loss depends on beyond what they reached; returns these rows. In the
    /// current scope.
    /// </summary>
    public IReadOnlyList<long> MarkMissing(Tensor outputs, Tensor? initial)
    {
        bool[] wanted = Any(outputs.ne(Numbers.Zero));
        long[] missing =
        [
            .. Enumerable.Range(0, _rows)
                .Where(row => Enumerable.Range(0, _times).Any(time => wanted[time * _rows + row] && !Reached(time, row)))
                .Select(row => (long)row),
        ];
        if (missing.Length > 0 && initial is not null && !_perRow)
            initial.fill_(Numbers.NaN);
        else if (missing.Length > 0)
            initial?.index_fill_(0, tensor(missing, ScalarType.Int64, initial.device), Numbers.NaN);
        return missing;
    }

    private bool Reached(int output, int row) => _reached[output * _rows + row];

    /// <summary>Where any element is true, time by time and row by row.</summary>
    private bool[] Any(Tensor elements) => elements.reshape(_times, _rows, -1).any(2).cpu().contiguous().data<bool>().ToArray();
}
