using System.Text.Json;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Samples;

public sealed class TabularCommandTests : IDisposable
{
    private readonly SampleHost _host = new();

    public void Dispose() => _host.Dispose();

    [Fact]
    public async Task Trainers_are_compared_on_a_table_of_each_task_and_ours_is_among_the_good_ones()
    {
        string json = _host.PathOf("tabular.json");

        (await _host.RunAsync("tabular", "--set", "moons,friedman1", "--seeds", "2", "--json", json)).Should().Be(0, _host.Error);

        _host.Output.Should().ContainAll("moons", "friedman1", "NeuralOde", "LightGbm", "FastTree", "Sdca", "±");
        JsonElement[] sets = [.. JsonDocument.Parse(File.ReadAllText(json)).RootElement.GetProperty("sets").EnumerateArray()];
        sets.Should().HaveCount(2);
        Figure(sets[0], "NeuralOde", "AUC")
            .Should().BeGreaterThan(Figure(sets[0], "Sdca", "AUC"), "half circles are not separated by a line");
        Figure(sets[1], "NeuralOde", "RMSE").Should().BeLessThan(Figure(sets[1], "Sdca", "RMSE"), "a sine is no line");

        static double Figure(JsonElement set, string trainer, string name) => set.GetProperty("trainers").EnumerateArray()
            .Single(t => t.GetProperty("trainer").GetString() == trainer)
            .GetProperty("figures").GetProperty(name).GetProperty("mean").GetDouble();
    }

    [Fact]
    public async Task Unknown_tables_and_folders_without_any_are_named()
    {
        (await _host.RunAsync("tabular", "--set", "iris")).Should().Be(1);
        _host.Error.Should().Contain("'iris'").And.Contain("moons");
        (await _host.RunAsync("tabular", "--data", _host.WorkFolder)).Should().Be(1);
        _host.Error.Should().Contain(_host.WorkFolder).And.Contain("breastw.csv");
    }
}
