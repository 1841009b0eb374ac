using Microsoft.ML.NeuralOde.Data;

namespace Microsoft.ML.NeuralOde.Scoring;

/// <summary>Series that are to be scored together; those that say nothing have scores that are NaN.</summary>
/// <param name="reader">Reads them.</param>
/// <param name="format">Knows which say nothing.</param>
/// <param name="outputCount">The scores of a series.</param>
/// <param name="score">Scores series, one after the other.</param>
internal sealed class SeriesScoring(SeriesReader reader, SeriesFormat format, int outputCount, Action<List<float[]>, float[]> score)
    : RowScoring
{
    private readonly List<float[]> _series = [];
    private readonly List<int> _places = [];

    public override void Clear()
    {
        base.Clear();
        _series.Clear();
        _places.Clear();
    }

    public override long Read()
    {
        RowValues row = reader.Read();
        if (format.FindGap(row, Count) is null)
        {
            _series.Add(row.Values.ToArray());
            _places.Add(Count);
        }
        Count++;
        return format.BytesOf(row);
    }

    public override void Score(float[] outputs)
    {
        outputs.AsSpan(0, Count * outputCount).Fill(float.NaN);
        if (_series.Count == 0)
            return;
        float[] found = new float[_series.Count * outputCount];
        score(_series, found);
        for (int i = 0; i < _places.Count; i++)
            found.AsSpan(i * outputCount, outputCount).CopyTo(outputs.AsSpan(_places[i] * outputCount));
    }
}
