using System.Text.Json;
using Microsoft.ML.NeuralOde.Prediction;
using Onnx;
using TorchSharp.Modules;

namespace Microsoft.ML.NeuralOde.OnnxExport;

/// <summary>Writes a fitted model as an ONNX model with the columns' names: from features to the columns of its predictions.</summary>
internal static class ModelExport
{
    private const string Batch = RateExport.Batch;

    /// <exception cref="NotSupportedException">The model cannot be written; the message names the option that stands in the way.</exception>
    public static ModelProto Create(NeuralOdeTransformer transformer, double? stepSize)
    {
        NeuralOdeNetwork network = transformer.Model.Network;
        ModelDescription description = transformer.Description;
        using IDisposable noGrad = no_grad();
        var graph = new OnnxGraph("neural_ode");
        graph.Input(description.FeatureColumn, TensorProto.Types.DataType.Float, Batch, $"{network.Description.FeatureCount}");
        string outputs = Network(graph, network, stepSize, description.FeatureColumn);
        Columns(graph, transformer.Model.Kind, description, network, outputs);

        ModelProto model = graph.ToModel();
        Note("solver", network.Description.Solver);
        if (description.Classes?.Text is { } text)
            Note("classes", JsonSerializer.Serialize(text));
        else if (description.Classes?.Numbers is { } numbers)
            Note("classes", JsonSerializer.Serialize(numbers));
        else if (description.Classes?.Values is { } values)
            Note("classes", JsonSerializer.Serialize(values));
        return model;

        void Note(string key, string value) => model.MetadataProps.Add(new StringStringEntryProto { Key = key, Value = value });
    }

    private static string Network(OnnxGraph graph, NeuralOdeNetwork network, double? stepSize, string features)
    {
        string x = features;
        if (network.InputStatistics() is { } input)
        {
            x = graph.Add("Sub", [x, graph.Constant("mean", input.Mean, input.Mean.Length)]);
            x = graph.Add("Mul", [x, graph.Constant("scale", input.Scale, input.Scale.Length)]);
        }
        for (int i = 0; i < network.Encoder.Count; i++)
        {
            x = Linear(graph, network.Encoder[i], x);
            if (i < network.Encoder.Count - 1)
                x = graph.Add("Relu", [x]);
        }
        RateExport rate = RateExport.Of(graph, network.Block.Dynamics, [network.Head.weight!.shape[1]]);
        x = OdeExport.Write(graph, rate, network.Block.EndTime, network.Block.Options, stepSize, x)[0];
        x = Linear(graph, network.Head, x);
        if (network.OutputStatistics() is { } output)
        {
            x = graph.Add("Div", [x, graph.Constant("output_scale", output.Scale, output.Scale.Length)]);
            x = graph.Add("Add", [x, graph.Constant("output_mean", output.Mean, output.Mean.Length)]);
        }
        return x;
    }

    private static void Columns(OnnxGraph graph, OutputKind kind, ModelDescription description, NeuralOdeNetwork network, string outputs)
    {
        OutputColumns columns = description.Columns;
        string width = $"{network.Description.OutputCount}";
        switch (kind)
        {
            case OutputKind.Classes:
                graph.Add("Softmax", [outputs], columns.Score, OnnxGraph.Attribute("axis", -1));
                string best = graph.Add("ArgMax", [columns.Score], null, OnnxGraph.Attribute("axis", 1), OnnxGraph.Attribute("keepdims", 1));
                // Key values start at 1, as in ML.NET.
                string key = graph.Add("Add", [best, graph.Constant("one", 1L)]);
                graph.Add("Cast", [key], columns.PredictedLabel!, OnnxGraph.Attribute("to", (long)TensorProto.Types.DataType.Uint32));
                graph.Output(columns.PredictedLabel!, TensorProto.Types.DataType.Uint32, Batch, "1");
                graph.Output(columns.Score, TensorProto.Types.DataType.Float, Batch, width);
                break;
            case OutputKind.Odds:
                graph.Add("Identity", [outputs], columns.Score);
                graph.Add("Sigmoid", [outputs], columns.Probability!);
                graph.Add("Greater", [outputs, graph.Scalar("zero", 0)], columns.PredictedLabel!);
                graph.Output(columns.PredictedLabel!, TensorProto.Types.DataType.Bool, Batch, "1");
                graph.Output(columns.Score, TensorProto.Types.DataType.Float, Batch, "1");
                graph.Output(columns.Probability!, TensorProto.Types.DataType.Float, Batch, "1");
                break;
            default:
                graph.Add("Identity", [outputs], columns.Score);
                graph.Output(columns.Score, TensorProto.Types.DataType.Float, Batch, width);
                break;
        }
    }

    private static string Linear(OnnxGraph graph, Linear layer, string x) => graph.Add(
        "Gemm", [x, Tensors.Write(graph, "weight", layer.weight!), Tensors.Write(graph, "bias", layer.bias!)], null, OnnxGraph.Attribute("transB", 1));
}
