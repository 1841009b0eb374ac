using System.IO.Compression;
using System.Text.Json;
using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Samples.Data;

/// <summary>A model file that was read: its steps, the one of this library, and what the file says about it.</summary>
internal sealed class SavedModel : IDisposable
{
    private const string Description = "NeuralOde.json";
    private const long MostDescriptionBytes = 16 << 20;

    private readonly ITransformer _model;

    private SavedModel(string file, ITransformer model, DataViewSchema? inputs)
    {
        (File, _model, Inputs) = (file, model, inputs);
        List<ITransformer> steps = [.. Flatten(model)];
        int place = steps.FindLastIndex(step => step is NeuralOdeTransformer or NeuralCdeTransformer or ContinuousFlowTransformer);
        if (place < 0)
        {
            Dispose();
            throw new UserException(
                $"--model: '{file}' is no model of this library; its steps are {string.Join(", ", steps.Select(step => step.GetType().Name))}.");
        }
        Step = steps[place];
        Before = new TransformerChain<ITransformer>([.. steps.Take(place)]);
        About = ReadDescription(file);
    }

    public string File { get; }

    /// <summary>The columns of the data that it was saved with; null if none.</summary>
    public DataViewSchema? Inputs { get; }

    /// <summary>The steps before that of this library.</summary>
    public ITransformer Before { get; }

    /// <summary>The last step that is one of this library.</summary>
    public ITransformer Step { get; }

    /// <summary>What the file says about the step, for people.</summary>
    public JsonElement About { get; }

    public IReadOnlyList<NeuralOdeEpochReport> History => Step switch
    {
        NeuralOdeTransformer one => one.TrainingHistory,
        NeuralCdeTransformer one => one.TrainingHistory,
        ContinuousFlowTransformer one => one.TrainingHistory,
        _ => [],
    };

    /// <summary>Layers and solver; null for flows, which have several.</summary>
    public NeuralOdeModelSummary? Summary => Step switch
    {
        NeuralOdeTransformer one => one.Model.Summary,
        NeuralCdeTransformer one => one.Model.Summary,
        _ => null,
    };

    public long ParameterCount => Step switch
    {
        NeuralOdeTransformer one => one.Model.ParameterCount,
        NeuralCdeTransformer one => one.Model.ParameterCount,
        ContinuousFlowTransformer one => one.Model.ParameterCount,
        _ => 0,
    };

    public IReadOnlyList<Citation> Citations => Step switch
    {
        NeuralOdeTransformer one => one.Model.Citations,
        NeuralCdeTransformer one => one.Model.Citations,
        ContinuousFlowTransformer one => one.Model.Citations,
        _ => [],
    };

    /// <summary>A trainer's option, as the file tells it; null where it does not.</summary>
    public string? Option(string name) =>
        About.ValueKind == JsonValueKind.Object
        && About.TryGetProperty("options", out JsonElement options) && options.ValueKind == JsonValueKind.Object
            && options.TryGetProperty(name, out JsonElement value) ? value.ToString() : null;

    /// <summary>Reads a model of any kind of this library.</summary>
    /// <exception cref="UserException">There is no such file, it is damaged, or no model of this library.</exception>
    public static SavedModel Read(MLContext mlContext, string file, bool isTrusted) =>
        new(file, Load(mlContext, file, out DataViewSchema? inputs, isTrusted), inputs);

    /// <summary>Loads the value of <c>--model</c>.</summary>
    /// <param name="mlContext">Where it is loaded.</param>
    /// <param name="file">The file.</param>
    /// <param name="inputs">The columns of the data that it was saved with; null if none.</param>
    /// <param name="isTrusted">Whether a file without a seal is read, too.</param>
    /// <param name="remedy">What is said of a file that is not there, behind a semicolon.</param>
    /// <exception cref="UserException">There is no such file, it is damaged, or no model.</exception>
    public static ITransformer Load(
        MLContext mlContext, string file, out DataViewSchema? inputs, bool isTrusted = false,
        string remedy = "a model that was saved would be right")
    {
        if (!System.IO.File.Exists(file))
            throw new UserException($"--model: there is no file '{file}'; {remedy}.");
        try
        {
            if (!isTrusted)
                return mlContext.Model.LoadSealed(file, out inputs);
            ITransformer model = mlContext.Model.Load(file, out DataViewSchema schema);
            inputs = schema;
            return model;
        }
        catch (Exception e) when (e is InvalidDataException
            or FormatException or System.Reflection.TargetInvocationException or InvalidOperationException)
        {
            throw new UserException($"--model: '{file}' is not a model that can be loaded: {(e.InnerException ?? e).Message}", e);
        }
    }

    public void Dispose() => (_model as IDisposable)?.Dispose();

    private static IEnumerable<ITransformer> Flatten(ITransformer model) =>
        model is IEnumerable<ITransformer> chain ? chain.SelectMany(Flatten) : [model];

    private static JsonElement ReadDescription(string file)
    {
        using ZipArchive archive = ZipFile.OpenRead(file);
        ZipArchiveEntry? entry = archive.Entries.Where(entry => entry.Name == Description && entry.Length <= MostDescriptionBytes)
            .OrderBy(entry => entry.FullName, StringComparer.Ordinal).LastOrDefault();
        if (entry is null)
            return default;
        try
        {
            using Stream stream = entry.Open();
            using JsonDocument document = JsonDocument.Parse(stream);
            return document.RootElement.Clone();
        }
        catch (JsonException e)
        {
            throw new UserException($"--model: '{file}' holds a description that is no JSON: {e.Message} Save the model again.", e);
        }
    }
}
