using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Scoring;

namespace Microsoft.ML.NeuralOde.Forecasting;

/// <summary>A forecaster beside whole data, whose rows to come say what the exogenous values will be: they are read first.</summary>
/// <param name="model">The forecaster.</param>
/// <param name="data">The data.</param>
internal sealed class AheadScorer(LatentOdeForecastingModel model, IDataView data) : IRowScorer
{
    private IRowScorer Model => model;

    public int OutputCount => Model.OutputCount;

    public int InputCount => Model.InputCount;

    public bool NeedsOrder => Model.NeedsOrder;

    public RowScoring Open(DataViewRow row, ScoredSchema schema, int capacity)
    {
        ForecastInput input = schema.Inputs.Forecast!;
        return model.Open(row, input, HistoryReader.ReadExogenous(data, input));
    }
}
