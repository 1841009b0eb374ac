namespace Microsoft.ML.NeuralOde.Flows;

/// <summary>
/// The assignment of rows to columns with the least total cost, by shortest augmenting paths (R. Jonker, A. Volgenant, 1987), at a cost of
/// n³.
/// </summary>
internal static class LinearAssignment
{
    /// <param name="costs">The costs, row by row, finite, n² of them.</param>
    /// <param name="n">Number of rows and of columns.</param>
    /// <returns>The column of each row.</returns>
    public static int[] Solve(ReadOnlySpan<double> costs, int n)
    {
        var columnOf = new int[n];
        var rowOf = new int[n];
        Array.Fill(columnOf, -1);
        Array.Fill(rowOf, -1);
        var price = new double[n];
        Reduce(costs, n, price, columnOf, rowOf);

        var distance = new double[n];
        var previous = new int[n];
        var done = new bool[n];
        for (int start = 0; start < n; start++)
            if (columnOf[start] < 0)
                Augment(costs, n, start, price, columnOf, rowOf, distance, previous, done);
        return columnOf;
    }

    /// <summary>
    /// Lets each column ask its lowest cost and take the row that has it, where that row is free: most rows find a place at once.
    /// </summary>
    private static void Reduce(ReadOnlySpan<double> costs, int n, double[] price, int[] columnOf, int[] rowOf)
    {
        var lowest = new int[n];
        Array.Fill(price, double.PositiveInfinity);
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++)
                if (costs[i * n + j] < price[j])
                    (price[j], lowest[j]) = (costs[i * n + j], i);
        for (int j = n - 1; j >= 0; j--)
            if (columnOf[lowest[j]] < 0)
                (columnOf[lowest[j]], rowOf[j]) = (j, lowest[j]);
    }

    /// <summary>
    /// Dijkstra's shortest path, in reduced costs, from a free row to a free column; the assignments along it change sides.
    /// </summary>
    private static void Augment(
        ReadOnlySpan<double> costs, int n, int start, double[] price, int[] columnOf, int[] rowOf, double[] distance,
        int[] previous, bool[] done)
    {
        Array.Fill(distance, double.PositiveInfinity);
        Array.Fill(done, false);
        int row = start, sink = -1;
        double length = 0;
        while (sink < 0)
        {
            ReadOnlySpan<double> line = costs.Slice(row * n, n);
            // The column that this row holds has reduced cost zero against it.
            double own = columnOf[row] < 0 ? 0 : line[columnOf[row]] - price[columnOf[row]];
            int next = -1;
            double shortest = double.PositiveInfinity;
            for (int j = 0; j < n; j++)
            {
                if (done[j])
                    continue;
                double candidate = length + (line[j] - price[j]) - own;
                if (candidate < distance[j])
                    (distance[j], previous[j]) = (candidate, row);
                // A free column among equals ends the search.
                if (distance[j] < shortest || (distance[j] == shortest && rowOf[j] < 0))
                    (shortest, next) = (distance[j], j);
            }
            length = shortest;
            done[next] = true;
            if (rowOf[next] < 0)
                sink = next;
            else
                row = rowOf[next];
        }
        for (int j = 0; j < n; j++)
            if (done[j])
                price[j] += distance[j] - length;
        for (int j = sink; ;)
        {
            int holder = previous[j];
            rowOf[j] = holder;
            (columnOf[holder], j) = (j, columnOf[holder]);
            if (holder == start)
                return;
        }
    }
}
