using Microsoft.ML.NeuralOde.StepControl;

namespace Microsoft.ML.NeuralOde.Export;

/// <summary>
/// Writes the solution of an equation as ONNX operators: equal steps, one after the other where they are few, in a Loop where they are
/// many.
/// </summary>
internal sealed class OdeExport
{
    private readonly OperatorGraph _graph;
    private readonly RateExport _rate;
    private readonly StepExport _step;
    private readonly double _end;
    private readonly long _steps;

    private OdeExport(OperatorGraph graph, RateExport rate, StepExport step, double end, long steps)
    {
        _graph = graph;
        _rate = rate;
        _step = step;
        _end = end;
        _steps = steps;
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
        options = options with { StepSize = stepSize ?? options.StepSize };
        var steps = new FixedSteps(0, endTime, options.LargestFixedStep);
        StepExport step = StepExport.Of(graph, options.Method, rate, steps.Size) ?? throw new NotSupportedException(
            $"The solver is '{options.Method}'; only explicit Runge–Kutta methods, such as OdeMethod.Rk4 with a StepSize, "
            + "OdeMethod.Leapfrog and OdeMethod.SemiImplicitEuler can be exported to ONNX.");
        if (options.Method.IsAdaptive && options.StepSize is null)
            throw new NotSupportedException(
                $"The solver '{options.Method}' chooses its steps by their error, which an ONNX graph cannot do. " +
                "Export with a stepSize, or train with a StepSize or with a method of fixed steps, such as OdeMethod.Rk4.");
        if (options.Events.Count > 0 || options.Discontinuities.Count > 0)
            throw new NotSupportedException($"{(options.Events.Count > 0 ? "Events" : "Discontinuities")} cannot be exported to ONNX.");
        var export = new OdeExport(graph, rate, step, endTime, steps.Count);
        return steps.Count <= graph.MostUnrolledSteps ? export.Unrolled(state) : export.Loop(state);
    }

    private string[] Unrolled(string[] state)
    {
        for (long step = 0; step < _steps; step++)
        {
            long number = step;
            state = _step.Write(_graph, state, place => _graph.Scalar("time", (float)Time(number, place)));
        }
        return state;
    }

    private string[] Loop(string[] state)
    {
        int count = _step.Times.Count;
        var times = new float[_steps * count];
        for (long step = 0; step < _steps; step++)
            for (int place = 0; place < count; place++)
                times[step * count + place] = (float)Time(step, place);
        string table = _graph.Constant("times", times, _steps * count);
        string stages = _graph.Constant("stages", (long)count);
        string[] offsets = [.. Enumerable.Range(0, count).Select(place => _graph.Constant("stage", (long)place))];

        return _graph.Loop(_steps, state, _rate.Shapes, (body, iteration, y) =>
        {
            string first = body.Add("Mul", [iteration, stages]);
            return _step.Write(body, y, place => body.Add("Gather", [table, body.Add("Add", [first, offsets[place]])]));
        });
    }

    private double Time(long step, int place) => _end * step / _steps + _step.Times[place] * (_end / _steps);
}
