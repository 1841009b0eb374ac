using Microsoft.ML.NeuralOde.Methods;
using Microsoft.ML.NeuralOde.StepControl;
using Onnx;

namespace Microsoft.ML.NeuralOde.OnnxExport;

/// <summary>
/// Writes an ODE block as ONNX operators: the stages of an explicit Runge–Kutta method in equal steps, one after the other where they are few, in a
/// Loop where they are many.
/// </summary>
internal sealed class OdeBlockExport
{
    /// <summary>More steps than these become a Loop.</summary>
    public const int MostUnrolledSteps = 8;

    private readonly OnnxGraph _graph;
    private readonly ButcherTableau _tableau;
    private readonly DenseDynamics _dynamics;
    private readonly double _end;
    private readonly long _steps;
    private readonly Layer[] _layers;
    private readonly string?[][] _a;
    private readonly string?[] _b;

    private OdeBlockExport(OnnxGraph graph, ButcherTableau tableau, DenseDynamics dynamics, double end, long steps)
    {
        _graph = graph;
        _tableau = tableau;
        _dynamics = dynamics;
        _end = end;
        _steps = steps;
        Dictionary<string, Tensor> parameters = dynamics.named_parameters().ToDictionary(pair => pair.name, pair => (Tensor)pair.parameter);
        _layers = [.. Enumerable.Range(0, dynamics.Hidden.Count + 1).Select(i => ReadLayer(parameters, i))];
        double h = end / steps;
        _a = [.. tableau.A.Select(row => Weights(row, h))];
        _b = Weights(tableau.B, h);
    }

    /// <summary>The final state of a block whose input is the result <paramref name="state"/>.</summary>
    /// <exception cref="NotSupportedException">The block cannot be written; the message names the option that stands in the way.</exception>
    public static string Write(OnnxGraph graph, OdeBlock block, OdeSolverOptions options, double? stepSize, string state)
    {
        if (block.Dynamics is not DenseDynamics dynamics)
            throw new NotSupportedException($"The right-hand side is {block.Dynamics.GetType().Name}; only {nameof(DenseDynamics)} can be exported to ONNX.");
        if (dynamics.Conditions > 0 || dynamics.Time is not (TimeDependence.None or TimeDependence.Add or TimeDependence.Concatenate))
            throw new NotSupportedException($"The right-hand side has {dynamics.Conditions} conditions and its time dependence is {dynamics.Time}; such dynamics cannot be exported to ONNX.");
        if (options.Method is not ExplicitRungeKutta method)
            throw new NotSupportedException(
                $"The solver is '{options.Method}'; only explicit Runge–Kutta methods, such as OdeMethod.Rk4 with a StepSize, can be exported to ONNX.");
        stepSize ??= options.StepSize;
        if (method.IsAdaptive && stepSize is null)
            throw new NotSupportedException(
                $"The solver '{method}' chooses its steps by their error, which an ONNX graph cannot do. Export with a stepSize, or train with a StepSize or with a " +
                "method of fixed steps, such as OdeMethod.Rk4.");
        if (options.Events.Count > 0 || options.Discontinuities.Count > 0)
            throw new NotSupportedException($"{(options.Events.Count > 0 ? "Events" : "Discontinuities")} cannot be exported to ONNX.");
        long steps = FixedSteps.Count(Math.Abs(block.EndTime), Math.Min(stepSize ?? double.PositiveInfinity, options.MaximumStep));
        var export = new OdeBlockExport(graph, method.Tableau, dynamics, block.EndTime, steps);
        return steps <= MostUnrolledSteps ? export.Unrolled(state) : export.Loop(state);
    }

    private string Unrolled(string state)
    {
        for (long step = 0; step < _steps; step++)
        {
            long number = step;
            state = Step(_graph, state, stage => _graph.Scalar("time", (float)StageTime(number, stage)));
        }
        return state;
    }

