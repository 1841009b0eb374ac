using Microsoft.ML.NeuralOde.Methods;

namespace Microsoft.ML.NeuralOde.Export;

/// <summary>Writes one step of a method with steps of one size as ONNX operators.</summary>
internal abstract class StepExport(RateExport rate)
{
    /// <summary>The times at which a step evaluates the equation, in units of the step, from its beginning.</summary>
    public abstract IReadOnlyList<double> Times { get; }

    protected RateExport Rate { get; } = rate;

    /// <summary>The parts of the state after a step.</summary>
    /// <param name="graph">Where the operators go.</param>
    /// <param name="y">The parts of the state before it.</param>
    /// <param name="time">The time of an evaluation, by its place in <see cref="Times"/>.</param>
    public abstract string[] Write(OperatorGraph graph, string[] y, Func<int, string> time);

    /// <summary>The steps of a method; null where they cannot be written.</summary>
    /// <param name="graph">The outermost graph.</param>
    /// <param name="method">The method.</param>
    /// <param name="rate">The equation.</param>
    /// <param name="size">The size of a step.</param>
    /// <exception cref="NotSupportedException">The equation is not one that the method solves.</exception>
    public static StepExport? Of(OperatorGraph graph, OdeMethod method, RateExport rate, double size)
    {
        if (method.ExplicitTableau is { } tableau)
            return new RungeKuttaStepExport(graph, tableau, rate, size);
        if (method is not SymplecticMethod symplectic)
            return null;
        if (rate.Shapes is not [[.., var width]] || !long.TryParse(width, out long numbers) || numbers % 2 != 0)
            throw new NotSupportedException(
                $"The solver '{method}' needs a state of one part whose last dimension has an even size: positions, then velocities.");
        if (rate.WhyNotLeapfrog is { } reason)
            throw new NotSupportedException($"The solver '{method}' cannot solve this equation. {reason}.");
        return new SymplecticStepExport(graph, symplectic.IsLeapfrog, rate, numbers / 2, size);
    }

    protected string[] Evaluate(OperatorGraph graph, string[] state, Func<int, string> time, int place) =>
        Rate.Evaluate(graph, state, Rate.UsesTime ? time(place) : null);
}

/// <summary>The stages of an explicit Runge–Kutta method.</summary>
internal sealed class RungeKuttaStepExport : StepExport
{
    private readonly ButcherTableau _tableau;
    private readonly string?[][] _a;
    private readonly string?[] _b;

    public RungeKuttaStepExport(OperatorGraph graph, ButcherTableau tableau, RateExport rate, double size)
        : base(rate)
    {
        _tableau = tableau;
        _a = [.. tableau.A.Select(Weights)];
        _b = Weights(tableau.B);

        string?[] Weights(double[] weights) =>
            [.. weights.Select(weight => weight == 0 ? null : graph.Scalar("weight", (float)(size * weight)))];
    }

    public override IReadOnlyList<double> Times => _tableau.C;

    public override string[] Write(OperatorGraph graph, string[] y, Func<int, string> time)
    {
        // The last stage of a method that is “first same as last” has no part in the solution.
        int stages = _tableau.B[^1] == 0 ? _tableau.Stages - 1 : _tableau.Stages;
        var k = new string[stages][];
        for (int i = 0; i < stages; i++)
            k[i] = Evaluate(graph, Combine(graph, y, _a[i], k), time, i);
        return Combine(graph, y, _b, k);
    }

    private static string[] Combine(OperatorGraph graph, string[] y, string?[] weights, string[][] k)
    {
        var result = new string[y.Length];
        for (int part = 0; part < y.Length; part++)
        {
            string? sum = null;
            for (int j = 0; j < weights.Length && j < k.Length; j++)
            {
                if (weights[j] is not { } weight)
                    continue;
                string term = graph.Add("Mul", [k[j][part], weight]);
                sum = sum is null ? term : graph.Add("Add", [sum, term]);
            }
            result[part] = sum is null ? y[part] : graph.Add("Add", [y[part], sum]);
        }
        return result;
    }
}

/// <summary>Steps that update velocities and positions in turn.</summary>
internal sealed class SymplecticStepExport : StepExport
{
    private readonly bool _isLeapfrog;
    private readonly string _kick, _drift;

    public SymplecticStepExport(OperatorGraph graph, bool isLeapfrog, RateExport rate, long positions, double size)
        : base(rate)
    {
        _isLeapfrog = isLeapfrog;
        using DisposeScope scope = NewDisposeScope();
        Tensor some = ones(positions), none = zeros(positions);
        // What a derivative is multiplied with, so that half of it changes the state.
        _kick = GraphTensors.Write(graph, "kick", cat([none, some.Times(isLeapfrog ? size / 2 : size)]));
        _drift = GraphTensors.Write(graph, "drift", cat([some.Times(size), none]));
    }

    public override IReadOnlyList<double> Times => _isLeapfrog ? [0, 0.5, 1] : [0, 1];

    public override string[] Write(OperatorGraph graph, string[] y, Func<int, string> time)
    {
        string state = Move(Move(y[0], _kick, 0), _drift, 1);
        return [_isLeapfrog ? Move(state, _kick, 2) : state];

        string Move(string from, string by, int place) =>
            graph.Add("Add", [from, graph.Add("Mul", [Evaluate(graph, [from], time, place)[0], by])]);
    }
}
