using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Networks;
using Microsoft.ML.NeuralOde.Persistence;
using Microsoft.ML.NeuralOde.Prediction;

namespace Microsoft.ML.NeuralOde.Tests.Prediction;

/// <summary>What is found out about descriptions that make no sense, whatever checksum their file has.</summary>
public class ModelDescriptionTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(0, 1)]
    [InlineData(2)]
    [InlineData(-1, -1)]
    // Of a negative size beside others.
    [InlineData(-1, -1, 1)]
    public void Dimensions_are_positive_and_make_up_the_features(params int[] dimensions) =>
        Described(1, dimensions).FindDefect(OutputKind.Values).Should().Be(
            dimensions is [1] ? null : $"its 1 features have dimensions [{string.Join(", ", dimensions)}]");

    [Fact]
    public void Features_without_dimensions_are_none_and_those_of_an_image_have_three()
    {
        Described(1).FindDefect(OutputKind.Values).Should().Be("its 1 features have dimensions []");
        Described(12, 3, 2, 2).FindDefect(OutputKind.Values).Should().BeNull();
    }

    /// <summary>Columns of a kind of model with so many outputs, and what is wrong with them.</summary>
    [Theory]
    [InlineData("Values", 1, "S", null, null, false, 0, null)]
    [InlineData("Values", 3, "S", null, null, true, 0, null)]
    [InlineData("Values", 1, "S", null, null, true, 0, null)]
    [InlineData("Values", 3, "S", null, null, false, 0, "it has 3 outputs")]
    [InlineData("Odds", 1, "S", "L", "P", false, -2.5f, null)]
    [InlineData("Odds", 2, "S", "L", "P", true, 0, "it has 2 outputs")]
    [InlineData("Odds", 1, "S", "L", "P", false, float.NaN, "its threshold is NaN")]
    [InlineData("Odds", 1, "S", "L", " ", false, 0, "the name of a column is missing")]
    [InlineData("Odds", 1, "S", null, "P", false, 0, "the name of a column is missing")]
    [InlineData("Odds", 1, "", "L", "P", false, 0, "the name of a column is missing")]
    [InlineData("Classes", 2, "S", "", null, false, 0, "the name of a column is missing")]
    [InlineData("Classes", 2, " ", "L", null, false, 0, "the name of a column is missing")]
    [InlineData("Values", 1, null, null, null, false, 0, "the name of a column is missing")]
    [InlineData("Classes", 2, "S", "L", null, false, 0, "its classes are missing")]
    public void Columns_of_predictions_have_names_and_suit_the_outputs(
        string kind, int outputs, string? score, string? label, string? probability, bool isVector, float threshold, string? defect)
    {
        var columns = new OutputColumns(score!, label, probability, isVector, threshold);
        columns.FindDefect(Enum.Parse<OutputKind>(kind), outputs, null, []).Should().Be(defect);
        if (defect is null)
            columns.FindDefect(Enum.Parse<OutputKind>(kind), outputs, null, [new NeuralOdeEpochReport(), null!]).Should()
                .Be("a report of its training is missing");
    }

    /// <summary>Values of two classes, and what is wrong with them.</summary>
    public static TheoryData<object, string?> Values => new()
    {
        { new ClassValues(null, null, null), null },
        { new ClassValues(["a", "b"], null, null), null },
        { new ClassValues(["a"], null, null), "it has 1 names for 2 classes" },
        { new ClassValues(["a", null!], null, null), "it has 2 names for 2 classes" },
        { new ClassValues(null, [1, 2.5], "Single"), null },
        { new ClassValues(null, [1, 2], "Int32"), null },
        { new ClassValues(null, [1, 2.5], "Int32"), "its classes are no values of type Int32" },
        { new ClassValues(null, [1, 2], "Int64"), "its classes are no values of type Int64" },
        { new ClassValues(null, [1, 2], null), "the values of its classes do not suit each other" },
        { new ClassValues(null, null, "Single"), "the values of its classes do not suit each other" },
        { new ClassValues(null, [1], "Single"), "the values of its classes do not suit each other" },
        { new ClassValues(["a", "b"], [1, 2], "Single"), "the values of its classes do not suit each other" },
        { new ClassValues(null, null, null, ["true", "false"], "Boolean"), null },
        { new ClassValues(null, null, null, ["true", "maybe"], "Boolean"), "its classes are no values of type Boolean" },
        { new ClassValues(null, null, null, ["1", "2"], null), "the values of its classes do not suit each other" },
        { new ClassValues(null, null, null, null, "Boolean"), "the values of its classes do not suit each other" },
        { new ClassValues(null, null, null, ["1"], "Int64"), "the values of its classes do not suit each other" },
        { new ClassValues(null, null, null, ["1", null!], "Int64"), "the values of its classes do not suit each other" },
        { new ClassValues(["a", "b"], null, null, ["1", "2"], "Int64"), "the values of its classes do not suit each other" },
        { new ClassValues(null, [1, 2], "Single", ["1", "2"], "Int64"), "the values of its classes do not suit each other" },
    };

    [Theory]
    [MemberData(nameof(Values), DisableDiscoveryEnumeration = true)]
    public void Values_of_classes_are_as_many_as_the_classes_and_of_their_type(object values, string? defect)
    {
        ((ClassValues)values).FindDefect(2).Should().Be(defect);
        var columns = new OutputColumns("S", "L");
        columns.FindDefect(OutputKind.Classes, 2, (ClassValues)values, []).Should().Be(defect);
    }

    /// <summary>Values of classes as a file holds them: texts, numbers that it holds exactly, and all others by their texts.</summary>
    [Fact]
    public void Values_of_classes_go_into_a_file_and_back()
    {
        ClassValues.Of(new LabelKeys(2)).Should().Be(new ClassValues(null, null, null));
        foreach ((DataViewType type, string[] texts, string place) in new (DataViewType, string[], string)[]
        {
            (TextDataViewType.Instance, ["a", "b"], "text"), (NumberDataViewType.Single, ["0.1", "3"], "numbers"),
            (NumberDataViewType.Int32, ["-7", "3"], "numbers"), (NumberDataViewType.Double, ["0.1", "Infinity"], "values"),
            (NumberDataViewType.Int64, ["9007199254740993", "1"], "values"), (BooleanDataViewType.Instance, ["true", "false"], "values"),
        })
        {
            ClassValues values = ClassValues.Of(new LabelKeys(2, ClassValueType.Of(type), texts));
            (values.Text is not null, values.Numbers is not null, values.Values is not null).Should()
                .Be((place == "text", place == "numbers", place == "values"));
            values.FindDefect(2).Should().BeNull();
            LabelKeys keys = values.ToKeys(2);
            keys.Values.Should().Equal(texts);
            (keys.Count, keys.ValueType!.DataType).Should().Be((2, (PrimitiveDataViewType)type));
        }
    }

    /// <summary>A file whose arrays are not those of its description is damaged, and what people read of a model says what it is.</summary>
    [Fact]
    public void A_payload_holds_what_its_description_declares()
    {
        ModelDescription description = Described(1, 1) with { Options = new Dictionary<string, string> { ["BatchSize"] = "7" } };
        using var model = new NeuralOdeModel(new EncodedNetwork((DenseDescription)description.Network), OutputKind.Values);
        NamedArray[] arrays = [.. model.Network.ToArrays()];
        byte[] payload = new Payload<ModelDescription>(description, arrays).ToBytes();
        var catalog = DynamicsCatalog.Of(new MLContext(1));
        (NeuralOdeModel read, ModelDescription found) = NeuralOdeTransformer.Read(payload, OutputKind.Values, catalog);
        (read.ParameterCount, found.FeatureColumn).Should().Be((model.ParameterCount, "Features"));
        read.Dispose();
        foreach (NamedArray[] wrong in new[] { arrays[1..], [arrays[0] with { Name = "other" }, .. arrays[1..]] })
            FluentActions.Invoking(() => NeuralOdeTransformer.Read(
                new Payload<ModelDescription>(description, wrong).ToBytes(), OutputKind.Values, catalog)).Should()
                .Throw<InvalidDataException>().WithMessage("*damaged*");
        foreach ((OutputKind kind, string name) in new[]
        {
            (OutputKind.Values, "regression"), (OutputKind.Odds, "binary classification"),
            (OutputKind.Classes, "multiclass classification"),
        })
        {
            using var other = new NeuralOdeModel(new EncodedNetwork((DenseDescription)description.Network), kind);
            string text = description.ToMetadata(other, payload).Text;
            text.Should().Contain(name).And.Contain("Vector<Single, 1>").And.Contain("BatchSize");
        }
    }

    private static ModelDescription Described(int features, params int[] dimensions) => new(
        new DenseDescription(features, 1, [4], [4], 1, "dopri5", 1e-3, 1e-3, null), "Features", dimensions, new OutputColumns("Score"),
        null, []);
}
