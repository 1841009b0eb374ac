using System.Reflection;
using Microsoft.ML.Data;
using Microsoft.ML.Transforms.Image;

namespace Microsoft.ML.NeuralOde.Service.Models;

/// <summary>The steps of a model that are left for the service, and the columns that they start from.</summary>
internal sealed class ModelSteps
{
    private const int MostPlanes = 4;

    private readonly List<ITransformer> _steps = [];
    private readonly List<(string Name, DataViewType Type)> _added = [];
    private readonly DataViewSchema? _saved;

    private readonly ITransformer[] _all;

    private ModelSteps(ITransformer[] all, DataViewSchema? saved)
    {
        _all = all;
        _saved = saved;
        Input = Schema();
    }

    /// <summary>The columns that go in.</summary>
    public DataViewSchema Input { get; private set; }

    /// <summary>All steps as one.</summary>
    public ITransformer Scorer => new TransformerChain<ITransformer>([.. _steps]);

    /// <param name="model">The model; chains in chains are taken apart.</param>
    /// <param name="saved">The columns of the data that it was saved with. ML.NET does not save columns of images, and may have been given
    /// none.</param>
    /// <exception cref="ModelFileException">A column is missing, or an image's path is computed.</exception>
    public static ModelSteps Of(ITransformer model, DataViewSchema? saved)
    {
        var steps = new ModelSteps([.. Flatten(model)], saved);
        foreach (ITransformer step in steps._all)
            steps.Add(step);
        return steps;
    }

    /// <summary>The last step of this library, and the columns before it.</summary>
    /// <exception cref="ModelFileException">There is none.</exception>
    public (ITransformer Step, DataViewSchema Before) Predictor()
    {
        int last = _steps.FindLastIndex(step => step is NeuralOdeTransformer or ContinuousFlowTransformer);
        if (last < 0)
            throw new ModelFileException(
                $"it is no model of this library; its steps are {string.Join(", ", _steps.Select(step => step.GetType().Name))}.");
        return (_steps[last], After(last));
    }

    private static IEnumerable<ITransformer> Flatten(ITransformer model) =>
        model is IEnumerable<ITransformer> chain ? chain.SelectMany(Flatten) : [model];

    private void Add(ITransformer step)
    {
        if (step is ImageLoadingTransformer loader)
        {
            (string outputColumnName, string inputColumnName)[] pairs = ColumnPairs(step)
                ?? throw new ModelFileException("it loads images in a way that this version of ML.NET does not tell.");
            foreach ((string output, string input) in pairs)
                AddLoaded(loader, pairs, output, input);
            return;
        }
        foreach ((string name, DataViewType type) in KnownInputs(step))
            if (After(_steps.Count).GetColumnOrNull(name) is null)
                AddInput(name, type);
        _steps.Add(step);
    }

    private void AddLoaded(ImageLoadingTransformer loader, (string, string Input)[] pairs, string output, string input)
    {
        DataViewSchema now = After(_steps.Count);
        if (now.GetColumnOrNull(input) is { } path && path.Index >= Input.Count)
            throw new ModelFileException(
                $"it computes the paths of images ('{input}'); the service reads no files for its clients, so that the path must be a column of the data.");
        // The path's column may be gone from the schema; what the loader makes does not depend on it.
        var builder = new DataViewSchema.Builder();
        foreach (string column in pairs.Select(pair => pair.Input).Distinct())
            builder.AddColumn(column, TextDataViewType.Instance);
        DataViewType type = loader.GetOutputSchema(builder.ToSchema())[output].Type;
        if (type is not ImageDataViewType)
            throw new ModelFileException($"it loads the files of '{input}' as {type}; images that are decoded would be right.");
        AddInput(output, type);
    }

    private void AddInput(string name, DataViewType type)
    {
        _added.RemoveAll(column => column.Name == name);
        _added.Add((name, type));
        Input = Schema();
    }

    /// <summary>What is known of the columns that a step reads, for models whose schema does not tell.</summary>
    private IEnumerable<(string Name, DataViewType Type)> KnownInputs(ITransformer step)
    {
        return step switch
        {
            ImageResizingTransformer or ImageGrayscalingTransformer or ImagePixelExtractingTransformer =>
                (ColumnPairs(step) ?? []).Select(pair => (pair.inputColumnName, (DataViewType)ImageType())),
            NeuralOdeTransformer predictor => [(predictor.FeatureColumnName, predictor.FeatureColumnType)],
            ContinuousFlowTransformer { ConditionColumnName: { } condition } flow =>
            [
                (flow.FeatureColumnName, flow.FeatureColumnType),
                (condition, flow.Model.ConditionCount == 1
                    ? NumberDataViewType.Single : new VectorDataViewType(NumberDataViewType.Single, flow.Model.ConditionCount)),
            ],
            ContinuousFlowTransformer flow => [(flow.FeatureColumnName, flow.FeatureColumnType)],
            _ => [],
        };
    }

    /// <summary>
    /// Images that are not resized have the size that the features tell: [planes, height, width], or [height, width, planes] where pixels
    /// are interleaved.
    /// </summary>
    private ImageDataViewType ImageType()
    {
        if (_all.Any(step => step is ImageResizingTransformer))
            return new ImageDataViewType();
        DataViewType? features = _all.OfType<NeuralOdeTransformer>().LastOrDefault()?.FeatureColumnType
            ?? _all.OfType<ContinuousFlowTransformer>().LastOrDefault()?.FeatureColumnType;
        return features is VectorDataViewType { Dimensions: [var first, var second, var third] }
            ? first <= MostPlanes ? new ImageDataViewType(second, third) : new ImageDataViewType(first, second)
            : new ImageDataViewType();
    }

    /// <summary>The columns of a step that makes one of one; ML.NET keeps them to itself.</summary>
    private static (string outputColumnName, string inputColumnName)[]? ColumnPairs(ITransformer step) =>
        step.GetType().BaseType?.GetField(
            "ColumnPairs", BindingFlags.Instance | BindingFlags.NonPublic)?.GetValue(step) as (string, string)[];

    private DataViewSchema Schema()
    {
        var builder = new DataViewSchema.Builder();
        foreach (DataViewSchema.Column column in _saved ?? Enumerable.Empty<DataViewSchema.Column>())
            if (!column.IsHidden && !_added.Exists(added => added.Name == column.Name))
                builder.AddColumn(column.Name, column.Type, column.Annotations);
        foreach ((string name, DataViewType type) in _added)
            builder.AddColumn(name, type);
        return builder.ToSchema();
    }

    /// <summary>The columns after some steps.</summary>
    private DataViewSchema After(int count)
    {
        DataViewSchema schema = Input;
        for (int i = 0; i < count; i++)
            schema = _steps[i].GetOutputSchema(schema);
        return schema;
    }
}
