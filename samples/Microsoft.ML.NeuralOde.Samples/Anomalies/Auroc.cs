namespace Microsoft.ML.NeuralOde.Samples.Anomalies;

/// <summary>The area under the ROC curve.</summary>
internal static class Auroc
{
    /// <summary>
    /// The share of pairs of an anomaly and a normal row in which the anomaly has the higher score; pairs with equal scores count half.
    /// </summary>
    /// <param name="scores">The higher, the stranger.</param>
    /// <param name="isAnomaly">What the rows are; both kinds must be among them.</param>
    public static double Of(double[] scores, bool[] isAnomaly)
    {
        int[] order = [.. Enumerable.Range(0, scores.Length).OrderBy(i => scores[i])];
        double rankSum = 0, anomalies = isAnomaly.Count(is1 => is1);
        for (int first = 0, next; first < order.Length; first = next)
        {
            next = first + 1;
            while (next < order.Length && scores[order[next]] == scores[order[first]])
                next++;
            for (int i = first; i < next; i++)
                rankSum += isAnomaly[order[i]] ? (first + next + 1) / 2.0 : 0;
        }
        return (rankSum - anomalies * (anomalies + 1) / 2) / (anomalies * (scores.Length - anomalies));
    }
}
