using Microsoft.AspNetCore.OpenApi;
using Microsoft.ML.NeuralOde.Service.Inputs;
using Microsoft.ML.NeuralOde.Service.Models;
using Microsoft.OpenApi;

namespace Microsoft.ML.NeuralOde.Service.Http;

/// <summary>Writes into the OpenAPI document what the model that answers now reads and says.</summary>
internal sealed class ApiDocument(ModelStore store, ApiKey key) : IOpenApiDocumentTransformer
{
    private const string Json = "application/json", Form = "multipart/form-data", KeyScheme = "key";

    public Task TransformAsync(OpenApiDocument document, OpenApiDocumentTransformerContext context, CancellationToken cancellationToken)
    {
        ServingModel model = store.Use();
        try
        {
            document.Info = new OpenApiInfo
            {
                Title = "Neural ODE service",
                Version = model.Hash[..12],
                Description = $"Predictions of one model: {model.Plan.Task}. Whatever is no answer comes as problem details (RFC 9457).",
            };
            document.Components ??= new OpenApiComponents();
            document.Components.Schemas ??= new Dictionary<string, IOpenApiSchema>();
            document.Components.Schemas["Row"] = Row(model);
            document.Components.Schemas["Answer"] = Answer(model);
            document.Components.Schemas["Problem"] = Problem();
            IOpenApiSchema row = new OpenApiSchemaReference("Row", document), answer = new OpenApiSchemaReference("Answer", document);
            Fill(document, PredictionEndpoints.One, One(model, row), answer);
            Fill(document, PredictionEndpoints.Many, Many(model, row), new OpenApiSchema { Type = JsonSchemaType.Array, Items = answer });
        }
        finally
        {
            model.Release();
        }
        return Task.CompletedTask;
    }

    private static OpenApiSchema Row(ServingModel model) => new()
    {
        Type = JsonSchemaType.Object,
        Properties = model.Plan.Layout.Inputs.ToDictionary(input => input.Field, input => (IOpenApiSchema)input.Describe()),
        Required = model.Plan.Layout.Inputs.Select(input => input.Field).ToHashSet(),
        AdditionalPropertiesAllowed = false,
    };

    private static OpenApiSchema Answer(ServingModel model)
    {
        List<(string Name, OpenApiSchema Schema)> fields = [.. model.Plan.Answers.SelectMany(field => field.Describe())];
        return new OpenApiSchema
        {
            Type = JsonSchemaType.Object,
            Properties = fields.ToDictionary(field => field.Name, field => (IOpenApiSchema)field.Schema),
            Required = fields.Select(field => field.Name).ToHashSet(),
        };
    }

    private static OpenApiSchema Problem() => new()
    {
        Type = JsonSchemaType.Object,
        Description = "Problem details (RFC 9457).",
        Properties = new Dictionary<string, IOpenApiSchema>
        {
            ["type"] = new OpenApiSchema { Type = JsonSchemaType.String },
            ["title"] = new OpenApiSchema { Type = JsonSchemaType.String },
            ["status"] = new OpenApiSchema { Type = JsonSchemaType.Integer },
            ["detail"] = new OpenApiSchema { Type = JsonSchemaType.String, Description = "What was found, and what would be right." },
        },
    };

    private static OpenApiRequestBody One(ServingModel model, IOpenApiSchema row)
    {
        var body = new OpenApiRequestBody
        {
            Required = true,
            Description = $"A row; at most {model.Limits.RowBytes:N0} bytes.",
            Content = new Dictionary<string, OpenApiMediaType>
            { [Json] = new OpenApiMediaType { Schema = row }, [Form] = FormOf(model, isBatch: false) },
        };
        if (model.Plan.Layout.Inputs is [ImageColumn])
            foreach (string media in ImageColumn.MediaTypes)
                body.Content[media] = new OpenApiMediaType { Schema = Binary() };
        return body;
    }

    private static OpenApiRequestBody Many(ServingModel model, IOpenApiSchema row)
    {
        IOpenApiSchema item = model.Plan.Layout.Inputs is [var only] ? new OpenApiSchema { OneOf = [row, only.Describe()] } : row;
        return new OpenApiRequestBody
        {
            Required = true,
            Description = $"1 to {model.Limits.Rows} rows; at most {model.Limits.BatchBytes:N0} bytes.",
            Content = new Dictionary<string, OpenApiMediaType>
            {
                [Json] = new OpenApiMediaType
                {
                    Schema = new OpenApiSchema
                    {
                        Type = JsonSchemaType.Object,
                        Properties = new Dictionary<string, IOpenApiSchema>
                        {
                            ["rows"] = new OpenApiSchema
                            {
                                Type = JsonSchemaType.Array,
                                Items = item,
                                MinItems = 1,
                                MaxItems = model.Limits.Rows
                            },
                        },
                        Required = new HashSet<string> { "rows" },
                        AdditionalPropertiesAllowed = false,
                    },
                },
                [Form] = FormOf(model, isBatch: true),
            },
        };
    }

    private static OpenApiMediaType FormOf(ServingModel model, bool isBatch) => new()
    {
        Schema = new OpenApiSchema
        {
            Type = JsonSchemaType.Object,
            Properties = model.Plan.Layout.Inputs.ToDictionary(
                input => input.Field,
                input => (IOpenApiSchema)((input is ImageColumn ? Binary() : input.Describe()) is var part && isBatch
                    ? new OpenApiSchema { Type = JsonSchemaType.Array, Items = part } : part)),
            Required = model.Plan.Layout.Inputs.Select(input => input.Field).ToHashSet(),
        },
    };

    private static OpenApiSchema Binary() => new() { Type = JsonSchemaType.String, Format = "binary" };

    private void Fill(OpenApiDocument document, string path, OpenApiRequestBody body, IOpenApiSchema answer)
    {
        if (document.Paths[path].Operations?.GetValueOrDefault(HttpMethod.Post) is not { } operation)
            return;
        operation.RequestBody = body;
        operation.Responses = new OpenApiResponses
        {
            ["200"] = new OpenApiResponse
            {
                Description = "The answer.",
                Content = new Dictionary<string, OpenApiMediaType>
                { [Json] = new OpenApiMediaType { Schema = answer } }
            },
        };
        (string Status, string Description)[] failures =
        [
            ("400", "The request is not what the model reads."), ("408", "The body came too slowly."),
            ("413", "The body, the image or the number of rows is too large."),
            ("415", "The content type, its charset or its encoding is none that is read."), ("422", "The row has no finite score."),
            ("429", "The client asks too often."), ("503", "The service is busy."),
        ];
        foreach ((string status, string description) in key.IsNeeded ? [.. failures, ("401", "The key is missing or wrong.")] : failures)
            operation.Responses[status] = new OpenApiResponse
            {
                Description = description,
                Content = new Dictionary<string, OpenApiMediaType>
                {
                    [Problems.ContentType] =
                    new OpenApiMediaType { Schema = new OpenApiSchemaReference("Problem", document) }
                },
            };
        if (!key.IsNeeded)
            return;
        document.Components!.SecuritySchemes ??= new Dictionary<string, IOpenApiSecurityScheme>();
        document.Components.SecuritySchemes[KeyScheme] =
            new OpenApiSecurityScheme { Type = SecuritySchemeType.ApiKey, In = ParameterLocation.Header, Name = ApiKey.Header };
        operation.Security = [new OpenApiSecurityRequirement { [new OpenApiSecuritySchemeReference(KeyScheme, document)] = [] }];
    }
}
