using Microsoft.ML.NeuralOde.Flows;

namespace Microsoft.ML.NeuralOde.Anomaly;

/// <summary>
/// What each feature adds to a row's score: by how much the score falls where this feature alone takes the most harmless of several normal
/// values. Exact differences of scores along the features; no gradient, which is blind where a row lies far out.
/// </summary>
/// <remarks>
/// Normal values are quantiles of rows that are drawn from the flows, always the same ones, so that nothing of the training rows has to be
/// kept. Several values are tried because the one that is normal depends on the other features.
/// </remarks>
internal sealed class FeatureContributions
{
    private const int Values = 9, DrawnRows = 1024;
    private const ulong Seed = 1;

    private readonly Lock _lock = new();
    private float[]? _normal;

    /// <summary>Scores and contributions, shape <c>[batch, 1 + features]</c>.</summary>
    /// <param name="network">The flows, without a condition.</param>
    /// <param name="features">x, shape <c>[batch, features]</c>.</param>
    /// <param name="scale">How the score is made; null for −log p itself.</param>
    public Tensor ScoreWithContributions(FlowNetwork network, Tensor features, AnomalyScale? scale)
    {
        using DisposeScope scope = NewDisposeScope();
        long rows = features.shape[0], count = features.shape[1];
        Tensor normal = tensor(NormalValues(network), [count, Values, 1], device: CPU);
        Tensor score = AnomalyOutput.ScoreOf(network.Evidence(features, null), scale);
        List<Tensor> columns = [score];
        for (long slot = 0; slot < count; slot++)
        {
            using DisposeScope one = NewDisposeScope();
            Tensor changed = features.repeat(Values, 1);
            changed.select(1, slot).copy_(normal.select(0, slot).expand(Values, rows).reshape(-1));
            Tensor best = AnomalyOutput.ScoreOf(network.Evidence(changed, null), scale).view(Values, rows).amin([0L]);
            columns.Add((score - best).AtLeast(0).MoveToOuterDisposeScope());
        }
        return stack([.. columns], 1).MoveToOuterDisposeScope();
    }

    /// <summary>Row-major <c>[features, values]</c>.</summary>
    private float[] NormalValues(FlowNetwork network)
    {
        lock (_lock)
            return _normal ??= Draw(network);
    }

    private static float[] Draw(FlowNetwork network)
    {
        using DisposeScope scope = NewDisposeScope();
        using Generator generator = new(Seed, CPU);
        (Tensor sorted, _) = network.Sample(DrawnRows, null, generator).sort(0);
        Tensor places = tensor([.. Enumerable.Range(0, Values).Select(i => (2L * i + 1) * DrawnRows / (2 * Values))], device: CPU);
        return sorted.index_select(0, places).t().contiguous().data<float>().ToArray();
    }
}
