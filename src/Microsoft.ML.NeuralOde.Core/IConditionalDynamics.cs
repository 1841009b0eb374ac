namespace Microsoft.ML.NeuralOde;

/// <summary>Dynamics that also depend on a vector a row which stays the same over time: f(t, y; c).</summary>
public interface IConditionalDynamics
{
    /// <summary>Size of the conditioning vector; 0 for none.</summary>
    long Conditions { get; }

    /// <summary>dy/dt under a condition.</summary>
    /// <param name="t">Time: a scalar, or one number a row, shape <c>[batch, 1]</c>.</param>
    /// <param name="y">The state, shape <c>[batch, features]</c>.</param>
    /// <param name="condition">c, shape <c>[batch, conditions]</c>.</param>
    /// <returns>dy/dt, shape <c>[batch, features]</c>.</returns>
    Tensor Evaluate(Tensor t, Tensor y, Tensor condition);
}
