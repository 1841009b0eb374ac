using System.Collections.Immutable;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Tests.Density;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Prediction;

/// <summary>What users ask of a trained model beside its scores: importance of features, weights, columns.</summary>
public class ModelInspectionTests
{
    private readonly MLContext _mlContext = new(1);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Permutation_importance_finds_the_features_that_matter_in_chains_and_loaded_models(bool isLoaded)
    {
        IDataView data = Columns(400);
        var pipeline = _mlContext.Transforms.Concatenate("Features", "X", "Noise", "Y")
            .Append(_mlContext.Regression.Trainers.NeuralOde(
                new NeuralOdeRegressionTrainer.Options { LabelColumnName = "Target", NumberOfEpochs = 8 }));
        using TransformerChain<NeuralOdeRegressionTransformer> fitted = pipeline.Fit(data);
        ITransformer model = isLoaded ? Reloaded(fitted, data.Schema) : fitted;

        ImmutableDictionary<string, RegressionMetricsStatistics> importance =
            _mlContext.Regression.PermutationFeatureImportance(
                model, model.Transform(data), labelColumnName: "Target", permutationCount: 2);

        double Loss(string name) => importance[name].RootMeanSquaredError.Mean;
        importance.Keys.Should().BeEquivalentTo("X", "Noise", "Y");
        Loss("X").Should().BeGreaterThan(4 * Math.Abs(Loss("Noise")));
        Loss("Y").Should().BeGreaterThan(4 * Math.Abs(Loss("Noise")));
    }

    [Fact]
    public void Permutation_importance_takes_classifiers_of_two_and_of_many_classes()
    {
        IDataView data = Columns(200);
        var features = _mlContext.Transforms.Concatenate("Features", "X", "Noise", "Y");
        var binary = features.Append(_mlContext.BinaryClassification.Trainers.NeuralOde(numberOfEpochs: 2));
        using TransformerChain<NeuralOdeBinaryClassificationTransformer> two = binary.Fit(data);
        _mlContext.BinaryClassification.PermutationFeatureImportanceNonCalibrated(two, two.Transform(data)).Keys.Should()
            .BeEquivalentTo("X", "Noise", "Y");

        var classes = features.Append(_mlContext.Transforms.Conversion.MapValueToKey("Key", "Label"))
            .Append(_mlContext.MulticlassClassification.Trainers.NeuralOde(labelColumnName: "Key", numberOfEpochs: 2));
        using TransformerChain<NeuralOdeClassificationTransformer> many = classes.Fit(data);
        _mlContext.MulticlassClassification.PermutationFeatureImportance(many, many.Transform(data), labelColumnName: "Key")
            .Keys.Should().BeEquivalentTo("X", "Noise", "Y");
    }

    [Theory]
    [InlineData(DynamicsForm.FirstOrder, 0, "chen2018,tsitouras2011")]
    [InlineData(DynamicsForm.FirstOrder, 2, "chen2018,tsitouras2011,dupont2019")]
    [InlineData(DynamicsForm.HeavyBall, 0, "chen2018,tsitouras2011,xia2021")]
    public void A_model_cites_what_it_is_made_of_also_when_it_comes_from_a_file(DynamicsForm form, int augmented, string keys)
    {
        IDataView data = TabularData.View(_mlContext, TabularData.Circle(60));
        using NeuralOdeRegressionTransformer model = _mlContext.Regression.Trainers.NeuralOde(new NeuralOdeRegressionTrainer.Options
        {
            LabelColumnName = "Target",
            NumberOfEpochs = 1,
            EncoderLayers = [4],
            DynamicsForm = form,
            AugmentedDimensions = augmented,
            Solver = OdeMethod.Tsit5,
        }).Fit(data);
        var loaded = (NeuralOdeRegressionTransformer)Reloaded(model, data.Schema);
        foreach (NeuralOdeModel one in new[] { model.Model, loaded.Model })
            string.Join(',', one.Citations.Select(citation => citation.Key)).Should().Be(keys);
        loaded.Dispose();
    }

