using Microsoft.ML.NeuralOde.Samples.Data;

namespace Microsoft.ML.NeuralOde.Samples.Anomalies.Baselines;

/// <summary>A usual detector of anomalies, to compare with.</summary>
/// <param name="Name">Its name, as in the tables of results.</param>
/// <param name="Score">The scores of test rows after a look at training rows, both standardised; the higher, the stranger.</param>
internal sealed record Baseline(string Name, Func<float[][], float[][], double[]> Score)
{
    /// <summary>Nearest neighbours, local outlier factor, kernel density and mixture of Gaussians.</summary>
    public static IReadOnlyList<Baseline> All { get; } =
    [
        new("KNN5", Neighbours.MeanDistance), new("LOF20", LocalOutlierFactor.Score), new("KDE", KernelDensity.Score),
        new("GMM5", GaussianMixture.Score),
    ];

    /// <summary>The area under the ROC curve on the test rows.</summary>
    public double Evaluate(AnomalySplit split)
    {
        float[][] training = [.. split.Training.Select(row => row.Features)];
        var scale = new FeatureScale(training);
        double[] scores = Score(scale.Apply(training), scale.Apply(split.Test.Select(row => row.Features)));
        return Auroc.Of(scores, [.. split.Test.Select(row => row.Label != 0)]);
    }
}
