using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.NeuralOde.Networks;
using Microsoft.ML.NeuralOde.Persistence;
using Microsoft.ML.NeuralOde.Scoring;
using Microsoft.ML.NeuralOde.Training;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.NeuralOde.Prediction;

/// <summary>The training of a network that predicts a label.</summary>
/// <param name="host">The trainer's host.</param>
/// <param name="options">The trainer's options.</param>
/// <param name="columns">The columns that are read.</param>
/// <param name="prediction">What is predicted.</param>
/// <param name="initialModel">The model whose weights the training begins with; null for random ones.</param>
internal abstract class SupervisedFit<TNetwork, TRows>(
    IHost host, NeuralOdeSupervisedOptions options, RowColumns columns, LabelPrediction prediction,
    ISupervisedModel<TNetwork>? initialModel)
    : TrainingRun<TNetwork>(host, options, columns), IDisposable
    where TNetwork : SupervisedNetwork<TRows>
{
    private PredictionTask? _task;

    /// <summary>The label's column, once the training has begun.</summary>
    public DataViewSchema.Column Label { get; private set; }

    protected PredictionTask Task => Begun(_task);

    /// <summary>What can be made smaller where a network is too large, as the end of a sentence.</summary>
    protected abstract string LargeParts { get; }

    public void Dispose() => _task?.Dispose();

    protected static T Begun<T>(T? value)
        where T : class => value ?? throw new InvalidOperationException("The training has not begun.");

    protected override void Begin(DataViewSchema schema)
    {
        Label = prediction.Label.Find(Host, schema);
        _task = prediction.CreateTask(Label);
    }

    protected override (string Name, string Value)[] Identity() =>
        [("the number of outputs", $"{Task.OutputCount}"),
            ("the model to begin with", initialModel is null ? "none" : CheckNumberOf(initialModel))];

    protected override void Prepare(TNetwork network, RowStatistics statistics)
    {
        CheckSize(network.parameters().Sum(parameter => parameter.numel()));
        Task.Prepare(statistics, network);
        if (initialModel is null)
            Normalize(network, statistics);
        else
            BeginWith(network, initialModel);
    }

    /// <summary>Gives a new network the statistics of its input.</summary>
    protected abstract void Normalize(TNetwork network, RowStatistics statistics);

    /// <summary>What differs between the structures of two networks, as a clause; null where the weights of one fit the other.</summary>
    protected abstract string? Difference(TNetwork own, TNetwork other);

    /// <summary>The columns of data for validation, whose keys may stand for the same classes in another order.</summary>
    protected override RowColumns ValidationColumns(DataViewSchema validation, DataViewSchema training)
    {
        RowColumns found = ValidationInputs(validation, training);
        LabelFormat label = prediction.Label;
        DataViewSchema.Column expectedLabel = label.Find(Host, training), foundLabel = label.Find(Host, validation);
        if (label.Width(expectedLabel.Type) != label.Width(foundLabel.Type))
            throw Schemas.Mismatch(
                Host, "validationData", "label", options.LabelColumnName, expectedLabel.Type.ToString(), foundLabel.Type.ToString());
        Columns.FindWeight(validation);
        return label is KeyLabel keys ? found with { Label = keys.Matching(expectedLabel, foundLabel) } : found;
    }

    /// <summary>The columns of the input in data for validation.</summary>
    /// <exception cref="ArgumentOutOfRangeException">They do not suit those of the training data.</exception>
    protected abstract RowColumns ValidationInputs(DataViewSchema validation, DataViewSchema training);

    /// <exception cref="InvalidOperationException">A model file cannot hold so many weights.</exception>
    protected void CheckSize(double weights)
    {
        if (weights > ModelFile.MostWeights)
            throw new InvalidOperationException(
                $"A network of {weights:F0} weights is larger than a model file can be, which holds {ModelFile.MostWeights}. Make {LargeParts}.");
    }

    private void BeginWith(TNetwork network, ISupervisedModel<TNetwork> initialModel)
    {
        using SharedNetwork<TNetwork>.Loan loan = initialModel.Borrow();
        string? difference = initialModel.Kind == prediction.Kind ? Difference(network, loan.Network) : "it predicts another kind of label";
        if (difference is not null)
            throw new ArgumentException(
                $"The model to begin with has another structure than this trainer makes: {difference}.", nameof(initialModel));
        // Its statistics stay as well: the weights belong to them.
        network.CopyFrom(loan.Network);
    }

    private static string CheckNumberOf(ISupervisedModel<TNetwork> model)
    {
        var check = new CheckNumber();
        using SharedNetwork<TNetwork>.Loan loan = model.Borrow();
        foreach (NamedArray array in loan.Network.ToArrays())
            check.Add(array.Values);
        return $"one with check number {check}";
    }
}
