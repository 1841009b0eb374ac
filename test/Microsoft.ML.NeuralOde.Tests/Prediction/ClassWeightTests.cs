using Microsoft.ML.NeuralOde.BinaryClassification;
using Microsoft.ML.NeuralOde.Classification;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Networks;
using Microsoft.ML.NeuralOde.Prediction;
using Microsoft.ML.NeuralOde.Regression;
using Microsoft.ML.NeuralOde.Tests.Support;
using Microsoft.ML.NeuralOde.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Tests.Prediction;

/// <summary>Losses, figures and weights of the tasks, row by row, by hand.</summary>
public class ClassWeightTests
{
    /// <summary>
    /// Labels with their weights, and what a row of each class counts: all weights over the classes that occur and the weight of the class;
    /// 1 for a class that does not.
    /// </summary>
    public static TheoryData<string, int, (float Label, float Weight)[], float[]> Balances => new()
    {
        { "two classes", 2, [(0, 9), (1, 3)], [12f / 18, 12f / 6] },
        { "as many of each", 2, [(0, 5), (1, 5)], [1, 1] },
        { "classes without rows", 5, [(0, 6), (1, 2), (3, 4)], [12f / 18, 12f / 6, 1, 12f / 12, 1] },
        { "a class whose rows weigh nothing", 3, [(0, 6), (1, 2), (2, 0)], [8f / 18, 8f / 6, 1] },
        { "weights that are no counts", 3, [(0, 0.5f), (1, 1), (2, 1.5f)], [3 / 1.5f, 1, 3 / 4.5f] },
    };

    [Theory]
    [MemberData(nameof(Balances))]
    public void Balanced_classes_count_in_inverse_proportion_to_their_rows(string what, int classes, (float Label, float Weight)[] rows,
        float[] expected)
    {
        using DisposeScope scope = NewDisposeScope();
        foreach (ClassificationTask task in classes == 2
            ? new ClassificationTask[] { new MulticlassTask(2, ClassWeighting.Balanced, "Label"),
                new BinaryTask(ClassWeighting.Balanced, "Label") }
            : [new MulticlassTask(classes, ClassWeighting.Balanced, "Label")])
        {
            using (task)
            {
                task.Prepare(Statistics(rows), null!);
                // Rows of the classes from the last to the first.
                Tensor labels = tensor([.. Enumerable.Range(0, classes).Reverse().Select(i => (float)i)], [classes, 1]);
                task.Weights(labels)!.data<float>().ToArray().Should().Equal(expected.Reverse(), (a, b) => Math.Abs(a - b) < 1e-6, what);
            }
        }
    }

    [Fact]
    public void Without_balancing_all_count_the_same_and_one_class_alone_is_refused_with_its_count()
    {
        using var plain = new MulticlassTask(3, ClassWeighting.None, "Label");
        plain.Prepare(Statistics([(0, 1), (1, 5)]), null!);
        plain.Weights(zeros(2, 1)).Should().BeNull();
        using var balanced = new BinaryTask(ClassWeighting.Balanced, "Truth");
        FluentActions.Invoking(() => balanced.Prepare(Statistics([(1, 2), (1, 1), (1, 7)]), null!)).Should()
            .Throw<InvalidOperationException>()
            .WithMessage("All 3 rows have the same class in the label column 'Truth'; a classifier needs rows of at least two.");
    }

    [Fact]
    public void Losses_and_figures_of_classes_are_cross_entropies_and_hits()
    {
        using DisposeScope scope = NewDisposeScope();
        using var several = new MulticlassTask(3, ClassWeighting.None, "Label");
        Tensor logits = tensor(new[] { 1f, 2, 4, 1, 0, -1, 0, 3, 0 }, [3, 3]), classes = tensor(new[] { 2f, 1, 1 }, [3, 1]);
        double[] sums = [Math.Exp(1) + Math.Exp(2) + Math.Exp(4), Math.Exp(1) + 1 + Math.Exp(-1), 2 + Math.Exp(3)];
        Equal(several.Losses(logits, classes), [Math.Log(sums[0]) - 4, Math.Log(sums[1]), Math.Log(sums[2]) - 3]);
        Equal(several.Figures(logits, classes), [1, 0, 1]);
        (several.OutputCount, several.Metric.Name, several.Metric.Finish(0.25)).Should().Be((3, "accuracy", 0.25));

        using var two = new BinaryTask(ClassWeighting.None, "Label");
        Tensor odds = tensor(new[] { 2f, -1, 0, 3 }, [4, 1]), truths = tensor(new[] { 1f, 1, 1, 0 }, [4, 1]);
        Equal(two.Losses(odds, truths), [Math.Log(1 + Math.Exp(-2)), Math.Log(1 + Math.Exp(1)), Math.Log(2), Math.Log(1 + Math.Exp(3))]);
        // Odds of one to one are not true.
        Equal(two.Figures(odds, truths), [1, 0, 0, 0]);
        (two.OutputCount, two.Metric.Finish(0.25)).Should().Be((1, 0.25));
    }

    [Fact]
    public void Losses_of_numbers_are_in_deviations_and_figures_in_their_own_units()
    {
        using DisposeScope scope = NewDisposeScope();
        using var task = new RegressionTask(2);
        using EncodedNetwork network = Network(outputs: 2);
        var statistics = DenseRows.Statistics(new RowShape(2, 2, IsWeighted: false));
        // Means 3 and 10, deviations 2 and 10.
        statistics.Add([0, 0], [1, 0], 1);
        statistics.Add([0, 0], [5, 20], 1);
        task.Prepare(statistics, network);

        Tensor outputs = tensor(new[] { 0f, 1, -1, 0.5f }, [2, 2]), labels = tensor(new[] { 5f, 10, 3, 25 }, [2, 2]);
        Equal(task.Losses(outputs, labels), [((0 - 1) * (0 - 1) + (1 - 0) * (1 - 0)) / 2.0, (1 + (0.5 - 1.5) * (0.5 - 1.5)) / 2]);
        Equal(task.Figures(outputs, labels), [(4 + 100) / 2.0, (4 + 100) / 2.0]);
        (task.Metric.Name, task.Metric.Finish(16)).Should().Be(("RMSE", 4));
    }

