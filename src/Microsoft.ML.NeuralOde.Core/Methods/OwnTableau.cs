using System.Globalization;

namespace Microsoft.ML.NeuralOde.Methods;

/// <summary>Looks at a user's tableau as at ours, and makes it one of them.</summary>
internal sealed class OwnTableau
{
    /// <summary>How far a row's sum may be from its node: rounding.</summary>
    private const double RowTolerance = 1e-12;

    private readonly string _name;
    private readonly string _parameter;

    private OwnTableau(string name, string parameter)
    {
        _name = name;
        _parameter = parameter;
    }

    /// <summary>The tableau, if it keeps what it says.</summary>
    /// <param name="name">The method's name.</param>
    /// <param name="tableau">The tableau.</param>
    /// <param name="parameter">The caller's name for it.</param>
    /// <exception cref="ArgumentException">It does not; the message says where.</exception>
    public static ButcherTableau Check(string name, RungeKuttaTableau tableau, string parameter) =>
        new OwnTableau(name, parameter).Check(tableau);

    private ButcherTableau Check(RungeKuttaTableau tableau)
    {
        double[] b = Vector(nameof(tableau.Weights), tableau.Weights, null);
        Require(b.Length > 0, "has no weights; it needs one for each of its stages");
        double[] c = Vector(nameof(tableau.Nodes), tableau.Nodes, b.Length);
        double[][] a = Matrix(tableau.Matrix, b.Length);
        RequireOrder(nameof(tableau.Order), tableau.Order, OrderConditions.MaximumOrder);
        for (int i = 0; i < c.Length; i++)
        {
            Require(c[i] is >= 0 and <= 1,
                $"has the node {Text(c[i])} at stage {i}: f would be asked outside the step; nodes lie from 0 to 1");
            double sum = a[i].Sum();
            Require(
                Math.Abs(sum - c[i]) <= RowTolerance * Math.Max(1, a[i].Sum(Math.Abs)),
                $"is not consistent: row {i} of {nameof(tableau.Matrix)} sums to {Text(sum)} and its node is {Text(c[i])}");
        }
        var conditions =
            new OrderConditions(a, Math.Max(tableau.Order, Math.Clamp(tableau.EmbeddedOrder ?? 1, 1, OrderConditions.MaximumOrder)));
        RequireMet(conditions.FindMissed(b, tableau.Order), nameof(tableau.Order), tableau.Order);
        double[]? error = Error(tableau, b, conditions);
        // The distance of both solutions is of the lower order.
        int errorOrder = error is null ? 0 : Math.Min(tableau.Order, tableau.EmbeddedOrder!.Value);
        return new ButcherTableau(tableau.Order, a, b, c, error, errorOrder, Extension(tableau, b, conditions));
    }

    /// <summary>b − b̂; null without an estimate.</summary>
    private double[]? Error(RungeKuttaTableau tableau, double[] b, OrderConditions conditions)
    {
        RequireBoth(nameof(tableau.EmbeddedWeights), tableau.EmbeddedWeights is not null, nameof(tableau.EmbeddedOrder),
            tableau.EmbeddedOrder is not null);
        if (tableau.EmbeddedWeights is null)
            return null;
        double[] embedded = Vector(nameof(tableau.EmbeddedWeights), tableau.EmbeddedWeights, b.Length);
        int order = tableau.EmbeddedOrder!.Value;
        RequireOrder(nameof(tableau.EmbeddedOrder), order, OrderConditions.MaximumOrder);
        RequireMet(conditions.FindMissed(embedded, order), nameof(tableau.EmbeddedOrder), order);
        double[] error = [.. b.Zip(embedded, (weight, other) => weight - other)];
        Require(
            Array.Exists(error, e => Math.Abs(e) > RowTolerance),
            $"has {nameof(tableau.EmbeddedWeights)} that are its {nameof(tableau.Weights)}: the error of every step would be 0");
        return error;
    }

