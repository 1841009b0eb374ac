namespace Microsoft.ML.NeuralOde;

/// <summary>What a sealed model file may be, and which one it must be.</summary>
public sealed class SealedModelOptions
{
    /// <summary>
    /// The seal that the file must bear, as <c>SaveSealed</c> returned it; null for any. The file's own seal finds accidents and changes by
    /// those who do not make it anew; one that is kept apart from the file, in the deployment's configuration, also finds deliberate
    /// forgeries.
    /// </summary>
    public string? ExpectedSeal { get; init; }

    /// <summary>Most bytes of all entries together, unpacked; checked before memory is taken. 1 GiB.</summary>
    public long MaximumBytes { get; init; } = 1L << 30;

    /// <summary>Most entries. 10,000.</summary>
    public int MaximumEntries { get; init; } = 10_000;

    /// <summary>
    /// Assemblies, by their simple names, whose classes the model may use besides those of ML.NET and of this library, whose names begin
    /// with <c>Microsoft.ML.</c> A model file names the assemblies that read it, and ML.NET loads them: others are refused before that.
    /// None.
    /// </summary>
    public IReadOnlyCollection<string> TrustedAssemblies { get; init; } = [];
}
