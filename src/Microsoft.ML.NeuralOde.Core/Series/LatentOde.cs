using Microsoft.ML.NeuralOde.Paths;
using Microsoft.ML.NeuralOde.Series;
using TorchSharp.Modules;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// A generative model of irregular time series: a latent state, inferred from a row's observations, moves by learned dynamics through all
/// times, and is decoded to values with learned noise (Y. Rubanova, R. T. Q. Chen, D. Duvenaud, Latent Ordinary Differential Equations for
/// Irregularly-Sampled Time Series, 2019).
/// </summary>
/// <remarks>
/// Train by <see cref="Loss"/>, ask by <see cref="Forecast"/>, between observations as well as before and behind them. Values should be
/// standardised, and times scaled so that a series takes about 1. Only differences of times count, but for covariates. A row's numbers do
/// not depend on the other rows of the batch, nor on padding; an observation without any value is as good as none.
/// </remarks>
public sealed class LatentOde : nn.Module
{
    private readonly LatentEncoder _encoder;
    private readonly LatentMotion _motion;
    private readonly LatentDecoder _decoder;

    /// <summary>Creates a model with random parameters.</summary>
    /// <param name="options">Its shape; null for the defaults.</param>
    /// <exception cref="ArgumentException">An option makes no sense; the message says which and what would.</exception>
    public LatentOde(LatentOdeOptions? options = null)
        : base(nameof(LatentOde))
    {
        Options = options ?? new LatentOdeOptions();
        Options.Validate();
        register_module("encoder", _encoder = new LatentEncoder(Options));
        register_module(
            "motion", _motion = Options.Evolution == LatentEvolution.Flow ? new FlowMotion(Options) : new SolvedMotion(Options));
        register_module("decoder", _decoder = new LatentDecoder(Options));
        Dynamics.ModuleParameters.Own(this, "persistence", () => zeros(Options.Channels));
    }

    /// <summary>Its shape.</summary>
    public LatentOdeOptions Options { get; }

    private Parameter Like => _decoder.get_parameter("noise")!;

