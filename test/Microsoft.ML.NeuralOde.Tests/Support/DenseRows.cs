using Microsoft.ML.NeuralOde.Data;

namespace Microsoft.ML.NeuralOde.Tests.Support;

/// <summary>Rows with all their numbers.</summary>
internal static class DenseRows
{
    public static RowStatistics Statistics(RowShape shape) => new(new DenseFormat(shape.Features), shape);

    public static void Add(this RowStatistics statistics, float[] features, float[] labels, float weight) =>
        statistics.Add(new RowValues(features, default), labels, weight);
}
