using System.Reflection;
using System.Reflection.Emit;

namespace Microsoft.ML.NeuralOde.Core.Tests.Support;

/// <summary>An instruction of compiled code.</summary>
/// <param name="At">Where it begins.</param>
/// <param name="End">Where the next begins.</param>
/// <param name="Code">What it does.</param>
/// <param name="Method">The method it names; null for none.</param>
/// <param name="Targets">Where it may branch to.</param>
internal readonly record struct Instruction(int At, int End, OpCode Code, MethodBase? Method, int[] Targets)
{
    private const BindingFlags Everything =
        BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static | BindingFlags.Instance | BindingFlags.DeclaredOnly;

    private static readonly Dictionary<short, OpCode> Codes =
        typeof(OpCodes).GetFields().Select(field => (OpCode)field.GetValue(null)!).ToDictionary(code => code.Value);

    /// <summary>The methods and constructors of an assembly that have a body.</summary>
    public static IEnumerable<MethodBase> Methods(Assembly assembly) =>
        from type in assembly.GetTypes()
        from method in type.GetMethods(Everything).Concat<MethodBase>(type.GetConstructors(Everything))
        where method.GetMethodBody() is not null
        select method;

    /// <summary>The instructions of a method, in their order.</summary>
    public static IEnumerable<Instruction> Of(MethodBase method)
    {
        byte[] code = method.GetMethodBody()!.GetILAsByteArray()!;
        Type[]? typeArguments = method.DeclaringType!.IsGenericType ? method.DeclaringType.GetGenericArguments() : null;
        Type[]? methodArguments = method.IsGenericMethod ? method.GetGenericArguments() : null;
        for (int at = 0; at < code.Length;)
        {
            int start = at;
            // Two-byte codes begin with FE.
            OpCode operation = code[at] == 0xFE ? Codes[(short)(0xFE00 | code[at + 1])] : Codes[code[at]];
            at += operation.Size;
            int operand = at;
            MethodBase? named = operation.OperandType == OperandType.InlineMethod
                ? method.Module.ResolveMethod(BitConverter.ToInt32(code, at), typeArguments, methodArguments) : null;
            at += operation.OperandType switch
            {
                OperandType.InlineNone => 0,
                OperandType.ShortInlineBrTarget or OperandType.ShortInlineI or OperandType.ShortInlineVar => 1,
                OperandType.InlineVar => 2,
                OperandType.InlineI8 or OperandType.InlineR => 8,
                OperandType.InlineSwitch => 4 + 4 * BitConverter.ToInt32(code, at),
                _ => 4,
            };
            int end = at;
            int[] targets = operation.OperandType switch
            {
                OperandType.ShortInlineBrTarget => [end + (sbyte)code[operand]],
                OperandType.InlineBrTarget => [end + BitConverter.ToInt32(code, operand)],
                OperandType.InlineSwitch =>
                [.. Enumerable.Range(1, BitConverter.ToInt32(code, operand))
                    .Select(i => end + BitConverter.ToInt32(code, operand + 4 * i))],
                _ => [],
            };
            yield return new Instruction(start, end, operation, named, targets);
        }
    }
}
