using Microsoft.ML.NeuralOde.Export;
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
        using IDisposable noGrad = no_grad();
        var graph = new OnnxGraph("continuous_flow");
        string[] rows = [RateExport.Batch, $"{flow.Features}"];
        graph.Input(Input, Float, rows);
        double logScale = 0;
        string u = flow.Standardization is { } standardization ? Standardize(graph, standardization, out logScale) : Input;
        (string z, string logDensity) = FlowExport.Encode(graph, flow, u, logScale, stepSize);
        graph.Add("Identity", [logDensity], LogDensity);
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
        string x = graph.Cast(Input, typeof(double));
        string centred = graph.Add("Sub", [x, graph.Constant("mean", mean.data<double>().ToArray())]);
        string standard = graph.Add("Div", [centred, graph.Constant("scale", scale.data<double>().ToArray())]);
        return graph.Cast(standard, typeof(float));
    }
}
