namespace Microsoft.ML.NeuralOde;

/// <summary>How much the rows of each class count in the loss of a classifier.</summary>
public enum ClassWeighting
{
    /// <summary>Every row the same (or as its weight column says).</summary>
    None,

    /// <summary>
    /// In inverse proportion to the number of rows of their class, so that all classes count the same: rows / (classes · rows of the
    /// class). For data in which some classes are rare.
    /// </summary>
    Balanced,
}
