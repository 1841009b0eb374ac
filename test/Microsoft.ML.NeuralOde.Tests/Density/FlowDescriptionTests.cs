using Microsoft.ML.NeuralOde.Flows;
using Microsoft.ML.NeuralOde.Tests.Support;
using TorchSharp;
using static TorchSharp.torch;
using Options = Microsoft.ML.NeuralOde.ContinuousFlowDensityEstimator.Options;

namespace Microsoft.ML.NeuralOde.Tests.Density;

/// <summary>What makes no sense in a flow's file, in its options and in data beside it, at the last value that does and the first that does
/// not.</summary>
public class FlowDescriptionTests
{
    private const long Plenty = 1_000_000;

    private static readonly FlowDescription Good = new(3, 1, 2, 1, [4], Activation.Silu, "rk4", 1e-4, 1e-5, 0.25, [0, 2]);

    public static TheoryData<string, object, string?> Descriptions => new()
    {
        { "as it should be", Good, null },
        { "without a condition, layers and whole numbers", Good with { ConditionCount = 0, HiddenLayers = [], WholeSlots = [] }, null },
        { "no feature", Good with { FeatureCount = 0 }, "a size of its network is not positive" },
        { "less than no condition", Good with { ConditionCount = -1 }, "a size of its network is not positive" },
        { "no member", Good with { Members = 0 }, "a size of its network is not positive" },
        { "no block", Good with { Blocks = 0 }, "a size of its network is not positive" },
        { "an empty layer", Good with { HiddenLayers = [4, 0] }, "a size of its network is not positive" },
        { "another activation", Good with { Activation = (Activation)99 }, "its activation or one of its slots does not exist" },
        { "a slot before the first", Good with { WholeSlots = [-1] }, "its activation or one of its slots does not exist" },
        { "a slot behind the last", Good with { WholeSlots = [0, 3] }, "its activation or one of its slots does not exist" },
        { "what may be drawn", Good with { WholeValues = new([0, 0], [1, 1], [0, 2]) }, null },
        { "a category of one slot", Good with { WholeValues = new([0, 0], [1, 1], [2, 2]) }, null },
        { "too few least values", Good with { WholeValues = new([0], [1, 1], []) }, "its whole numbers or categories make no sense" },
        { "too many most values", Good with { WholeValues = new([0, 0], [1, 1, 1], []) }, "its whole numbers or categories make no sense" },
        { "half a category", Good with { WholeValues = new([0, 0], [1, 1], [0]) }, "its whole numbers or categories make no sense" },
        { "a category before the first slot", Good with { WholeValues = new([0, 0], [1, 1], [-1, 1]) },
            "its whole numbers or categories make no sense" },
        { "a category behind the last slot", Good with { WholeValues = new([0, 0], [1, 1], [1, 3]) },
            "its whole numbers or categories make no sense" },
        { "a second category the wrong way round", Good with { WholeValues = new([0, 0], [1, 1], [0, 0, 2, 1]) },
            "its whole numbers or categories make no sense" },
        { "what stands in", Good with { Filling = [1, 2, 3] }, null },
        { "what stands in for others", Good with { Filling = [1, 2] }, "what stands in for missing features makes no sense" },
        { "what is missing itself", Good with { Filling = [1, float.NaN, 3] }, "what stands in for missing features makes no sense" },
        { "a table", Good with { ReshapedSlots = [0, 2], ReshapingKnots = 4 }, null },
        { "a table without a middle", Good with { ReshapedSlots = [0], ReshapingKnots = 3 },
            "its tables of reshaped features make no sense" },
        { "a table of no slot", Good with { ReshapedSlots = [3], ReshapingKnots = 4 }, "its tables of reshaped features make no sense" },
        { "a table of a negative slot", Good with { ReshapedSlots = [-1], ReshapingKnots = 4 },
            "its tables of reshaped features make no sense" },
        { "two tables of a slot", Good with { ReshapedSlots = [1, 1], ReshapingKnots = 4 },
            "its tables of reshaped features make no sense" },
        { "steps of no size", Good with { StepSize = 0 }, "*" },
    };

    [Theory]
    [MemberData(nameof(Descriptions), DisableDiscoveryEnumeration = true)]
    public void A_description_that_makes_no_sense_is_told_by_what_is_wrong(string what, object description, string? defect)
    {
        string? found = ((FlowDescription)description).FindDefect(Plenty);
        if (defect is null)
            found.Should().BeNull(what);
        else
            found.Should().Match(defect, what);
    }

