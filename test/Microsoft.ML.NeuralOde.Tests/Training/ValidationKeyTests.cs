using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Training;

/// <summary>Validation data whose label went through a MapValueToKey of its own.</summary>
public sealed class ValidationKeyTests
{
    private readonly MLContext _mlContext = new(1);

    [Theory]
    [InlineData("options")]
    [InlineData("Fit")]
    public void Keys_in_another_order_mean_the_same_classes(string way)
    {
        List<Point> train = Blobs.Rows(240), other = [.. Blobs.Rows(120, seed: 2)];
        IDataView data = Keyed(train, train), own = Keyed(other, Enumerable.Reverse(other)), shared = Keyed(other, train);
        Names(own).Should().NotEqual(Names(data));

        NeuralOdeEpochReport[] expected = Fit(data, shared, way), found = Fit(data, own, way);

        found.Select(r => (r.ValidationLoss, r.ValidationAccuracy))
            .Should().Equal(expected.Select(r => (r.ValidationLoss, r.ValidationAccuracy)));
        found[^1].ValidationAccuracy.Should().BeGreaterThan(0.9);
    }

    [Fact]
    public void Keys_of_some_of_the_classes_are_enough()
    {
        List<Point> train = Blobs.Rows(240), some = [.. Blobs.Rows(120, seed: 2).Where(row => row.Label != "red")];
        Fit(Keyed(train, train), Keyed(some, Enumerable.Reverse(some)), "Fit").Select(r => r.ValidationLoss)
            .Should().Equal(Fit(Keyed(train, train), Keyed(some, train), "Fit").Select(r => r.ValidationLoss));
    }

    [Fact]
    public void Classes_that_the_training_data_do_not_have_are_named()
    {
        List<Point> train = Blobs.Rows(240), other = Blobs.Rows(120, seed: 2);
        other[5].Label = "violet";
        Action act = () => Fit(Keyed(train, train), Keyed(other, other), "Fit");
        act.Should().Throw<InvalidOperationException>().WithMessage("*validation*'Label'*violet*MapValueToKey*");
    }

    [Fact]
    public void Keys_whose_values_are_known_on_one_side_only_or_of_another_type_are_refused()
    {
        List<Point> train = Blobs.Rows(240);
        IDataView named = Keyed(train, train);
        IDataView nameless = _mlContext.Data.LoadFromEnumerable(
            train.Select(row => new Number { Features = row.Features, Label = (uint)(row.Id % 3) }).ToArray());
        IDataView numbers = _mlContext.Transforms.Conversion.MapValueToKey("Label", "Id").Fit(Ids(3)).Transform(Ids(240));

        foreach ((IDataView a, IDataView b) in new[] { (named, nameless!), (nameless!, named), (named, numbers), (numbers, named) })
        {
            Action act = () => Fit(a, b, "Fit");
            act.Should().Throw<InvalidOperationException>().WithMessage("*validation*'Label'*");
        }
        Fit(nameless!, nameless!, "Fit")[^1].ValidationAccuracy.Should().BeGreaterThan(0.9);

        IDataView Ids(int count) =>
            _mlContext.Data.LoadFromEnumerable(Enumerable.Range(0, count)
                .Select(i => new Point { Features = [i % 3, i], Id = i % 3 }).ToArray());
    }

    private NeuralOdeEpochReport[] Fit(IDataView data, IDataView validation, string way)
    {
        NeuralOdeClassificationTrainer trainer = _mlContext.MulticlassClassification.Trainers.NeuralOde(Fitted.Options(o =>
        {
            o.Seed = 4;
            o.NumberOfEpochs = 4;
            o.ValidationSet = way == "options" ? validation : null;
        }));
        using NeuralOdeClassificationTransformer model = trainer.Fit(data, way == "options" ? null : validation);
        return [.. model.TrainingHistory];
    }

    /// <summary>Rows with keys in the order in which the classes come in other rows.</summary>
    private IDataView Keyed(IEnumerable<Point> rows, IEnumerable<Point> order) =>
        _mlContext.Transforms.Conversion.MapValueToKey("Label")
        .Fit(Blobs.View(_mlContext, [.. order])).Transform(Blobs.View(_mlContext, [.. rows]));

    private static string[] Names(IDataView data)
    {
        VBuffer<ReadOnlyMemory<char>> names = default;
        data.Schema["Label"].GetKeyValues(ref names);
        return [.. names.DenseValues().Select(name => name.ToString())];
    }

    private sealed class Number
    {
        [VectorType(2)]
        public float[] Features { get; set; } = [];

        [KeyType(3)]
        public uint Label { get; set; }
    }
}
