namespace Microsoft.ML.NeuralOde.Networks;

/// <summary>A network whose outputs are labels with their mean and scale taken out.</summary>
internal interface ILabelScale
{
    /// <summary>Sets what turns outputs into units of the label: output / scale + mean.</summary>
    void NormalizeOutput((float[] Mean, float[] Scale) statistics);

    /// <summary>The labels as the outputs are to be before they are turned into units of the label.</summary>
    Tensor ToOutputs(Tensor labels);

    /// <summary>Outputs in units of the label.</summary>
    Tensor FromOutputs(Tensor outputs);
}
