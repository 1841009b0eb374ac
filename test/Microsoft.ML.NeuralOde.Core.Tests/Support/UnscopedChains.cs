using System.Reflection;
using System.Reflection.Emit;
using System.Runtime.CompilerServices;
using Tensor = TorchSharp.torch.Tensor;

namespace Microsoft.ML.NeuralOde.Core.Tests.Support;

/// <summary>
/// Finds chains of calls, as in <c>a.detach().cpu()</c>, that run where no dispose scope is open: nothing but the stack holds the tensor in
/// the middle, which a collection on another thread may finalise while native code reads it.
/// </summary>
/// <remarks>
/// A method runs in a scope if it opens one itself or is called, directly or not, only by methods that do. Whoever is called from outside
/// (public methods, and overrides of other libraries' methods) does not.
/// </remarks>
internal static class UnscopedChains
{
    private static readonly Assembly Torch = typeof(Tensor).Assembly;

    /// <summary>The chains in an assembly, each as "type.method: first call, second call".</summary>
    public static IReadOnlyList<string> In(Assembly assembly)
    {
        MethodBase[] methods = [.. Instruction.Methods(assembly)];
        ILookup<MethodBase, MethodBase> overriders = Overriders(methods);
        Dictionary<MethodBase, Instruction[]> code = methods.ToDictionary(method => method, method => Instruction.Of(method).ToArray());
        var exposed = new HashSet<MethodBase>();
        var waiting = new Queue<MethodBase>(methods.Where(method => IsCalledFromOutside(method, assembly)));
        while (waiting.TryDequeue(out MethodBase? method))
        {
            if (!code.TryGetValue(method, out Instruction[]? instructions) || OpensScope(instructions) || !exposed.Add(method))
                continue;
            foreach (Instruction instruction in instructions)
                if (instruction.Method is { } named && named.Module.Assembly == assembly)
                    foreach (MethodBase called in Called(named, overriders))
                        waiting.Enqueue(called);
        }
        return [.. exposed.SelectMany(method => Chains(method, code[method])).Order(StringComparer.Ordinal)];
    }

    private static bool OpensScope(Instruction[] code) => Array.Exists(code, instruction => instruction.Method?.Name == "NewDisposeScope");

    /// <summary>What a call, or the making of an object with compiler-made methods, may run.</summary>
    private static IEnumerable<MethodBase> Called(MethodBase named, ILookup<MethodBase, MethodBase> overriders)
    {
        MethodBase definition = Definition(named);
        yield return definition;
        foreach (MethodBase overrider in overriders[definition])
            yield return overrider;
        // Iterators are run through interfaces of the system's.
        if (named is ConstructorInfo && named.DeclaringType!.IsDefined(typeof(CompilerGeneratedAttribute)))
            foreach (MethodInfo method in named.DeclaringType!.GetMethods(
                BindingFlags.NonPublic | BindingFlags.Public | BindingFlags.Instance | BindingFlags.DeclaredOnly))
                if (method.Name.EndsWith("MoveNext", StringComparison.Ordinal))
                    yield return Definition(method);
    }

    private static bool IsCalledFromOutside(MethodBase method, Assembly assembly)
    {
        Type type = method.DeclaringType!;
        if (type.IsDefined(typeof(CompilerGeneratedAttribute)))
            return false;
        if (type.IsVisible && (method.IsPublic || method.IsFamily || method.IsFamilyOrAssembly))
            return true;
        return method is MethodInfo { IsVirtual: true } own && (own.GetBaseDefinition().Module.Assembly != assembly
            || type.GetInterfaces()
            .Any(contract =>
                contract.Assembly != assembly && !type.IsInterface && type.GetInterfaceMap(contract).TargetMethods.Contains(own)));
    }

    private static ILookup<MethodBase, MethodBase> Overriders(MethodBase[] methods) =>
        methods.OfType<MethodInfo>().Where(method => method.IsVirtual).SelectMany(Overridden, (method, overridden) => (method, overridden))
            .ToLookup(pair => pair.overridden, pair => (MethodBase)pair.method);

    private static IEnumerable<MethodBase> Overridden(MethodInfo method)
    {
        Type type = method.DeclaringType!;
        for (Type? parent = type.BaseType; parent is not null; parent = parent.BaseType)
            foreach (MethodInfo other in (parent.IsGenericType ? parent.GetGenericTypeDefinition() : parent)
                .GetMethods(BindingFlags.NonPublic | BindingFlags.Public | BindingFlags.Instance | BindingFlags.DeclaredOnly))
                if (other.IsVirtual && other.Name == method.Name && other.GetParameters().Length == method.GetParameters().Length)
                    yield return other;
        if (type.IsInterface)
            yield break;
        foreach (Type contract in type.GetInterfaces())
        {
            InterfaceMapping map = type.GetInterfaceMap(contract);
            for (int i = 0; i < map.TargetMethods.Length; i++)
                if (map.TargetMethods[i] == method)
                    yield return Definition(map.InterfaceMethods[i]);
        }
    }

