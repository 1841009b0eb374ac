namespace Microsoft.ML.NeuralOde.Stepping;

/// <summary>
/// The weights of a step's sums Σ_j w_j k_j, row by row, times the step size. They are known before the step begins: what tensor
/// operations need of them goes to the device in one copy.
/// </summary>
internal sealed class StepTable : IDisposable
{
    private readonly int _lanes;
    private readonly StepSpan? _span;
    private readonly double[][] _rows;
    private readonly bool _perLane;
    private readonly int[]?[] _columns;
    private Tensor? _numbers;

    /// <param name="lanes">The number of step sizes.</param>
    /// <param name="span">Gives the step sizes h; null for h = 1.</param>
    /// <param name="rows">Weights: one a stage, or, lane-major, one a lane and stage.</param>
    /// <param name="perLane">Whether they are one a lane and stage.</param>
    public StepTable(int lanes, StepSpan? span, double[][] rows, bool perLane = false)
    {
        _lanes = lanes;
        _span = span;
        _rows = rows;
        _perLane = perLane && lanes > 1;
        _columns = new int[]?[rows.Length];
    }

    /// <summary>Whether the step sizes carry derivatives.</summary>
    public bool IsTracked => _span?.TrackedSize is not null;

    /// <summary>The stages of a row whose weight is not zero in all lanes.</summary>
    public int[] Columns(int row) => _columns[row] ??= [.. Enumerable.Range(0, Width(row)).Where(column => IsUsed(row, column))];

    /// <summary>Lane-major h w, of all stages.</summary>
    public double[] Numbers(int row)
    {
        int width = Width(row);
        var numbers = new double[_lanes * width];
        for (int lane = 0; lane < _lanes; lane++)
            for (int j = 0; j < width; j++)
                numbers[lane * width + j] = Weight(row, lane, j) * (_span is null ? 1 : _span.Size[lane]);
        return numbers;
    }

    /// <summary>Whether a row is nothing but a sum of its <see cref="Columns"/>.</summary>
    public bool IsPlainSum(int row)
    {
        if (_span is not null)
            return false;
        foreach (int column in Columns(row))
            for (int lane = 0; lane < _lanes; lane++)
                if (Weight(row, lane, column) != 1)
                    return false;
        return true;
    }

    /// <summary>h w of the <see cref="Columns"/>, shape <c>[lanes, columns]</c>, in the current scope.</summary>
    /// <param name="row">The row.</param>
    /// <param name="like">Has their type and device.</param>
    /// <param name="withState">Whether a column of ones follows; not for tracked step sizes.</param>
    public Tensor Weights(int row, Tensor like, bool withState)
    {
        _numbers ??= Upload(like).DetachFromDisposeScope();
        int start = 0;
        for (int i = 0; i < row; i++)
            start += Columns(i).Length + 1;
        Tensor weights = _numbers.narrow(1, start, Columns(row).Length + (withState ? 1 : 0));
        // Tracked step sizes multiply in the graph; otherwise the numbers were multiplied in float64.
        return _span?.TrackedSize is { } size ? weights * size.unsqueeze(1) : weights;
    }

    public void Dispose() => _numbers?.Dispose();

    private Tensor Upload(Tensor like)
    {
        int width = Enumerable.Range(0, _rows.Length).Sum(row => Columns(row).Length + 1);
        var values = new double[_lanes * width];
        for (int lane = 0; lane < _lanes; lane++)
        {
            int place = lane * width;
            for (int row = 0; row < _rows.Length; row++)
            {
                foreach (int column in Columns(row))
                    values[place++] = Weight(row, lane, column) * (_span is null || IsTracked ? 1 : _span.Size[lane]);
                values[place++] = 1;
            }
        }
        return tensor(values, [_lanes, width], like.dtype, like.device);
    }

    private int Width(int row) => _perLane ? _rows[row].Length / _lanes : _rows[row].Length;

    private bool IsUsed(int row, int column)
    {
        for (int lane = 0; lane < (_perLane ? _lanes : 1); lane++)
            if (Weight(row, lane, column) != 0)
                return true;
        return false;
    }

    private double Weight(int row, int lane, int column) => _rows[row][_perLane ? lane * Width(row) + column : column];
}
