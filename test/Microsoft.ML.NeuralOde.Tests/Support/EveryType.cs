using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Tests.Support;

/// <summary>A row with a column of every type that a data view can hold, and three features.</summary>
internal sealed class EveryType
{
    [VectorType(3)]
    public float[] Features { get; set; } = [];

    public bool Bool { get; set; }

    public sbyte SByte { get; set; }

    public byte Byte { get; set; }

    public short Int16 { get; set; }

    public ushort UInt16 { get; set; }

    public int Int32 { get; set; }

    public uint UInt32 { get; set; }

    public long Int64 { get; set; }

    public ulong UInt64 { get; set; }

    public float Single { get; set; }

    public double Double { get; set; }

    public string? Text { get; set; }

    public DateTime Time { get; set; }

    public DateTimeOffset Moment { get; set; }

    public TimeSpan Duration { get; set; }

    [KeyType(5)]
    public uint Key { get; set; }

    public DataViewRowId Id { get; set; }

    /// <summary>Of a size that varies from row to row.</summary>
    public double[] Numbers { get; set; } = [];

    public string[] Words { get; set; } = [];

    [VectorType(2)]
    public long[] Pair { get; set; } = [];

    [VectorType(4), KeyType(9)]
    public uint[] Keys { get; set; } = [];

    public VBuffer<float> Sparse { get; set; }

    public static List<EveryType> Rows(int count, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(i => new EveryType
        {
            Features = [Draw(random), Draw(random), Draw(random)],
            Bool = random.Next(2) == 0,
            SByte = (sbyte)random.Next(-128, 128),
            Byte = (byte)random.Next(256),
            Int16 = (short)random.Next(short.MinValue, short.MaxValue),
            UInt16 = (ushort)random.Next(ushort.MaxValue),
            Int32 = random.Next(int.MinValue, int.MaxValue),
            UInt32 = (uint)random.NextInt64(uint.MaxValue),
            Int64 = random.NextInt64(long.MinValue, long.MaxValue),
            UInt64 = (ulong)random.NextInt64(),
            Single = random.Next(5) == 0 ? float.NaN : Draw(random),
            Double = random.NextDouble(),
            Text = random.Next(4) switch { 0 => null, 1 => "", _ => $"row {i}" },
            Time = new DateTime(random.NextInt64(DateTime.MaxValue.Ticks), DateTimeKind.Utc),
            Moment = new DateTimeOffset(2000 + random.Next(50), 1, 2, 3, 4, 5, TimeSpan.FromHours(random.Next(-10, 10))),
            Duration = TimeSpan.FromTicks(random.NextInt64(TimeSpan.TicksPerDay)),
            Key = (uint)random.Next(6),
            Id = new DataViewRowId((ulong)random.NextInt64(), (ulong)i),
            Numbers = [.. Enumerable.Range(0, random.Next(4)).Select(_ => random.NextDouble())],
            Words = [.. Enumerable.Range(0, random.Next(3)).Select(n => $"word {i} {n}")],
            Pair = [random.NextInt64(), i],
            Keys = [.. Enumerable.Range(0, 4).Select(_ => (uint)random.Next(10))],
            Sparse = random.Next(2) == 0
            ? new VBuffer<float>(6, 1, [(float)i], [random.Next(6)]) : new VBuffer<float>(2, [1, Draw(random)]),
        })];
    }

    private static float Draw(Random random) => (float)(4 * random.NextDouble() - 2);
}
