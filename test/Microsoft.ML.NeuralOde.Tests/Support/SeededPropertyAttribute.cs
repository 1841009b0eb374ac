using FsCheck.Xunit;

namespace Microsoft.ML.NeuralOde.Tests.Support;

/// <summary>
/// A property whose cases are the same in every run, so that a failure can be repeated. The variable NEURALODE_TEST_SEED, a number, chooses
/// others.
/// </summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class SeededPropertyAttribute : PropertyAttribute
{
    public SeededPropertyAttribute() => Replay = $"({Environment.GetEnvironmentVariable("NEURALODE_TEST_SEED") ?? "20260101"},1)";
}
