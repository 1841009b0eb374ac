using System.Runtime.InteropServices;
using Microsoft.ML.NeuralOde.Data;

namespace Microsoft.ML.NeuralOde.Training;

/// <summary>
/// The rows that several processes hold together, each some of them: batches have those of this process, statistics are of all. Everybody
/// goes through them at the same time.
/// </summary>
internal sealed class RankRows : ITrainingRows
{
    private readonly Team _team;
    private readonly IDivisibleRows? _held;
    private readonly RankShares _shares;
    private readonly Device _device;

    private RankRows(Team team, IDivisibleRows? held, RankShares shares, RowFormat format, RowStatistics statistics, Device device)
    {
        _team = team;
        _held = held;
        _shares = shares;
        _device = device;
        Format = format;
        Statistics = statistics;
    }

    public long Count => _shares.Total;

    public long HeldCount => _shares.Held;

    public RowFormat Format { get; }

    public RowStatistics Statistics { get; }

    /// <summary>Puts the rows of all processes together; all call it at the same time.</summary>
    /// <param name="team">The processes.</param>
    /// <param name="held">The rows of this one, which are disposed of with these; null for none.</param>
    /// <param name="format">What the features of a row are, the same for all.</param>
    /// <param name="shape">What a row has.</param>
    public static RankRows Of(Team team, IDivisibleRows? held, RowFormat format, RowShape shape)
    {
        long[] counts = [.. team.Gather([held?.Count ?? 0]).Select(one => one[0])];
        var all = new RowStatistics(format, shape) { AreOrdered = false };
        foreach (byte[] bytes in team.GatherBytes(Bytes(held?.Statistics ?? new RowStatistics(format, shape))))
        {
            var one = new RowStatistics(format, shape);
            using var reader = new BinaryReader(new MemoryStream(bytes));
            one.Read(reader);
            if (one.Count > 0)
                all.Merge(one);
        }
        return new RankRows(team, held, new RankShares(counts, team.Share.Rank), format, all, CPU);
    }

    public IEnumerable<RowBatch> Batches(int batchSize, int? orderSeed = null, long firstBatch = 0, BatchShare share = default)
    {
        int? own = orderSeed is { } seed ? Seeds.Rows(seed, _team.Share.Rank) : null;
        // Gone through twice: once for the sizes, and once for where they stand.
        IEnumerable<OwnPart> parts = _shares.Parts(batchSize).Skip((int)firstBatch);
        long firstRow = parts.FirstOrDefault(new OwnPart(_shares.Held, 0, 0, 0)).Start;
        int usual = (int)Math.Min(_shares.Held, Math.Max(1, batchSize * _shares.Held / Math.Max(1, _shares.Total)));
        using IEnumerator<RowBatch>? held = _held?.Cut(
            parts.Where(part => part.Count > 0).Select(part => part.Count), usual, own, firstRow).GetEnumerator();
        foreach (OwnPart part in parts)
        {
            if (part.Count > 0 && !held!.MoveNext())
                throw new InvalidOperationException("There are fewer rows than there were.");
            yield return part.Count > 0
                ? held!.Current with { IsOwn = true, First = part.First, Total = part.Total } : StandIn() with { Total = part.Total };
        }
        // A stream looks whether it has ended.
        held?.MoveNext();
    }

    public ITrainingRows MoveTo(Device device) =>
        new RankRows(_team, (IDivisibleRows?)_held?.MoveTo(device), _shares, Format, Statistics, device);

    public float[] Unite(float[] numbers) =>
        [.. _team.GatherBytes(MemoryMarshal.AsBytes<float>(numbers).ToArray())
            .SelectMany(bytes => MemoryMarshal.Cast<byte, float>(bytes).ToArray())];

    public void Dispose() => _held?.Dispose();

    private RowBatch StandIn()
    {
        RowBatch typical = Statistics.CreateTypical();
        if (_device.type == DeviceType.CPU)
            return typical with { IsOwn = true, IsStandIn = true };
        using (typical)
            return new RowBatch(typical.Features.To(_device), typical.Labels?.to(_device), typical.Weights?.to(_device))
            {
                IsOwn = true,
                IsStandIn = true,
            };
    }

    private static byte[] Bytes(RowStatistics statistics)
    {
        using var stream = new MemoryStream();
        using (var writer = new BinaryWriter(stream))
            statistics.Write(writer);
        return stream.ToArray();
    }
}
