using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.NeuralOde.Data;

/// <summary>The columns that series are read from: a value a row in the order of time, or a series a row.</summary>
/// <param name="Values">A number, or a vector of any length.</param>
/// <param name="Times">A time, or a vector of them; null for 0, 1, 2, ….</param>
/// <param name="Key">Tells to which series a row belongs; null for one series, or where each row is one.</param>
internal sealed record ForecastColumns(string Values, string? Times, string? Key)
{
    private const string OfValues = "Single or Double, or a vector of them of any length";
    private const string OfTimes =
        "a number, a DateTime, a DateTimeOffset or a TimeSpan; beside vectors of values a vector of Single or Double";

    /// <exception cref="ArgumentOutOfRangeException">A column is missing or has the wrong type.</exception>
    public ForecastInput Find(IExceptionContext context, DataViewSchema schema)
    {
        DataViewSchema.Column values = Find(Values, "series", OfValues, type => IsReal(type) || IsVector(type));
        bool areVectors = IsVector(values.Type);
        DataViewSchema.Column? times = Times is null
            ? null : Find(Times, "time", OfTimes, type => areVectors ? IsVector(type) : IsTime(type));
        DataViewSchema.Column? key = Key is null ? null : Find(Key, "key", "a single value", type => type is PrimitiveDataViewType);
        return new ForecastInput(values, times, key, areVectors);

        DataViewSchema.Column Find(string name, string role, string expected, Func<DataViewType, bool> suits)
        {
            DataViewSchema.Column found = schema.GetColumnOrNull(name) ?? throw Schemas.Mismatch(context, "inputSchema", role, name);
            return suits(found.Type) ? found : throw Schemas.Mismatch(context, "inputSchema", role, name, expected, found.Type.ToString());
        }
    }

    /// <summary>Checks the columns before there are data.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or has the wrong type.</exception>
    public void Check(IExceptionContext context, SchemaShape schema)
    {
        SchemaShape.Column values = Find(Values, "series");
        if (values.IsKey || !IsReal(values.ItemType))
            throw Schemas.Mismatch(context, "inputSchema", "series", Values, OfValues, values.GetTypeString());
        bool areVectors = values.Kind != SchemaShape.Column.VectorKind.Scalar;
        if (Times is not null)
        {
            SchemaShape.Column times = Find(Times, "time");
            if (times.IsKey || areVectors != (times.Kind != SchemaShape.Column.VectorKind.Scalar)
                || !(areVectors ? IsReal(times.ItemType) : IsTime(times.ItemType)))
                throw Schemas.Mismatch(context, "inputSchema", "time", Times, OfTimes, times.GetTypeString());
        }
        if (Key is not null && Find(Key, "key") is { Kind: not SchemaShape.Column.VectorKind.Scalar } key)
            throw Schemas.Mismatch(context, "inputSchema", "key", Key, "a single value", key.GetTypeString());

        SchemaShape.Column Find(string name, string role) =>
            schema.TryFindColumn(name, out SchemaShape.Column found) ? found : throw Schemas.Mismatch(context, "inputSchema", role, name);
    }

    private static bool IsReal(DataViewType type) => type.Equals(NumberDataViewType.Single) || type.Equals(NumberDataViewType.Double);

    private static bool IsVector(DataViewType type) => type is VectorDataViewType vector && IsReal(vector.ItemType);

    private static bool IsTime(DataViewType type) =>
        type is NumberDataViewType or DateTimeDataViewType or DateTimeOffsetDataViewType or TimeSpanDataViewType;
}

/// <summary>The columns, found in data.</summary>
/// <param name="Values">The values.</param>
/// <param name="Times">The times; null for 0, 1, 2, ….</param>
/// <param name="Key">The key; null for none.</param>
/// <param name="AreVectors">Whether each row is a series.</param>
internal sealed record ForecastInput(
    DataViewSchema.Column Values, DataViewSchema.Column? Times, DataViewSchema.Column? Key, bool AreVectors)
{
    /// <summary>The columns of series.</summary>
    public SeriesInput Series { get; } = new(Times, [Values], 1);
}
