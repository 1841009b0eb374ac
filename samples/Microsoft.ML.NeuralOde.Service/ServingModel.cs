using System.Collections.Concurrent;
using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Service;

/// <summary>
/// One loaded model and the prediction engines that share it. Engines are not thread-safe, so that each request borrows one; the transformer is, and
/// all of them use it. It lives until it is retired and the last request that uses it has ended.
/// </summary>
internal sealed class ServingModel
{
    private readonly MLContext _mlContext;
    private readonly ITransformer _transformer;
    private readonly SchemaDefinition _schema;
    private readonly ConcurrentBag<PredictionEngine<Row, Prediction>> _engines = [];
    // The store's own use, and one for each request.
    private int _users = 1;

    private ServingModel(MLContext mlContext, ITransformer transformer, int featureCount, int generation)
    {
        _mlContext = mlContext;
        _transformer = transformer;
        FeatureCount = featureCount;
        Generation = generation;
        _schema = SchemaDefinition.Create(typeof(Row));
        _schema[nameof(Row.Features)].ColumnType = new VectorDataViewType(NumberDataViewType.Single, featureCount);
    }

    public int FeatureCount { get; }

    /// <summary>1 for the first model, one more for each that replaced another.</summary>
    public int Generation { get; }

    public DateTimeOffset LoadedAt { get; } = DateTimeOffset.UtcNow;

    /// <exception cref="ModelFileException">The file is missing, damaged, or no model of rows with features.</exception>
    public static ServingModel Load(ModelSettings settings, int generation)
    {
        ITransformer? transformer = null;
        try
        {
            var mlContext = new MLContext();
            transformer = mlContext.Model.LoadSealed(
                settings.File, out DataViewSchema? schema, new SealedModelOptions { ExpectedSeal = settings.Seal, MaximumBytes = settings.MaximumModelBytes });
            if (schema?.GetColumnOrNull(nameof(Row.Features))?.Type is not VectorDataViewType { IsKnownSize: true } features)
                throw new ModelFileException($"The model reads no column '{nameof(Row.Features)}' that is a vector of known size.");
            var model = new ServingModel(mlContext, transformer, features.Size, generation);
            // A model that loads but does not predict must not replace one that does.
            model.Predict(new float[features.Size]);
            return model;
        }
        catch (Exception exception)
        {
            (transformer as IDisposable)?.Dispose();
            throw new ModelFileException($"The model file '{settings.File}' cannot be served: {exception.Message}", exception);
        }
    }

    public Prediction Predict(float[] features)
    {
        if (!_engines.TryTake(out PredictionEngine<Row, Prediction>? engine))
            engine = _mlContext.Model.CreatePredictionEngine<Row, Prediction>(
                _transformer, new PredictionEngineOptions { OwnsTransformer = false, InputSchemaDefinition = _schema });
        try
        {
            return engine.Predict(new Row { Features = features });
        }
        finally
        {
            _engines.Add(engine);
        }
    }

    /// <summary>Many rows at once, which costs less each.</summary>
    public IEnumerable<Prediction> Predict(IReadOnlyList<float[]> rows)
    {
        IDataView view = _mlContext.Data.LoadFromEnumerable(rows.Select(features => new Row { Features = features }), _schema);
        return _mlContext.Data.CreateEnumerable<Prediction>(_transformer.Transform(view), reuseRowObject: false);
    }

    /// <summary>Keeps the model alive until <see cref="Release"/>; false where it is gone already.</summary>
    public bool TryUse()
    {
        int users = Volatile.Read(ref _users);
        while (users > 0)
        {
            int seen = Interlocked.CompareExchange(ref _users, users + 1, users);
            if (seen == users)
                return true;
            users = seen;
        }
        return false;
    }

    public void Release()
    {
        if (Interlocked.Decrement(ref _users) > 0)
            return;
        foreach (PredictionEngine<Row, Prediction> engine in _engines)
            engine.Dispose();
        (_transformer as IDisposable)?.Dispose();
    }
}
