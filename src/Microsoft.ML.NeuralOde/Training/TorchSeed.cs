namespace Microsoft.ML.NeuralOde.Training;

/// <summary>Seeds torch's generator, which the whole process shares, and gives it back as it was.</summary>
internal static class TorchSeed
{
    private static readonly Lock Gate = new();

    /// <summary>Does something that draws random numbers; the same seed draws the same.</summary>
    public static void Run(int seed, Action action) => Run(seed, () =>
    {
        action();
        return true;
    });

    /// <summary>Runs a function that draws random numbers; the same seed draws the same.</summary>
    public static T Run<T>(int seed, Func<T> function)
    {
        lock (Gate)
        {
            using Tensor state = torch.random.get_rng_state();
            try
            {
                manual_seed(seed);
                return function();
            }
            finally
            {
                torch.random.set_rng_state(state);
            }
        }
    }
}
