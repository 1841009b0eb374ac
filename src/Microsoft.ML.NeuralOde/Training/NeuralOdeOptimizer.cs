namespace Microsoft.ML.NeuralOde;

/// <summary>How weights follow gradients.</summary>
public enum NeuralOdeOptimizer
{
    /// <summary>Adam (D. P. Kingma, J. Ba, 2015), weight decay as part of the gradient.</summary>
    Adam,

    /// <summary>Adam with decoupled weight decay (I. Loshchilov, F. Hutter, 2019).</summary>
    AdamW,

    /// <summary>Stochastic gradient descent with <see cref="NeuralOdeTrainerOptions.Momentum"/>.</summary>
    Sgd,
}