    private static MethodBase Definition(MethodBase method) => method.Module.ResolveMethod(method.MetadataToken)!;

    /// <summary>Follows the stack through a method.</summary>
    private static IEnumerable<string> Chains(MethodBase method, Instruction[] code)
    {
        var atTargets = new Dictionary<int, string?[]>();
        var stack = new Stack<string?>();
        bool isReached = true;
        foreach (Instruction instruction in code)
        {
            if (atTargets.TryGetValue(instruction.At, out string?[]? there) && !isReached)
                stack = new Stack<string?>(there.Reverse());
            isReached = true;
            var popped = new List<string?>();
            for (int i = Pops(instruction, method); i > 0; i--)
                popped.Add(stack.TryPop(out string? item) ? item : null);
            string? temporary = null;
            if (instruction.Method is { } called
                && instruction.Code != OpCodes.Ldftn && instruction.Code != OpCodes.Ldvirtftn && instruction.Code != OpCodes.Ldtoken)
            {
                if (popped.Find(item => item is not null) is { } before && Reads(called))
                    yield return $"{method.DeclaringType}.{method.Name}: {before}, {called.Name}";
                temporary = MakesTensor(called) ? called.Name : null;
            }
            for (int i = Pushes(instruction); i > 0; i--)
                stack.Push(instruction.Code == OpCodes.Dup ? popped[0] : temporary);
            foreach (int target in instruction.Targets)
                atTargets.TryAdd(target, [.. stack]);
            if (instruction.Code.FlowControl is FlowControl.Branch or FlowControl.Return or FlowControl.Throw)
            {
                stack.Clear();
                isReached = false;
            }
        }
    }

    /// <summary>Whether a call hands a tensor's memory to native code.</summary>
    private static bool Reads(MethodBase called) =>
        (called.Module.Assembly == Torch || called.DeclaringType!.Name == "Numbers")
        && called.Name is not ("DetachFromDisposeScope" or "MoveToOuterDisposeScope" or "Dispose" or "get_IsInvalid");

    /// <summary>Whether a call returns a tensor that nothing holds, but for the scope that is open.</summary>
    private static bool MakesTensor(MethodBase called) =>
        called is MethodInfo { ReturnType: var type } && typeof(Tensor).IsAssignableFrom(type)
        && (called.Module.Assembly == Torch || called.DeclaringType!.Name == "Numbers")
        && (called.Name is "get_Item" or "get_T" || !called.Name.StartsWith("get_", StringComparison.Ordinal))
        && called.Name is not ("DetachFromDisposeScope" or "MoveToOuterDisposeScope" or "requires_grad_" or "MoveToOtherDisposeScope");

    private static int Pops(Instruction instruction, MethodBase method)
    {
        if (instruction.Code.StackBehaviourPop != StackBehaviour.Varpop)
            return instruction.Code.StackBehaviourPop switch
            {
                StackBehaviour.Pop0 => 0,
                StackBehaviour.Pop1 or StackBehaviour.Popi or StackBehaviour.Popref => 1,
                StackBehaviour.Pop1_pop1
                or StackBehaviour.Popi_pop1 or StackBehaviour.Popi_popi or StackBehaviour.Popi_popi8 or StackBehaviour.Popi_popr4
                    or StackBehaviour.Popi_popr8 or StackBehaviour.Popref_pop1 or StackBehaviour.Popref_popi => 2,
                _ => 3,
            };
        if (instruction.Code == OpCodes.Ret)
            return method is MethodInfo { ReturnType: var type } && type != typeof(void) ? 1 : 0;
        if (instruction.Method is not { } called)
            return 0;
        return called.GetParameters().Length + (called.IsStatic || instruction.Code == OpCodes.Newobj ? 0 : 1);
    }

    private static int Pushes(Instruction instruction) => instruction.Code.StackBehaviourPush switch
    {
        StackBehaviour.Push0 => 0,
        StackBehaviour.Push1_push1 => 2,
        StackBehaviour.Varpush => instruction.Method is MethodInfo { ReturnType: var type } && type == typeof(void) ? 0 : 1,
        _ => 1,
    };
}