    private ContinuousExtension? Extension(RungeKuttaTableau tableau, double[] b, OrderConditions conditions)
    {
        const string Name = nameof(tableau.Interpolant);
        RequireBoth(Name, tableau.Interpolant is not null, nameof(tableau.InterpolantOrder), tableau.InterpolantOrder is not null);
        if (tableau.Interpolant is not { } interpolant)
            return null;
        RequireLength(Name, interpolant.Count, b.Length, "rows");
        double[][] polynomials = [.. interpolant.Select((row, i) => Vector($"{Name}[{i}]", row, null))];
        int order = tableau.InterpolantOrder!.Value;
        RequireOrder(nameof(tableau.InterpolantOrder), order, tableau.Order);
        Require(Array.Exists(polynomials, row => row.Length > 0), $"has an empty {Name}");
        RequireMet(conditions.FindMissed(polynomials, order), nameof(tableau.InterpolantOrder), order);
        for (int i = 0; i < b.Length; i++)
            Require(
                Math.Abs(polynomials[i].Sum() - b[i]) <= RowTolerance * Math.Max(1, polynomials[i].Sum(Math.Abs)),
                $"has an {Name} that does not meet the step's end: row {i} sums to {Text(polynomials[i].Sum())}, and the weight is {Text(b[i])}");
        return new ContinuousExtension(order, polynomials);
    }

    private double[][] Matrix(IReadOnlyList<IReadOnlyList<double>>? rows, int stages)
    {
        const string Name = nameof(RungeKuttaTableau.Matrix);
        Require(rows is not null, $"has no {Name}");
        RequireLength(Name, rows!.Count, stages, "rows");
        var a = new double[stages][];
        for (int i = 0; i < stages; i++)
        {
            double[] row = Vector($"{Name}[{i}]", rows[i], null);
            Require(
                row.Length == i || row.Length == stages,
                $"has {row.Length} numbers in {Name}[{i}]; there must be {i}, those before the diagonal, or {stages}, zeros from the diagonal on");
            int implied = Array.FindIndex(row, i, value => value != 0);
            Require(implied < 0,
                $"is not explicit: {Name}[{i}][{implied}] is {Text(implied < 0 ? 0 : row[implied])}, on or above the diagonal");
            a[i] = row[..i];
        }
        return a;
    }

    private double[] Vector(string name, IReadOnlyList<double>? values, int? length)
    {
        Require(values is not null, $"has no {name}");
        if (length is { } count)
            RequireLength(name, values!.Count, count, "numbers");
        double[] copy = [.. values!];
        int bad = Array.FindIndex(copy, value => !double.IsFinite(value));
        Require(bad < 0, $"has {name}[{bad}] = {(bad < 0 ? "" : Text(copy[bad]))}; every coefficient must be a finite number");
        return copy;
    }

    private void RequireLength(string name, int found, int stages, string unit) =>
        Require(found == stages,
            $"has {found} {unit} in {name} and {stages} in {nameof(RungeKuttaTableau.Weights)}; there must be one a stage");

    private void RequireOrder(string name, int order, int largest) =>
        Require(order >= 1 && order <= largest, $"has {name} {order}; it must be from 1 to {largest}");

    private void RequireBoth(string first, bool hasFirst, string second, bool hasSecond) =>
        Require(hasFirst == hasSecond, $"has {(hasFirst ? first : second)} without {(hasFirst ? second : first)}; set both or neither");

    private void RequireMet(string? missed, string name, int order) =>
        Require(missed is null,
            $"does not have {name} {order}: {missed}. Give every coefficient with all its digits, or the order that it has");

    private void Require(bool condition, string defect)
    {
        if (!condition)
            throw new ArgumentException($"The tableau of '{_name}' {defect}.", _parameter);
    }

    private static string Text(double number) => number.ToString("R", CultureInfo.InvariantCulture);
}
