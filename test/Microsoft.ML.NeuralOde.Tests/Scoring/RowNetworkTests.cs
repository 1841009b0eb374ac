using Microsoft.ML.NeuralOde.Networks;
using Microsoft.ML.NeuralOde.Tests.Support;
using TorchSharp;

namespace Microsoft.ML.NeuralOde.Tests.Scoring;

/// <summary>Scoring without tensors against the same network through torch.</summary>
public sealed class RowNetworkTests
{
    private readonly MLContext _mlContext = new(1);

    [Theory]
    [InlineData(FeatureNormalization.None, "dopri5", new[] { 8 })]
    [InlineData(FeatureNormalization.Global, "tsit5", new[] { 40, 24 })]
    [InlineData(FeatureNormalization.PerSlot, "rk4", new[] { 20, 7, 5 })]
    public void It_agrees_with_torch_and_every_row_is_the_same_in_any_batch(
        FeatureNormalization normalization, string solver, int[] encoder)
    {
        using NeuralOdeClassificationTransformer transformer = Fit(o =>
        {
            o.Normalization = normalization;
            o.Solver = OdeMethod.Parse(solver);
            o.StepSize = o.Solver.IsAdaptive ? null : 0.1;
            o.ProductionTolerances = SolverTolerances.Evaluation;
            o.EncoderLayers = encoder;
        });
        NeuralOdeNetwork network = transformer.Model.Network;
        RowNetwork rows = network.ToRowNetwork()!;
        const int Count = 500;
        float[] features = [.. Blobs.Rows(Count, seed: 9).SelectMany(point => point.Features)];
        var found = new float[Count * 3];
        rows.Forward(features, Count, found);

        using (torch.no_grad())
        using (torch.NewDisposeScope())
        {
            float[] expected = network.call(torch.tensor(features, [Count, 2])).contiguous().data<float>().ToArray();
            for (int i = 0; i < found.Length; i++)
                found[i].Should().BeApproximately(expected[i], 2e-5f * (1 + Math.Abs(expected[i])));
        }
        foreach (int size in new[] { 1, 3, 33, 64, 499 })
        {
            var part = new float[size * 3];
            rows.Forward(features[..(2 * size)], size, part);
            part.Should().Equal(found.Take(size * 3));
        }
    }

    [Fact]
    public void A_network_that_it_does_not_cover_is_scored_through_torch_batch_by_batch()
    {
        using NeuralOdeClassificationTransformer transformer = Fit(o => o.Solver = OdeMethod.TrBdf2);
        transformer.Model.Network.ToRowNetwork().Should().BeNull();
        IDataView scored = transformer.Transform(Keyed(600));
        float[][] together = [.. Microsoft.ML.Data.ColumnCursorExtensions.GetColumn<float[]>(scored, "Score")];
        var alone = new float[3];
        foreach (int row in new[] { 0, 255, 256, 599 })
        {
            transformer.Model.Score(Blobs.Rows(600)[row].Features, 1, alone);
            alone.Zip(together[row], (a, b) => Math.Abs(a - b)).Max().Should().BeLessThan(1e-5f);
        }
    }

    [Fact]
    public void A_row_without_numbers_has_no_label_and_leaves_its_neighbours_alone()
    {
        using NeuralOdeClassificationTransformer transformer = Fit(_ => { });
        float[] features = [0.5f, 1, float.NaN, 1, 0.5f, 1];
        var scores = new float[9];
        transformer.Model.Score(features, 3, scores);
        scores[3..6].Should().OnlyContain(score => float.IsNaN(score));
        scores[..3].Should().Equal(scores[6..]).And.OnlyContain(score => score > 0 && score < 1);
    }

    [NativeHeapFact]
    [Trait("Category", "Slow")]
    public void Eight_threads_share_a_model_for_long_without_growth_and_with_the_same_answers()
    {
        using NeuralOdeClassificationTransformer transformer = Fit(_ => { });
        float[] features = [.. Blobs.Rows(300, seed: 4).SelectMany(point => point.Features)];
        var expected = new float[900];
        transformer.Model.Score(features, 300, expected);
        Soak(20);
        // The heap may still settle in one of the rounds; what stays behind stays behind in all of them.
        Enumerable.Range(0, 3)
            .Min(_ => Growth()).Should().BeLessThan(4 << 20, "nothing may stay behind from 3,200 batches and single rows");

        long Growth()
        {
            long before = NativeHeap.BytesHeld();
            Soak(400);
            return NativeHeap.BytesHeld() - before;
        }

        void Soak(int rounds) => Parallel.For(0, 8, new ParallelOptions { MaxDegreeOfParallelism = 8 }, thread =>
        {
            var random = new Random(thread);
            var scores = new float[900];
            for (int round = 0; round < rounds; round++)
            {
                int count = round % 2 == 0 ? 1 : random.Next(1, 301);
                int first = random.Next(300 - count + 1);
                transformer.Model.Score(features[(2 * first)..(2 * (first + count))], count, scores);
                if (!scores.AsSpan(0, 3 * count).SequenceEqual(expected.AsSpan(3 * first, 3 * count)))
                    throw new InvalidOperationException($"Rows {first} to {first + count} have other scores on thread {thread}.");
            }
        });
    }

    private NeuralOdeClassificationTransformer Fit(Action<NeuralOdeClassificationTrainer.Options> change) =>
        _mlContext.MulticlassClassification.Trainers.NeuralOde(Fitted.Options(o => { o.NumberOfEpochs = 1; change(o); })).Fit(Keyed(120));

    private IDataView Keyed(int count) =>
        _mlContext.Transforms.Conversion.MapValueToKey("Label")
        .Fit(Blobs.View(_mlContext, Blobs.Rows(120))).Transform(Blobs.View(_mlContext, Blobs.Rows(count)));
}
