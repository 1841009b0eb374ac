using Microsoft.ML.Runtime;

namespace Microsoft.ML.NeuralOde.Training;

/// <summary>Where a training computes: the graphics processor that the MLContext names, or the processor.</summary>
internal static class TrainingDevice
{
    /// <exception cref="InvalidOperationException">The graphics processor is not available and the MLContext does not allow the
    /// processor.</exception>
    public static Device Choose(IHostEnvironment environment, Action<string> warn)
    {
        if (environment is not IHostEnvironmentInternal { GpuDeviceId: { } id } context)
            return CPU;
        string? reason = !cuda.is_available() ? "torch finds no CUDA device"
            : id < 0 || id >= cuda.device_count() ? $"torch finds {cuda.device_count()} CUDA devices, numbered from 0"
            : null;
        if (reason is null)
            return new Device(DeviceType.CUDA, id);
        if (!context.FallbackToCpu)
            throw new InvalidOperationException(
                $"GpuDeviceId of the MLContext is {id}, but {reason}. Set FallbackToCpu to true or GpuDeviceId to null, "
                + "or reference a CUDA build of libtorch.");
        warn($"GpuDeviceId of the MLContext is {id}, but {reason}: the training runs on the processor.");
        return CPU;
    }
}
