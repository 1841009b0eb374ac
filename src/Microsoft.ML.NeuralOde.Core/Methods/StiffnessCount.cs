namespace Microsoft.ML.NeuralOde.Methods;

/// <summary>
/// Fifteen steps near the boundary of stability, not interrupted by six that are not, mean stiffness (E. Hairer, G. Wanner, Solving
/// Ordinary Differential Equations II, IV.2).
/// </summary>
internal struct StiffnessCount
{
    private const int EnoughHits = 15;
    private const int EnoughMisses = 6;

    private int _hits;
    private int _misses;

    public readonly bool LooksStiff => _hits >= EnoughHits;

    /// <summary>The weights of the difference between the solution and the input of the last stage at the step's end.</summary>
    public static double[] Difference(ButcherTableau tableau)
    {
        double[] row = tableau.A[tableau.LastStageAtEnd];
        return [.. tableau.B.Select((b, j) => b - (j < row.Length ? row[j] : 0))];
    }

    /// <summary>Counts an accepted step.</summary>
    /// <param name="tableau">The method.</param>
    /// <param name="size">The step's size.</param>
    /// <param name="distance">How far the stage's input is from the solution.</param>
    /// <param name="change">How far f there is from f at the solution.</param>
    public void Add(ButcherTableau tableau, double size, double distance, double change)
    {
        if (distance > 0 && Math.Abs(size) * change > 0.9 * tableau.StabilityLimit * distance)
            (_hits, _misses) = (_hits + 1, 0);
        else if (++_misses == EnoughMisses)
            _hits = 0;
    }
}
