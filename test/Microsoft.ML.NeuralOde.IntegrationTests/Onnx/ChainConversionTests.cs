using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Onnx;

/// <summary>
/// ML.NET's own ConvertToOnnx of chains with steps of this library: the same scores through ApplyOnnxModel, or an exception that says what
/// stands in the way.
/// </summary>
public sealed class ChainConversionTests : IDisposable
{
    private const float Tolerance = 1e-5f;

    private readonly string _folder = Directory.CreateTempSubdirectory("neural-ode-chain-").FullName;
    private readonly MLContext _mlContext = new(1);
    private readonly List<Row> _rows = Row.Draw(90);

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("euler", 0.25, FeatureNormalization.None)]
    [InlineData("rk4", 0.05, FeatureNormalization.PerSlot)]
    [InlineData("dopri5", 0.1, FeatureNormalization.Global)]
    public void A_whole_chain_of_a_classifier_scores_the_same(string solver, double stepSize, FeatureNormalization normalization)
    {
        var chain = _mlContext.Transforms.NormalizeMeanVariance("Features")
            .Append(_mlContext.Transforms.Conversion.MapValueToKey("Label", "Species"))
            .Append(_mlContext.MulticlassClassification.Trainers.NeuralOde(new NeuralOdeClassificationTrainer.Options
            {
                NumberOfEpochs = 15,
                BatchSize = 16,
                LearningRate = 0.03,
                EncoderLayers = [7, 5],
                DynamicsLayers = [6],
                Solver = OdeMethod.Parse(solver),
                StepSize = stepSize,
                Normalization = normalization,
            }))
            .Append(_mlContext.Transforms.Conversion.MapKeyToValue("PredictedLabel"));

        (IDataView expected, IDataView found) = Convert(chain.Fit(View()), View());

        Same<VBuffer<float>>(expected, found, "Score");
        Text(found, "PredictedLabel").Should().Equal(Text(expected, "PredictedLabel"));
        Text(expected, "PredictedLabel").Distinct().Count().Should().BeGreaterThan(1, "one class alone would prove little");
    }

    [Fact]
    public void Binary_models_and_regressions_score_the_same_together_in_one_chain()
    {
        var chain = _mlContext.Transforms.NormalizeMinMax("Features")
            .Append(_mlContext.BinaryClassification.Trainers.NeuralOde(new NeuralOdeBinaryClassificationTrainer.Options
            {
                NumberOfEpochs = 2,
                EncoderLayers = [4],
                DynamicsLayers = [5],
                Solver = OdeMethod.Rk4,
                StepSize = 0.5,
                LabelColumnName = nameof(Row.IsLarge),
            }))
            .Append(_mlContext.Regression.Trainers.NeuralOde(new NeuralOdeRegressionTrainer.Options
            {
                NumberOfEpochs = 2,
                EncoderLayers = [4],
                DynamicsLayers = [5],
                Solver = OdeMethod.Midpoint,
                StepSize = 0.5,
                LabelColumnName = nameof(Row.Sizes),
                ScoreColumnName = "mean",
            }));

        (IDataView expected, IDataView found) = Convert(chain.Fit(View()), View());

        Same<float>(expected, found, "Score");
        Same<float>(expected, found, "Probability");
        Same<VBuffer<float>>(expected, found, "mean", scale: 100);
        Column<bool>(found, "PredictedLabel").Should().Equal(Column<bool>(expected, "PredictedLabel"));
    }

    [Fact]
    public void A_model_of_wide_features_without_their_zeros_scores_the_same()
    {
        IDataView data = _mlContext.Data.LoadFromEnumerable(WideRow.Draw(60));
        NeuralOdeBinaryClassificationTransformer model = _mlContext.BinaryClassification.Trainers.NeuralOde(
            new NeuralOdeBinaryClassificationTrainer.Options
            {
                NumberOfEpochs = 3,
                BatchSize = 16,
                EncoderLayers = [6],
                DynamicsLayers = [5],
                Solver = OdeMethod.Rk4,
                StepSize = 0.25,
                Normalization = FeatureNormalization.PerSlot,
            }).Fit(data);

        (IDataView expected, IDataView found) = Convert(model, data);

        Same<float>(expected, found, "Score");
        Same<float>(expected, found, "Probability");
    }

    [Fact]
    public void Images_and_rows_with_missing_values_score_the_same()
    {
        SchemaDefinition schema = SchemaDefinition.Create(typeof(Row));
        schema[nameof(Row.Features)].ColumnType = new VectorDataViewType(NumberDataViewType.Single, 2, 2);
        IDataView images = _mlContext.Data.LoadFromEnumerable(_rows, schema);
        NeuralOdeClassificationTrainer.Options options =
            new() { NumberOfEpochs = 1, EncoderLayers = [4], DynamicsLayers = [4], Solver = OdeMethod.Rk4, StepSize = 0.25 };
        ITransformer model = _mlContext.Transforms.Conversion.MapValueToKey("Label", "Species")
            .Append(_mlContext.MulticlassClassification.Trainers.NeuralOde(options)).Fit(images);
        List<Row> more = [.. _rows.Take(5), new Row { Features = [1, float.NaN, 2, 3], Species = "setosa" }];

        (IDataView expected, IDataView found) = Convert(model, _mlContext.Data.LoadFromEnumerable(more, schema));

        Same<VBuffer<float>>(expected, found, "Score");
        Column<uint>(found, "PredictedLabel").Should().Equal(Column<uint>(expected, "PredictedLabel"));
        Column<uint>(expected, "PredictedLabel")[^1].Should().Be(0, "a row without a score has no label");
    }

    [Theory]
    [InlineData(1, false)]
    [InlineData(2, true)]
    public void Densities_score_the_same(int blocks, bool latent)
    {
        var chain = _mlContext.Transforms.NormalizeMinMax("Features")
            .Append(_mlContext.Transforms.ContinuousFlowDensity(new ContinuousFlowDensityEstimator.Options
            {
                NumberOfEpochs = 2,
                BatchesPerEpoch = 4,
                BatchSize = 64,
                HiddenLayers = [8],
                Method = FlowTrainingMethod.MaximumLikelihood,
                Blocks = blocks,
                StepSize = 0.25,
                LogDensityColumnName = "LogDensity",
                BitsPerDimensionColumnName = "Bits",
                LatentColumnName = latent ? "Z" : null,
            }));
        ITransformer model = chain.Fit(View());
        List<Row> more =
            [.. _rows.Take(20), new Row { Features = [1, float.NaN, 2, 3] }, new Row { Features = [1, 2, float.PositiveInfinity, 3] }];

        (IDataView expected, IDataView found) = Convert(model, _mlContext.Data.LoadFromEnumerable(more));

        Same<float>(expected, found, "LogDensity", scale: 10);
        Same<float>(expected, found, "Bits", scale: 10);
        if (latent)
            Same<VBuffer<float>>(expected, found, "Z", scale: 10);
    }

    [Theory]
    [InlineData(FlowAnomalyScore.DensityOrLatent, 2)]
    [InlineData(FlowAnomalyScore.Density, 1)]
    public void Anomaly_detectors_score_the_same(FlowAnomalyScore kind, int flows)
    {
        ITransformer model = _mlContext.AnomalyDetection.Trainers.ContinuousFlow(new ContinuousFlowAnomalyTrainer.Options
        {
            NumberOfEpochs = 2,
            BatchesPerEpoch = 4,
            BatchSize = 64,
            HiddenLayers = [8],
            StepSize = 0.25,
            EnsembleSize = flows,
            Reshaping = FeatureReshaping.None,
            Score = kind,
            Contamination = 0.2,
        }).Fit(View());
        List<Row> more = [.. _rows.Take(40), new Row { Features = [float.NaN, 0, 2, 3] }];

        (IDataView expected, IDataView found) = Convert(model, _mlContext.Data.LoadFromEnumerable(more));

        Same<float>(expected, found, "Score", scale: 10);
        Column<bool>(found, "PredictedLabel").Should().Equal(Column<bool>(expected, "PredictedLabel"));
        Column<bool>(expected, "PredictedLabel").Should().Contain([true, false]);
    }

    [Fact]
    public void What_cannot_be_written_is_named_and_nothing_is_written()
    {
        Refusal(Regression(o => o.StepSize = null))
            .Should().Match("*NeuralOdeRegressionTransformer*'dopri5' chooses its steps by their error*StepSize*");
        Refusal(Regression(o => o.Solver = OdeMethod.ImplicitMidpoint))
            .Should().Match("*NeuralOdeRegressionTransformer*'implicit_midpoint'*explicit*");
        Refusal(Regression(o => o.StepSize = 0.001)).Should().Match("*NeuralOdeRegressionTransformer*1000 steps*at most 64*StepSize*");
        Refusal(_mlContext.Transforms.ContinuousFlowDensity(
            new ContinuousFlowDensityEstimator.Options
            {
                NumberOfEpochs = 1,
                BatchesPerEpoch = 2,
                HiddenLayers = [4],
                ConditionColumnName = nameof(Row.Size)
            }))
            .Should().Match("*ContinuousFlowDensityTransformer*1 conditions*");
        Refusal(_mlContext.AnomalyDetection.Trainers.ContinuousFlow(
            new ContinuousFlowAnomalyTrainer.Options
            {
                NumberOfEpochs = 1,
                BatchesPerEpoch = 2,
                HiddenLayers = [4],
                FeatureColumnName = nameof(Row.Odd)
            }))
            .Should().Match("*ContinuousFlowAnomalyTransformer*reshaped*FeatureReshaping.None*");
        Refusal(_mlContext.Transforms.ContinuousFlowDensity(
            new ContinuousFlowDensityEstimator.Options
            {
                NumberOfEpochs = 1,
                BatchesPerEpoch = 2,
                HiddenLayers = [4],
                Imputation = FeatureImputation.Median
            }))
            .Should().Match("*ContinuousFlowDensityTransformer*replaces missing features*FeatureImputation.None*");
    }

    [Fact]
    public void A_step_that_would_be_left_out_before_ours_is_named()
    {
        IEstimator<ITransformer> custom = _mlContext.Transforms.CustomMapping<Row, Row>(
            (from, to) => { to.Features = [.. from.Features.Select(x => 2 * x)]; }, contractName: null);
        NeuralOdeRegressionTrainer trainer = Regression(o => { });
        Refusal(custom.Append(trainer)).Should().Match("*'Features'*cannot be written as ONNX*");
        Refusal(_mlContext.Transforms.CopyColumns("Raw", "Features")
            .Append(custom).Append(_mlContext.Transforms.NormalizeMinMax("Features")).Append(trainer))
            .Should().Match("*'Features'*cannot be written as ONNX*");

        // Rows that are chosen do no harm.
        (IDataView expected, IDataView found) =
            Convert(trainer.Fit(View()), _mlContext.Data.FilterRowsByColumn(View(), nameof(Row.Size), upperBound: 1e6));
        Same<float>(expected, found, "Score", scale: 100);
    }

    [Fact]
    public void A_model_that_was_disposed_of_is_named()
    {
        ITransformer model = Regression(o => { }).Fit(View());
        ((IDisposable)model).Dispose();
        Action convert = () => _mlContext.Model.ConvertToOnnx(model, View(), Stream.Null);
        convert.Should().Throw<ObjectDisposedException>();
    }

    private NeuralOdeRegressionTrainer Regression(Action<NeuralOdeRegressionTrainer.Options> change)
    {
        var options = new NeuralOdeRegressionTrainer.Options
        {
            NumberOfEpochs = 1,
            EncoderLayers = [3],
            DynamicsLayers = [3],
            StepSize = 0.5,
            LabelColumnName = nameof(Row.Size)
        };
        change(options);
        return _mlContext.Regression.Trainers.NeuralOde(options);
    }

    private string Refusal(IEstimator<ITransformer> estimator)
    {
        ITransformer model = estimator.Fit(View());
        using var stream = new MemoryStream();
        Action convert = () => _mlContext.Model.ConvertToOnnx(model, View(), stream);
        string message = convert.Should().Throw<NotSupportedException>().Which.Message;
        stream.Length.Should().Be(0);
        return message;
    }

    /// <summary>The same data scored by a model, and by what ML.NET's conversion makes of it.</summary>
    private (IDataView Expected, IDataView Found) Convert(ITransformer model, IDataView data)
    {
        string file = Path.Combine(_folder, $"{Guid.NewGuid():N}.onnx");
        using (FileStream stream = File.Create(file))
            _mlContext.Model.ConvertToOnnx(model, data, stream);
        return (model.Transform(data), _mlContext.Transforms.ApplyOnnxModel(file).Fit(data).Transform(data));
    }

    private static void Same<T>(IDataView expected, IDataView found, string column, float scale = 1)
    {
        float[][] right = Numbers(expected.Schema[column].Type is VectorDataViewType, expected, column);
        float[][] ours = Numbers(found.Schema[column].Type is VectorDataViewType, found, column);
        ours.Length.Should().Be(right.Length);
        for (int row = 0; row < right.Length; row++)
        {
            ours[row].Length.Should().Be(right[row].Length);
            for (int slot = 0; slot < right[row].Length; slot++)
                if (float.IsNaN(right[row][slot]))
                    ours[row][slot].Should().Be(float.NaN);
                else
                    ours[row][slot].Should().BeApproximately(right[row][slot], Tolerance * scale);
        }
    }

    // ApplyOnnxModel gives a single number as a vector of one.
    private static float[][] Numbers(bool isVector, IDataView view, string column) =>
        isVector ? [.. view.GetColumn<float[]>(column)] : [.. view.GetColumn<float>(column).Select(value => new[] { value })];

    private static T[] Column<T>(IDataView view, string column) =>
        view.Schema[column].Type is VectorDataViewType
        ? [.. view.GetColumn<T[]>(column).Select(values => values.Single())] : [.. view.GetColumn<T>(column)];

    private static string[] Text(IDataView view, string column) => view.Schema[column].Type is VectorDataViewType
        ? [.. view.GetColumn<ReadOnlyMemory<char>[]>(column).Select(values => values.Single().ToString())]
        : [.. view.GetColumn<ReadOnlyMemory<char>>(column).Select(value => value.ToString())];

    private IDataView View() => _mlContext.Data.LoadFromEnumerable(_rows);

    private sealed class WideRow
    {
        [VectorType(2048)]
        public float[] Features { get; set; } = [];

        public bool Label { get; set; }

        public static List<WideRow> Draw(int count)
        {
            var random = new Random(4);
            return [.. Enumerable.Range(0, count).Select(i =>
            {
                var row = new WideRow { Features = new float[2048], Label = i % 2 == 0 };
                for (int k = 0; k < 8; k++)
                    row.Features[random.Next(1024) * 2 + i % 2] = 1 + k;
                return row;
            })];
        }
    }

    private sealed class Row
    {
        [VectorType(4)]
        public float[] Features { get; set; } = [0, 0, 0, 0];

        /// <summary>One value half of the time, and a long tail.</summary>
        [VectorType(2)]
        public float[] Odd { get; set; } = [0, 0];

        public string Species { get; set; } = "";

        public bool IsLarge { get; set; }

        public float Size { get; set; }

        [VectorType(2)]
        public float[] Sizes { get; set; } = [0, 0];

        public static List<Row> Draw(int count)
        {
            var random = new Random(3);
            string[] species = ["setosa", "versicolor", "virginica"];
            return [.. Enumerable.Range(0, count).Select(i =>
            {
                float[] features = [.. Enumerable.Range(0, 4).Select(j => (float)(i % 3 + j + random.NextDouble()))];
                return new Row
                {
                    Features = features,
                    Odd = [i % 2 == 0 ? 0 : random.NextSingle(), MathF.Exp(6 * random.NextSingle())],
                    Species = species[i % 3],
                    IsLarge = i % 3 == 2,
                    Size = features.Sum(),
                    Sizes = [features[0], features.Sum()],
                };
            })];
        }
    }
}
