namespace Microsoft.ML.NeuralOde.Plots;

/// <summary>
/// A picture of a flow in the plane: data, learned density, samples, and the way of the samples from the base distribution to the data.
/// </summary>
public static class FlowFigure
{
    /// <summary>
    /// Draws a flow and writes the picture as PNG, in one call what <see cref="Figures.Flow"/> does. The file is replaced once the picture
    /// is complete.
    /// </summary>
    /// <param name="path">The file to write.</param>
    /// <param name="flow">A flow of two features without a condition.</param>
    /// <param name="data">Points to show, shape <c>[points, 2]</c>; they also set the window.</param>
    /// <exception cref="ArgumentException">The flow does not have two features, it takes a condition, or the data have the wrong
    /// shape.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static void Save(string path, ContinuousFlow flow, Tensor data)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        Figures.Flow(flow, data).SavePng(path);
    }
}
