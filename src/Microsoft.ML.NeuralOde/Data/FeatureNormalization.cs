namespace Microsoft.ML.NeuralOde;

/// <summary>
/// How features are normalised in front of a network, with statistics of the training data that become part of the model.
/// </summary>
/// <remarks>
/// A feature column is sparse to a trainer that predicts a label where its vectors have 1,024 slots or more and at most one in sixteen
/// numbers of the first 256 rows is not zero, however the rows are stored. Its zeros stay zeros: nothing is subtracted, and the numbers are
/// divided by the root of the mean of the squares of those that are not zero, so that a slot that is always 1 or 0 keeps its values,
/// however rare they are.
/// </remarks>
public enum FeatureNormalization
{
    /// <summary>Not at all.</summary>
    None,

    /// <summary>
    /// One mean and one standard deviation over all slots: for features of one kind, such as pixels. Sparse: one scale over all slots.
    /// </summary>
    Global,

    /// <summary>
    /// A mean and a standard deviation for each slot: for tables whose columns have different units. Sparse: a scale for each slot.
    /// </summary>
    PerSlot,
}
