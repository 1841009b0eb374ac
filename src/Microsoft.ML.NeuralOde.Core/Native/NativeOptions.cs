namespace Microsoft.ML.NeuralOde.Native;

/// <summary>Which options a solve without tensors has no use for.</summary>
internal static class NativeOptions
{
    /// <exception cref="ArgumentException">An option is about tensors.</exception>
    public static void Check(OdeSolverOptions options)
    {
        Refuse(options.Events.Count > 0, nameof(options.Events), "give the events, NativeOdeEvent, as an argument");
        Refuse(options.Jacobian is not null, nameof(options.Jacobian), "give the Jacobian, OdeJacobian, as an argument");
        Refuse(options.Gradient is not null, nameof(options.Gradient), "there are no gradients without tensors; leave it null");
        Refuse(options.PerRow, nameof(options.PerRow), "there is one row; leave it false");
        Refuse(!options.Norm.Measure.IsRootMeanSquare && !ReferenceEquals(options.Norm, ErrorNorm.Maximum), nameof(options.Norm),
            "take ErrorNorm.Rms or ErrorNorm.Maximum");
    }

    private static void Refuse(bool isSet, string option, string remedy)
    {
        if (isSet)
            throw new ArgumentException(
                $"{nameof(OdeSolverOptions)}.{option} is about tensors, and this solve has none: {remedy}.", option);
    }
}
