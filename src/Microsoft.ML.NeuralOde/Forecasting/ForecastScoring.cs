using Microsoft.ML.NeuralOde.Scoring;

namespace Microsoft.ML.NeuralOde.Forecasting;

/// <summary>Rows behind each of which a forecast is made.</summary>
/// <param name="reader">Reads what is known at a row.</param>
/// <param name="kept">How much of it counts.</param>
/// <param name="outputCount">The numbers of a forecast.</param>
/// <param name="score">Makes forecasts.</param>
internal sealed class ForecastScoring(HistoryReader reader, int kept, int outputCount, Action<IReadOnlyList<ObservedSeries>, float[]> score)
    : RowScoring
{
    // A batch as large as may be read ahead would be slow where only its first row is wanted.
    private const int PieceSize = 64;

    private readonly List<ObservedSeries> _known = [];

    public override void Clear()
    {
        base.Clear();
        _known.Clear();
    }

    public override long Read()
    {
        // What is known at this row; the series goes on with others.
        ObservedSeries known = reader.Read().Tail(kept);
        _known.Add(known);
        Count++;
        return (sizeof(double) + sizeof(float)) * (long)known.Count;
    }

    public override void Score(float[] outputs)
    {
        int done = 0;
        foreach (ObservedSeries[] piece in _known.Chunk(PieceSize))
        {
            float[] found = new float[piece.Length * outputCount];
            score(piece, found);
            found.CopyTo(outputs.AsSpan(done * outputCount));
            done += piece.Length;
        }
    }
}
