namespace Microsoft.ML.NeuralOde.IntegrationTests;

/// <summary>
/// Tests that seed torch's generator and then mean to draw the same numbers each time. There is one for the process, so that nothing may
/// run beside them.
/// </summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class OwnGenerator
{
    public const string Name = "own generator";
}
