namespace Microsoft.ML.NeuralOde;

/// <summary>Which rows a process holds that trains together with others (<see cref="NeuralOdeTrainerOptions.Distributed"/>).</summary>
public enum DistributedRows
{
    /// <summary>
    /// All: every process is given the same data and holds them, and the batches are those of one process.
    /// </summary>
    Same,

    /// <summary>
    /// A part: every process is given the same data, and process k of n keeps every n-th row from row k on.
    /// </summary>
    Parts,

    /// <summary>
    /// Its own: every process is given other data, of files of its own for instance, which together are the rows of the training. They may
    /// be more or fewer than those of others, or none.
    /// </summary>
    Own,
}
