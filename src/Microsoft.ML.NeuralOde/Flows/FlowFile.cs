namespace Microsoft.ML.NeuralOde.Flows;

/// <summary>What stands beside the weights in a model file.</summary>
/// <param name="Network">The flows' structure.</param>
/// <param name="Columns">The columns that they read.</param>
/// <param name="History">What happened in each epoch of the training.</param>
/// <param name="Output">What becomes of them.</param>
internal sealed record FlowFile<TOutput>(
    FlowDescription Network, FlowColumns Columns, IReadOnlyList<NeuralOdeEpochReport> History, TOutput Output);
