using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Export;
using Microsoft.ML.NeuralOde.Forecasting;
using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.NeuralOde.Persistence;
using Microsoft.ML.NeuralOde.Scoring;
using Microsoft.ML.Runtime;

[assembly: LoadableClass(typeof(LatentOdeForecastingTransformer), typeof(LatentOdeForecastingTransformer), null, typeof(SignatureLoadModel),
    "Latent ODE forecaster", LatentOdeForecastingTransformer.LoaderSignature)]

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// A fitted forecaster: adds to each row the forecast of what follows it, made of the rows of its series up to it in the same data, and the
/// ends of intervals where they are named.
/// </summary>
/// <remarks>
/// A cursor over the transformed data goes through the rows in their order. Rows before which fewer than two values of a channel are known
/// have forecasts that are NaN; so have steps whose exogenous values do not stand in the data, and steps too far behind the last value.
/// Series need not be those of the training, and their forecasts do not depend on each other. To go on from the end of the training data,
/// use <see cref="CreateForecastingEngine(string)"/>.
/// </remarks>
public sealed class LatentOdeForecastingTransformer : NeuralOdeTransformerBase<LatentOdeForecastingModel>
{
    internal const string LoaderSignature = "LatentOdeForecast";

    private readonly ForecastModelDescription _description;

    internal LatentOdeForecastingTransformer(
        IHostEnvironment environment, LatentOdeForecastingModel model, ForecastModelDescription description)
        : base(environment, LoaderSignature, model, description.Columns.Values, [0], description.History) => _description = description;

    /// <summary>The share of values that are to lie inside of the intervals.</summary>
    public double ConfidenceLevel => _description.Outputs.ConfidenceLevel;

    /// <summary>The column of times; null where they are 0, 1, 2, ….</summary>
    public string? TimeColumnName => _description.Columns.Times;

    /// <summary>The column that tells the series apart; null for none.</summary>
    public string? SeriesKeyColumnName => _description.Columns.Key;

    /// <summary>The names of the channels: their columns, or the column of all of them with a channel's place.</summary>
    public IReadOnlyList<string> ChannelNames => _description.Columns.Channels
        ?? (Model.ChannelCount == 1 ? [_description.Columns.Values]
            : [.. Enumerable.Range(0, Model.ChannelCount).Select(channel => $"{_description.Columns.Values}[{channel}]")]);

    /// <summary>The columns of exogenous values; empty for none.</summary>
    public IReadOnlyList<string> ExogenousColumnNames => _description.Columns.Exogenous ?? [];

    /// <summary>The keys of the series of the training data, from whose ends engines go on.</summary>
    public IReadOnlyList<string> SeriesKeys => [.. _description.Tails.Select(tail => tail.Key)];

    private protected override IRowScorer Scorer => Model;

    /// <summary>An engine that goes on from the end of a series of the training data.</summary>
    /// <param name="seriesKey">The series' key; null where there is one series.</param>
    /// <returns>The engine, with a state of its own.</returns>
    /// <exception cref="ArgumentException">There is no series of that key, or there are several and no key is given.</exception>
    /// <exception cref="ObjectDisposedException">The transformer was disposed of.</exception>
    public NeuralOdeForecastingEngine CreateForecastingEngine(string? seriesKey = null)
    {
        ThrowIfDisposed();
        SeriesTail[] found = [.. _description.Tails.Where(tail => seriesKey is null || tail.Key == seriesKey)];
        if (found.Length == 1)
            return new NeuralOdeForecastingEngine(this, found[0].ToSeries(Model.ChannelCount, _description.Columns.Exogenous));
        string known = string.Join(", ", _description.Tails.Take(10).Select(tail => $"'{tail.Key}'"))
            + (_description.Tails.Length > 10 ? ", …" : "");
        string remedy = SeriesKeyColumnName is null ? " (set SeriesKeyColumnName in training)" : $": {known}";
        throw new ArgumentException(
            found.Length == 0
                ? $"There is no series '{seriesKey}' in the training data; there are {_description.Tails.Length}: {known}."
                : $"There are {found.Length} series; say by its key which is meant{remedy}.",
            nameof(seriesKey));
    }

    /// <summary>An engine as <see cref="CreateForecastingEngine(string)"/> makes it, whose observations and forecasts are objects.</summary>
    /// <typeparam name="TIn">An observation, with the columns that series were read from as members.</typeparam>
    /// <typeparam name="TOut">A forecast, with output columns as members: arrays of <see cref="float"/>.</typeparam>
    /// <param name="seriesKey">The series' key; null where there is one series.</param>
    /// <param name="inputSchemaDefinition">Names and types of the members of an observation; null for their own.</param>
    /// <param name="outputSchemaDefinition">Names and types of the members of a forecast; null for their own.</param>
    /// <returns>The engine, with a state of its own.</returns>
    /// <exception cref="ArgumentException">There is no series of that key, or there are several and no key is given; or an observation is
    /// no single one.</exception>
    /// <exception cref="ArgumentOutOfRangeException">An observation lacks a column, or has it in another type; or a forecast has a member
    /// that is no output column.</exception>
    /// <exception cref="ObjectDisposedException">The transformer was disposed of.</exception>
    /// <example>
    /// <code>
    /// using var engine = model.CreateForecastingEngine&lt;Sale, SalesForecast&gt;();
    /// SalesForecast next = engine.Predict(new Sale { Date = today, Sales = 42 });
    /// </code>
    /// </example>
    public NeuralOdeForecastingEngine<TIn, TOut> CreateForecastingEngine<TIn, TOut>(
        string? seriesKey = null, SchemaDefinition? inputSchemaDefinition = null, SchemaDefinition? outputSchemaDefinition = null)
        where TIn : class
        where TOut : class, new() => new(
            CreateForecastingEngine(seriesKey), _description.Outputs, FindRows, inputSchemaDefinition, outputSchemaDefinition);

