namespace Microsoft.ML.NeuralOde.Samples.Everything;

/// <summary>A command as <c>all</c> runs it.</summary>
/// <param name="Args">Its name and options; computed when its turn comes, since some need what those before them wrote.</param>
/// <param name="Quick">Options that make it small.</param>
internal sealed record Story(Func<string[]> Args, params string[] Quick)
{
    private const string Model = "digits.zip";

    /// <summary>Whether it draws random numbers.</summary>
    public bool IsRandom { get; init; } = true;

    /// <summary>Every command, in an order in which later ones use what earlier ones wrote to the folder.</summary>
    public static IReadOnlyList<Story> All(string folder)
    {
        string model = At(Model);
        return
        [
            new(() => ["mnist", "--embedded", "--work", At("work"), "--model", model, "--json", At("mnist.json")], "--epochs",
                "1", "--limit", "500"),
            new(() => ["predict", "--model", model, "--json", At("predict.json"), Sevens()]) { IsRandom = false },
            new(() => ["report", "--model", model, "--embedded", "--out", At("report.html"), "--json", At("report.json")], "--rows", "200")
            {
                IsRandom = false,
            },
            new(() => ["scoring", "--model", model, "--json", At("scoring.json")], "--rows", "200", "--seconds", "1"),
            new(() => ["odenet", "--embedded", "--model", At("odenet.zip"), "--json", At("odenet.json")], "--epochs", "1", "--limit",
                "300", "--channels", "8", "--no-ablation"),
            new(() => ["resnet-vs-ode", "--embedded", "--png", At("resnet-vs-ode.png"), "--json", At("resnet-vs-ode.json")],
                "--epochs", "1", "--limit", "200", "--channels", "8", "--depth", "2"),
            new(() => ["solvers", "--json", At("solvers.json")], "--method", "tsit5") { IsRandom = false },
            new(() => ["tabular", "--set", "moons", "--json", At("tabular.json")], "--seeds", "1"),
            new(() => ["quantiles", "--data", folder, "--json", At("quantiles.json")], "--epochs", "2"),
            new(() => ["anomaly", "--data", SmallData.Anomalies(At("anomalies.csv")), "--out", At("anomalies-scored.csv"), "--json",
                At("anomaly.json")], "--epochs", "2"),
            new(() => ["density", "--png", At("density.png"), "--json", At("density.json")], "--steps", "20", "--width", "16"),
            new(() => ["density", "--table", SmallData.Table(At("table.csv")), "--out", At("drawn.csv"), "--json", At("drawn.json")],
                "--epochs", "1", "--rows", "100"),
            new(() => ["likelihood", "--data", folder, "--json", At("likelihood.json")], "--seconds", "0.2"),
            new(() => ["augmented", "--png", At("augmented.png"), "--json", At("augmented.json")], "--steps", "20"),
            new(() => ["oscillators", "--json", At("oscillators.json")], "--steps", "20", "--periods", "5"),
            new(() => ["series", "--data", SmallData.Series(At("series")), "--plot", At("series.png"), "--json", At("series.json")],
                "--epochs", "2"),
            new(() => ["latent", "--json", At("latent.json")], "--quick"),
            new(() => ["forecast", "--plot", At("forecast.png"), "--json", At("forecast.json")], "--epochs", "2"),
            new(() => ["fit", "--plot", At("fit.png"), "--json", At("fit.json")], "--iterations", "2"),
            new(() => ["tutorial", "--out", At("tutorial"), "--json", At("tutorial.json")]),
        ];

        string At(string name) => Path.Combine(folder, name);

        // Where the test images of sevens lie, which mnist wrote.
        string Sevens() => Directory.EnumerateDirectories(At("work"), "7", SearchOption.AllDirectories)
            .First(found => Path.GetFileName(Path.GetDirectoryName(found)) == "test");
    }
}
