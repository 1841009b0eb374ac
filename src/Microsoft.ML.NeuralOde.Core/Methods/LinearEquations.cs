namespace Microsoft.ML.NeuralOde.Methods;

/// <summary>Small systems of linear equations, from which coefficients of methods follow.</summary>
internal static class LinearEquations
{
    /// <summary>X with M X = R, by elimination with row exchanges. Both arguments stay as they are.</summary>
    /// <param name="matrix">M, rows first.</param>
    /// <param name="right">R, a row for each row of M.</param>
    public static double[][] Solve(double[][] matrix, double[][] right)
    {
        int n = matrix.Length;
        double[][] rows = [.. matrix.Zip(right, (left, known) => (double[])[.. left, .. known])];
        for (int p = 0; p < n; p++)
        {
            int pivot = Enumerable.Range(p, n - p).MaxBy(row => Math.Abs(rows[row][p]));
            (rows[p], rows[pivot]) = (rows[pivot], rows[p]);
            for (int row = 0; row < n; row++)
            {
                double factor = rows[row][p] / rows[p][p];
                for (int column = p; row != p && column < rows[row].Length; column++)
                    rows[row][column] -= factor * rows[p][column];
            }
        }
        return [.. rows.Select((row, i) => Array.ConvertAll(row[n..], value => value / row[i]))];
    }
}
