using System.Buffers;
using System.Collections.Concurrent;
using System.Text.Json;
using Microsoft.ML.NeuralOde.Service.Answers;
using Microsoft.ML.NeuralOde.Service.Http;
using Microsoft.ML.NeuralOde.Service.Inputs;
using Microsoft.ML.NeuralOde.Service.Settings;

namespace Microsoft.ML.NeuralOde.Service.Models;

/// <summary>
/// One loaded model and the engines that share it. Engines are not thread-safe, so that each request borrows one; the transformer is, and
/// all of them use it. It lives until it is retired and the last request that uses it has ended.
/// </summary>
internal sealed class ServingModel
{
    /// <summary>Rows that a model is tried with: it must score one of them.</summary>
    private const int Probes = 3;

    /// <summary>Rows between two looks at whether the client is still there.</summary>
    private const int RowsAtOnce = 64;

    private readonly MLContext _mlContext;
    private readonly ITransformer _transformer;
    private readonly ConcurrentBag<RowEngine> _engines = [];
    // The store's own use, and one for each request.
    private int _users = 1;

    private ServingModel(
        MLContext mlContext, ITransformer transformer, ModelPlan plan, ModelLimits limits, string hash, bool isSealed, int generation)
    {
        _mlContext = mlContext;
        _transformer = transformer;
        Plan = plan;
        Limits = limits;
        Hash = hash;
        IsSealed = isSealed;
        Generation = generation;
    }

    public ModelPlan Plan { get; }

    public ModelLimits Limits { get; }

    /// <summary>The SHA-256 of its file.</summary>
    public string Hash { get; }

    /// <summary>Whether a seal says that the file is whole.</summary>
    public bool IsSealed { get; }

    /// <summary>1 for the first model, one more for each that replaced another.</summary>
    public int Generation { get; }

    public DateTimeOffset LoadedAt { get; } = DateTimeOffset.UtcNow;

    /// <summary>Loads a model and tries it.</summary>
    /// <exception cref="ModelFileException">The file is missing, damaged or no model that can be served, or the model scores
    /// nothing.</exception>
    public static ServingModel Load(ServiceSettings settings, int generation)
    {
        ITransformer? transformer = null;
        ServingModel? model = null;
        try
        {
            byte[] bytes = ModelFile.Read(settings.Model.File, settings.Model.MaximumModelBytes);
            var mlContext = new MLContext();
            (transformer, DataViewSchema? schema, bool isSealed) = ModelReader.Load(mlContext, bytes, settings.Model);
            ModelPlan plan = ModelPlan.Of(transformer, schema, settings.Limits);
            ModelLimits limits = ModelLimits.Of(plan.Layout.Inputs, settings.Model, settings.Limits);
            model = new ServingModel(mlContext, transformer, plan, limits, ModelFile.Hash(bytes), isSealed, generation);
            model.Try();
            return model;
        }
        catch (Exception exception)
        {
            if (model is not null)
                model.Release();
            else
                (transformer as IDisposable)?.Dispose();
            throw new ModelFileException($"The model file '{settings.Model.File}' cannot be served: {exception.Message}", exception);
        }
    }

    /// <summary>Writes the answer for the only row.</summary>
    /// <exception cref="RequestException">The row has no score.</exception>
    public void Answer(RequestRows rows, IBufferWriter<byte> target)
    {
        using var writer = new Utf8JsonWriter(target);
        WithEngine(engine => engine.Write(rows[0], writer));
    }

    /// <summary>Writes the answers for several rows, as a list; many at once cost less each.</summary>
    /// <exception cref="RequestException">A row has no score.</exception>
    /// <exception cref="OperationCanceledException">The client went away.</exception>
    public void AnswerAll(RequestRows rows, IBufferWriter<byte> target, CancellationToken cancellation)
    {
        using var writer = new Utf8JsonWriter(target);
        writer.WriteStartArray();
        int row = 0;
        try
        {
            // Reading ahead would keep many decoded images.
            if (Plan.Layout.Inputs.Any(input => input is ImageColumn))
                WithEngine(engine =>
                {
                    for (; row < rows.Count; row++)
                    {
                        cancellation.ThrowIfCancellationRequested();
                        engine.Write(rows[row], writer);
                        Array.ForEach(rows[row], value => (value as IDisposable)?.Dispose());
                    }
                });
            else
                AnswerView(rows, writer, ref row, cancellation);
        }
        catch (RequestException exception)
        {
            throw new RequestException(exception.Status, $"Row {row} of 'rows': {exception.Message}");
        }
        writer.WriteEndArray();
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
        foreach (RowEngine engine in _engines)
            engine.Dispose();
        (_transformer as IDisposable)?.Dispose();
    }

    private void AnswerView(RequestRows rows, Utf8JsonWriter writer, ref int row, CancellationToken cancellation)
    {
        IDataView scored = Plan.Scorer.Transform(new RequestView(Plan.Layout, rows));
        using DataViewRowCursor cursor =
            scored.GetRowCursor(Plan.Answers.SelectMany(answer => answer.Columns).Select(column => scored.Schema[column.Index]));
        AnswerWriter[] writers = [.. Plan.Answers.Select(answer => answer.Open(cursor))];
        for (; cursor.MoveNext(); row++)
        {
            if (row % RowsAtOnce == 0)
                cancellation.ThrowIfCancellationRequested();
            writer.WriteStartObject();
            foreach (AnswerWriter write in writers)
                write(writer);
            writer.WriteEndObject();
        }
        if (row != rows.Count)
            throw new InvalidOperationException($"The model gave {row} answers for {rows.Count} rows.");
    }

    private void WithEngine(Action<RowEngine> use)
    {
        if (!_engines.TryTake(out RowEngine? engine))
            engine = new RowEngine(Plan);
        bool isSound = false;
        try
        {
            use(engine);
            isSound = true;
        }
        catch (RequestException)
        {
            isSound = true;
            throw;
        }
        finally
        {
            // Whatever another exception left behind, nobody meets it again.
            if (isSound)
                _engines.Add(engine);
            else
                engine.Dispose();
        }
    }

    /// <summary>
    /// A model that loads but gives no finite scores and no label must not replace one that does, both one by one and in batches.
    /// </summary>
    private void Try()
    {
        RequestException? failure = null;
        for (int number = 0; number < Probes; number++)
        {
            using var rows = new RequestRows();
            rows.Add([.. Plan.Layout.Inputs.Select(input => input.Probe(number))]);
            try
            {
                Answer(rows, new ArrayBufferWriter<byte>());
                AnswerAll(rows, new ArrayBufferWriter<byte>(), CancellationToken.None);
                return;
            }
            catch (RequestException exception)
            {
                failure ??= exception;
            }
        }
        throw new ModelFileException($"it was tried with {Probes} rows and scored none of them. {failure!.Message}", failure);
    }
}
