using System.Runtime.CompilerServices;
using TorchSharp.Modules;

namespace Microsoft.ML.NeuralOde.Torch;

/// <summary>
/// Finds group normalisations whose weights nobody has set: TorchSharp leaves those of a new <see cref="GroupNorm"/> as the memory was.
/// </summary>
internal static class GroupNormWeights
{
    // No weight of a model in use is larger, and none but 0 is smaller; leftovers of addresses and small integers are.
    private const double Largest = 1e15, Smallest = 1.2e-38;

    private static readonly ConditionalWeakTable<nn.Module, object> Passed = [];

    /// <summary>Looks at a module once.</summary>
    /// <exception cref="ArgumentException">A normalisation in it has weights that make no sense.</exception>
    public static void Check(nn.Module module)
    {
        if (Passed.TryGetValue(module, out _))
            return;
        foreach ((string name, nn.Module part) in module.named_modules())
            if (part is GroupNorm norm && !(AreSet(norm.weight) && AreSet(norm.bias)))
                throw new ArgumentException(
                    $"The GroupNorm '{name}' has weights that are not finite or of absurd size. TorchSharp leaves those of a new " +
                    "GroupNorm uninitialised: call nn.init.ones_(norm.weight) and nn.init.zeros_(norm.bias) once it is created.",
                    nameof(module));
        Passed.AddOrUpdate(module, Passed);
    }

    private static bool AreSet(Tensor? weights)
    {
        if (weights is null || weights.IsInvalid || weights.device_type == DeviceType.META)
            return true;
        using DisposeScope scope = NewDisposeScope();
        Tensor values = weights.detach().to(ScalarType.Float64, CPU).contiguous();
        foreach (double value in values.data<double>().ToArray())
            if (!(Math.Abs(value) <= Largest) || (value != 0 && Math.Abs(value) < Smallest))
                return false;
        return true;
    }
}
