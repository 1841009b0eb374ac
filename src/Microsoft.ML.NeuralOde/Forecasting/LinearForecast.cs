namespace Microsoft.ML.NeuralOde.Forecasting;

/// <summary>What a linear forecast reads, and where it stands among the weights of a step of a channel.</summary>
/// <remarks>First the lags of each channel, then of each exogenous column its values at lags, and those at the steps to come.</remarks>
/// <param name="Leads">The steps that are forecast.</param>
/// <param name="ContextLength">The lags of each channel.</param>
/// <param name="Channels">The channels.</param>
/// <param name="Exogenous">The exogenous columns.</param>
internal readonly record struct LinearShape(int Leads, int ContextLength, int Channels = 1, int Exogenous = 0)
{
    private const int MostExogenousLags = 16;

    /// <summary>Lags of exogenous values.</summary>
    public int ExogenousLags => Math.Min(ContextLength, MostExogenousLags);

    /// <summary>The weights of lags of channels.</summary>
    public int Lags => Channels * ContextLength;

    /// <summary>The weights of a step of a channel.</summary>
    public int Features => Lags + Exogenous * (ExogenousLags + Leads);

    /// <summary>All weights, also of a shape that is too large to be made.</summary>
    public long Weights =>
        (long)Math.Min(1e18, (double)Leads * Channels * ((double)Channels * ContextLength + (double)Exogenous * (ExogenousLags + Leads)));

    /// <summary>The places of exogenous values that a step reads: those behind it play no part.</summary>
    public IEnumerable<int> ExogenousPlaces(int lead)
    {
        int width = ExogenousLags + Leads, first = Lags, known = ExogenousLags + lead + 1;
        return Enumerable.Range(0, Exogenous).SelectMany(column => Enumerable.Range(first + column * width, known));
    }
}

/// <summary>The units in which a linear forecast counts exogenous values.</summary>
/// <param name="Means">Of each column.</param>
/// <param name="Deviations">Of each column.</param>
/// <param name="Scales">
/// Of each channel its usual spread, where an exogenous value has the same effect whatever the spread of a window is; 0 where its effect
/// grows with that.
/// </param>
internal sealed record ExogenousUnits(double[] Means, double[] Deviations, double[] Scales)
{
    public static ExogenousUnits None(int channels) => new([], [], new double[channels]);

    /// <summary>By what exogenous values are multiplied for a channel.</summary>
    public double Factor(ContextView context, int channel) => Scales[channel] > 0 ? Scales[channel] / context.Scale(channel) : 1;

    /// <summary>A value as networks see it.</summary>
    public double Normalize(double value, int column) => (value - Means[column]) / Deviations[column];
}

/// <summary>What a linear map of the last values says, one map for each step ahead of each channel: what the latent equation
/// corrects.</summary>
/// <param name="shape">What it reads.</param>
/// <param name="weights">Of each channel of each lead its weights; a step's channels stand behind those of the step before.</param>
/// <param name="units">How exogenous values are counted.</param>
internal sealed class LinearForecast(LinearShape shape, double[][] weights, ExogenousUnits units)
{
    /// <summary>The least length of a context that is tried where it is open.</summary>
    public const int ShortestContext = 16;

    private static readonly int[] ContextLengths = [ShortestContext, 32, 64, 128];

    /// <summary>As a file holds them, so that a loaded model says the same.</summary>
    public double[][] Weights { get; } = [.. weights.Select(map => map.Select(weight => (double)(float)weight).ToArray())];

    public LinearShape Shape { get; } = shape;

    public ExogenousUnits Units { get; } = units;

    /// <summary>Fits maps by least squares with a penalty; the penalty, and the length where it is open, are those that do best on later
    /// windows.</summary>
    /// <param name="windows">The windows.</param>
    /// <param name="shape">What is forecast; its length of the context is that which is asked for, 0 for one of a few.</param>
    public static LinearForecast Fit(ForecastWindows windows, LinearShape shape)
    {
        using IDisposable noGrad = no_grad();
        int longest = windows.Training.Concat(windows.Validation).Max(window => window.End);
        int[] lengths = shape.ContextLength > 0 ? [shape.ContextLength]
            : [.. ContextLengths.Where((length, i) => i == 0
                || (2 * length <= longest && (shape with { ContextLength = length }).Weights <= ForecastDescription.MostWeights))];
        (double Error, LinearForecast? Found) best = (double.PositiveInfinity, null);
        foreach (int length in lengths)
        {
            (double error, LinearForecast found) = LinearFit.Run(windows, shape with { ContextLength = length });
            if (error < best.Error || best.Found is null)
                best = (error, found);
        }
        return best.Found!;
    }

    /// <summary>The forecasts at the steps ahead of each channel's end, in units of the window; NaN where an exogenous value is not
    /// known.</summary>
    public double[] At(ContextView context)
    {
        double[] forecasts = new double[Weights.Length];
        for (int channel = 0; channel < Shape.Channels; channel++)
        {
            double[] features = Read(context, Shape, Units, channel);
            for (int place = channel; place < forecasts.Length; place += Shape.Channels)
                forecasts[place] = At(features, place, Units.Factor(context, channel));
        }
        return forecasts;
    }

    /// <summary>The value of a channel's forecasts between their steps; NaN behind the last one.</summary>
    public static double Between(ReadOnlySpan<double> forecasts, double lead, int channel = 0, int channels = 1)
    {
        int leads = forecasts.Length / channels;
        if (lead > leads + 1e-6)
            return double.NaN;
        double at = Math.Clamp(lead, 0, leads);
        int right = (int)Math.Ceiling(at - 1e-6);
        double after = right == 0 ? 0 : forecasts[(right - 1) * channels + channel];
        if (at >= right - 1e-9)
            return after;
        double before = right == 1 ? 0 : forecasts[(right - 2) * channels + channel];
        return before + (at - right + 1) * (after - before);
    }

    /// <summary>What the maps of a channel read of a context: all is counted from the channel's last value.</summary>
    public static double[] Read(ContextView context, LinearShape shape, ExogenousUnits units, int target)
    {
        double[] features = new double[shape.Features];
        for (int channel = 0; channel < shape.Channels; channel++)
            context.Lags(shape.ContextLength, channel, target).CopyTo(features, channel * shape.ContextLength);
        int next = shape.Lags;
        for (int column = 0; column < shape.Exogenous; column++)
        {
            double now = context.Exogenous(column, 0, target);
            for (int k = 0; k < shape.ExogenousLags; k++)
                features[next++] = (context.Exogenous(column, -k, target) - now) / units.Deviations[column];
            for (int lead = 1; lead <= shape.Leads; lead++)
                features[next++] = (context.Exogenous(column, lead, target) - now) / units.Deviations[column];
        }
        return features;
    }

    private double At(double[] features, int place, double factor)
    {
        double[] map = Weights[place];
        double sum = 0, outside = 0;
        for (int i = 0; i < Shape.Lags; i++)
            sum += map[i] * features[i];
        foreach (int i in Shape.ExogenousPlaces(place / Shape.Channels))
            outside += map[i] * features[i];
        return Shape.Exogenous == 0 ? sum : sum + factor * outside;
    }
}
