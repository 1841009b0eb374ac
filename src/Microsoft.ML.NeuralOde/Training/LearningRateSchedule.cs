namespace Microsoft.ML.NeuralOde;

/// <summary>How the learning rate changes while a model is trained.</summary>
public enum LearningRateSchedule
{
    /// <summary>It does not.</summary>
    Constant,

    /// <summary>It falls from its value to zero along half a cosine (I. Loshchilov, F. Hutter, SGDR, 2017, without restarts).</summary>
    CosineAnnealing,

    /// <summary>It rises from a 25th to its value in the first 30 % of the steps and falls to almost zero in the rest (L. N. Smith, Super-convergence, 2018).</summary>
    OneCycle,
}

internal static class LearningRateSchedules
{
    private const double WarmUp = 0.3;

    /// <summary>The learning rate at a fraction of the training.</summary>
    public static double At(this LearningRateSchedule schedule, double learningRate, double progress) => schedule switch
    {
        LearningRateSchedule.CosineAnnealing => Cosine(learningRate, 0, progress),
        LearningRateSchedule.OneCycle when progress < WarmUp => Cosine(learningRate / 25, learningRate, progress / WarmUp),
        LearningRateSchedule.OneCycle => Cosine(learningRate, learningRate / 1e4, (progress - WarmUp) / (1 - WarmUp)),
        _ => learningRate,
    };

    private static double Cosine(double from, double to, double progress) => to + (from - to) * (1 + Math.Cos(Math.PI * progress)) / 2;
}
