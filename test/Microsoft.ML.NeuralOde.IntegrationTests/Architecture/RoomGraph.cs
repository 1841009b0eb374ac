using ArchUnitNET.Domain;
using ArchUnitNET.Domain.Dependencies;
using ArchUnitNET.Loader;
using Assembly = System.Reflection.Assembly;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Architecture;

/// <summary>
/// Which room of an assembly knows which. A room is a namespace below the root namespace, which is the front door and no room.
/// </summary>
internal sealed class RoomGraph
{
    private const string Root = "Microsoft.ML.NeuralOde.";

    private readonly SortedDictionary<string, SortedDictionary<string, SortedSet<string>>> _arrows = new(StringComparer.Ordinal);

    /// <summary>Reads the compiled code: every reference from a type to another, those in method bodies included.</summary>
    public static RoomGraph Of(Assembly assembly)
    {
        var graph = new RoomGraph();
        foreach (IType type in new ArchLoader().LoadAssembly(assembly).Build().Types)
            foreach (ITypeDependency dependency in type.Dependencies)
                // Type parameters of one name are one type to the loader, wherever they stand.
                if (dependency.Target is not GenericParameter
                    && Room(type) is { } from && Room(dependency.Target) is { } to && dependency.Target.Assembly.Name == type.Assembly.Name)
                    graph.Add(from, to, $"{type.Name} uses {dependency.Target.Name}");
        return graph;
    }

    /// <summary>The rooms that know others.</summary>
    public IEnumerable<string> Rooms => _arrows.Keys;

    /// <summary>The rooms that a room knows.</summary>
    public IReadOnlyCollection<string> Known(string room) =>
        _arrows.TryGetValue(room, out SortedDictionary<string, SortedSet<string>>? known) ? known.Keys : [];

    /// <summary>Notes that one room knows another.</summary>
    public void Add(string from, string to, string why)
    {
        if (from == to)
            return;
        if (!_arrows.TryGetValue(from, out SortedDictionary<string, SortedSet<string>>? known))
            _arrows[from] = known = new(StringComparer.Ordinal);
        if (!known.TryGetValue(to, out SortedSet<string>? reasons))
            known[to] = reasons = new(StringComparer.Ordinal);
        reasons.Add(why);
    }

    /// <summary>
    /// The arrows from which a way leads back to where they begin, with the first references that make each; two rooms that know each other
    /// are such.
    /// </summary>
    public IReadOnlyList<string> Circles() =>
    [
        .. _arrows.SelectMany(from => from.Value.Where(to => Reaches(to.Key, from.Key))
            .Select(to => $"{from.Key} -> {to.Key} ({string.Join(", ", to.Value.Take(3))})")),
    ];

    private bool Reaches(string start, string end)
    {
        var seen = new HashSet<string>(StringComparer.Ordinal) { start };
        var waiting = new Queue<string>(seen);
        while (waiting.TryDequeue(out string? room))
        {
            if (room == end)
                return true;
            foreach (string next in Known(room))
                if (seen.Add(next))
                    waiting.Enqueue(next);
        }
        return false;
    }

    private static string? Room(IType type) =>
        type.Namespace?.FullName is { } name && name.StartsWith(Root, StringComparison.Ordinal) ? name[Root.Length..] : null;
}