    /// <summary>Standard normal numbers for <see cref="Loss"/>.</summary>
    /// <param name="rows">The number of rows of the batch.</param>
    /// <param name="generator">Source of randomness.</param>
    /// <param name="samples">How many samples a row gets.</param>
    /// <returns>Shape <c>[samples, rows, latent]</c>.</returns>
    public Tensor DrawNoise(long rows, Generator generator, int samples = 1)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(rows);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(samples);
        ArgumentNullException.ThrowIfNull(generator);
        return Draws.Normal([samples, rows, Options.LatentSize], Like.dtype, Like.device, generator);
    }

    /// <summary>
    /// The negative evidence lower bound of each row, −E log p(targets | z) + weight · KL(q(z | observed) ‖ N(0, 1)), per observed target
    /// value; of a model that is not variational the negative log-likelihood.
    /// </summary>
    /// <param name="observed">What is given.</param>
    /// <param name="targets">What is to be predicted of the same rows: the same observations, others between them, or later ones.</param>
    /// <param name="klWeight">The weight of the KL divergence, from 0 up to 1 in the course of a training.</param>
    /// <param name="noise">
    /// Standard normal numbers, shape <c>[batch, latent]</c> or <c>[samples, batch, latent]</c>, see <see cref="DrawNoise"/>; null for a
    /// fixed sample, the same for all rows, as suits a validation.
    /// </param>
    /// <param name="statics">Static covariates, shape <c>[batch, statics]</c>; null where the model has none.</param>
    /// <param name="covariates">The path of the covariates in time, in the unit of the times; null where the model has none.</param>
    /// <returns>In nats, shape <c>[batch]</c>.</returns>
    /// <exception cref="ArgumentException">An argument does not fit, or a row has no observed value or no target; the message says
    /// which.</exception>
    public Tensor Loss(
        SeriesBatch observed, SeriesBatch targets, double klWeight = 1, Tensor? noise = null, Tensor? statics = null,
        ControlPath? covariates = null)
    {
        Check(observed, statics, covariates);
        LatentChecks.Targets(targets, observed);
        if (!(klWeight >= 0 && double.IsFinite(klWeight)))
            throw new ArgumentOutOfRangeException(
                nameof(klWeight), klWeight, "The weight of the KL divergence must be zero or a positive number.");
        using DisposeScope scope = NewDisposeScope();
        var wanted = new ObservedValues(targets);
        Tensor counts = wanted.Observed.sum([1L, 2L]);
        LatentChecks.Counts(counts, nameof(targets));
        Tensor numbers = noise is null ? FixedNoise(1) : LatentChecks.Noise(noise, observed.Rows, Options.LatentSize, Like);
        (Tensor mean, Tensor logScale, Tensor predicted, Tensor sigma) = Run(observed, targets.Times, numbers, statics, covariates);
        Tensor density = Gaussians.LogDensity((wanted.Clean - predicted) / sigma) - sigma.log();
        Tensor loss = (density * wanted.Observed.to(density.dtype)).sum([2L, 3L]).mean([0L]).neg();
        if (Options.Variational)
            loss = loss.Plus(Gaussians.Divergence(mean, logScale).Times(klWeight));
        return (loss / counts.to(loss.dtype)).MoveToOuterDisposeScope();
    }

    /// <summary>Values at asked times.</summary>
    /// <param name="observed">What is given.</param>
    /// <param name="times">Shape <c>[batch, n]</c>, float64 advised, in any order: before, between or behind the observations.</param>
    /// <param name="samples">
    /// The number of latent samples over which mean and spread are taken; drawn from <see cref="LatentOdeOptions.Seed"/>, the same for
    /// every row. Of no effect on a model that is not variational.
    /// </param>
    /// <param name="statics">Static covariates, shape <c>[batch, statics]</c>; null where the model has none.</param>
    /// <param name="covariates">The path of the covariates in time, in the unit of the times; null where the model has none.</param>
    /// <returns>Means, standard deviations and trajectories; without a graph inside <c>no_grad()</c>.</returns>
    /// <exception cref="ArgumentException">An argument does not fit, or a row has no observed value; the message says which.</exception>
    public LatentForecast Forecast(
        SeriesBatch observed, Tensor times, int samples = 32, Tensor? statics = null, ControlPath? covariates = null)
    {
        Check(observed, statics, covariates);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(samples);
        LatentChecks.Times(times, observed.Rows);
        using DisposeScope scope = NewDisposeScope();
        Tensor asked = times.to(ScalarType.Float64, observed.Times.device);
        (_, _, Tensor predicted, Tensor sigma) = Run(observed, asked, FixedNoise(samples), statics, covariates);
        Tensor mean = predicted.mean([0L]), noise = sigma.Squared().mean([0L]);
        Tensor spread = (predicted - mean).Squared().mean([0L]).Plus(noise).sqrt();
        return new LatentForecast(
            mean.MoveToOuterDisposeScope(), spread.MoveToOuterDisposeScope(), noise.sqrt().MoveToOuterDisposeScope(),
            predicted.MoveToOuterDisposeScope());
    }

    /// <summary>The latent state's distribution, and decoded values with their noise, <c>[samples, batch, n, channels]</c>.</summary>
    private (Tensor Mean, Tensor LogScale, Tensor Predicted, Tensor Noise) Run(
        SeriesBatch observed, Tensor times, Tensor noise, Tensor? statics, ControlPath? covariates)
    {
        var input = new RecognitionInput(observed, Options.Anchor, covariates);
        (Tensor mean, Tensor logScale) = _encoder.call(input, statics);
        Tensor state = Options.Variational ? mean.Plus(noise * logScale.exp()) : mean.unsqueeze(0);
        long samples = state.size(0), rows = observed.Rows;
        var conditions = new LatentConditions(statics, covariates, input.AnchorTime, samples);
        Tensor elapsed = times - input.AnchorTime.unsqueeze(1);
        Tensor states = _motion.call(state.reshape(samples * rows, Options.LatentSize), elapsed, conditions);
        (Tensor values, Tensor sigma) = _decoder.call(states, conditions.At(elapsed));
        long[] shape = [samples, rows, times.size(1), Options.Channels];
        Tensor level = (input.Level * get_parameter("persistence")!).unsqueeze(1);
        return (mean, logScale, values.view(shape).Plus(level), sigma.view(shape));
    }

    /// <summary>Pairs of opposite numbers, so that means are exact where all is linear: shape <c>[samples, 1, latent]</c>.</summary>
    private Tensor FixedNoise(int samples)
    {
        using var generator = new Generator((ulong)Options.Seed);
        Tensor half = DrawNoise(1, generator, (samples + 1) / 2);
        return samples == 1 ? half : cat([half, half.neg()], 0).narrow(0, 0, samples);
    }

    private void Check(SeriesBatch observed, Tensor? statics, ControlPath? covariates)
    {
        Parameter like = Like;
        Inputs.RequireAlive(like, nameof(LatentOde), "A parameter of the model");
        LatentChecks.Observed(observed, Options, like);
        LatentChecks.Covariates(observed, Options, statics, covariates, like);
    }
}
