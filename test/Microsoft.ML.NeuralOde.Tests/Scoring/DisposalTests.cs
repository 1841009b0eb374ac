using System.Collections.Concurrent;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Scoring;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Scoring;

/// <summary>
/// Models that are disposed of while other threads use them: whole results or an ObjectDisposedException, and never a crash.
/// </summary>
public sealed class DisposalTests
{
    private readonly MLContext _mlContext = new(1);
    private readonly IDataView _data;

    public DisposalTests() => _data = TabularData.View(_mlContext, TabularData.Circle(200));

    /// <summary>Each kind of model; of the predictors one that is scored without tensors and one that is scored through torch.</summary>
    public static TheoryData<string> Kinds => ["regression", "regression through torch", "binary through torch", "density", "anomaly"];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Threads_that_score_meanwhile_get_whole_results_or_are_told(string kind)
    {
        const int Threads = 3;
        for (int round = 0; round < 3; round++)
        {
            ITransformer model = Fit(kind);
            string column = model.GetOutputSchema(_data.Schema)[^1].Name;
            string[] expected = Read(model, column);
            var wrong = new ConcurrentQueue<string>();
            using var started = new CountdownEvent(Threads);
            Thread[] threads = [.. Enumerable.Range(0, Threads).Select(_ => new Thread(() =>
            {
                for (bool isFirst = true; ; isFirst = false)
                    try
                    {
                        if (!Read(model, column).SequenceEqual(expected))
                            wrong.Enqueue("other scores");
                        if (isFirst)
                            started.Signal();
                    }
                    catch (ObjectDisposedException)
                    {
                        return;
                    }
                    catch (Exception exception)
                    {
                        wrong.Enqueue(exception.ToString());
                        return;
                    }
            }))];
            Array.ForEach(threads, thread => thread.Start());
            started.Wait(TimeSpan.FromSeconds(30)).Should().BeTrue();
            ((IDisposable)model).Dispose();
            Array.ForEach(threads, thread => thread.Join(TimeSpan.FromSeconds(30)).Should().BeTrue());
            wrong.Should().BeEmpty();
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Everything_that_needs_the_weights_says_that_they_are_gone(string kind)
    {
        ITransformer model = Fit(kind);
        IDataView scored = model.Transform(_data);
        IRowToRowMapper mapper = model.GetRowToRowMapper(_data.Schema);
        using DataViewRowCursor begun = scored.GetRowCursor(scored.Schema);
        ((IDisposable)model).Dispose();
        ((IDisposable)model).Dispose();

        Refused(() => model.Transform(_data));
        Refused(() => model.GetRowToRowMapper(_data.Schema));
        Refused(() => begun.MoveNext());
        Refused(() => Cursors.Read(scored, scored.Schema));
        Refused(() => _mlContext.Model.Save(model, _data.Schema, Stream.Null));
        using DataViewRowCursor input = _data.GetRowCursor(_data.Schema);
        input.MoveNext();
        DataViewRow row = mapper.GetRow(input, mapper.OutputSchema);
        Refused(() => Cursors.Getter(row, mapper.OutputSchema[^1])());
        switch (model)
        {
            case NeuralOdeTransformer predictor:
                Refused(() => _ = predictor.Model.Summary);
                Refused(() => predictor.Model.Score(new float[2], 1, new float[2]));
                predictor.Model.ParameterCount.Should().BePositive();
                break;
            case ContinuousFlowTransformer flow:
                Refused(() => flow.Model.LogDensity(new float[2]));
                Refused(() => flow.Model.Sample(1));
                flow.Model.ParameterCount.Should().BePositive();
                break;
        }

        static void Refused(Action action) => action.Should().Throw<ObjectDisposedException>().WithMessage("*Model*");
    }

    [Fact]
    public void A_network_is_freed_with_the_last_loan_and_not_before()
    {
        using var memory = new MemoryStream();
        var shared = new SharedNetwork<MemoryStream>(memory, typeof(NeuralOdeModel));
        SharedNetwork<MemoryStream>.Loan first = shared.Borrow(), second = shared.Borrow();
        shared.Dispose();
        shared.Dispose();
        ((Action)(() => shared.Borrow())).Should().Throw<ObjectDisposedException>();
        first.Dispose();
        second.Network.CanRead.Should().BeTrue();
        second.Dispose();
        memory.CanRead.Should().BeFalse();
    }

    [Fact]
    public void A_network_of_two_owners_is_freed_when_both_have_disposed_of_it()
    {
        using var memory = new MemoryStream();
        var shared = new SharedNetwork<MemoryStream>(memory, typeof(NeuralOdeModel));
        SharedNetwork<MemoryStream> second = shared.Share();
        shared.Dispose();
        shared.Dispose();
        ((Action)(() => shared.Share())).Should().Throw<ObjectDisposedException>();
        using (SharedNetwork<MemoryStream>.Loan loan = second.Borrow())
            loan.Network.CanRead.Should().BeTrue();
        second.Dispose();
        memory.CanRead.Should().BeFalse();
        ((Action)(() => second.Borrow())).Should().Throw<ObjectDisposedException>();
    }

    private string[] Read(ITransformer model, string column)
    {
        IDataView scored = model.Transform(_data);
        return [.. Cursors.Read(scored, [scored.Schema[column]]).Select(row => row.Values[column])];
    }

    private ITransformer Fit(string kind)
    {
        return kind switch
        {
            "regression" => Regression(OdeMethod.Dopri5),
            "regression through torch" => Regression(OdeMethod.TrBdf2),
            "binary through torch" => _mlContext.BinaryClassification.Trainers.NeuralOde(new NeuralOdeBinaryClassificationTrainer.Options
            {
                NumberOfEpochs = 1,
                EncoderLayers = [4],
                DynamicsLayers = [4],
                Solver = OdeMethod.TrBdf2,
            }).Fit(_data),
            "density" =>
            _mlContext.Transforms.ContinuousFlowDensity(
                new ContinuousFlowDensityEstimator.Options { NumberOfEpochs = 1, BatchesPerEpoch = 2, HiddenLayers = [8] }).Fit(_data),
            _ => _mlContext.AnomalyDetection.Trainers.ContinuousFlow(
                new ContinuousFlowAnomalyTrainer.Options { NumberOfEpochs = 1, BatchesPerEpoch = 2, HiddenLayers = [8] }).Fit(_data),
        };

        ITransformer Regression(OdeMethod solver) => _mlContext.Regression.Trainers.NeuralOde(new NeuralOdeRegressionTrainer.Options
        {
            LabelColumnName = "Target",
            NumberOfEpochs = 1,
            EncoderLayers = [4],
            DynamicsLayers = [4],
            Solver = solver,
        }).Fit(_data);
    }
}
