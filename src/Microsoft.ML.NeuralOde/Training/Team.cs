using System.Buffers.Binary;
using System.Reflection;
using System.Text;
using System.Text.Json;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Persistence;

namespace Microsoft.ML.NeuralOde.Training;

/// <summary>What the processes of a training say to each other, made of what a <see cref="TrainingGroup"/> can do.</summary>
internal sealed class Team(TrainingGroup group) : IDisposable
{
    private const int MostBytesAtOnce = 1 << 28;

    private bool _hasStopped;

    public bool IsFirst => group.Rank == 0;

    public int Size => group.Size;

    public BatchShare Share => new(group.Rank, group.Size);

    /// <summary>Begins a training, which <see cref="Dispose"/> ends.</summary>
    /// <returns>Null for a training of this process alone.</returns>
    public static Team? Begin(TrainingGroup? group)
    {
        group?.SetTraining(true);
        return group is null ? null : new Team(group);
    }

    public void Dispose() => group.SetTraining(false);

    /// <summary>Does something in which all processes make the same steps of the solver.</summary>
    /// <param name="canShare">Whether they can.</param>
    /// <param name="counts">Whether the rows of this process have a say in how large steps are.</param>
    /// <param name="action">What is to be done.</param>
    public T InStep<T>(bool canShare, bool counts, Func<T> action)
    {
        group.SharesSteps = canShare;
        group.CountsInSteps = counts;
        try
        {
            return action();
        }
        finally
        {
            group.SharesSteps = false;
            group.CountsInSteps = true;
        }
    }

    public void Sum(Span<float> values) => group.Sum(values);

    public void Sum(Span<double> values) => group.Sum(values);

    /// <summary>What all agree on before the way back through a batch.</summary>
    /// <param name="weight">What this process's rows weigh.</param>
    /// <param name="isSaveDue">Whether it is time for a checkpoint, which rank 0 knows.</param>
    /// <returns>The share of this process in the mean over the batch; whether the training is kept before the step, and ended.</returns>
    public (double Part, bool IsSaved, bool IsStopped) Agree(double weight, bool isSaveDue)
    {
        Span<double> sums = [weight, isSaveDue ? 1 : 0, group.IsStopRequested ? 1 : 0];
        group.Sum(sums);
        return (sums[0] > 0 ? weight / sums[0] : 1.0 / Size, sums[1] + sums[2] > 0, sums[2] > 0);
    }

    /// <summary>Numbers of all processes, those of rank 0 first.</summary>
    /// <param name="own">This process's, whole numbers below 2^53.</param>
    public long[][] Gather(ReadOnlySpan<long> own)
    {
        var lengths = new double[Size];
        lengths[group.Rank] = own.Length;
        group.Sum(lengths);
        int[] starts = new int[Size + 1];
        for (int rank = 0; rank < Size; rank++)
            starts[rank + 1] = starts[rank] + (int)lengths[rank];
        var all = new double[starts[Size]];
        for (int i = 0; i < own.Length; i++)
            all[starts[group.Rank] + i] = own[i];
        group.Sum(all);
        return [.. Enumerable.Range(0, Size).Select(rank => Array.ConvertAll(all[starts[rank]..starts[rank + 1]], value => (long)value))];
    }

    /// <summary>Bytes of all processes, those of rank 0 first.</summary>
    public byte[][] GatherBytes(byte[] own) =>
        [.. Enumerable.Range(0, Size).Select(rank => ShareBytes(rank == group.Rank ? own : null, rank)!)];

