using TorchSharp.Modules;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Dynamics;

/// <summary>Makes the parameters of built-in modules.</summary>
internal static class ModuleParameters
{
    /// <summary>Registers a parameter that the module owns, whatever dispose scope it is made in.</summary>
    public static Parameter Own(this Module module, string name, Func<Tensor> values)
    {
        var parameter = new Parameter(values().DetachFromDisposeScope());
        parameter.DetachFromDisposeScope();
        module.register_parameter(name, parameter);
        return parameter;
    }

    /// <summary>The same, uniform in ±<paramref name="bound"/>.</summary>
    public static Parameter OwnUniform(this Module module, string name, long[] shape, double bound) =>
        module.Own(name, () =>
        {
            using DisposeScope scope = NewDisposeScope();
            return rand(shape).Times(2).Minus(1).Times(bound).MoveToOuterDisposeScope();
        });

    /// <summary>Standard normal numbers for initial values, in the current dispose scope.</summary>
    public static Tensor Normal(params long[] shape) => randn(shape);
}
