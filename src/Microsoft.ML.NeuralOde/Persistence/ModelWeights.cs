namespace Microsoft.ML.NeuralOde;

/// <summary>An array of a trained model: weights, or statistics of its training data.</summary>
/// <param name="Name">Its name, unique in the model.</param>
/// <param name="Shape">Its dimensions.</param>
/// <param name="Values">A copy of its numbers, row-major.</param>
public sealed record ModelWeights(string Name, IReadOnlyList<long> Shape, IReadOnlyList<float> Values)
{
    internal static IReadOnlyDictionary<string, ModelWeights> Of(IEnumerable<Persistence.NamedArray> arrays) =>
        arrays.ToDictionary(array => array.Name, array => new ModelWeights(array.Name, array.Shape, array.Values));
}
