using Microsoft.ML.NeuralOde.Scoring;

namespace Microsoft.ML.NeuralOde.Prediction;

/// <summary>A trained model that predicts a label, as a training that begins with its weights sees it.</summary>
internal interface ISupervisedModel<TNetwork>
    where TNetwork : class, IDisposable
{
    /// <summary>What the network's outputs mean.</summary>
    OutputKind Kind { get; }

    /// <summary>The network, which lives at least until the loan is disposed of.</summary>
    /// <exception cref="ObjectDisposedException">The model was disposed of.</exception>
    SharedNetwork<TNetwork>.Loan Borrow();
}
