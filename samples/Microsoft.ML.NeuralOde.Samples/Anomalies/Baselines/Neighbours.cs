using System.Numerics.Tensors;

namespace Microsoft.ML.NeuralOde.Samples.Anomalies.Baselines;

/// <summary>The nearest training rows of each row.</summary>
/// <param name="Places">Their places among the training rows, <c>[rows][k]</c>, the nearest first.</param>
/// <param name="Distances">How far they are away, Euclidean.</param>
internal sealed record Neighbours(int[][] Places, float[][] Distances)
{
    private const int Usual = 5;

    /// <summary>The mean distance to the five nearest training rows.</summary>
    public static double[] MeanDistance(float[][] training, float[][] test) =>
        [.. Find(training, test, Math.Min(Usual, training.Length), areSame: false).Distances.Select(row => (double)row.Average())];

    /// <summary>Finds neighbours by a comparison with every training row.</summary>
    /// <param name="training">The training rows.</param>
    /// <param name="rows">The rows whose neighbours are asked for.</param>
    /// <param name="count">Neighbours a row.</param>
    /// <param name="areSame">Whether the rows are the training rows, none of which is its own neighbour.</param>
    public static Neighbours Find(float[][] training, float[][] rows, int count, bool areSame)
    {
        var places = new int[rows.Length][];
        var distances = new float[rows.Length][];
        Parallel.For(0, rows.Length, row =>
        {
            float[] all = [.. training.Select(other => TensorPrimitives.Distance<float>(other, rows[row]))];
            if (areSame)
                all[row] = float.PositiveInfinity;
            int[] order = [.. Enumerable.Range(0, all.Length)];
            Array.Sort((float[])all.Clone(), order);
            places[row] = order[..count];
            distances[row] = [.. places[row].Select(place => all[place])];
        });
        return new Neighbours(places, distances);
    }
}