    [Theory]
    [InlineData(ClassWeighting.None, false)]
    [InlineData(ClassWeighting.None, true)]
    [InlineData(ClassWeighting.Balanced, false)]
    [InlineData(ClassWeighting.Balanced, true)]
    public void Weights_of_rows_and_of_classes_multiply_in_the_loss_and_only_those_of_rows_count_in_the_accuracy(ClassWeighting weighting,
        bool isWeighted)
    {
        using DisposeScope scope = NewDisposeScope();
        using EncodedNetwork network = Network(outputs: 3);
        using var task = new MulticlassTask(3, weighting, "Label");
        task.Prepare(Statistics([(0, 6), (1, 2), (2, 4)]), network);
        var options = new NeuralOdeClassificationTrainer.Options { RelativeTolerance = 1e-6, AbsoluteTolerance = 1e-6 };
        var training = new PredictorTraining(network, task, options);
        float[] classes = [0, 1, 1, 2], given = [1, 0.5f, 3, 2];
        double[] rowWeights = isWeighted ? [.. given] : [1, 1, 1, 1], classWeights = weighting == ClassWeighting.Balanced
            ? [12.0 / 18, 2, 1] : [1, 1, 1];
        Tensor features = tensor(new[] { 0.5f, 1, -1, 2, 0, 0, 3, -2 }, [4, 2]);
        Tensor? weights = isWeighted ? tensor(given) : null;
        var batch = new RowBatch(DenseFormat.BatchOf(features), tensor(classes, [4, 1]), weights);
        double[] p = network.call(features).softmax(1).to(ScalarType.Float64).contiguous().data<double>().ToArray();
        double loss = 0, all = 0, hits = 0;
        for (int i = 0; i < 4; i++)
        {
            double weight = rowWeights[i] * classWeights[(int)classes[i]];
            loss -= weight * Math.Log(p[3 * i + (int)classes[i]]);
            all += weight;
            hits += Array.IndexOf(p, p[(3 * i)..(3 * i + 3)].Max(), 3 * i) - 3 * i == (int)classes[i] ? rowWeights[i] : 0;
        }

        foreach (BatchResult result in new[] { training.Loss(batch, new TrainingMoment(1, 0)), training.Evaluate(batch) })
        {
            result.Weight.Should().BeApproximately(all, 1e-5);
            result.Loss.ToDouble().Should().BeApproximately(loss / all, 1e-3);
            result.Objective.ToDouble().Should().Be(result.Loss.ToDouble());
            result.FigureWeight.Should().BeApproximately(rowWeights.Sum(), 1e-6);
            result.Figure!.ToDouble().Should().BeApproximately(hits / rowWeights.Sum(), 1e-6);
        }
    }

    [Fact]
    public void Penalties_are_part_of_the_objective_and_not_of_the_loss()
    {
        using DisposeScope scope = NewDisposeScope();
        using EncodedNetwork network = Network(outputs: 3);
        using var task = new MulticlassTask(3, ClassWeighting.None, "Label");
        var batch = new RowBatch(DenseFormat.BatchOf(tensor(new[] { 0.5f, 1, -1, 2 }, [2, 2])), tensor(new[] { 0f, 2 }, [2, 1]), null);
        double norms = network.SpectralNorms().ToDouble();
        norms.Should().BePositive();
        double plain = Loss(_ => { }).Loss.ToDouble();
        foreach (double weight in new[] { 0.5, 2 })
        {
            BatchResult result = Loss(o => o.SpectralNormPenalty = weight);
            result.Loss.ToDouble().Should().BeApproximately(plain, 1e-6);
            (result.Objective.ToDouble() - plain).Should().BeApproximately(weight * norms, 1e-4 * norms);
        }
        BatchResult one = Loss(o => o.Regularization = new PathRegularization { KineticEnergy = 1 }),
            three = Loss(o => o.Regularization = new PathRegularization { KineticEnergy = 3 });
        (one.Objective - one.Loss).ToDouble().Should().BePositive();
        (three.Objective - three.Loss).ToDouble().Should().BeApproximately(3 * (one.Objective - one.Loss).ToDouble(), 1e-4);

        BatchResult Loss(Action<NeuralOdeClassificationTrainer.Options> change)
        {
            var options = new NeuralOdeClassificationTrainer.Options();
            change(options);
            return new PredictorTraining(network, task, options).Loss(batch, new TrainingMoment(1, 0));
        }
    }

    private static EncodedNetwork Network(int outputs)
    {
        TorchSharp.torch.random.manual_seed(4);
        return new EncodedNetwork(new DenseDescription(2, outputs, [5], [6], 1, "dopri5", 1e-6, 1e-6, null));
    }

    private static RowStatistics Statistics((float Label, float Weight)[] rows)
    {
        var statistics = DenseRows.Statistics(new RowShape(1, 1, IsWeighted: true));
        foreach ((float label, float weight) in rows)
            statistics.Add([0], [label], weight);
        return statistics;
    }

    private static void Equal(Tensor found, double[] expected) =>
        found.to(ScalarType.Float64).data<double>().ToArray().Should().Equal(expected, (a, b) => Math.Abs(a - b) < 1e-5);
}
