using System.Text.Json;
using System.Xml.Linq;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.IntegrationTests.Service;
using Microsoft.ML.NeuralOde.Samples.Series;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Samples;

public sealed class ReportCommandTests : IDisposable
{
    private readonly SampleHost _host = new();
    private readonly MLContext _mlContext = new(1);

    private string Model => _host.PathOf("model.zip");

    public void Dispose() => _host.Dispose();

    public static TheoryData<string> Kinds => [.. ServedModels.Kinds];

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task Every_kind_of_model_has_a_page_with_rows_and_without(string kind)
    {
        (ITransformer model, IDataView data) = ServedModels.Fit(_mlContext, kind);
        _mlContext.Model.SaveSealed(model, data.Schema, Model);
        (model as IDisposable)?.Dispose();

        XDocument alone = await PageAsync("--model", Model);
        alone.Descendants("h2")
            .Select(heading => heading.Value).Should().Contain("Training").And.Contain("Structure").And.NotContain("Judged by rows");
        alone.Descendants("img").Should().HaveCount(1);

        XDocument judged = await PageAsync("--model", Model, "--data", Binary(data), "--json", _host.PathOf("figures.json"));
        judged.Descendants("h2").Select(heading => heading.Value).Should().Contain("Judged by rows");
        judged.Descendants("img").Count().Should().BeGreaterThan(1);
        Metrics()["rows"].Should().Be(90);
    }

    [Fact]
    public async Task Metrics_of_classes_are_those_of_ml_net()
    {
        (ITransformer model, IDataView data) = ServedModels.Fit(_mlContext, "multiclass");
        _mlContext.Model.SaveSealed(model, data.Schema, Model);
        IDataView scored = ((IEnumerable<ITransformer>)model).SkipLast(1).Aggregate(data, (rows, step) => step.Transform(rows));
        MulticlassClassificationMetrics expected = _mlContext.MulticlassClassification.Evaluate(scored, "Class");

        XDocument page = await PageAsync("--model", Model, "--data", Binary(data), "--json", _host.PathOf("figures.json"));

        Metrics()["accuracy"].Should().BeApproximately(expected.MicroAccuracy, 1e-12);
        Metrics()["accuracy, mean over classes"].Should().BeApproximately(expected.MacroAccuracy, 1e-12);
        Metrics()["log-loss"].Should().BeApproximately(expected.LogLoss, 1e-6);
        Metrics()["expected calibration error"].Should().BeInRange(0, 1);
        page.Descendants("img").Select(image => image.Attribute("alt")!.Value).Should().Contain(text => text.StartsWith("Hidden states"))
            .And.Contain(text => text.StartsWith("Below the dashed line")).And.Contain(text => text.StartsWith("Rows of each class"));
    }

    [Fact]
    public async Task Metrics_of_numbers_and_of_yes_or_no_are_those_of_ml_net()
    {
        (ITransformer model, IDataView data) = ServedModels.Fit(_mlContext, "regression");
        _mlContext.Model.SaveSealed(model, data.Schema, Model);
        RegressionMetrics numbers = _mlContext.Regression.Evaluate(model.Transform(data), "Target");
        await PageAsync("--model", Model, "--data", Binary(data), "--json", _host.PathOf("figures.json"));
        Metrics()["root mean squared error"].Should().BeApproximately(numbers.RootMeanSquaredError, 1e-5);
        Metrics()["R²"].Should().BeApproximately(numbers.RSquared, 1e-5);

        (model, data) = ServedModels.Fit(_mlContext, "binary");
        _mlContext.Model.SaveSealed(model, data.Schema, Model);
        CalibratedBinaryClassificationMetrics two = _mlContext.BinaryClassification.Evaluate(model.Transform(data));
        await PageAsync("--model", Model, "--data", Binary(data), "--json", _host.PathOf("figures.json"));
        Metrics()["accuracy"].Should().BeApproximately(two.Accuracy, 1e-12);
        Metrics()["log-loss"].Should().BeApproximately(two.LogLoss * Math.Log(2), 1e-6); // ML.NET's is in bits.
    }

    [Fact]
    public async Task A_table_is_read_by_its_header_and_what_lacks_is_named()
    {
        (ITransformer model, IDataView data) = ServedModels.FitMixed(_mlContext);
        _mlContext.Model.SaveSealed(model, data.Schema, Model);
        MixedRow[] rows = [.. _mlContext.Data.CreateEnumerable<MixedRow>(data, reuseRowObject: false)];
        string table = _host.PathOf("table.csv");
        await File.WriteAllLinesAsync(table,
            ["Target,IsNew,Kind,Count,Width", .. rows.Select(row => $"{row.Target},{row.IsNew},\"{row.Kind}\",{row.Count},{row.Width}")]);
        await PageAsync("--model", Model, "--data", table, "--json", _host.PathOf("figures.json"));
        Metrics()["root mean squared error"].Should().BeApproximately(
            _mlContext.Regression.Evaluate(model.Transform(data), "Target").RootMeanSquaredError, 1e-5);

        await File.WriteAllLinesAsync(table, ["Target,IsNew,Count,Width", "1,true,1,1"]);
        (await _host.RunAsync("report", "--model", Model, "--data", table, "--out", _host.PathOf("page.html"))).Should().Be(1);
        _host.Error.Should().Contain("has no column 'Kind' (String)").And.Contain("Target, IsNew, Count, Width");
    }

