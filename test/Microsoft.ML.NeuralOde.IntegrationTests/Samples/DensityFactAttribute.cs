namespace Microsoft.ML.NeuralOde.IntegrationTests.Samples;

/// <summary>A test on measured densities: needs NEURALODE_DATA, the folder that holds <c>density</c>.</summary>
public sealed class DensityFactAttribute : FactAttribute
{
    public DensityFactAttribute()
    {
        if (Environment.GetEnvironmentVariable("NEURALODE_DATA") is not { Length: > 0 } folder)
            Skip = "NEURALODE_DATA is not set; it names the folder that holds 'density'.";
        else if (!Directory.Exists(Path.Combine(folder, "density")))
            Skip = $"NEURALODE_DATA is '{folder}', which does not hold 'density'.";
    }

    public static string PathOf(string file) => Path.Combine(Environment.GetEnvironmentVariable("NEURALODE_DATA")!, "density", file);
}
