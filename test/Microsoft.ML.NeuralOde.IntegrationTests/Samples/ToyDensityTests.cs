using System.Globalization;
using Microsoft.ML.NeuralOde.Samples.Density;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Samples;

public class ToyDensityTests
{
    public static TheoryData<string> Names() => [.. ToyDensity.Names];

    [Theory]
    [MemberData(nameof(Names))]
    public void A_density_integrates_to_one(string name)
    {
        ToyDensity density = ToyDensity.Parse(name);
        // The sides of the checkerboard's squares lie between the cells.
        const int N = 140;
        const double Half = 7, Cell = 2 * Half / N;
        double mass = 0;
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++)
                mass += Math.Exp(density.LogDensity(-Half + (i + 0.5) * Cell, -Half + (j + 0.5) * Cell));
        (mass * Cell * Cell).Should().BeApproximately(1, 0.01);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Points_fall_into_the_cells_of_a_grid_as_often_as_their_density_says(string name)
    {
        ToyDensity density = ToyDensity.Parse(name);
        const int Count = 40_000, N = 14, Fine = 10;
        const double Half = 7, Cell = 2 * Half / N;
        var found = new double[N, N];
        float[] points = density.Sample(Count, new Random(1));
        for (int i = 0; i < Count; i++)
            if (Math.Abs(points[2 * i]) < Half && Math.Abs(points[2 * i + 1]) < Half)
                found[(int)((points[2 * i] + Half) / Cell), (int)((points[2 * i + 1] + Half) / Cell)]++;
        double chiSquare = 0;
        int cells = 0;
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++)
            {
                double expected = 0;
                for (int k = 0; k < Fine * Fine; k++)
                    expected += Math.Exp(density.LogDensity(
                        -Half + (i + (k / Fine + 0.5) / Fine) * Cell, -Half + (j + (k % Fine + 0.5) / Fine) * Cell));
                expected *= Count * Cell * Cell / (Fine * Fine);
                if (expected < 20)
                    continue;
                cells++;
                chiSquare += Math.Pow(found[i, j] - expected, 2) / expected;
            }
        cells.Should().BeGreaterThan(10);
        // The quadrature over a cell has an error of its own where the density is sharp.
        (chiSquare / cells).Should().BeLessThan(2);
    }

    [Theory]
    [InlineData("8gaussians", 2.83084)]
    [InlineData("checkerboard", 3.46574)]
    public void The_entropy_is_that_of_the_closed_form(string name, double expected) =>
        ToyDensity.Parse(name).NegativeEntropy(20_000, new Random(2)).Should().BeApproximately(-expected, 0.025);

    [RealData("density")]
    public void Entropies_and_moments_are_those_of_the_original_generators()
    {
        foreach (string[] row in File.ReadLines(RealDataAttribute.PathOf("density", "toy2d_entropy.csv"))
            .Skip(1).Select(line => line.Split(',')))
        {
            double[] expected = [.. row.Skip(2).Take(6).Select(cell => double.Parse(cell, CultureInfo.InvariantCulture))];
            ToyDensity density = ToyDensity.Parse(row[0]);
            density.NegativeEntropy(20_000, new Random(3)).Should().BeApproximately(-expected[0], 0.03, row[0]);
            float[] points = density.Sample(100_000, new Random(4));
            for (int axis = 0; axis < 2; axis++)
            {
                double[] values = [.. points.Where((_, i) => i % 2 == axis).Select(value => (double)value)];
                double mean = values.Average();
                mean.Should().BeApproximately(expected[2 + axis], 0.03, row[0]);
                Math.Sqrt(values.Average(value => Math.Pow(value - mean, 2))).Should().BeApproximately(expected[4 + axis], 0.03, row[0]);
            }
        }
    }

    [Fact]
    public void An_unknown_name_is_answered_with_the_known_ones()
    {
        Action act = () => ToyDensity.Parse("9gaussians");
        act.Should().Throw<ArgumentException>().WithMessage("*9gaussians*8gaussians*swissroll*");
    }
}