    [Fact]
    public async Task Series_are_shown_as_they_unfold()
    {
        var random = new Random(2);
        SeriesRow[] rows = [.. Enumerable.Range(0, 24).Select(row => new SeriesRow
        {
            Times = [.. Enumerable.Range(0, 5 + row % 4).Select(i => (double)i)],
            Values = [.. Enumerable.Range(0, 5 + row % 4).Select(i => (float)(row % 2 == 0 ? i : -i) + random.NextSingle())],
            Target = row % 2,
        })];
        IDataView data = _mlContext.Data.LoadFromEnumerable(rows);
        using NeuralCdeTransformer model = _mlContext.Regression.Trainers.NeuralCde(new NeuralCdeRegressionTrainer.Options
        {
            LabelColumnName = "Target",
            ChannelCount = 1,
            NumberOfEpochs = 1,
            Seed = 1,
        }).Fit(data);
        _mlContext.Model.SaveSealed(model, data.Schema, Model);

        XDocument page = await PageAsync("--model", Model, "--data", Binary(data));

        page.Descendants("h2").Select(heading => heading.Value).Should().Contain("While series unfold").And.Contain("Judged by rows");
    }

    [Fact]
    public async Task Digits_judge_a_model_of_their_size_and_no_other()
    {
        (ITransformer model, IDataView data) = ServedModels.Fit(_mlContext, "multiclass");
        _mlContext.Model.SaveSealed(model, data.Schema, Model);

        (await _host.RunAsync("report", "--model", Model, "--embedded", "--out", _host.PathOf("page.html"))).Should().Be(1);

        _host.Error.Should().Contain("reads no images of 28 × 28 pixels");
    }

    [Theory]
    [InlineData("missing.zip", null, "there is no file")]
    [InlineData("text.zip", "no archive", "is not a model that can be loaded")]
    public async Task A_file_that_is_no_model_is_named(string name, string? content, string message)
    {
        if (content is not null)
            await File.WriteAllTextAsync(_host.PathOf(name), content);

        (await _host.RunAsync("report", "--model", _host.PathOf(name), "--out", _host.PathOf("page.html"))).Should().Be(1);

        _host.Error.Should().StartWith("Error: --model:").And.Contain(message).And.Contain(name).And.NotContain("   at ");
        File.Exists(_host.PathOf("page.html")).Should().BeFalse();
    }

    [Fact]
    public async Task Damaged_and_foreign_models_are_refused_and_files_without_a_seal_are_read_on_demand()
    {
        (ITransformer model, IDataView data) = ServedModels.Fit(_mlContext, "binary");
        _mlContext.Model.Save(model, data.Schema, Model);
        (await _host.RunAsync("report", "--model", Model, "--out", _host.PathOf("page.html"))).Should().Be(1);
        _host.Error.Should().Contain("has no seal");
        await PageAsync("--model", Model, "--trust");

        _mlContext.Model.SaveSealed(model, data.Schema, Model);
        byte[] bytes = await File.ReadAllBytesAsync(Model);
        for (int i = bytes.Length / 3; i < bytes.Length / 2; i++)
            bytes[i] ^= 0x55;
        await File.WriteAllBytesAsync(Model, bytes);
        (await _host.RunAsync("report", "--model", Model, "--out", _host.PathOf("page.html"))).Should().Be(1);
        _host.Error.Should().Contain("is not a model that can be loaded");

        _mlContext.Model.SaveSealed(_mlContext.Transforms.CopyColumns("Copy", "Label").Fit(data), data.Schema, Model);
        (await _host.RunAsync("report", "--model", Model, "--out", _host.PathOf("page.html"))).Should().Be(1);
        _host.Error.Should().Contain("is no model of this library; its steps are ColumnCopyingTransformer");
    }

    [Fact]
    public async Task Rows_that_do_not_suit_the_model_are_refused()
    {
        (ITransformer model, IDataView data) = ServedModels.Fit(_mlContext, "binary");
        _mlContext.Model.SaveSealed(model, data.Schema, Model);
        foreach ((string[] args, string message) in new (string[], string)[]
        {
            (["--data", _host.PathOf("none.csv")], "there is no file or folder"),
            (["--data", Binary(data), "--label", "Colours"], "there is no column 'Colours'"),
            (["--data", Binary(_mlContext.Transforms.SelectColumns("Label").Fit(data).Transform(data))], "does not suit the model"),
        })
        {
            (await _host.RunAsync(["report", "--model", Model, "--out", _host.PathOf("page.html"), .. args])).Should().Be(1);
            _host.Error.Should().Contain(message).And.NotContain("   at ");
        }
    }

    private async Task<XDocument> PageAsync(params string[] args)
    {
        string file = _host.PathOf("page.html");
        (await _host.RunAsync(["report", "--out", file, .. args])).Should().Be(0, _host.Error);
        return XDocument.Load(file);
    }

    private string Binary(IDataView data)
    {
        string file = _host.PathOf($"{Guid.NewGuid():N}.idv");
        using FileStream stream = File.Create(file);
        _mlContext.Data.SaveAsBinary(data, stream);
        return file;
    }

    private Dictionary<string, double> Metrics()
    {
        using JsonDocument json = JsonDocument.Parse(File.ReadAllText(_host.PathOf("figures.json")));
        return json.RootElement.GetProperty("metrics")
            .EnumerateObject().ToDictionary(metric => metric.Name, metric => metric.Value.GetDouble());
    }
}
