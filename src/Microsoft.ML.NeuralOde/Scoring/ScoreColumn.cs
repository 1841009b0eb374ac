using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Scoring;

/// <summary>A column made of a scored row.</summary>
internal abstract class ScoreColumn
{
    protected ScoreColumn(string name, DataViewType type, DataViewSchema.Annotations annotations)
    {
        Name = name;
        Type = type;
        Annotations = annotations;
    }

    /// <summary>The outputs of the row at hand.</summary>
    public delegate ReadOnlySpan<float> Outputs();

    public string Name { get; }

    public DataViewType Type { get; }

    public DataViewSchema.Annotations Annotations { get; }

    /// <summary>A <see cref="ValueGetter{T}"/> of the column's type.</summary>
    public abstract Delegate Getter(Outputs outputs);
}

/// <summary>Outputs as a vector: all of them, the last ones, or those from one on.</summary>
/// <param name="name">The column.</param>
/// <param name="count">How many.</param>
/// <param name="annotations">The column's annotations.</param>
/// <param name="first">The first; null for the last ones.</param>
/// <param name="shape">The dimensions of the vector; null for one.</param>
internal sealed class VectorScore(
    string name, int count, DataViewSchema.Annotations annotations, int? first = null, int[]? shape = null)
    : ScoreColumn(name, new VectorDataViewType(NumberDataViewType.Single, shape ?? [count]), annotations)
{
    public override Delegate Getter(Outputs outputs) => (ValueGetter<VBuffer<float>>)((ref VBuffer<float> value) =>
    {
        ReadOnlySpan<float> row = outputs();
        row = first is { } start ? row.Slice(start, count) : row[^count..];
        VBufferEditor<float> editor = VBufferEditor.Create(ref value, row.Length);
        row.CopyTo(editor.Values);
        value = editor.Commit();
    });
}

/// <summary>The place of the largest output, as a key.</summary>
internal sealed class ArgMaxKey(string name, int count, DataViewSchema.Annotations annotations)
    : ScoreColumn(name, new KeyDataViewType(typeof(uint), count), annotations)
{
    public override Delegate Getter(Outputs outputs) => (ValueGetter<uint>)((ref uint value) =>
    {
        ReadOnlySpan<float> row = outputs();
        int best = 0;
        for (int i = 1; i < row.Length; i++)
            if (row[i] > row[best])
                best = i;
        // Key values start at 1; 0 is missing, which is what a row without a usable score has.
        value = float.IsNaN(row[best]) ? 0 : (uint)best + 1;
    });
}

/// <summary>One of the outputs as a number.</summary>
internal sealed class NumberScore(string name, int index, DataViewSchema.Annotations annotations)
    : ScoreColumn(name, NumberDataViewType.Single, annotations)
{
    public override Delegate Getter(Outputs outputs) => (ValueGetter<float>)((ref float value) => value = outputs()[index]);
}

/// <summary>What one of the outputs is converted to.</summary>
internal sealed class ConvertedScore(string name, int index, Func<float, float> convert, DataViewSchema.Annotations annotations)
    : ScoreColumn(name, NumberDataViewType.Single, annotations)
{
    public override Delegate Getter(Outputs outputs) => (ValueGetter<float>)((ref float value) => value = convert(outputs()[index]));
}

/// <summary>Whether one of the outputs lies above a threshold.</summary>
/// <param name="name">The column.</param>
/// <param name="index">The output.</param>
/// <param name="threshold">The threshold.</param>
/// <param name="ifMissing">The value of a row whose output is NaN.</param>
/// <param name="annotations">The column's annotations.</param>
internal sealed class AboveThreshold(string name, int index, float threshold, bool ifMissing, DataViewSchema.Annotations annotations)
    : ScoreColumn(name, BooleanDataViewType.Instance, annotations)
{
    public override Delegate Getter(Outputs outputs) => (ValueGetter<bool>)((ref bool value) =>
    {
        float output = outputs()[index];
        value = float.IsNaN(output) ? ifMissing : output > threshold;
    });
}
