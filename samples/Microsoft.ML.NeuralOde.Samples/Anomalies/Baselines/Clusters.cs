namespace Microsoft.ML.NeuralOde.Samples.Anomalies.Baselines;

/// <summary>k-means, from centres far from each other (D. Arthur, S. Vassilvitskii, k-means++, 2007).</summary>
internal static class Clusters
{
    private const int MostRounds = 100;

    /// <summary>1 for the cluster of a row and 0 for the others, <c>[rows][clusters]</c>.</summary>
    public static double[][] Find(double[][] rows, int count, Random random)
    {
        double[][] centres = Spread(rows, count, random);
        int[] nearest = Nearest(rows, centres);
        for (int round = 0; round < MostRounds; round++)
        {
            Move(centres, rows, nearest);
            int[] next = Nearest(rows, centres);
            if (next.SequenceEqual(nearest))
                break;
            nearest = next;
        }
        return [.. nearest.Select(cluster => Enumerable.Range(0, count).Select(k => k == cluster ? 1.0 : 0).ToArray())];
    }

    /// <summary>Rows as first centres, each drawn with the square of its distance to those before it.</summary>
    private static double[][] Spread(double[][] rows, int count, Random random)
    {
        List<double[]> centres = [rows[random.Next(rows.Length)]];
        while (centres.Count < count)
        {
            double[] squares = [.. rows.Select(row => centres.Min(centre => Square(row, centre)))];
            double left = random.NextDouble() * squares.Sum();
            int chosen = 0;
            while (chosen < rows.Length - 1 && (left -= squares[chosen]) > 0)
                chosen++;
            centres.Add(rows[chosen]);
        }
        return [.. centres.Select(centre => (double[])centre.Clone())];
    }

    private static void Move(double[][] centres, double[][] rows, int[] nearest)
    {
        foreach (IGrouping<int, int> cluster in Enumerable.Range(0, rows.Length).GroupBy(row => nearest[row]))
            for (int j = 0; j < rows[0].Length; j++)
                centres[cluster.Key][j] = cluster.Average(row => rows[row][j]);
    }

    private static int[] Nearest(double[][] rows, double[][] centres) =>
        [.. rows.Select(row => Enumerable.Range(0, centres.Length).MinBy(k => Square(row, centres[k])))];

    private static double Square(double[] a, double[] b)
    {
        double sum = 0;
        for (int j = 0; j < a.Length; j++)
            sum += (a[j] - b[j]) * (a[j] - b[j]);
        return sum;
    }
}
