using System.Reflection;
using System.Runtime.CompilerServices;
using TorchSharp.Modules;
using Module = TorchSharp.torch.nn.Module;

namespace Microsoft.ML.NeuralOde.Stepping;

/// <summary>
/// What a right-hand side can reach from its own fields: for messages that name a forgotten tensor, and for what evaluations change in
/// passing. It is no source of facts on which a result depends: what lies further away is not found.
/// </summary>
internal sealed class Reachable
{
    /// <summary>A program may hang on a closure; what belongs to a right-hand side is near.</summary>
    private const int MostObjects = 1024;

    private const BindingFlags Own = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;

    private static readonly ConditionalWeakTable<Type, FieldInfo[]> Fields = [];

    private readonly HashSet<object> _seen = new(ReferenceEqualityComparer.Instance);
    private readonly Queue<(object Value, string Path)> _waiting = new();
    private readonly HashSet<Type> _statics = [];
    private readonly List<(Tensor Tensor, string Path)> _tensors = [];
    private readonly List<(Module Module, string Path)> _modules = [];
    private readonly List<MethodInfo> _functions = [];

    private Reachable()
    {
    }

    /// <summary>Tensors that require gradients, and where they were found.</summary>
    public IReadOnlyList<(Tensor Tensor, string Path)> Tensors => _tensors;

    /// <summary>The functions that were met.</summary>
    public IReadOnlyList<MethodInfo> Functions => _functions;

    /// <summary>What evaluations of the modules may change: buffers such as the running statistics of batch normalisation.</summary>
    public IEnumerable<Tensor> Buffers =>
        _modules.SelectMany(found => found.Module.buffers()).Distinct<Tensor>(ReferenceEqualityComparer.Instance);

    /// <summary>The first module that drops at random, by its place; null where there is none.</summary>
    public string? Dropout
    {
        get
        {
            foreach ((Module module, string path) in _modules)
                if (module.training && module.GetType().Name.Contains("Dropout", StringComparison.Ordinal))
                    return path.Length == 0 ? module.GetType().Name : $"{module.GetType().Name} '{path}'";
            return null;
        }
    }

    /// <summary>Looks through a function, or a module.</summary>
    public static Reachable From(object start)
    {
        var found = new Reachable();
        found.Meet(start, "");
        while (found._waiting.TryDequeue(out (object Value, string Path) next) && found._seen.Count < MostObjects)
            found.Open(next.Value, next.Path);
        return found;
    }

    private void Meet(object? value, string path)
    {
        if (value is null || !MayHold(value.GetType()) || (!value.GetType().IsValueType && !_seen.Add(value)))
            return;
        if (value is not Tensor tensor)
            _waiting.Enqueue((value, path));
        else if (!tensor.IsInvalid && tensor.requires_grad)
            _tensors.Add((tensor, path));
    }

    private void Open(object value, string path)
    {
        switch (value)
        {
            case Delegate function:
                foreach (Delegate part in function.GetInvocationList())
                {
                    _functions.Add(part.Method);
                    Meet(part.Target, path);
                    OpenStatics(part.Method.DeclaringType);
                }
                return;
            case Array array:
                for (int i = 0; i < array.Length && array.Rank == 1; i++)
                    Meet(array.GetValue(i), $"{path}[{i}]");
                return;
            case Module module:
                OpenModule(module, path);
                break;
        }
        for (Type? type = value.GetType(); type is not null && type != typeof(object); type = type.BaseType)
            foreach (FieldInfo field in FieldsOf(type))
                if (!field.IsStatic)
                    Meet(field.GetValue(value), Join(path, field.Name));
    }

    private void OpenModule(Module module, string path)
    {
        _modules.Add((module, path));
        foreach ((string name, Parameter parameter) in module.named_parameters(recurse: false))
            Meet(parameter, Join(path, name));
        foreach ((string name, Module child) in module.named_children())
            Meet(child, Join(path, name));
        OpenStatics(module.GetType());
    }

    /// <summary>A function without a closure of its own has nothing but static fields to hold its tensors.</summary>
    private void OpenStatics(Type? type)
    {
        for (; type is not null && IsForeign(type) && _statics.Add(type); type = type.DeclaringType)
            foreach (FieldInfo field in FieldsOf(type))
                // Delegates there are the compiler's: other functions of the same class.
                if (field.IsStatic && !typeof(Delegate).IsAssignableFrom(field.FieldType))
                    Meet(field.GetValue(null), Join("", field.Name));
    }

    private static FieldInfo[] FieldsOf(Type type) => Fields.GetValue(type, static type =>
    [
        .. (type.ContainsGenericParameters ? [] : type.GetFields(Own | BindingFlags.Instance | BindingFlags.Static))
            .Where(field => !field.IsLiteral && MayHold(field.FieldType)),
    ]);

    private static bool MayHold(Type type)
    {
        if (type.IsPrimitive || type.IsEnum || type.IsPointer || type.IsFunctionPointer || type.IsByRefLike || type == typeof(string))
            return false;
        if (type.IsArray)
            return MayHold(type.GetElementType()!);
        // Of the system's own types those matter that hold what others put into them.
        return IsForeign(type)
            || type == typeof(object) || type.IsInterface || type.IsGenericType || typeof(Delegate).IsAssignableFrom(type)
            || typeof(Module).IsAssignableFrom(type) || typeof(Tensor).IsAssignableFrom(type)
            || type.Namespace?.StartsWith("TorchSharp", StringComparison.Ordinal) == true;
    }

    /// <summary>Whether a type is neither the system's nor torch's nor ours.</summary>
    private static bool IsForeign(Type type) =>
        type.Assembly != typeof(object).Assembly && type.Assembly != typeof(Tensor).Assembly
            && type.Namespace?.StartsWith("System", StringComparison.Ordinal) != true;

    /// <summary>The place as its programmer wrote it: names that the compiler made are left out, or become those of the source.</summary>
    private static string Join(string path, string field)
    {
        if (field is "_items" or "_internal_params" or "_internal_submodules")
            return path;
        if (field.StartsWith('<'))
        {
            int end = field.IndexOf('>', StringComparison.Ordinal);
            field = end > 1 ? field[1..end] : "";
        }
        if (field.Length == 0 || field.Contains('$', StringComparison.Ordinal))
            return path;
        return path.Length == 0 ? field : $"{path}.{field}";
    }
}
