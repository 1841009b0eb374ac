using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Service.Inputs;
using Microsoft.ML.NeuralOde.Service.Models;
using Microsoft.ML.NeuralOde.Service.Settings;

namespace Microsoft.ML.NeuralOde.Service.Http;

/// <summary>What the service says about its model: <c>GET /model</c>, which the page is made from, and <c>GET /health</c>.</summary>
internal sealed class ModelDescriptions(ModelStore store, ServiceSettings settings, ApiKey key)
{
    public object Model() => OfModel(model => new
    {
        task = model.Plan.Task,
        inputs = model.Plan.Layout.Inputs.Select(input =>
            new { name = input.Name, field = input.Field, kind = input.Kind, wanted = input.Wanted, dimensions = Dimensions(input) }),
        answers = model.Plan.Answers.SelectMany(answer => answer.Describe())
        .Select(field => new { name = field.Name, description = field.Schema.Description }),
        classes = model.Plan.Classes,
        limits = new
        {
            rows = model.Limits.Rows,
            rowBytes = model.Limits.RowBytes,
            batchBytes = model.Limits.BatchBytes,
            concurrency = model.Limits.Concurrency
        },
        contentTypes = RequestReader.Accepted(model.Plan.Fields, isBatch: false),
        needsKey = key.IsNeeded,
        version = model.Hash,
        generation = model.Generation,
        loadedAt = model.LoadedAt,
    });

    public object Health() => OfModel(model => new
    {
        status = "ok",
        file = Path.GetFileName(settings.Model.File),
        task = model.Plan.Task,
        version = model.Hash,
        generation = model.Generation,
        loadedAt = model.LoadedAt,
        isSealed = model.IsSealed,
        lastFailure = store.LastFailure,
    });

    private static int[] Dimensions(InputColumn input) => input.Type is VectorDataViewType vector ? [.. vector.Dimensions] : [];

    private object OfModel(Func<ServingModel, object> describe)
    {
        ServingModel model = store.Use();
        try
        {
            return describe(model);
        }
        finally
        {
            model.Release();
        }
    }
}
