namespace Microsoft.ML.NeuralOde;

/// <summary>How the learning rate changes while a model is trained.</summary>
public enum LearningRateSchedule
{
    /// <summary>It does not.</summary>
    Constant,

    /// <summary>It falls from its value to zero along half a cosine (I. Loshchilov, F. Hutter, SGDR, 2017, without restarts).</summary>
    CosineAnnealing,

    /// <summary>
    /// It rises from a 25th to its value in the first 30 % of the steps and falls to almost zero in the rest (L. N. Smith,
    /// Super-convergence, 2018).
    /// </summary>
    OneCycle,

    /// <summary>
    /// It is multiplied by <see cref="NeuralOdeTrainerOptions.LearningRateStepFactor"/> after every
    /// <see cref="NeuralOdeTrainerOptions.LearningRateStepEpochs"/> epochs.
    /// </summary>
    Step,
}

/// <summary>The learning rate at each moment of a training.</summary>
internal sealed record LearningRates(
    LearningRateSchedule Schedule, double Maximum, double WarmUpFraction, int StepEpochs, double StepFactor, int NumberOfEpochs)
{
    private const double OneCycleRise = 0.3;

    /// <summary>The learning rate when a share of the training, 0 to 1, lies behind.</summary>
    public double At(double progress)
    {
        if (progress < WarmUpFraction)
            return Shape(WarmUpFraction) * progress / WarmUpFraction;
        return Shape(progress);
    }

    private double Shape(double progress) => Schedule switch
    {
        LearningRateSchedule.CosineAnnealing => Cosine(Maximum, 0, progress),
        LearningRateSchedule.OneCycle when progress < OneCycleRise => Cosine(Maximum / 25, Maximum, progress / OneCycleRise),
        LearningRateSchedule.OneCycle => Cosine(Maximum, Maximum / 1e4, (progress - OneCycleRise) / (1 - OneCycleRise)),
        LearningRateSchedule.Step => Maximum * Math.Pow(StepFactor, Math.Floor(progress * NumberOfEpochs / StepEpochs + 1e-9)),
        _ => Maximum,
    };

    private static double Cosine(double from, double to, double progress) => to + (from - to) * (1 + Math.Cos(Math.PI * progress)) / 2;
}
