namespace Microsoft.ML.NeuralOde.Tests.Data;

/// <summary>A test on real data: needs NEURALODE_DATA, the folder that holds <c>mnist</c>.</summary>
public sealed class DataFactAttribute : FactAttribute
{
    public DataFactAttribute()
    {
        if (Folder is null)
            Skip = "NEURALODE_DATA is not set; it names the folder that holds 'mnist'.";
        else if (MnistDataset.Find(Folder) is null)
            Skip = $"NEURALODE_DATA is '{Folder}', which does not hold MNIST.";
    }

    public static string? Folder => Environment.GetEnvironmentVariable("NEURALODE_DATA") is { Length: > 0 } folder ? folder : null;
}
