using Microsoft.ML.NeuralOde.Service.Http;

namespace Microsoft.ML.NeuralOde.Service.Inputs;

/// <summary>The fields of a row by their names, whatever their case; of each row, every one is given once.</summary>
internal sealed class InputFields(IReadOnlyList<InputColumn> inputs)
{
    /// <summary>Ordinary names; two that differ by their case alone are told apart by it.</summary>
    private readonly StringComparer _comparer = inputs.Select(input => input.Field)
        .Distinct(StringComparer.OrdinalIgnoreCase).Count() == inputs.Count
        ? StringComparer.OrdinalIgnoreCase : StringComparer.Ordinal;

    public IReadOnlyList<InputColumn> Inputs => inputs;

    /// <summary>The place of a field.</summary>
    /// <exception cref="RequestException">There is no such field.</exception>
    public int Find(string name, string where)
    {
        for (int i = 0; i < inputs.Count; i++)
            if (_comparer.Equals(inputs[i].Field, name) || _comparer.Equals(inputs[i].Name, name))
                return i;
        throw new RequestException($"{where}{(where.Length == 0 ? 'U' : 'u')}nknown field '{Shorten(name)}'; the model reads {Names}.");
    }

    /// <exception cref="RequestException">A field has no value.</exception>
    public void CheckComplete(object?[] row, string where)
    {
        int missing = Array.IndexOf(row, null);
        if (missing >= 0)
            throw new RequestException($"{where}'{inputs[missing].Field}' is missing; it must be {inputs[missing].Wanted}.");
    }

    private string Names => string.Join(", ", inputs.Select(input => $"'{input.Field}'"));

    private static string Shorten(string name) => name.Length <= 64 ? name : name[..64] + "…";
}
