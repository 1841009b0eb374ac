namespace Microsoft.ML.NeuralOde.Service;

/// <summary>A row as the model's pipeline reads it. The pipeline maps labels, too, though nobody knows the label of a row to be predicted.</summary>
internal sealed class Row
{
    public float[] Features { get; set; } = [];

    public string Label { get; set; } = "";
}

/// <summary>What the pipeline says about a row.</summary>
internal sealed class Prediction
{
    public string PredictedLabel { get; set; } = "";

    public float[] Score { get; set; } = [];
}

/// <summary>The body of a request for one prediction.</summary>
internal sealed record PredictRequest(float[]? Features);

/// <summary>The body of a request for several.</summary>
internal sealed record PredictBatchRequest(float[]?[]? Rows);

/// <summary>The answer for one row.</summary>
internal sealed record PredictResponse(string Label, float[] Scores);
