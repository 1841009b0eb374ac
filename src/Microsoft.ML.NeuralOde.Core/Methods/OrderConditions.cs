using System.Globalization;

namespace Microsoft.ML.NeuralOde.Methods;

/// <summary>
/// The conditions under which weights over the stages of a Runge–Kutta method make a solution of an order: one for each rooted tree t of at
/// most so many nodes, Σ b_i Φ_i(t) = 1 / γ(t) (J. C. Butcher, Numerical Methods for Ordinary Differential Equations, 31).
/// </summary>
internal sealed class OrderConditions
{
    /// <summary>Up to here there are 7,813 trees.</summary>
    public const int MaximumOrder = 12;

    /// <summary>
    /// How much of the sum of absolute values may be missing: what is left of coefficients that were given with all their digits.
    /// </summary>
    private const double Tolerance = 1e-11;

    private readonly List<Elementary> _trees = [];

    /// <param name="a">a, row by row; rows may be shorter than there are stages.</param>
    /// <param name="order">The highest order that will be asked about.</param>
    public OrderConditions(double[][] a, int order)
    {
        double[][] absolute = [.. a.Select(row => Array.ConvertAll(row, Math.Abs))];
        for (int nodes = 1; nodes <= order; nodes++)
        {
            var found = new List<Elementary>();
            Grow(new Elementary(nodes, [.. a.Select(_ => 1.0)], [.. a.Select(_ => 1.0)], 1, []), nodes - 1, _trees.Count - 1, found);
            foreach (Elementary tree in found)
                _trees.Add(tree with { Next = Times(a, tree.Values), NextSizes = Times(absolute, tree.Sizes) });
        }
    }

    /// <summary>How many conditions there are for a solution of the highest order.</summary>
    public int Count => _trees.Count;

    /// <summary>The first condition that weights miss, in words; null where they meet all.</summary>
    /// <param name="weights">b, one number a stage.</param>
    /// <param name="order">The order of the solution.</param>
    public string? FindMissed(double[] weights, int order) => FindMissed(weights, order, tree => 1 / tree.Density, "b");

    /// <summary>The same for the polynomials of an interpolant, which must meet the conditions everywhere in the step.</summary>
    /// <param name="polynomials">For each stage the coefficients of σ, σ², ….</param>
    /// <param name="order">The order of the interpolant.</param>
    public string? FindMissed(double[][] polynomials, int order)
    {
        int degree = polynomials.Max(row => row.Length);
        for (int power = 1; power <= degree; power++)
        {
            double[] weights = Array.ConvertAll(polynomials, row => power <= row.Length ? row[power - 1] : 0);
            if (FindMissed(weights, order, tree => tree.Nodes == power ? 1 / tree.Density : 0, $"p{power}") is { } missed)
                return $"{missed}, where p{power} are the coefficients of σ^{power}";
        }
        return degree < order ? $"polynomials of degree {degree} cannot have order {order}" : null;
    }

    private string? FindMissed(double[] weights, int order, Func<Elementary, double> right, string name)
    {
        foreach (Elementary tree in _trees.TakeWhile(tree => tree.Nodes <= order))
        {
            double expected = right(tree);
            double found = weights.Zip(tree.Values, (weight, value) => weight * value).Sum();
            double size = weights.Zip(tree.Sizes, (weight, value) => Math.Abs(weight) * value).Sum();
            if (!(Math.Abs(found - expected) <= Tolerance * Math.Max(size, expected)))
                return string.Create(
                    CultureInfo.InvariantCulture,
                    $"the condition of order {tree.Nodes} Σ {name}_i ({tree}) = {(expected == 0 ? "0" : $"1/{tree.Density}")} is missed by "
                    + $"{found - expected:G3}");
        }
        return null;
    }

    /// <summary>Adds all trees whose root gets children with so many nodes together, of those up to an index.</summary>
    private void Grow(Elementary root, int left, int last, List<Elementary> found)
    {
        if (left == 0)
            found.Add(root with { Density = root.Density * root.Nodes });
        for (int i = last; left > 0 && i >= 0; i--)
        {
            Elementary child = _trees[i];
            if (child.Nodes <= left)
                Grow(root.With(child), left - child.Nodes, i, found);
        }
    }

    private static double[] Times(double[][] a, double[] vector) =>
        Array.ConvertAll(a, row => row.Zip(vector, (left, right) => left * right).Sum());

    /// <summary>A rooted tree with what a method makes of it.</summary>
    /// <param name="Nodes">How many nodes it has.</param>
    /// <param name="Values">Φ, stage by stage.</param>
    /// <param name="Sizes">The same with absolute values of a.</param>
    /// <param name="Density">γ.</param>
    /// <param name="Children">The trees above its root.</param>
    private sealed record Elementary(int Nodes, double[] Values, double[] Sizes, double Density, Elementary[] Children)
    {
        /// <summary>a Φ: what the tree contributes to one on which it stands.</summary>
        public double[] Next { get; init; } = [];

        public double[] NextSizes { get; init; } = [];

        public Elementary With(Elementary child) => this with
        {
            Values = Product(Values, child.Next),
            Sizes = Product(Sizes, child.NextSizes),
            Density = Density * child.Density,
            Children = [.. Children, child],
        };

        /// <summary>Φ as a formula: “1”, “c”, “c c”, “a(c)” and so on.</summary>
        public override string ToString() =>
            Children.Length == 0 ? "1" : string.Join(' ', Children.Select(child => child.Children.Length == 0 ? "c" : $"a({child})"));

        private static double[] Product(double[] x, double[] y) => [.. x.Zip(y, (left, right) => left * right)];
    }
}
