namespace Microsoft.ML.NeuralOde.Series;

/// <summary>Checks of what users hand to a <see cref="LatentOde"/>.</summary>
internal static class LatentChecks
{
    public static void Observed(SeriesBatch observed, LatentOdeOptions options, Tensor parameter)
    {
        ArgumentNullException.ThrowIfNull(observed);
        Inputs.RequireAlive(observed.Values, nameof(observed), "The batch of series");
        if (observed.Channels != options.Channels)
            throw new ArgumentException(
                $"The series have {observed.Channels} channels; this model was made for {options.Channels}.", nameof(observed));
        Inputs.RequireLike(observed.Values, parameter, nameof(observed));
    }

    public static void Targets(SeriesBatch targets, SeriesBatch observed)
    {
        ArgumentNullException.ThrowIfNull(targets);
        Inputs.RequireAlive(targets.Values, nameof(targets), "The batch of targets");
        if (targets.Channels != observed.Channels || targets.Rows != observed.Rows)
            throw new ArgumentException(
                $"The targets have {targets.Rows} rows of {targets.Channels} channels; they must have {observed.Rows} of {observed.Channels}, as the "
                + "observed series do.", nameof(targets));
        Inputs.RequireLike(targets.Values, observed.Values, nameof(targets));
    }

    /// <summary>Requires target values in each row.</summary>
    /// <param name="counts">Their numbers, <c>[batch]</c>.</param>
    /// <param name="name">The argument they came in.</param>
    public static void Counts(Tensor counts, string name)
    {
        int none = Array.IndexOf(counts.to(CPU).data<long>().ToArray(), 0);
        if (none >= 0)
            throw new ArgumentException($"Row {none} has no target: every value is missing; leave the row out.", name);
    }

    /// <summary>The noise as <c>[samples, batch, latent]</c>.</summary>
    public static Tensor Noise(Tensor noise, long rows, long latent, Tensor parameter)
    {
        Inputs.RequireAlive(noise, nameof(noise), "The noise");
        if (noise.dim() is not (2 or 3) || noise.numel() == 0 || noise.size(-1) != latent || noise.size(-2) != rows)
            throw new ArgumentException(
                $"The noise has shape [{string.Join(", ", noise.shape)}]; it must be [{rows}, {latent}], or [samples, {rows}, {latent}].",
                nameof(noise));
        Inputs.RequireLike(noise, parameter, nameof(noise));
        return noise.dim() == 3 ? noise : noise.unsqueeze(0);
    }

    public static void Times(Tensor times, long rows)
    {
        Inputs.RequireAlive(times, nameof(times), "The tensor of times");
        if (!times.is_floating_point() || times.dim() != 2 || times.size(0) != rows || times.size(1) == 0)
            throw new ArgumentException(
                $"The times have shape [{string.Join(", ", times.shape)}] and type {times.dtype}; they must be of a floating-point type and of shape "
                + $"[{rows}, n].", nameof(times));
        using Tensor detached = times.detach();
        using Tensor finite = detached.isfinite();
        using Tensor all = finite.all();
        if (all.item<bool>())
            return;
        using Tensor wrong = finite.logical_not().nonzero();
        long[] place = wrong[0].to(CPU).data<long>().ToArray();
        throw new ArgumentException($"Row {place[0]}: time {place[1]} is NaN or infinite; times must be finite.", nameof(times));
    }

    public static void Covariates(
        SeriesBatch observed, LatentOdeOptions options, Tensor? statics, ControlPath? covariates, Tensor parameter)
    {
        if ((statics is null) != (options.StaticCovariates == 0) || (covariates is null) != (options.Covariates == 0))
            throw new ArgumentException(
                $"This model was made for {options.StaticCovariates} static covariates and {options.Covariates} in time; give exactly these.",
                (statics is null) != (options.StaticCovariates == 0) ? nameof(statics) : nameof(covariates));
        if (statics is not null)
        {
            Inputs.RequireAlive(statics, nameof(statics), "The tensor of static covariates");
            if (statics.dim() != 2 || statics.size(0) != observed.Rows || statics.size(1) != options.StaticCovariates)
                throw new ArgumentException(
                    $"The static covariates have shape [{string.Join(", ", statics.shape)}]; they must be [{observed.Rows}, {options.StaticCovariates}].",
                    nameof(statics));
            Inputs.RequireLike(statics, parameter, nameof(statics));
            if (!statics.detach().isfinite().all().item<bool>())
                throw new ArgumentException("A static covariate is NaN or infinite; fill it in, or leave the row out.", nameof(statics));
        }
        if (covariates is null)
            return;
        Inputs.RequireAlive(covariates.Values, nameof(covariates), "The path of covariates");
        if (covariates.Rows != observed.Rows || covariates.Channels != options.Covariates)
            throw new ArgumentException(
                $"The path of covariates has {covariates.Rows} rows of {covariates.Channels} channels, time and counts included; it must have "
                + $"{observed.Rows} of {options.Covariates}.", nameof(covariates));
        Inputs.RequireLike(covariates.Values, parameter, nameof(covariates));
    }
}
