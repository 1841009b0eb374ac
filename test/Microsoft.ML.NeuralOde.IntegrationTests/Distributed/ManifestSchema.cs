using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Distributed;

/// <summary>As much of JSON Schema as the manifests need: types, required and known properties, values, patterns, references by
/// name.</summary>
internal sealed class ManifestSchema(JsonElement definitions)
{
    /// <summary>What is wrong with a document, with where it stands; nothing where it is right.</summary>
    public IReadOnlyList<string> Check(object? node, string definition)
    {
        var defects = new List<string>();
        Check(node, definitions.GetProperty(definition), definition, defects);
        return defects;
    }

    private void Check(object? node, JsonElement schema, string path, List<string> defects)
    {
        if (schema.TryGetProperty("$ref", out JsonElement reference))
            schema = definitions.GetProperty(reference.GetString()!);
        if (schema.TryGetProperty("enum", out JsonElement values)
            && !values.EnumerateArray().Any(value => value.GetString() == node as string))
            defects.Add($"{path} is {node}; it must be one of {values}");
        switch (schema.TryGetProperty("type", out JsonElement type) ? type.GetString() : null)
        {
            case "object" when node is Dictionary<object, object?> properties:
                CheckProperties(properties, schema, path, defects);
                break;
            case "array" when node is List<object?> items:
                for (int i = 0; i < items.Count; i++)
                    Check(items[i], schema.GetProperty("items"), $"{path}[{i}]", defects);
                break;
            case "string" when node is string text:
                if (schema.TryGetProperty("pattern", out JsonElement pattern) && !Regex.IsMatch(text, pattern.GetString()!))
                    defects.Add($"{path} is '{text}'; it must match {pattern}");
                break;
            case "integer" when node is string number && long.TryParse(number, CultureInfo.InvariantCulture, out long value):
                if (value < schema.GetProperty("minimum").GetInt64())
                    defects.Add($"{path} is {value}; it must be at least {schema.GetProperty("minimum")}");
                break;
            case null:
                break;
            case { } expected:
                defects.Add($"{path} is no {expected}");
                break;
        }
    }

    private void CheckProperties(Dictionary<object, object?> found, JsonElement schema, string path, List<string> defects)
    {
        if (schema.TryGetProperty("required", out JsonElement required))
            defects.AddRange(required.EnumerateArray()
                .Where(name => !found.ContainsKey(name.GetString()!)).Select(name => $"{path} has no {name}"));
        if (!schema.TryGetProperty("properties", out JsonElement known))
            return;
        foreach ((object name, object? value) in found)
            if (known.TryGetProperty((string)name, out JsonElement property))
                Check(value, property, $"{path}.{name}", defects);
            else
                defects.Add($"{path} has {name}, which is not known");
    }
}
