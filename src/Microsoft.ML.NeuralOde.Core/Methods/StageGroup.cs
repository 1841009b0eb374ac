namespace Microsoft.ML.NeuralOde.Methods;

/// <summary>Stages of an implicit method that must be solved for together.</summary>
/// <param name="first">The first of them.</param>
/// <param name="matrix">Their part of a.</param>
internal sealed class StageGroup(int first, StageMatrix matrix)
{
    public int First { get; } = first;

    public int Count => Matrix.Rows.Length;

    public StageMatrix Matrix { get; } = matrix;

    /// <summary>Whether it is one stage that f at the step's start gives.</summary>
    public bool IsExplicit => Count == 1 && Matrix.Rows[0][0] == 0;

    public void Deconstruct(out int start, out int count) => (start, count) = (First, Count);
}

/// <summary>
/// A square part of a, the same object for all groups of a tableau in which it stands: what follows from it is computed once.
/// </summary>
internal sealed class StageMatrix
{
    private readonly Lazy<double[]> _inverse;

    public StageMatrix(double[][] rows)
    {
        Rows = rows;
        _inverse = new Lazy<double[]>(Invert);
    }

    public double[][] Rows { get; }

    /// <summary>The inverse, row after row.</summary>
    public double[] Inverse => _inverse.Value;

    public bool Equals(double[][] rows) =>
        rows.Length == Rows.Length && rows.Zip(Rows, (row, own) => row.AsSpan().SequenceEqual(own)).All(isSame => isSame);

    private double[] Invert()
    {
        double[][] identity = [.. Rows.Select((row, i) => (double[])[.. row.Select((_, j) => i == j ? 1.0 : 0.0)])];
        return [.. LinearEquations.Solve(Rows, identity).SelectMany(row => row)];
    }
}
