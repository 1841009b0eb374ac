namespace Microsoft.ML.NeuralOde.Scoring;

/// <summary>Turns rows into rows of numbers, many at a time.</summary>
internal interface IRowScorer
{
    int OutputCount { get; }

    /// <summary>The numbers that are set aside for what is read of a row; 0 where rows take what they need.</summary>
    int InputCount { get; }

    /// <summary>Whether a row's scores depend on the rows before it: then rows are not shuffled.</summary>
    bool NeedsOrder => false;

    /// <summary>The scorer that is used beside whole data: some look at rows to come.</summary>
    /// <param name="data">The data.</param>
    /// <param name="schema">Its columns.</param>
    IRowScorer Beside(IDataView data, ScoredSchema schema) => this;

    /// <summary>Room for rows to score together.</summary>
    /// <param name="row">The row that moves, from which they are read.</param>
    /// <param name="schema">Its columns.</param>
    /// <param name="capacity">How many rows at most.</param>
    RowScoring Open(DataViewRow row, ScoredSchema schema, int capacity);
}

/// <summary>A scorer of vectors, all of one length.</summary>
internal interface IVectorScorer : IRowScorer
{
    /// <summary>The numbers that are read of a row: its features and, behind them, its condition where the model has one.</summary>
    int FeatureCount { get; }

    /// <summary>Whether rows are wanted without their zeros.</summary>
    bool TakesSparse => false;

    int IRowScorer.InputCount => TakesSparse ? 0 : FeatureCount;

    void Score(float[] features, int rows, float[] outputs);

    RowScoring IRowScorer.Open(DataViewRow row, ScoredSchema schema, int capacity) =>
        new DenseScoring(this, new ScorerInput(row, schema), capacity);
}