    [Fact]
    public void No_more_weights_are_declared_than_a_file_holds()
    {
        // Of each of two members 3 · 4 + 4 and 4 · 3 + 3.
        Good.WeightCount().Should().Be(2 * 31);
        (Good with { Blocks = 3, HiddenLayers = [4, 5] }).WeightCount().Should().Be(6 * (16 + 25 + 18));
        (Good with { HiddenLayers = [] }).WeightCount().Should().Be(2 * 12);
        (Good with { HiddenLayers = [int.MaxValue, int.MaxValue] }).WeightCount().Should().BeGreaterThan(9e18);
        // And a number of the condition.
        Good.FindDefect(63).Should().BeNull();
        Good.FindDefect(62).Should().Be("it declares more weights than it holds");
        // Two tables of five values and their images.
        FlowDescription reshaped = Good with { ReshapedSlots = [0, 1], ReshapingKnots = 5 };
        reshaped.FindDefect(63 + 20).Should().BeNull();
        reshaped.FindDefect(63 + 19).Should().Be("it declares more weights than it holds");
        (Good.ScoringOptions().PerRow, (Good with { StepSize = null }).ScoringOptions().PerRow).Should().Be((false, true));
        (Good.ScoringOptions().StepSize, Good.ScoringOptions().RelativeTolerance, Good.ScoringOptions().AbsoluteTolerance).Should()
            .Be((0.25, 1e-4, 1e-5));
    }

    [Fact]
    public void What_is_drawn_keeps_to_the_bounds_and_of_a_category_one_slot_counts()
    {
        using DisposeScope scope = NewDisposeScope();
        // Slots 0 and 4 are whole, 1 to 3 a category.
        Tensor x = tensor(new[] { -2f, 0.1f, 0.7f, 0.2f, 9, 1.5f, 0.4f, 0.4f, -1, 4, 7, -3, -2, -1, 5 }, [3, 5]);
        var values = new WholeValues([0, 4], [3, 6], [1, 3]);
        values.Restrict(x, [0, 4]);
        x.data<float>().ToArray().Should().Equal(0, 0, 1, 0, 6, 1.5f, 1, 0, 0, 4, 3, 0, 0, 1, 5);

        var statistics = DenseRows.Statistics(new Microsoft.ML.NeuralOde.Data.RowShape(4, 0, false));
        statistics.Add([0, 1, 5, 0], [], 1);
        statistics.Add([1, 0, 7, 2], [], 1);
        TableColumn[] table = [new("colour", 0, ["red", "blue"]), new("size", 2), new("odd", 3, ["x"])];
        WholeValues.Of(statistics, [], table).Should().BeNull();
        WholeValues found = WholeValues.Of(statistics, [0, 1, 2], table)!;
        found.Least.Should().Equal(0, 0, 5);
        found.Most.Should().Equal(1, 1, 7);
        found.Categories.Should().Equal([0, 1], "the slots of the other one are not 0 and 1");
        WholeValues.Of(statistics, [2], table)!.Categories.Should().BeEmpty("none of its slots was dequantised");
        // A column of numbers, and one of the values of a category: of equal slots the first.
        table[1].ValuesOf([[1, 2, 3, 4], [5, 6, 7, 8]]).Should().BeEquivalentTo(new float[] { 3, 7 });
        table[0].ValuesOf([[1, 2, 3, 4], [6, 6, 7, 8], [3, 1, 0, 0]]).Should().BeEquivalentTo(
            new[] { "blue", "red", "red" }, o => o.WithStrictOrdering());
        (table[0].SlotCount, table[1].SlotCount, TableColumn.Unnamed("F", 7).Name).Should().Be((2, 1, "F.7"));
    }

