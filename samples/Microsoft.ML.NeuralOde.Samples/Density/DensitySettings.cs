namespace Microsoft.ML.NeuralOde.Samples.Density;

/// <summary>How the flow is trained.</summary>
internal enum DensityMethod
{
    Matching,
    Likelihood,
}

/// <summary>What the command <c>density</c> was asked for.</summary>
internal sealed record DensitySettings
{
    public required ToyDensity Dataset { get; init; }

    public DensityMethod Method { get; init; } = DensityMethod.Matching;

    /// <summary>Default: enough for the method.</summary>
    public int? Steps { get; init; }

    /// <summary>Default: what suits the method.</summary>
    public int? BatchSize { get; init; }

    public double LearningRate { get; init; } = 5e-3;

    public int Width { get; init; } = 128;

    public FlowPairing Pairing { get; init; } = FlowPairing.Independent;

    public int Seed { get; init; } = 1;

    public int TestRows { get; init; } = 10_000;

    /// <summary>The points of a step: in matching they are also what each target is averaged over, and are cheap.</summary>
    public int PointsPerStep => BatchSize ?? (Method == DensityMethod.Matching ? 1024 : 512);

    /// <summary>The steps to take.</summary>
    public int StepsToTake => Steps ?? (Method == DensityMethod.Matching ? 10_000 : 1_500);
}
