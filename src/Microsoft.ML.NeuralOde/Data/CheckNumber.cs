namespace Microsoft.ML.NeuralOde.Data;

/// <summary>A number made of many: another, but for one chance in 2^64, where one of them or their order is another.</summary>
internal sealed class CheckNumber
{
    private const ulong Start = 0x9E3779B97F4A7C15;

    /// <summary>The number.</summary>
    public ulong Value { get; private set; } = Start;

    /// <summary>Begins anew.</summary>
    public void Clear() => Value = Start;

    /// <summary>Goes on from a number.</summary>
    public void Restore(ulong value) => Value = value;

    public void Add(float number) => Add(BitConverter.SingleToUInt32Bits(number));

    /// <summary>Adds what another number was made of, as one.</summary>
    public void Add(CheckNumber other) => Add(other.Value);

    public void Add(ReadOnlySpan<float> numbers)
    {
        foreach (float number in numbers)
            Add(number);
    }

    private void Add(ulong bits)
    {
        // One round of the finalizer of SplitMix64 (G. Steele, D. Lea, C. Flood, 2014): no two states become the same.
        ulong z = (Value ^ bits) * 0xBF58476D1CE4E5B9;
        Value = z ^ (z >> 29);
    }

    public override string ToString() => $"{Value:x16}";
}
