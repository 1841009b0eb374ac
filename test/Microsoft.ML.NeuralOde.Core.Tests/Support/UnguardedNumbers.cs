using System.Reflection;
using Tensor = TorchSharp.torch.Tensor;
using TensorExtensionMethods = TorchSharp.TensorExtensionMethods;
using TorchScalar = TorchSharp.Scalar;

namespace Microsoft.ML.NeuralOde.Core.Tests.Support;

/// <summary>
/// Finds the calls in which TorchSharp makes a <see cref="TorchScalar"/> that nothing keeps alive: conversions of numbers that are neither
/// static nor in a local variable, operators on tensors and numbers, those functions of two tensors that have a factor of 1 inside, and
/// readings of a tensor's number.
/// </summary>
internal static class UnguardedNumbers
{
    /// <summary>The calls in an assembly, each as "type.method calls function".</summary>
    public static IReadOnlyList<string> In(Assembly assembly) =>
    [
        .. from method in Instruction.Methods(assembly)
           from instruction in Instruction.Of(method)
           where instruction.Method is { } called && IsUnguarded(called, method)
           select $"{method.DeclaringType}.{method.Name} calls {instruction.Method}",
    ];

    /// <summary>The calls of torch's functions that take a generator, in the same form.</summary>
    public static IReadOnlyList<string> RandomCallsIn(Assembly assembly) =>
    [
        .. from method in Instruction.Methods(assembly)
           from instruction in Instruction.Of(method)
           where instruction.Method is { } called && called.DeclaringType?.Assembly == typeof(Tensor).Assembly
               && called.GetParameters().Any(parameter => parameter.ParameterType == typeof(TorchSharp.torch.Generator))
           select $"{method.DeclaringType}.{method.Name} calls {instruction.Method}",
    ];

    private static bool IsUnguarded(MethodBase called, MethodBase caller)
    {
        ParameterInfo[] parameters = called.GetParameters();
        if (called.DeclaringType == typeof(TorchScalar) && called.Name == "op_Implicit")
            return caller is not ConstructorInfo { IsStatic: true }
                && !caller.GetMethodBody()!.LocalVariables.Any(local => local.LocalType == typeof(TorchScalar));
        if (called.DeclaringType == typeof(TensorExtensionMethods))
            return called.Name is "ToScalar"
                or "ToDouble" or "ToSingle" or "ToHalf" or "ToInt64" or "ToInt32" or "ToInt16" or "ToByte" or "ToSByte" or "ToBoolean";
        return called.DeclaringType == typeof(Tensor) && called.Name switch
        {
            "op_Addition"
                or "op_Subtraction" or "op_Multiply" or "op_Division" when parameters.Any(p => p.ParameterType.IsPrimitive) => true,
            "op_Addition" => true,
            "add" or "add_" or "addcmul" or "addcmul_" or "addcdiv" or "addcdiv_" => parameters[^1].ParameterType == typeof(Tensor),
            "square" => true,
            _ => false,
        };
    }
}
