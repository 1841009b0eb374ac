namespace Microsoft.ML.NeuralOde.Tests.Persistence;

/// <summary>A small sealed model of each kind, and what it says about a point.</summary>
public sealed class SavedModels
{
    public SavedModels()
    {
        var mlContext = new MLContext(1);
        Archives = new byte[SmallModels.Kinds.Length][];
        Seals = new string[Archives.Length];
        for (int i = 0; i < Archives.Length; i++)
        {
            (ITransformer model, IDataView data) = SmallModels.Fit(mlContext, SmallModels.Kinds[i]);
            using var stream = new MemoryStream();
            Seals[i] = mlContext.Model.SaveSealed(model, data.Schema, stream);
            Archives[i] = stream.ToArray();
            (model as IDisposable)?.Dispose();
        }
        Scores = [.. Archives.Select(archive => Score(Load(archive)))];
    }

    internal byte[][] Archives { get; }

    internal string[] Seals { get; }

    internal float[][] Scores { get; }

    internal static ITransformer Load(byte[] archive, SealedModelOptions? options = null) =>
        new MLContext(1).Model.LoadSealed(new MemoryStream(archive), out _, options);

    /// <summary>What a model of this library, alone or in a pipeline, says about the point. Disposes of it.</summary>
    internal static float[] Score(ITransformer model)
    {
        using (model as IDisposable)
            foreach (ITransformer step in model as IEnumerable<ITransformer> ?? [model])
                switch (step)
                {
                    case NeuralOdeTransformer predictor:
                        var scores = new float[predictor.Model.OutputCount];
                        predictor.Model.Score(SmallModels.Point(predictor.Model.FeatureCount), 1, scores);
                        return scores;
                    case ContinuousFlowTransformer flow:
                        return flow.Model.LogDensity(
                            SmallModels.Point(flow.Model.FeatureCount), new float[flow.Model.ConditionCount]);
                }
        throw new InvalidOperationException("The pipeline has no model of this library.");
    }
}
