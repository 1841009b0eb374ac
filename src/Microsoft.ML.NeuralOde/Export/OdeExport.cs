using Microsoft.ML.NeuralOde.Methods;
using Microsoft.ML.NeuralOde.StepControl;

namespace Microsoft.ML.NeuralOde.Export;

/// <summary>
/// Writes the solution of an equation as ONNX operators: the stages of an explicit Runge–Kutta method in equal steps, one after the other
/// where they are few, in a Loop where they are many.
/// </summary>
internal sealed class OdeExport
{
    private readonly OperatorGraph _graph;
    private readonly ButcherTableau _tableau;
    private readonly RateExport _rate;
    private readonly double _end;
    private readonly long _steps;
    private readonly string?[][] _a;
    private readonly string?[] _b;

    private OdeExport(OperatorGraph graph, ButcherTableau tableau, RateExport rate, double end, long steps)
    {
        _graph = graph;
        _tableau = tableau;
        _rate = rate;
        _end = end;
        _steps = steps;
        double h = end / steps;
        _a = [.. tableau.A.Select(row => Weights(row, h))];
        _b = Weights(tableau.B, h);
    }

    /// <summary>
    /// The parts of the state at the end time, of an equation on [0, <paramref name="endTime"/>] whose initial state is the results
    /// <paramref name="state"/>.
    /// </summary>
    /// <exception cref="NotSupportedException">The solver cannot be written; the message names the option that stands in the
    /// way.</exception>
    public static string[] Write(
        OperatorGraph graph, RateExport rate, double endTime, OdeSolverOptions options, double? stepSize, params string[] state)
    {
        if (options.Method.ExplicitTableau is not { } tableau)
            throw new NotSupportedException(
                $"The solver is '{options.Method}'; only explicit Runge–Kutta methods, such as OdeMethod.Rk4 with a StepSize, "
                + "can be exported to ONNX.");
        options = options with { StepSize = stepSize ?? options.StepSize };
        if (options.Method.IsAdaptive && options.StepSize is null)
            throw new NotSupportedException(
                $"The solver '{options.Method}' chooses its steps by their error, which an ONNX graph cannot do. " +
                "Export with a stepSize, or train with a StepSize or with a method of fixed steps, such as OdeMethod.Rk4.");
        if (options.Events.Count > 0 || options.Discontinuities.Count > 0)
            throw new NotSupportedException($"{(options.Events.Count > 0 ? "Events" : "Discontinuities")} cannot be exported to ONNX.");
        long steps = new FixedSteps(0, endTime, options.LargestFixedStep).Count;
        var export = new OdeExport(graph, tableau, rate, endTime, steps);
        return steps <= graph.MostUnrolledSteps ? export.Unrolled(state) : export.Loop(state);
    }

    private string[] Unrolled(string[] state)
    {
        for (long step = 0; step < _steps; step++)
        {
            long number = step;
            state = Step(_graph, state, stage => _graph.Scalar("time", (float)StageTime(number, stage)));
        }
        return state;
    }

    private string[] Loop(string[] state)
    {
        var times = new float[_steps * _tableau.Stages];
        for (long step = 0; step < _steps; step++)
            for (int stage = 0; stage < _tableau.Stages; stage++)
                times[step * _tableau.Stages + stage] = (float)StageTime(step, stage);
        string table = _graph.Constant("times", times, _steps * _tableau.Stages);
        string stages = _graph.Constant("stages", (long)_tableau.Stages);
        string[] offsets = [.. Enumerable.Range(0, _tableau.Stages).Select(stage => _graph.Constant("stage", (long)stage))];

        return _graph.Loop(_steps, state, _rate.Shapes, (body, iteration, y) =>
        {
            string first = body.Add("Mul", [iteration, stages]);
            return Step(body, y, stage => body.Add("Gather", [table, body.Add("Add", [first, offsets[stage]])]));
        });
    }

    /// <summary>One step: its result in terms of the state and of the times of its stages.</summary>
    private string[] Step(OperatorGraph graph, string[] y, Func<int, string> time)
    {
        // The last stage of a method that is “first same as last” has no part in the solution.
        int stages = _tableau.B[^1] == 0 ? _tableau.Stages - 1 : _tableau.Stages;
        var k = new string[stages][];
        for (int i = 0; i < stages; i++)
            k[i] = _rate.Evaluate(graph, Combine(graph, y, _a[i], k), _rate.UsesTime ? time(i) : null);
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

    private double StageTime(long step, int stage) => _end * step / _steps + _tableau.C[stage] * (_end / _steps);

    private string?[] Weights(double[] weights, double h) =>
        [.. weights.Select(weight => weight == 0 ? null : _graph.Scalar("weight", (float)(h * weight)))];
}
