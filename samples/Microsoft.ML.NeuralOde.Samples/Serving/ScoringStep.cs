using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Samples.Data;

namespace Microsoft.ML.NeuralOde.Samples.Serving;

/// <summary>The step of a pipeline that scores: a model of this library that takes one vector.</summary>
internal sealed class ScoringStep
{
    private readonly MLContext _mlContext;
    private readonly ITransformer _transformer;
    private readonly SchemaDefinition _input;
    private readonly SchemaDefinition _output;

    private ScoringStep(MLContext mlContext, ITransformer transformer, string column, DataViewType type)
    {
        _mlContext = mlContext;
        _transformer = transformer;
        FeatureColumn = column;
        FeatureCount = ((VectorDataViewType)type).Size;
        _input = SchemaDefinition.Create(typeof(VectorRow));
        _input[nameof(VectorRow.Features)].ColumnName = column;
        _input[nameof(VectorRow.Features)].ColumnType = new VectorDataViewType(NumberDataViewType.Single, FeatureCount);

        // The first column of numbers that the step adds; the other property of a scored row stays out of it.
        DataViewSchema.Column added = transformer.GetOutputSchema(View([]).Schema).Last(
            output => output.Name != column && ItemType(output.Type) == NumberDataViewType.Single && output.Name is not "Probability");
        bool isVector = added.Type is VectorDataViewType;
        _output = SchemaDefinition.Create(typeof(ScoredRow));
        _output.Remove(_output[isVector ? nameof(ScoredRow.Number) : nameof(ScoredRow.Vector)]);
        _output[isVector ? nameof(ScoredRow.Vector) : nameof(ScoredRow.Number)].ColumnName = added.Name;
    }

    public string FeatureColumn { get; }

    public int FeatureCount { get; }

    /// <summary>
    /// The last step of this library in a model; null where there is none, or where it takes a condition beside the features.
    /// </summary>
    public static ScoringStep? Find(MLContext mlContext, ITransformer model) => Steps(model).Reverse().Select(step => step switch
    {
        NeuralOdeTransformer network => new ScoringStep(mlContext, network, network.FeatureColumnName, network.FeatureColumnType),
        ContinuousFlowTransformer { ConditionColumnName: null } flow =>
        new ScoringStep(mlContext, flow, flow.FeatureColumnName, flow.FeatureColumnType),
        _ => null,
    }).FirstOrDefault(step => step is not null);

    /// <summary>Digits where they fit, otherwise random numbers: how fast a row is scored hardly depends on its numbers.</summary>
    public VectorRow[] Rows(int count, int seed)
    {
        if (FeatureCount == MnistDataset.ImageSize * MnistDataset.ImageSize)
        {
            PixelRow[] digits = PixelRow.From(EmbeddedDigits.Load().Test);
            return [.. Enumerable.Range(0, count).Select(i => new VectorRow { Features = digits[i % digits.Length].Features })];
        }
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count)
            .Select(_ => new VectorRow { Features = [.. Enumerable.Range(0, FeatureCount).Select(_ => random.NextSingle())] })];
    }

    public IEnumerable<ScoredRow> Score(IEnumerable<VectorRow> rows) =>
        _mlContext.Data.CreateEnumerable<ScoredRow>(_transformer.Transform(View(rows)), reuseRowObject: true, schemaDefinition: _output);

    /// <summary>An engine that leaves the model alone when it is disposed of.</summary>
    public PredictionEngine<VectorRow, ScoredRow> Engine() => _mlContext.Model.CreatePredictionEngine<VectorRow, ScoredRow>(
        _transformer,
        new PredictionEngineOptions { OwnsTransformer = false, InputSchemaDefinition = _input, OutputSchemaDefinition = _output });

    private IDataView View(IEnumerable<VectorRow> rows) => _mlContext.Data.LoadFromEnumerable(rows, _input);

    private static DataViewType ItemType(DataViewType type) => type is VectorDataViewType vector ? vector.ItemType : type;

    private static IEnumerable<ITransformer> Steps(ITransformer model) =>
        model is IEnumerable<ITransformer> chain ? chain.SelectMany(Steps) : [model];
}
