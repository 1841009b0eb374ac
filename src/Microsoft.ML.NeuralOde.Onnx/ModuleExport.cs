using Onnx;

namespace Microsoft.ML.NeuralOde.OnnxExport;

/// <summary>Writes modules of the core as ONNX models.</summary>
internal static class ModuleExport
{
    public const string Input = "input", Output = "output", Latent = "latent", LogDensity = "log_density";

    private const TensorProto.Types.DataType Float = TensorProto.Types.DataType.Float;

    /// <exception cref="NotSupportedException">The block cannot be written; the message names what stands in the way.</exception>
    public static ModelProto Create(OdeBlock block, IReadOnlyList<long> stateShape, double? stepSize)
    {
        using IDisposable noGrad = no_grad();
        var graph = new OnnxGraph("ode_block");
        RateExport rate = RateExport.Of(graph, block.Dynamics, stateShape);
        graph.Input(Input, Float, rate.Shapes[0]);
        string[] final = OdeExport.Write(graph, rate, block.EndTime, block.Options, stepSize, Input);
        graph.Add("Identity", final, Output);
        graph.Output(Output, Float, rate.Shapes[0]);
        return graph.ToModel();
    }

    /// <exception cref="NotSupportedException">The flow cannot be written; the message names what stands in the way.</exception>
    public static ModelProto Create(ContinuousFlow flow, double? stepSize)
    {
        if (flow.Conditions > 0)
            throw new NotSupportedException($"The flow has {flow.Conditions} conditions; such flows cannot be exported to ONNX.");
        if (flow.Base is not StandardNormalBase)
            throw new NotSupportedException($"The flow's base distribution is {flow.Base.GetType().Name}; only {nameof(StandardNormalBase)} can be exported to ONNX.");
        using IDisposable noGrad = no_grad();
        var graph = new OnnxGraph("continuous_flow");
        string[] rows = [RateExport.Batch, $"{flow.Features}"];
        graph.Input(Input, Float, rows);
        double logScale = 0;
        string z = flow.Standardization is { } standardization ? Standardize(graph, standardization, out logScale) : Input;
        string features = graph.Constant("axes", [1L]);
        string trace = graph.Add("ReduceSum", [graph.Add("Mul", [z, graph.Scalar("zero", 0)]), features], null, OnnxGraph.Attribute("keepdims", 0));
        foreach (nn.Module<Tensor, Tensor, Tensor> dynamics in flow.Blocks)
        {
            string[] end = OdeExport.Write(graph, RateExport.WithTrace(graph, dynamics), 1, flow.Options.EvaluationSolver ?? flow.Options.Solver, stepSize, z, trace);
            (z, trace) = (end[0], end[1]);
        }
        string squares = graph.Add("ReduceSum", [graph.Add("Mul", [z, z]), features], null, OnnxGraph.Attribute("keepdims", 0));
        string exponent = graph.Add("Mul", [squares, graph.Scalar("half", -0.5f)]);
        string normalizer = graph.Scalar("normalizer", (float)(-0.5 * Math.Log(2 * Math.PI) * flow.Features + logScale));
        graph.Add("Add", [graph.Add("Add", [trace, exponent]), normalizer], LogDensity);
        graph.Add("Identity", [z], Latent);
        graph.Output(LogDensity, Float, RateExport.Batch);
        graph.Output(Latent, Float, rows);
        return graph.ToModel();
    }

    /// <summary>(x − mean) / scale, in double precision, as the module does it.</summary>
    private static string Standardize(OnnxGraph graph, Standardization standardization, out double logDeterminant)
    {
        logDeterminant = standardization.LogDeterminant();
        using DisposeScope scope = NewDisposeScope();
        Device device = standardization.buffers().First().device;
        Tensor mean = standardization.Invert(zeros(standardization.Features, ScalarType.Float64, device)).cpu();
        Tensor end = standardization.Invert(ones(standardization.Features, ScalarType.Float64, device)).cpu();
        Tensor scale = end - mean;
        string x = graph.Add("Cast", [Input], null, OnnxGraph.Attribute("to", (long)TensorProto.Types.DataType.Double));
        string centred = graph.Add("Sub", [x, graph.Constant("mean", mean.data<double>().ToArray())]);
        string standard = graph.Add("Div", [centred, graph.Constant("scale", scale.data<double>().ToArray())]);
        return graph.Add("Cast", [standard], null, OnnxGraph.Attribute("to", (long)Float));
    }
}