    /// <summary>An option of flows, values that it may have, and values that it may not.</summary>
    public static TheoryData<string, object?[], object?[]> Bounds => new()
    {
        { nameof(Options.HiddenLayers), [new[] { 1 }, new[] { 3, 2 }], [null, Array.Empty<int>(), new[] { 0 }, new[] { 3, -1 }] },
        { nameof(Options.Activation), [Activation.Tanh, Activation.Softplus, Activation.Silu], [Activation.Relu, (Activation)99] },
        { nameof(Options.Blocks), [1], [0, -1] },
        { nameof(Options.EnsembleSize), [1], [0, -1] },
        { nameof(Options.BatchesPerEpoch), [null, 1], [0, -1] },
        { nameof(Options.PathsPerBatch), [1], [0, -1] },
        { nameof(Options.CoverageShare), [0.0, 1.0], [-double.Epsilon, Math.BitIncrement(1.0), double.NaN] },
        { nameof(Options.CoverageReach), [double.Epsilon, (double)float.MaxValue], [0.0, -1.0, double.NaN, double.PositiveInfinity] },
        { nameof(Options.Smoothing), [0.0, (double)float.MaxValue], [-double.Epsilon, double.NaN, double.PositiveInfinity] },
        { nameof(Options.TrimmedShare), [0.0, Math.BitDecrement(0.5)], [-double.Epsilon, 0.5, double.NaN] },
        { nameof(Options.Method), [FlowTrainingMethod.MaximumLikelihood], [(FlowTrainingMethod)9] },
        { nameof(Options.Reshaping), [FeatureReshaping.IrregularFeatures], [(FeatureReshaping)9] },
        { nameof(Options.FeatureScale), [FlowFeatureScale.DeviationAndRange], [(FlowFeatureScale)9] },
        { nameof(Options.Dequantization), [Dequantization.Integers], [(Dequantization)9] },
        { nameof(Options.Imputation), [FeatureImputation.Median], [(FeatureImputation)9] },
        { nameof(Options.Normalization), [FeatureNormalization.PerSlot], [FeatureNormalization.None, FeatureNormalization.Global] },
        { nameof(Options.ConditionColumnName), [null, "C"], ["", " ", "Features"] },
    };

    [Theory]
    [MemberData(nameof(Bounds), DisableDiscoveryEnumeration = true)]
    public void The_last_good_value_is_taken_and_the_first_bad_one_is_named(string option, object?[] good, object?[] bad) =>
        OptionBounds.Check<Options>(option, good, bad, $"{option} is *must be*");

    [Fact]
    public void A_flow_that_no_file_holds_is_refused_with_its_weights_and_a_trainer_keeps_its_options()
    {
        var mlContext = new MLContext(1);
        var options = new Options { HiddenLayers = [100_000, 100_000], EnsembleSize = 2, NumberOfEpochs = 1 };
        // 2 n + n, n n + n, 2 n + 2, twice.
        FluentActions.Invoking(() => mlContext.Transforms.ContinuousFlowDensity(options).Fit(StillFlowTests.Data([1, 2], [2, 1], [0, 5])))
            .Should().Throw<InvalidOperationException>().WithMessage(
                "Flows of 20001200004 weights are larger than a model file can be, which holds *. "
                + "Make HiddenLayers, Blocks or EnsembleSize smaller, or the number of features (2).");
        var copy = (Options)options.Clone();
        copy.HiddenLayers[0] = 1;
        options.HiddenLayers[0].Should().Be(100_000);
    }

    /// <summary>Columns of data beside a flow of two features and, where it has one, a condition of three numbers.</summary>
    [Theory]
    [InlineData("Pair", null, null)]
    [InlineData("Pair", "Features", null)]
    [InlineData("Features", null, "*feature column 'Features': expected Vector<Single, 2>, got Vector<Single, 3>*")]
    [InlineData("Pair", "Single", "*condition column 'Single': expected 3 numbers of Single, got Single*")]
    [InlineData("Pair", "Text", "*condition column 'Text': expected Single, or a vector of Single of known size, got *")]
    [InlineData("No", null, "*find feature column 'No'*")]
    public void Columns_must_have_the_numbers_that_the_flow_was_trained_with(string features, string? condition, string? message)
    {
        var mlContext = new MLContext(1);
        IDataView rows = mlContext.Data.LoadFromEnumerable(EveryType.Rows(2, 1));
        IDataView data = mlContext.Transforms.DropColumns("Pair").Append(mlContext.Transforms.Concatenate("Pair", "Single", "Single"))
            .Fit(rows).Transform(rows);
        var columns = new FlowColumns(features, [2], condition);
        if (message is null)
        {
            (DataViewSchema.Column found, DataViewSchema.Column? beside) = columns.Find(mlContext, data.Schema, 3);
            (found.Name, beside?.Name).Should().Be((features, condition));
            columns.TableColumns.Select(column => column.Name).Should().Equal("Pair.0", "Pair.1");
            new FlowColumns("F", [2, 3, 4], null).FeatureCount.Should().Be(24);
        }
        else
            FluentActions.Invoking(() => columns.Find(mlContext, data.Schema, 3)).Should().Throw<ArgumentOutOfRangeException>()
                .WithMessage(message);
    }
}
