namespace Microsoft.ML.NeuralOde;

/// <summary>How features are normalised in front of a network, with statistics of the training data that become part of the model.</summary>
public enum FeatureNormalization
{
    /// <summary>Not at all.</summary>
    None,

    /// <summary>One mean and one standard deviation over all slots: for features of one kind, such as pixels.</summary>
    Global,

    /// <summary>A mean and a standard deviation for each slot: for tables whose columns have different units.</summary>
    PerSlot,
}