    private string Loop(string state)
    {
        var times = new float[_steps * _tableau.Stages];
        for (long step = 0; step < _steps; step++)
            for (int stage = 0; stage < _tableau.Stages; stage++)
                times[step * _tableau.Stages + stage] = (float)StageTime(step, stage);
        string table = _graph.Constant("times", times, _steps * _tableau.Stages);
        string stages = _graph.Constant("stages", (long)_tableau.Stages);
        string[] offsets = [.. Enumerable.Range(0, _tableau.Stages).Select(stage => _graph.Constant("stage", (long)stage))];

        OnnxGraph body = _graph.Inner("step");
        string iteration = body.Name("iteration"), condition = body.Name("condition"), y = body.Name("y");
        body.Input(iteration, TensorProto.Types.DataType.Int64);
        body.Input(condition, TensorProto.Types.DataType.Bool);
        body.Input(y, TensorProto.Types.DataType.Float, "batch", $"{_dynamics.Features}");
        string first = body.Add("Mul", [iteration, stages]);
        string next = Step(body, y, stage => body.Add("Gather", [table, body.Add("Add", [first, offsets[stage]])]));
        string goesOn = body.Add("Identity", [condition]);
        body.Output(goesOn, TensorProto.Types.DataType.Bool);
        body.Output(next, TensorProto.Types.DataType.Float, "batch", $"{_dynamics.Features}");
        // The empty name is the missing condition: the number of steps alone ends the loop.
        return _graph.Add("Loop", [_graph.Constant("steps", _steps), "", state], null, OnnxGraph.Attribute("body", body));
    }

    /// <summary>One step: its result in terms of the state and of the times of its stages.</summary>
    private string Step(OnnxGraph graph, string y, Func<int, string> time)
    {
        // The last stage of a method that is “first same as last” has no part in the solution.
        int stages = _tableau.B[^1] == 0 ? _tableau.Stages - 1 : _tableau.Stages;
        var k = new string[stages];
        for (int i = 0; i < stages; i++)
            k[i] = Evaluate(graph, Combine(graph, y, _a[i], k), _dynamics.Time == TimeDependence.None ? null : time(i));
        return Combine(graph, y, _b, k);
    }

    private static string Combine(OnnxGraph graph, string y, string?[] weights, string[] k)
    {
        string? sum = null;
        for (int j = 0; j < weights.Length && j < k.Length; j++)
        {
            if (weights[j] is not { } weight)
                continue;
            string term = graph.Add("Mul", [k[j], weight]);
            sum = sum is null ? term : graph.Add("Add", [sum, term]);
        }
        return sum is null ? y : graph.Add("Add", [y, sum]);
    }

    private string Evaluate(OnnxGraph graph, string y, string? time)
    {
        string x = y;
        for (int i = 0; i < _layers.Length; i++)
        {
            (string weight, string bias, string? timeWeight) = _layers[i];
            if (timeWeight is not null)
                bias = graph.Add("Add", [bias, graph.Add("Mul", [timeWeight, time!])]);
            x = graph.Add("Gemm", [x, weight, bias], null, OnnxGraph.Attribute("transB", 1));
            if (i < _layers.Length - 1)
                x = _dynamics.Activation switch
                {
                    Activation.Tanh => graph.Add("Tanh", [x]),
                    Activation.Softplus => graph.Add("Softplus", [x]),
                    Activation.Relu => graph.Add("Relu", [x]),
                    Activation.Silu => graph.Add("Mul", [x, graph.Add("Sigmoid", [x])]),
                    _ => throw new NotSupportedException($"The activation {_dynamics.Activation} cannot be exported to ONNX."),
                };
        }
        return x;
    }

    private double StageTime(long step, int stage) => _end * step / _steps + _tableau.C[stage] * (_end / _steps);

    private string?[] Weights(double[] weights, double h) => [.. weights.Select(weight => weight == 0 ? null : _graph.Scalar("weight", (float)(h * weight)))];

    private Layer ReadLayer(Dictionary<string, Tensor> parameters, int i)
    {
        string? timeName = _dynamics.Time switch
        {
            TimeDependence.Add when i == _dynamics.Hidden.Count => "time_weight",
            TimeDependence.Concatenate => $"time_weight{i}",
            _ => null,
        };
        return new Layer(
            Tensors.Write(_graph, $"weight{i}", parameters[$"weight{i}"]), Tensors.Write(_graph, $"bias{i}", parameters[$"bias{i}"]),
            timeName is null ? null : Tensors.Write(_graph, timeName, parameters[timeName]));
    }

    private sealed record Layer(string Weight, string Bias, string? TimeWeight);
}
