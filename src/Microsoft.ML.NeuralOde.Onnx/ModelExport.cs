using System.Text.Json;
using Microsoft.ML.NeuralOde.Export;
using Microsoft.ML.NeuralOde.Networks;
using Microsoft.ML.NeuralOde.Prediction;
using Microsoft.ML.NeuralOde.Scoring;
using Onnx;

namespace Microsoft.ML.NeuralOde.OnnxExport;

/// <summary>Writes a fitted model as an ONNX model with the columns' names: from features to the columns of its predictions.</summary>
internal static class ModelExport
{
    private const string Batch = RateExport.Batch;

    /// <exception cref="NotSupportedException">The model cannot be written; the message names the option that stands in the
    /// way.</exception>
    /// <exception cref="ObjectDisposedException">The model was disposed of.</exception>
    public static ModelProto Create(NeuralOdeTransformer transformer, double? stepSize)
    {
        using SharedNetwork<NeuralOdeNetwork>.Loan loan = transformer.Model.Borrow();
        NetworkDescription network = loan.Network.Description;
        ModelDescription description = transformer.Description;
        OutputColumns columns = description.Columns;
        OutputKind kind = transformer.Model.Kind;
        var graph = new OnnxGraph("neural_ode");
        graph.Input(description.FeatureColumn, TensorProto.Types.DataType.Float, Batch, $"{network.FeatureCount}");
        PredictionExport.Write(graph, loan.Network, kind, columns, description.FeatureColumn, stepSize, column => column);
        if (columns.PredictedLabel is { } label)
            graph.Output(
                label, kind == OutputKind.Classes ? TensorProto.Types.DataType.Uint32 : TensorProto.Types.DataType.Bool, Batch, "1");
        graph.Output(columns.Score, TensorProto.Types.DataType.Float, Batch, $"{network.OutputCount}");
        if (columns.Probability is { } probability)
            graph.Output(probability, TensorProto.Types.DataType.Float, Batch, "1");

        ModelProto model = graph.ToModel();
        Note("solver", network.Solver);
        if (description.Classes?.Text is { } text)
            Note("classes", JsonSerializer.Serialize(text));
        else if (description.Classes?.Numbers is { } numbers)
            Note("classes", JsonSerializer.Serialize(numbers));
        else if (description.Classes?.Values is { } values)
            Note("classes", JsonSerializer.Serialize(values));
        return model;

        void Note(string key, string value) => model.MetadataProps.Add(new StringStringEntryProto { Key = key, Value = value });
    }
}