    /// <summary>Loads a model; called by ML.NET.</summary>
    internal static LatentOdeForecastingTransformer Create(IHostEnvironment env, ModelLoadContext ctx)
    {
        (LatentOdeForecastingModel model, ForecastModelDescription description) = ModelFile.Load(env, ctx, LoaderSignature, Read);
        return new LatentOdeForecastingTransformer(env, model, description);
    }

    /// <summary>The same model with another end of a series; both share the weights.</summary>
    internal LatentOdeForecastingTransformer With(ObservedSeries series)
    {
        ThrowIfDisposed();
        SeriesTail end = SeriesTail.Of(series, LatentOdeForecastingModel.Remembered(Model.Description));
        return new LatentOdeForecastingTransformer(
            Host, Model, _description with { Tails = [.. _description.Tails.Select(tail => tail.Key == series.Key ? end : tail)] });
    }

    internal void SaveTo(Stream stream) => new MLContext().Model.Save(this, null, stream);

    private protected override (byte[] Payload, (string Entry, string Text) Metadata) Pack()
    {
        using SharedNetwork<ForecastNetwork>.Loan loan = Model.Borrow();
        byte[] payload = new Payload<ForecastModelDescription>(
            _description, ForecastModelDescription.ToArrays(loan.Network, Model.Calibration)).ToBytes();
        return (payload, ModelMetadata.Write(
            "forecasting", _description.Columns, _description.Outputs, Model.Summary,
            new Dictionary<string, object?>
            { ["horizon"] = Model.Horizon, ["series"] = _description.Tails.Length, ["options"] = _description.Options },
            TrainingHistory, payload));
    }

    private protected override void Export(OperatorGraph graph, string features, Func<string, string> output) =>
        throw new NotSupportedException("a forecaster reads all rows of a series up to one, and has no form as operators of ONNX here");

    private protected override ScorerColumns FindInputs(DataViewSchema input)
    {
        ForecastInput found = FindRows(input);
        return new ScorerColumns(found.Values[0]) { Forecast = found };
    }

    private ForecastInput FindRows(DataViewSchema input)
    {
        ForecastInput found = _description.Columns.Find(Host, input);
        if (found.Channels != Model.ChannelCount)
            throw Schemas.Mismatch(
                Host, "inputSchema", "series", found.Values[0].Name, $"{Model.ChannelCount} channels", $"{found.Channels}");
        return found;
    }

    private protected override ScoreColumn[] Columns(DataViewSchema input)
    {
        ForecastOutputs outputs = _description.Outputs;
        (string? Name, int Part)[] parts = [(outputs.Forecast, 0), (outputs.LowerBound, 1), (outputs.UpperBound, 2)];
        DataViewSchema.Annotations none = new DataViewSchema.Annotations.Builder().ToAnnotations();
        int[]? shape = Model.ChannelCount == 1 ? null : [Model.Horizon, Model.ChannelCount];
        return [.. parts.Where(part => part.Name is not null)
            .Select(part => new VectorScore(part.Name!, Model.ForecastSize, none, part.Part * Model.ForecastSize, shape))];
    }

    private protected override void ThrowIfDisposed() => Model.ThrowIfDisposed();

    /// <summary>Reads a model from its payload; what is declared is checked before memory is taken for it.</summary>
    /// <exception cref="InvalidDataException">The payload is damaged or of a newer version.</exception>
    private static (LatentOdeForecastingModel Model, ForecastModelDescription Description) Read(byte[] bytes)
    {
        Payload<ForecastModelDescription> payload = PayloadReader.Read<ForecastModelDescription>(bytes);
        ForecastModelDescription description = payload.Description;
        if (description.FindDefect() is { } defect)
            throw PayloadReader.Damaged(defect);
        ForecastDescription network = description.Network;
        LinearShape linear = network.Linear;
        double hidden = network.HiddenSize;
        double least = (double)linear.Leads * linear.Channels * linear.Features + hidden * (hidden + network.LatentSize);
        if (least > payload.Arrays.Sum(array => array.Values.LongLength))
            throw PayloadReader.Damaged("it declares more weights than it holds");
        // The random weights that the network starts with are replaced at once; torch's generator stays as it is.
        ForecastNetwork made = Training.TorchSeed.Run(0, () => new ForecastNetwork(
            network, new LinearForecast(linear, [], ExogenousUnits.None(linear.Channels))));
        try
        {
            made.FromArrays(payload.Arrays);
            ForecastCalibration calibration = ForecastModelDescription.CalibrationOf(payload.Arrays, linear.Leads * linear.Channels);
            return (new LatentOdeForecastingModel(made, calibration, description.Outputs.ConfidenceLevel), description);
        }
        catch
        {
            made.Dispose();
            throw;
        }
    }
}
