using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde;

/// <summary>What all trainers that predict a label have in common: the label, and the scores.</summary>
public abstract class NeuralOdeSupervisedOptions : NeuralOdeTrainerOptions
{
    /// <summary>The label column. Default: “Label”.</summary>
    public string LabelColumnName = DefaultColumnNames.Label;

    /// <summary>The column of the scores. Default: “Score”.</summary>
    public string ScoreColumnName = DefaultColumnNames.Score;

    internal override void Validate()
    {
        base.Validate();
        RequireColumn(LabelColumnName, nameof(LabelColumnName));
        RequireColumn(ScoreColumnName, nameof(ScoreColumnName));
    }

    /// <summary>Checks the other columns of a classifier, and its weighting.</summary>
    private protected void RequireClassifier(ClassWeighting weighting, params ReadOnlySpan<(string Column, string Option)> outputs)
    {
        foreach ((string column, string option) in outputs)
            RequireColumn(column, option);
        RequireDifferent([(ScoreColumnName, nameof(ScoreColumnName)), .. outputs]);
        RequireDefined(weighting, nameof(ClassWeighting));
    }
}
