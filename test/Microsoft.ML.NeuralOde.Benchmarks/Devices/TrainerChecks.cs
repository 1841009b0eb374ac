using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Benchmarks.Devices;

/// <summary>
/// The trainers of ML.NET on a device: the model that comes out scores on the processor, and the same once it is saved and loaded.
/// </summary>
internal static class TrainerChecks
{
    public static IEnumerable<DeviceCheck> All()
    {
        // More rows than fit into the smallest budget are read as they are needed.
        foreach (bool isStreamed in new[] { false, true })
        {
            string rows = isStreamed ? "streamed rows" : "rows in memory";
            yield return Check(
                $"classifier, {rows}", isStreamed, "Score", (context, label) => context.MulticlassClassification.Trainers.NeuralOde(
                Small(new NeuralOdeClassificationTrainer.Options { LabelColumnName = label }, isStreamed)));
            yield return Check($"balanced classifier, {rows}", isStreamed,
                "Score", (context, label) => context.MulticlassClassification.Trainers.NeuralOde(
                Small(new NeuralOdeClassificationTrainer.Options
                {
                    LabelColumnName = label,
                    ClassWeighting = ClassWeighting.Balanced,
                    ExampleWeightColumnName = "Weight"
                }, isStreamed)));
            yield return Check(
                $"binary classifier, {rows}", isStreamed, "Score", (context, _) => context.BinaryClassification.Trainers.NeuralOde(
                Small(new NeuralOdeBinaryClassificationTrainer.Options { LabelColumnName = "Flag" }, isStreamed)));
            yield return Check($"regression, {rows}", isStreamed, "Score", (context, _) => context.Regression.Trainers.NeuralOde(
                Small(new NeuralOdeRegressionTrainer.Options { LabelColumnName = "Number" }, isStreamed)));
            foreach (FlowTrainingMethod method in Enum.GetValues<FlowTrainingMethod>())
                foreach (bool full in new[] { false, true })
                {
                    string kind = $"{method}, {(full ? "with condition, weights and whole numbers" : "plain")}, {rows}";
                    yield return Check($"density, {kind}", isStreamed, "LogDensity", (context, _) =>
                        context.Transforms.ContinuousFlowDensity(
                            Small(new ContinuousFlowDensityEstimator.Options(), method, full, isStreamed)));
                    yield return Check($"anomalies, {kind}", isStreamed, "Score", (context, _) =>
                        context.AnomalyDetection.Trainers.ContinuousFlow(
                            Small(new ContinuousFlowAnomalyTrainer.Options(), method, full, isStreamed)));
                }
        }
    }

    private static T Small<T>(T options, bool isStreamed)
        where T : NeuralOdeTrainerOptions
    {
        (options.NumberOfEpochs, options.BatchSize, options.Seed, options.ValidationFraction) = isStreamed
            ? (1, 4096, 3, (double?)null) : (2, 32, 3, 0.25);
        options.MemoryBudgetMegabytes = isStreamed ? 1 : options.MemoryBudgetMegabytes;
        return options;
    }

    private static T Small<T>(T options, FlowTrainingMethod method, bool full, bool isStreamed)
        where T : ContinuousFlowTrainerOptions
    {
        Small((NeuralOdeTrainerOptions)options, isStreamed);
        (options.Method, options.HiddenLayers, options.BatchesPerEpoch, options.PathsPerBatch, options.EnsembleSize) =
            (method, [8], 4, 32, full ? 2 : 1);
        if (full)
            (options.ConditionColumnName, options.ExampleWeightColumnName, options.Dequantization, options.Reshaping) =
                ("Number", "Weight", Dequantization.Integers, FeatureReshaping.IrregularFeatures);
        return options;
    }

    private static DeviceCheck Check<TTransformer>(
        string name, bool isStreamed, string column, Func<MLContext, string, IEstimator<TTransformer>> create)
        where TTransformer : class, ITransformer =>
        new($"trainer, {name}", 0.05, device =>
        {
            var context = new MLContext(seed: 1);
            if (device.type == DeviceType.CUDA)
                (context.GpuDeviceId, context.FallbackToCpu) = (Math.Max(0, device.index), false);
            IDataView data = context.Data.LoadFromEnumerable(Row.Draw(isStreamed ? 60_000 : 160));
            using TransformerChain<TTransformer> model = context.Transforms.Conversion.MapValueToKey("Key", "Label")
                .Append(create(context, "Key")).Fit(data);
            using var stream = new MemoryStream();
            context.Model.Save(model, data.Schema, stream);
            stream.Position = 0;
            // A process without a card reads it.
            ITransformer loaded = new MLContext().Model.Load(stream, out _);
            data = context.Data.TakeRows(data, 160);
            float[] before = Column(model.Transform(data), column), after = Column(loaded.Transform(data), column);
            if (!before.SequenceEqual(after))
                throw new InvalidOperationException("The scores changed when the model was saved and loaded.");
            if (!before.All(float.IsFinite))
                throw new InvalidOperationException("Some scores are not finite.");
            (loaded as IDisposable)?.Dispose();
            return [tensor(after, device: CPU)];
        });

    private static float[] Column(IDataView view, string name) =>
        view.Schema[name].Type is VectorDataViewType
            ? [.. view.GetColumn<float[]>(name).SelectMany(values => values)]
            : [.. view.GetColumn<float>(name)];

    private sealed class Row
    {
        [VectorType(3)]
        public float[] Features { get; set; } = [];

        public string Label { get; set; } = "";

        public bool Flag { get; set; }

        public float Number { get; set; }

        public float Weight { get; set; }

        public static List<Row> Draw(int count)
        {
            var random = new Random(1);
            return [.. Enumerable.Range(0, count).Select(i =>
            {
                float x = (float)random.NextDouble(), y = (float)random.NextDouble();
                return new Row
                {
                    Features = [x, y, random.Next(4)],
                    Label = x + y > 1 ? "above" : "below",
                    Flag = x > y,
                    Number = random.Next(2),
                    Weight = 0.5f + y,
                };
            })];
        }
    }
}
