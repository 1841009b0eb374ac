using System.Reflection;
using System.Reflection.Emit;
using Scalar = TorchSharp.Scalar;
using Tensor = TorchSharp.torch.Tensor;
using TensorExtensionMethods = TorchSharp.TensorExtensionMethods;

namespace Microsoft.ML.NeuralOde.Core.Tests.Support;

/// <summary>
/// Finds the calls in which TorchSharp makes a <see cref="Scalar"/> that nothing keeps alive: conversions of numbers that are neither static nor in a local
/// variable, operators on tensors and numbers, those functions of two tensors that have a factor of 1 inside, and readings of a tensor's number.
/// </summary>
internal static class UnguardedNumbers
{
    private const BindingFlags Everything = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static | BindingFlags.Instance | BindingFlags.DeclaredOnly;

    private static readonly Dictionary<short, OpCode> Codes = typeof(OpCodes).GetFields().Select(field => (OpCode)field.GetValue(null)!).ToDictionary(code => code.Value);

    /// <summary>The calls in an assembly, each as "type.method calls function".</summary>
    public static IReadOnlyList<string> In(Assembly assembly) =>
    [
        .. from type in assembly.GetTypes()
           from method in type.GetMethods(Everything).Concat<MethodBase>(type.GetConstructors(Everything))
           where method.GetMethodBody() is not null
           from called in Calls(method)
           where IsUnguarded(called, method)
           select $"{type}.{method.Name} calls {called}",
    ];

    /// <summary>The calls of torch's functions that take a generator, in the same form.</summary>
    public static IReadOnlyList<string> RandomCallsIn(Assembly assembly) =>
    [
        .. from type in assembly.GetTypes()
           from method in type.GetMethods(Everything).Concat<MethodBase>(type.GetConstructors(Everything))
           where method.GetMethodBody() is not null
           from called in Calls(method)
           where called.DeclaringType?.Assembly == typeof(Tensor).Assembly
               && called.GetParameters().Any(parameter => parameter.ParameterType == typeof(TorchSharp.torch.Generator))
           select $"{type}.{method.Name} calls {called}",
    ];

    private static bool IsUnguarded(MethodBase called, MethodBase caller)
    {
        ParameterInfo[] parameters = called.GetParameters();
        if (called.DeclaringType == typeof(Scalar) && called.Name == "op_Implicit")
            return caller is not ConstructorInfo { IsStatic: true } && !caller.GetMethodBody()!.LocalVariables.Any(local => local.LocalType == typeof(Scalar));
        if (called.DeclaringType == typeof(TensorExtensionMethods))
            return called.Name is "ToScalar" or "ToDouble" or "ToSingle" or "ToHalf" or "ToInt64" or "ToInt32" or "ToInt16" or "ToByte" or "ToSByte" or "ToBoolean";
        return called.DeclaringType == typeof(Tensor) && called.Name switch
        {
            "op_Addition" or "op_Subtraction" or "op_Multiply" or "op_Division" when parameters.Any(p => p.ParameterType.IsPrimitive) => true,
            "op_Addition" => true,
            "add" or "add_" or "addcmul" or "addcmul_" or "addcdiv" or "addcdiv_" => parameters[^1].ParameterType == typeof(Tensor),
            "square" => true,
            _ => false,
        };
    }

    private static IEnumerable<MethodBase> Calls(MethodBase method)
    {
        byte[] code = method.GetMethodBody()!.GetILAsByteArray()!;
        Type[]? typeArguments = method.DeclaringType!.IsGenericType ? method.DeclaringType.GetGenericArguments() : null;
        Type[]? methodArguments = method.IsGenericMethod ? method.GetGenericArguments() : null;
        for (int at = 0; at < code.Length;)
        {
            // Two-byte codes begin with FE.
            OpCode operation = code[at] == 0xFE ? Codes[(short)(0xFE00 | code[at + 1])] : Codes[code[at]];
            at += operation.Size;
            if (operation.OperandType == OperandType.InlineMethod)
                yield return method.Module.ResolveMethod(BitConverter.ToInt32(code, at), typeArguments, methodArguments)!;
            at += operation.OperandType switch
            {
                OperandType.InlineNone => 0,
                OperandType.ShortInlineBrTarget or OperandType.ShortInlineI or OperandType.ShortInlineVar => 1,
                OperandType.InlineVar => 2,
                OperandType.InlineI8 or OperandType.InlineR => 8,
                OperandType.InlineSwitch => 4 + 4 * BitConverter.ToInt32(code, at),
                _ => 4,
            };
        }
    }
}
