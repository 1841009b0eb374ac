namespace Microsoft.ML.NeuralOde;

/// <summary>A right-hand side f(t, y) in plain memory: writes dy/dt.</summary>
/// <param name="time">t.</param>
/// <param name="state">y, one number a component.</param>
/// <param name="derivative">Where dy/dt goes. Holds NaN before: a component that is forgotten does not go unnoticed.</param>
public delegate void OdeFunction(double time, ReadOnlySpan<double> state, Span<double> derivative);

/// <summary>The Jacobian ∂f/∂y of an <see cref="OdeFunction"/>.</summary>
/// <param name="time">t.</param>
/// <param name="state">y, one number a component.</param>
/// <param name="jacobian">Where ∂f_i/∂y_j goes, at i · n + j for n components. Holds zeros before.</param>
public delegate void OdeJacobian(double time, ReadOnlySpan<double> state, Span<double> jacobian);

/// <summary>A function of time and state whose zeros are events.</summary>
/// <param name="time">t.</param>
/// <param name="state">y, one number a component.</param>
/// <returns>g(t, y).</returns>
public delegate double OdeEventFunction(double time, ReadOnlySpan<double> state);

/// <summary>Sets the state anew at an event.</summary>
/// <param name="time">t.</param>
/// <param name="state">The state at the event, one number a component.</param>
/// <param name="next">The state to go on with. Holds that at the event before: what is not written stays.</param>
public delegate void OdeEventReset(double time, ReadOnlySpan<double> state, Span<double> next);