    [Fact]
    public void Weights_have_names_and_shapes_and_the_module_computes_what_the_model_scores()
    {
        IDataView data = TabularData.View(_mlContext, TabularData.Circle(120));
        using NeuralOdeRegressionTransformer model = _mlContext.Regression.Trainers.NeuralOde(new NeuralOdeRegressionTrainer.Options
        {
            LabelColumnName = "Target",
            NumberOfEpochs = 1,
            EncoderLayers = [5],
            DynamicsLayers = [7],
            Solver = OdeMethod.Rk4,
            ProductionStepSize = 0.25,
        }).Fit(data);

        IReadOnlyDictionary<string, ModelWeights> weights = model.Model.Weights;
        weights["encoder0.weight"].Shape.Should().Equal(5, 2);
        weights["head.weight"].Shape.Should().Equal(1, 5);
        weights.Where(pair => pair.Key.EndsWith("weight", StringComparison.Ordinal) || pair.Key.Contains("bias", StringComparison.Ordinal))
            .Sum(pair => pair.Value.Values.Count).Should().BeLessThanOrEqualTo((int)model.Model.ParameterCount);
        foreach ((string name, ModelWeights array) in weights)
        {
            array.Name.Should().Be(name);
            array.Values.Should().HaveCount((int)array.Shape.Aggregate(1L, (product, size) => product * size));
        }

        using var module = model.Model.CreateModule();
        float[][] rows = [.. data.GetColumn<float[]>("Features")];
        using var input = TorchSharp.torch.tensor(rows.SelectMany(row => row).ToArray(), [rows.Length, 2]);
        using var output = module.call(input);
        output.data<float>().ToArray()
            .Zip(model.Transform(data).GetColumn<float>("Score")).Should().OnlyContain(pair => Math.Abs(pair.First - pair.Second) < 1e-4f);

        // The module is a copy: what is done to it does not reach the model.
        float[] before = [.. model.Transform(data).GetColumn<float>("Score")];
        using (TorchSharp.torch.no_grad())
            foreach (TorchSharp.Modules.Parameter parameter in module.parameters())
                parameter.zero_();
        model.Transform(data).GetColumn<float>("Score").Should().Equal(before);
    }

    [Fact]
    public void The_module_of_a_conditional_density_takes_features_and_conditions_side_by_side()
    {
        IDataView data = _mlContext.Data.LoadFromEnumerable(DensityRows.Conditional(100));
        using ContinuousFlowDensityTransformer model = _mlContext.Transforms.ContinuousFlowDensity(
            new ContinuousFlowDensityEstimator.Options { ConditionColumnName = "Condition", NumberOfEpochs = 1 }).Fit(data);
        float[] features = [.. data.GetColumn<float[]>("Features").SelectMany(row => row)],
            conditions = [.. data.GetColumn<float>("Condition")];

        using var module = model.Model.CreateModule();
        using var x = TorchSharp.torch.tensor(features, [conditions.Length, features.Length / conditions.Length]);
        using var c = TorchSharp.torch.tensor(conditions, [conditions.Length, 1]);
        using var input = TorchSharp.torch.cat([x, c], 1);
        using var noGrad = TorchSharp.torch.no_grad();
        using var output = module.call(input);

        output.data<float>().ToArray()
            .Zip(model.Model.LogDensity(features, conditions)).Should().OnlyContain(pair => Math.Abs(pair.First - pair.Second) < 1e-3f);
        model.Model.Weights.Should().NotBeEmpty();
    }

    [Fact]
    public void Trainers_tell_the_columns_that_they_read()
    {
        var binary = _mlContext.BinaryClassification.Trainers.NeuralOde(
            new NeuralOdeBinaryClassificationTrainer.Options
            {
                FeatureColumnName = "F",
                LabelColumnName = "L",
                ExampleWeightColumnName = "W"
            });
        (binary.FeatureColumn.Name, binary.LabelColumn.Name, binary.WeightColumn!.Value.Name).Should().Be(("F", "L", "W"));
        binary.FeatureColumn.Kind.Should().Be(SchemaShape.Column.VectorKind.Vector);
        binary.LabelColumn.ItemType.Should().Be(BooleanDataViewType.Instance);
        binary.WeightColumn!.Value.ItemType.Should().Be(NumberDataViewType.Single);

        var classes = _mlContext.MulticlassClassification.Trainers.NeuralOde();
        (classes.FeatureColumn.Name, classes.LabelColumn.Name, classes.LabelColumn.IsKey, classes.WeightColumn).Should()
            .Be(("Features", "Label", true, null));
        var regression = _mlContext.Regression.Trainers.NeuralOde();
        regression.LabelColumn.ItemType.Should().Be(NumberDataViewType.Single);
        _mlContext.AnomalyDetection.Trainers.ContinuousFlow().FeatureColumn.Name.Should().Be("Features");
        _mlContext.Transforms.ContinuousFlowDensity(
            new ContinuousFlowDensityEstimator.Options { ExampleWeightColumnName = "W" }).WeightColumn!.Value.Name.Should().Be("W");
    }

    private ITransformer Reloaded(ITransformer model, DataViewSchema schema)
    {
        using var stream = new MemoryStream();
        _mlContext.Model.Save(model, schema, stream);
        stream.Position = 0;
        return new MLContext(1).Model.Load(stream, out _);
    }

    private IDataView Columns(int count)
    {
        var random = new Random(2);
        return _mlContext.Data.LoadFromEnumerable(Enumerable.Range(0, count).Select(_ =>
        {
            float x = random.NextSingle() * 4 - 2, y = random.NextSingle() * 4 - 2;
            return new NamedRow { X = x, Noise = random.NextSingle(), Y = y, Target = 2 * x - y, Label = x > y };
        }).ToList());
    }

    private sealed class NamedRow
    {
        public float X { get; set; }

        public float Noise { get; set; }

        public float Y { get; set; }

        public float Target { get; set; }

        public bool Label { get; set; }
    }
}
