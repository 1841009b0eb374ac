namespace Microsoft.ML.NeuralOde.Stepping;

/// <summary>
/// Marks modules that depend on nothing but time, state and their parameters, draw no random numbers and change nothing: they need not be
/// looked through.
/// </summary>
internal interface IClosedDynamics;
