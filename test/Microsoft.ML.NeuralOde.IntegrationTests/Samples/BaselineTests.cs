using System.Globalization;
using System.Text.Json;
using Microsoft.ML.NeuralOde.Samples.Anomalies;
using Microsoft.ML.NeuralOde.Samples.Anomalies.Baselines;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Samples;

/// <summary>The usual detectors that the command <c>anomaly</c> compares with.</summary>
public sealed class BaselineTests : IDisposable
{
    private static readonly float[][] Line = [[0], [1], [3], [7]];

    private readonly SampleHost _host = new();

    public void Dispose() => _host.Dispose();

    [Fact]
    public void The_area_under_the_curve_counts_pairs_and_ties_by_half()
    {
        // Of the pairs (3, 1), (3, 2), (2, 1), (2, 2) three are right, and one is a tie.
        Auroc.Of([1, 3, 2, 2], [false, true, false, true]).Should().Be(3.5 / 4);
        Auroc.Of([1, 2], [true, false]).Should().Be(0);
        Auroc.Of([5, 5, 5], [true, false, false]).Should().Be(0.5);
    }

    [Fact]
    public void Neighbours_are_the_nearest_training_rows_and_none_is_its_own()
    {
        Neighbours among = Neighbours.Find(Line, Line, 2, areSame: true);
        among.Places.Should().BeEquivalentTo(new int[][] { [1, 2], [0, 2], [1, 0], [2, 1] }, options => options.WithStrictOrdering());
        among.Distances[3].Should().Equal(4, 6);
        Neighbours.MeanDistance(Line, [[2]]).Should().Equal((1 + 1 + 2 + 5) / 4.0);
    }

    [Fact]
    public void Densities_are_those_of_closed_form()
    {
        // −log of the mean of exp(−d²/2h²) with h = 2^(−1/5), up to a constant: differences count.
        double precision = Math.Pow(2, 2.0 / 5);
        double[] density = KernelDensity.Score([[0], [2]], [[0], [1]]);
        (density[1] - density[0]).Should().BeApproximately(
            Math.Log(1 + Math.Exp(-2 * precision)) - Math.Log(2 * Math.Exp(-0.5 * precision)), 1e-6);

        // One row a part: five Gaussians with the least variance, 1e-6, on five rows.
        double[] mixture = GaussianMixture.Score([[0], [1], [2], [3], [4]], [[2]]);
        mixture[0].Should().BeApproximately(Math.Log(5) + 0.5 * Math.Log(2 * Math.PI * 1e-6), 1e-3);
    }

    [Fact]
    public void Half_of_the_normal_rows_train_by_the_second_protocol_and_the_seed_decides_which()
    {
        AnomalyRow[] rows =
            [.. Enumerable.Range(0, 24).Select(i => new AnomalyRow { Features = [i], Label = i % 6 == 0 ? 1 : 0, Line = i })];
        AnomalySplit split = AnomalySplit.Of(rows, SplitProtocol.Halves, 1);
        split.Training.Should().HaveCount(10).And.OnlyContain(row => row.Label == 0);
        split.Training.Concat(split.Test).Should().BeEquivalentTo(rows);
        AnomalySplit.Of(rows, SplitProtocol.Halves, 1).Training.Should().Equal(split.Training);
        AnomalySplit.Of(rows, SplitProtocol.Halves, 2).Training.Should().NotEqual(split.Training);
        AnomalySplit.Of(rows, SplitProtocol.Modulo, 1).Training.Should().HaveCount(12);
    }

    [RealData("anomaly")]
    public void Areas_on_real_tables_are_those_of_scikit_learn()
    {
        string[][] listed = [.. File.ReadLines(RealDataAttribute.PathOf("anomaly", "baselines.csv")).Select(line => line.Split(','))];
        foreach (string table in new[] { "glass", "breastw" })
        {
            AnomalySplit split = AnomalyTable.Read(RealDataAttribute.PathOf("anomaly", table + ".csv")).Split(SplitProtocol.Modulo, 1);
            string[] line = listed.Single(cells => cells.Contains(table));
            // A mixture depends on where its fit starts.
            foreach (Baseline baseline in Baseline.All.Where(baseline => baseline.Name != "GMM5"))
                baseline.Evaluate(split).Should().BeApproximately(
                    double.Parse(line[Array.IndexOf(listed[0], baseline.Name)], CultureInfo.InvariantCulture),
                    0.005, $"{baseline.Name} on {table}");
        }
    }

    [Fact]
    public async Task Detectors_are_chosen_by_name_and_areas_are_means_over_five_halves()
    {
        string folder = Directory.CreateTempSubdirectory("neuralode-").FullName;
        try
        {
            string file = Path.Combine(folder, "far.csv"), json = Path.Combine(folder, "result.json");
            File.WriteAllLines(file, ["x0,label", .. Enumerable.Range(0, 40).Select(i =>
                string.Create(CultureInfo.InvariantCulture, $"{(i < 32 ? Math.Sin(i) : 9)},{(i < 32 ? 0 : 1)}"))]);

            (await _host.RunAsync("anomaly", "--data", file, "--detectors", "kde,KNN5", "--protocol", "halves", "--json", json)).Should()
                .Be(0, _host.Error);

            JsonElement result = JsonDocument.Parse(File.ReadAllText(json)).RootElement.GetProperty("datasets")[0];
            result.GetProperty("auroc").ValueKind.Should().Be(JsonValueKind.Null);
            result.GetProperty("others")
                .EnumerateObject().Select(area => (area.Name, area.Value.GetDouble())).Should().Equal(("KNN5", 1), ("KDE", 1));
            _host.Output.Should().Contain("the mean over the seeds 1 to 5").And.Contain("KDE").And.NotContain("LOF20");
            (await _host.RunAsync("anomaly", "--data", file, "--detectors", "KNN7")).Should().NotBe(0);
            _host.Error.Should().Contain("'KNN7' is unknown");
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