    /// <summary>A seed that all get from rank 0.</summary>
    public int ShareSeed(int own)
    {
        Span<byte> bytes = stackalloc byte[sizeof(int)];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, own);
        group.Broadcast(bytes, 0);
        return BinaryPrimitives.ReadInt32LittleEndian(bytes);
    }

    /// <summary>Bytes that all get from one.</summary>
    /// <param name="own">What the sender has; null for nothing, and on the others.</param>
    /// <param name="sender">The sender's rank.</param>
    public byte[]? ShareBytes(byte[]? own, int sender = 0)
    {
        Span<byte> length = stackalloc byte[sizeof(long)];
        BinaryPrimitives.WriteInt64LittleEndian(length, own?.Length ?? -1);
        group.Broadcast(length, sender);
        long count = BinaryPrimitives.ReadInt64LittleEndian(length);
        if (count < 0)
            return null;
        byte[] bytes = group.Rank == sender ? own! : new byte[count];
        for (int start = 0; start < bytes.Length; start += MostBytesAtOnce)
            group.Broadcast(bytes.AsSpan(start, Math.Min(MostBytesAtOnce, bytes.Length - start)), sender);
        return bytes;
    }

    /// <summary>Checks that all processes train the same thing.</summary>
    /// <param name="facts">What is to be the same, by name.</param>
    /// <exception cref="TrainingGroupException">It is not; all processes throw the same.</exception>
    public void RequireSame(IReadOnlyDictionary<string, string> facts)
    {
        var all = new SortedDictionary<string, string>(facts.Concat(Versions()).ToDictionary(), StringComparer.Ordinal);
        byte[] own = JsonSerializer.SerializeToUtf8Bytes(all);
        byte[] first = ShareBytes(own)!;
        string difference = own.AsSpan().SequenceEqual(first) ? "" : Difference(Read(first), Read(own));
        Span<double> differing = [difference.Length > 0 ? 1 : 0];
        group.Sum(differing);
        if (differing[0] == 0)
            return;
        var differences = new List<string>();
        for (int rank = 0; rank < Size; rank++)
            if (ShareBytes(rank == group.Rank ? Encoding.UTF8.GetBytes(difference) : null, rank) is { Length: > 0 } text)
                differences.Add($"on rank {rank} {Encoding.UTF8.GetString(text)}");
        throw Agreed(new TrainingGroupException(
            $"The processes of the training differ: {string.Join("; ", differences)}. All need the same program, packages, options and data."));
    }

    /// <summary>Checks that all processes have the same weights to the last bit.</summary>
    /// <exception cref="TrainingGroupException">They have not; all processes throw the same.</exception>
    public void RequireSameWeights(nn.Module module, int epoch)
    {
        var check = new CheckNumber();
        foreach ((string name, Tensor tensor) in NamedTensors.Of(module))
            check.Add(NamedTensors.ToArray(name, tensor).Values);
        byte[] own = Encoding.ASCII.GetBytes(check.ToString()), first = ShareBytes(own)!;
        long[][] same = Gather([own.AsSpan().SequenceEqual(first) ? 1 : 0]);
        if (Array.FindIndex(same, found => found[0] == 0) is >= 0 and int rank)
            throw Agreed(new TrainingGroupException(
                $"After epoch {epoch} the weights of rank {rank} are not those of rank 0, though both added the same gradients up: their "
                + "processors or versions of libtorch round differently. Train on hosts of one kind."));
    }

    /// <summary>An exception that all processes throw by themselves: nobody needs to be told.</summary>
    public T Agreed<T>(T exception)
        where T : Exception
    {
        _hasStopped = true;
        return exception;
    }

    /// <summary>Tells the others of an exception that ends the training here, unless they have it as well.</summary>
    public void Fail(Exception exception)
    {
        if (!_hasStopped)
            group.Fail(exception);
    }

    private Dictionary<string, string> Versions()
    {
        var versions = new Dictionary<string, string>(group.Facts)
        {
            ["Microsoft.ML.NeuralOde"] =
                typeof(Team).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "",
            ["TorchSharp"] = typeof(torch).Assembly.GetName().Version?.ToString() ?? "",
            ["the number of processes"] = $"{Size}",
        };
        return versions;
    }

    private static string Difference(Dictionary<string, string> first, Dictionary<string, string> own) => string.Join(
        ", ", first.Keys.Union(own.Keys).Where(name => first.GetValueOrDefault(name) != own.GetValueOrDefault(name))
            .Select(name => $"{name} is {Known(own, name)} and on rank 0 {Known(first, name)}"));

    private static string Known(Dictionary<string, string> facts, string name) => facts.GetValueOrDefault(name, "not known");

    private static Dictionary<string, string> Read(byte[] json) => JsonSerializer.Deserialize<Dictionary<string, string>>(json)!;
}
