using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Data;

/// <summary>
/// Reads vectors of Single that are as long as the type of their column says. ML.NET does not check that: an array that is null, too short
/// or too long comes through its views and prediction engines as it is, and a vector without numbers leaves what it is copied to as it was.
/// </summary>
/// <param name="row">The row that moves.</param>
/// <param name="column">A vector of Single of known size.</param>
/// <param name="role">What the column is, in messages.</param>
internal sealed class VectorReader(DataViewRow row, DataViewSchema.Column column, string role)
{
    private readonly ValueGetter<VBuffer<float>> _getter = row.GetGetter<VBuffer<float>>(column);
    private VBuffer<float> _values;

    /// <summary>The numbers of a vector.</summary>
    public int Size { get; } = ((VectorDataViewType)column.Type).Size;

    /// <summary>Reads the current row's vector; what a sparse one leaves out is zero.</summary>
    /// <param name="target">Takes <see cref="Size"/> numbers.</param>
    /// <exception cref="InvalidOperationException">The vector has another length than its type.</exception>
    public void Read(Span<float> target)
    {
        _getter(ref _values);
        if (_values.Length != Size)
            throw WrongLength(_values.Length);
        _values.CopyTo(target);
    }

    /// <summary>Reads the numbers of the current row's vector that are not zero, missing ones among them.</summary>
    /// <param name="slots">Takes their slots, ascending; made larger where they need more room.</param>
    /// <param name="values">Takes the numbers.</param>
    /// <returns>How many there are.</returns>
    /// <exception cref="InvalidOperationException">The vector has another length than its type.</exception>
    public int ReadNonZeros(ref int[] slots, ref float[] values)
    {
        _getter(ref _values);
        if (_values.Length != Size)
            throw WrongLength(_values.Length);
        ReadOnlySpan<float> found = _values.GetValues();
        ReadOnlySpan<int> places = _values.IsDense ? default : _values.GetIndices();
        int count = 0;
        for (int i = 0; i < found.Length; i++)
        {
            if (found[i] == 0)
                continue;
            if (count == values.Length)
            {
                Array.Resize(ref slots, Math.Max(16, 2 * count));
                Array.Resize(ref values, slots.Length);
            }
            slots[count] = _values.IsDense ? i : places[i];
            values[count++] = found[i];
        }
        return count;
    }

    private InvalidOperationException WrongLength(int found)
    {
        string numbers = found switch
        {
            0 => "no numbers (an array that is null or empty)",
            1 => "1 number",
            _ => $"{found} numbers",
        };
        return new InvalidOperationException(
            $"The {role} column '{column.Name}' has {numbers} in row {row.Position}; its type, {column.Type}, asks for {Size} in every row.");
    }
}
