namespace Microsoft.ML.NeuralOde.TestData;

/// <summary>A test on real data: needs NEURALODE_DATA, a folder of sets of data, and in it the one that it is on.</summary>
public sealed class RealDataAttribute : FactAttribute
{
    private const string Variable = "NEURALODE_DATA";

    /// <param name="set">The set's folder in that of the variable.</param>
    public RealDataAttribute(string set)
    {
        Set = set;
        if (Folder is null)
            Skip = $"{Variable} is not set; it names the folder that holds '{set}'.";
        else if (!Directory.Exists(PathOf(set)))
            Skip = $"{Variable} is '{Folder}', which does not hold '{set}'.";
    }

    /// <summary>The folder that the variable names; null where it is not set.</summary>
    public static string? Folder => Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } folder ? folder : null;

    /// <summary>The set's folder in that of the variable.</summary>
    public string Set { get; }

    /// <summary>The path of something in the folder.</summary>
    public static string PathOf(params string[] parts) => Path.Combine([Folder!, .. parts]);
}
