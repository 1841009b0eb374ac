using System.Net.Http.Headers;
using System.Text.Json;
using Microsoft.ML.Data;
using SkiaSharp;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Service;

/// <summary>Models over images answer images: in the body, in forms and in JSON.</summary>
public sealed class ImageModelTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("neural-ode-service-").FullName;
    private readonly MLContext _mlContext = new(1);

    private string ModelFile => Path.Combine(_folder, "model.zip");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task A_model_over_image_files_answers_posted_images_as_it_does_files()
    {
        (ITransformer model, IDataView data, string[] files) = ServedModels.FitPictures(_mlContext, _folder);
        _mlContext.Model.SaveSealed(model, data.Schema, ModelFile);
        string jpeg = Path.Combine(_folder, "other.jpg");
        File.WriteAllBytes(jpeg, ServedModels.Picture(30, 20, SKEncodedImageFormat.Jpeg, isLeft: false, 220));
        string[] asked = [files[0], files[1], jpeg];
        float[][] expected = Scores(
            model.Transform(_mlContext.Data.LoadFromEnumerable(asked.Select(path => new PictureRow { ImagePath = path, Label = "left" }))));
        await using ServiceHost service = await ServiceHost.StartAsync(ModelFile);

        for (int i = 0; i < asked.Length; i++)
        {
            byte[] bytes = File.ReadAllBytes(asked[i]);
            JsonElement answer =
                await ServiceHost.AnswerAsync(service.PostBytesAsync("/predict", bytes, i == 2 ? "image/jpeg" : "image/png"));
            answer.GetProperty("label").GetString().Should().Be(i == 0 ? "left" : "right");
            Scores(answer).Should().Equal(expected[i]);
            Scores(await ServiceHost.AnswerAsync(service.PostAsync("/predict", new { image = Convert.ToBase64String(bytes) })))
                .Should().Equal(expected[i]);
            Scores(await ServiceHost.AnswerAsync(
                service.PostAsync("/predict", new { image = "data:image/png;base64," + Convert.ToBase64String(bytes) })))
                .Should().Equal(expected[i]);
        }
        JsonElement inJson = await ServiceHost.AnswerAsync(
            service.PostAsync(
                "/predict/batch", new { rows = asked.Select(path => new { image = Convert.ToBase64String(File.ReadAllBytes(path)) }) }));
        inJson.EnumerateArray().Select(Scores).Should().BeEquivalentTo(expected, options => options.WithStrictOrdering());
        using var form = new MultipartFormDataContent();
        foreach (string path in asked)
            form.Add(new ByteArrayContent(File.ReadAllBytes(path)) { Headers = { ContentType = new MediaTypeHeaderValue("image/png") } },
                "image", Path.GetFileName(path));
        (await ServiceHost.AnswerAsync(service.Client.PostAsync("/predict/batch", form))).EnumerateArray()
            .Select(Scores).Should().BeEquivalentTo(expected, options => options.WithStrictOrdering());

        // The description says so, too.
        JsonElement document = JsonDocument.Parse(await service.Client.GetStringAsync("/openapi/v1.json")).RootElement;
        document.GetProperty("paths").GetProperty("/predict")
            .GetProperty("post").GetProperty("requestBody").GetProperty("content").TryGetProperty("image/png", out _).Should().BeTrue();
    }

    [Fact]
    public async Task A_model_over_images_in_memory_is_served_though_its_file_does_not_name_them()
    {
        (ITransformer model, IDataView data) = ServedModels.FitDrawn(_mlContext);
        _mlContext.Model.Save(model, data.Schema, ModelFile);
        byte[] picture = ServedModels.Picture(8, 8, SKEncodedImageFormat.Png, isLeft: true, 200);
        float[] expected = Scores(
            model.Transform(
                _mlContext.Data.LoadFromEnumerable([new DrawnRow { Picture = ServedModels.Decode(picture), Label = "left" }])))[0];
        await using ServiceHost service = await ServiceHost.StartAsync(ModelFile);
        Scores(await ServiceHost.AnswerAsync(service.PostBytesAsync("/predict", picture, "image/png"))).Should().Equal(expected);
    }

    [Fact]
    public async Task What_is_no_whole_image_is_refused_and_no_file_is_read_for_a_client()
    {
        (ITransformer model, IDataView data, string[] files) = ServedModels.FitPictures(_mlContext, _folder);
        _mlContext.Model.SaveSealed(model, data.Schema, ModelFile);
        await using ServiceHost service =
            await ServiceHost.StartAsync(ModelFile, "--Limits:MaximumPixels", "10000", "--Limits:MaximumImageBytes", "50000");
        byte[] png = ServedModels.Picture(40, 40, SKEncodedImageFormat.Png, isLeft: true, 200);

        (await ServiceHost.ProblemAsync(service.PostBytesAsync("/predict", png[..^40], "image/png"), 400)).Should().Contain("cut off");
        (await ServiceHost.ProblemAsync(service.PostBytesAsync("/predict", [1, 2, 3], "image/png"), 400)).Should().Contain("not an image");
        (await ServiceHost.ProblemAsync(service.PostBytesAsync("/predict", [], "image/png"), 400)).Should().Contain("not an image");
        (await ServiceHost.ProblemAsync(service.PostBytesAsync("/predict", png, "image/tiff"), 415)).Should().Contain("image/png");
        (await ServiceHost.ProblemAsync(service.PostBytesAsync("/predict", png, "application/octet-stream"), 415)).Should()
            .Contain("image/png");
        (await ServiceHost.ProblemAsync(service.PostBytesAsync("/predict",
            ServedModels.Picture(200, 200, SKEncodedImageFormat.Png, true, 200), "image/png"), 413)).Should().Contain("200 × 200 pixels");
        (await ServiceHost.ProblemAsync(service.PostBytesAsync("/predict", new byte[200_000], "image/png"), 413)).Should().Contain("bytes");
        (await ServiceHost.ProblemAsync(service.PostAsync("/predict", new { image = "no base 64!" }), 400)).Should()
            .Contain("'image' is no base64");
        (await ServiceHost.ProblemAsync(service.PostAsync("/predict", new { imagePath = files[0] }), 400)).Should()
            .Contain("Unknown field 'imagePath'");
        (await ServiceHost.ProblemAsync(service.PostAsync("/predict", new { image = files[0] }), 400)).Should().NotContain("could not");
        Scores(await ServiceHost.AnswerAsync(service.PostBytesAsync("/predict", png, "image/png"))).Should().HaveCount(2);
    }

    private static float[] Scores(JsonElement answer) =>
        [.. answer.GetProperty("scores").EnumerateArray().Select(number => number.GetSingle())];

    private static float[][] Scores(IDataView scored) => [.. scored.GetColumn<float[]>("Score")];
}
