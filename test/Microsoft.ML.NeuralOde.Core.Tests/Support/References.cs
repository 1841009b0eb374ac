using System.Text.Json;

namespace Microsoft.ML.NeuralOde.Core.Tests.Support;

/// <summary>
/// Values from outside: states by SciPy's DOP853 and Radau at tolerance 1e-12, gradients by an independent float64 program.
/// </summary>
internal static class References
{
    private static readonly JsonElement Root = Load();

    public static Tensor States(string problem) => Read(Root.GetProperty(problem).GetProperty("states"));

    public static Tensor InitialState(string problem) => Read(Root.GetProperty(problem).GetProperty("y0"));

    public static Tensor Times(string problem) => Read(Root.GetProperty(problem).GetProperty("times"));

    public static Tensor Network(string name, string? group = null)
    {
        JsonElement element = Root.GetProperty("mlp4");
        return Read((group is null ? element : element.GetProperty(group)).GetProperty(name));
    }

    public static (double RelativeTolerance, double AbsoluteTolerance, int Evaluations, double MaximumError) Peer(string method)
    {
        JsonElement element = Root.GetProperty("mlp4").GetProperty("peerEvaluations").GetProperty(method);
        return (element.GetProperty("rtol").GetDouble(), element.GetProperty("atol").GetDouble(), element.GetProperty("nfe").GetInt32(),
            element.GetProperty("maxError").GetDouble());
    }

    private static Tensor Read(JsonElement element)
    {
        var shape = new List<long>();
        for (JsonElement e = element; e.ValueKind == JsonValueKind.Array; e = e[0])
            shape.Add(e.GetArrayLength());
        var values = new List<double>();
        Flatten(element, values);
        return tensor(values.ToArray(), [.. shape], ScalarType.Float64);
    }

    private static void Flatten(JsonElement element, List<double> values)
    {
        if (element.ValueKind == JsonValueKind.Number)
            values.Add(element.GetDouble());
        else
            foreach (JsonElement child in element.EnumerateArray())
                Flatten(child, values);
    }

    private static JsonElement Load()
    {
        using Stream stream = typeof(References).Assembly.GetManifestResourceStream("references.json")!;
        return JsonDocument.Parse(stream).RootElement;
    }
}
