namespace Microsoft.ML.NeuralOde.Native;

/// <summary>The factors P A = L U of a small matrix, by elimination with row exchanges.</summary>
internal sealed unsafe class DenseFactors
{
    private readonly double* _matrix;
    private readonly int[] _pivots;
    private int _size;

    /// <param name="system">Gives the memory.</param>
    /// <param name="largest">The largest size there will be.</param>
    public DenseFactors(NativeSystem system, int largest)
    {
        _matrix = system.Take(largest * largest);
        _pivots = new int[largest];
    }

    /// <summary>Where the matrix is written before <see cref="Factorize"/>, row after row.</summary>
    public double* Matrix => _matrix;

    /// <summary>Factorises in place. A singular matrix, or one that is not finite, makes every solution NaN.</summary>
    public void Factorize(int size)
    {
        _size = size;
        for (int p = 0; p < size; p++)
        {
            int pivot = p;
            for (int row = p + 1; row < size; row++)
                if (Math.Abs(_matrix[row * size + p]) > Math.Abs(_matrix[pivot * size + p]))
                    pivot = row;
            _pivots[p] = pivot;
            double diagonal = _matrix[pivot * size + p];
            if (diagonal == 0)
                diagonal = _matrix[pivot * size + p] = double.NaN;
            if (pivot != p)
                for (int column = 0; column < size; column++)
                    (_matrix[p * size + column], _matrix[pivot * size + column]) =
                    (_matrix[pivot * size + column], _matrix[p * size + column]);
            Eliminate(p, 1 / diagonal);
        }
    }

    /// <summary>Solves A x = b in place.</summary>
    public void Solve(double* right)
    {
        // The rows of L were exchanged too: all exchanges come first.
        for (int p = 0; p < _size; p++)
            (right[p], right[_pivots[p]]) = (right[_pivots[p]], right[p]);
        for (int p = 0; p < _size; p++)
            for (int row = p + 1; row < _size; row++)
                right[row] -= _matrix[row * _size + p] * right[p];
        for (int row = _size - 1; row >= 0; row--)
        {
            for (int column = row + 1; column < _size; column++)
                right[row] -= _matrix[row * _size + column] * right[column];
            right[row] /= _matrix[row * _size + row];
        }
    }

    private void Eliminate(int p, double inverse)
    {
        double* top = _matrix + p * _size;
        for (int row = p + 1; row < _size; row++)
        {
            double* line = _matrix + row * _size;
            double factor = line[p] *= inverse;
            if (factor == 0)
                continue;
            for (int column = p + 1; column < _size; column++)
                line[column] -= factor * top[column];
        }
    }
}
