using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Gradients;

/// <summary>The gradients of the output times as they add up along a backward sweep.</summary>
internal sealed class TimeSums(TimeGrid grid)
{
    /// <summary>One sum an output time.</summary>
    public double[] Values { get; } = new double[grid.Count];

    /// <summary>Hands a derivative with respect to a time inside the solve on to the output times around it.</summary>
    public void Add(double time, double value)
    {
        (int segment, double fraction) = grid.Locate(time);
        Values[segment] += (1 - fraction) * value;
        if (fraction != 0)
            Values[segment + 1] += fraction * value;
    }
}
