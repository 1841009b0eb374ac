using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Flows;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Tests.Density;

/// <summary>
/// Densities whose flow stands still: features of mean (1, −1) and deviations (2, 1/4) are independent and normal, and all that is said of
/// them is known in closed form.
/// </summary>
public class StillFlowTests
{
    private readonly MLContext _mlContext = new(1);

    [Fact]
    public void Log_densities_bits_and_latent_values_are_those_of_the_normal_distribution()
    {
        using ContinuousFlowDensityTransformer density = Density(new DensityOutput("P", "Bits", "Z"));
        float[][] rows = [[1, -1], [3, -1], [-3, -0.5f], [float.NaN, 0], [0, float.NegativeInfinity]];
        IDataView data = Data(rows), scored = density.Transform(data);
        foreach (IDataView each in new[] { scored, Reloaded(density, data).Transform(data) })
        {
            float[] p = [.. each.GetColumn<float>("P")], bits = [.. each.GetColumn<float>("Bits")];
            float[][] z = [.. each.GetColumn<float[]>("Z")];
            for (int i = 0; i < 3; i++)
            {
                double u = (rows[i][0] - 1) / 2.0, v = (rows[i][1] + 1) * 4.0;
                double expected = -(u * u + v * v) / 2 - Math.Log(2 * Math.PI) - Math.Log(2 * 0.25);
                p[i].Should().BeApproximately((float)expected, 1e-4f);
                bits[i].Should().BeApproximately((float)(-expected / (2 * Math.Log(2))), 1e-4f);
                z[i].Should().Equal([u, v], (a, b) => Math.Abs(a - b) < 1e-4);
            }
            // A row that cannot be scored stops none beside it.
            p[3..].Concat(bits[3..]).Concat(z[3..].SelectMany(row => row)).Should().OnlyContain(value => float.IsNaN(value));
        }
        double mean = scored.GetColumn<float>("P").Take(3).Average();
        density.LogLikelihood(data).Should().BeApproximately(mean, 1e-6);
        FluentActions.Invoking(() => density.LogLikelihood(Data([float.NaN, 1]))).Should().Throw<InvalidOperationException>()
            .WithMessage("The data have no row without missing values in 'Features'.");

        using ContinuousFlowDensityTransformer plain = Density(new DensityOutput("P", null, null));
        plain.Transform(data).Schema.Select(column => column.Name).Should().Equal("Features", "P");
        plain.Transform(data).GetColumn<float>("P").Take(3).Should().Equal(
            scored.GetColumn<float>("P").Take(3), (a, b) => Math.Abs(a - b) < 1e-5);
    }

    [Fact]
    public void Samples_have_the_means_and_deviations_and_a_seed_decides()
    {
        using ContinuousFlowDensityTransformer density = Density(new DensityOutput("P", null, null));
        IDataView sample = density.Sample(4000, seed: 3);
        sample.Schema["Features"].Type.Should().Be(new VectorDataViewType(NumberDataViewType.Single, 2));
        float[][] rows = [.. sample.GetColumn<float[]>("Features")];
        rows.Should().HaveCount(4000);
        foreach ((int slot, double mean, double deviation) in new[] { (0, 1, 2.0), (1, -1, 0.25) })
        {
            rows.Average(row => row[slot]).Should().BeApproximately((float)mean, (float)(5 * deviation / Math.Sqrt(4000)));
            Math.Sqrt(rows.Average(row => Math.Pow(row[slot] - mean, 2))).Should().BeApproximately(deviation, 0.06 * deviation);
        }
        density.Model.Sample(5, seed: 3).SelectMany(row => row).Should().Equal(density.Model.Sample(5, seed: 3).SelectMany(row => row));
        density.Model.Sample(5, seed: 4)[0].Should().NotEqual(density.Model.Sample(5, seed: 3)[0]);
        density.Model.Sample(5)[0].Should().NotEqual(density.Model.Sample(5)[0]);
        density.SampleAsDataView(7).Schema.Select(column => column.Name).Should().Equal("Features.0", "Features.1");
    }

    [Fact]
    public void Numbers_that_are_no_rows_are_refused_with_what_is_needed()
    {
        using var model = new ContinuousFlowModel(Network(2, 0));
        using var conditional = new ContinuousFlowModel(Network(1, 2));
        model.LogDensity([]).Should().BeEmpty("there is no row");
        conditional.Quantiles([], 0.5).Should().BeEmpty();
        Refused(() => model.LogDensity([1, 2, 3]), "3 numbers are given; rows of 2 features need a multiple of that.*");
        Refused(() => model.LogDensity([1, 2], [3]), "1 numbers are given; 1 rows need 0.*");
        Refused(() => conditional.LogDensity([1, 2], [3, 4, 5]), "3 numbers are given; 2 rows need 4.*");
        Refused(() => model.Sample(0), "*count*");
        Refused(() => model.Sample(1, [2]), "The condition has 1 numbers; it must have 0.*");
        Refused(() => conditional.Sample(1), "The condition has 0 numbers; it must have 2.*");
        Refused(() => conditional.Quantiles([1, 2, 3], 0.5), "3 numbers are given; rows of 2 numbers need a multiple of that.*");
        Refused(() => conditional.Quantiles([1, 2]), "There is no probability;*");
        foreach (double bad in new[] { 0, 1, -0.5, double.NaN })
            Refused(() => conditional.Quantiles([1, 2], 0.5, bad), "A probability must lie between 0 and 1.*");
        FluentActions.Invoking(() => new ContinuousFlowModel(Network(2, 1)).Quantiles([1], 0.5)).Should().Throw<InvalidOperationException>()
            .WithMessage("*this one has 2 features and 1 numbers of a condition*");
        FluentActions.Invoking(() => new ContinuousFlowModel(Network(1, 0)).Quantiles([], 0.5)).Should().Throw<InvalidOperationException>()
            .WithMessage("*this one has 1 features and 0 numbers of a condition*");
        model.Dispose();
        foreach (Action use in new Action[]
        {
            () => model.LogDensity([1, 2]), () => model.Sample(1), () => model.CreateModule(), () => _ = model.Weights, () => model.Share(),
        })
            use.Should().Throw<ObjectDisposedException>();

        static void Refused(Action action, string message) => action.Should().Throw<ArgumentException>().WithMessage(message);
    }

    /// <summary>Quantiles of N(1, 4): those of the standard normal distribution at −2, −1, 0 and 1.</summary>
    [Fact]
    public void Quantiles_are_those_of_the_normal_distribution_under_every_condition()
    {
        using var model = new ContinuousFlowModel(Network(1, 2));
        double[] probabilities = [0.022750131948179, 0.158655253931457, 0.5, 0.841344746068543];
        model.Quantiles([5, 6, -7, 8], probabilities).Should()
            .Equal([-3, -1, 1, 3, -3, -1, 1, 3], (a, b) => Math.Abs(a - b) < 1e-3);
        model.Quantiles([5, float.NaN, 0, 0], 0.5).Should().Equal([float.NaN, 1], (a, b) => a.Equals(b) || Math.Abs(a - b) < 1e-3);
        model.LogDensity([3], [0, 9]).Should().Equal(
            [(float)(-0.5 - Math.Log(2 * Math.PI) / 2 - Math.Log(2))], (a, b) => Math.Abs(a - b) < 1e-4);
    }

    [Theory]
    [InlineData(new[] { 0.5 }, true)]
    [InlineData(new[] { 1e-9, 0.999 }, true)]
    [InlineData(new double[0], false)]
    [InlineData(new[] { 0.0 }, false)]
    [InlineData(new[] { 1.0 }, false)]
    [InlineData(new[] { 0.5, 1.5 }, false)]
    [InlineData(new[] { -0.5, 0.5 }, false)]
    [InlineData(new[] { 0.5, double.NaN }, false)]
    public void Probabilities_in_a_file_lie_between_0_and_1(double[] probabilities, bool makeSense)
    {
        var output = new QuantileOutput("Score", "Quantiles", probabilities);
        output.FindDefect().Should().Be(makeSense ? null : "its quantiles make no sense");
        output.SlotNames().Should().Equal(probabilities.Select(p => p.ToString(System.Globalization.CultureInfo.InvariantCulture)));
    }

    [Fact]
    public void An_estimator_promises_a_number_a_number_and_a_vector()
    {
        SchemaShape input = Interop.Schemas.ShapeOf(Data([1, 2]).Schema);
        SchemaShape all = Estimator("Bits", "Z").GetOutputSchema(input);
        all.Select(column => (column.Name, column.Kind)).Should().Equal(
            ("Features", SchemaShape.Column.VectorKind.Vector), ("LogDensity", SchemaShape.Column.VectorKind.Scalar),
            ("Bits", SchemaShape.Column.VectorKind.Scalar), ("Z", SchemaShape.Column.VectorKind.Vector));
        Estimator(null, null).GetOutputSchema(input).Select(column => column.Name).Should().Equal("Features", "LogDensity");
        FluentActions.Invoking(() => _mlContext.Transforms.ContinuousFlowDensity(
            new ContinuousFlowDensityEstimator.Options { FeatureColumnName = "No" }).GetOutputSchema(input)).Should()
            .Throw<ArgumentOutOfRangeException>().WithMessage("*'No'*");

        ContinuousFlowDensityEstimator Estimator(string? bits, string? latent) => _mlContext.Transforms.ContinuousFlowDensity(
            new ContinuousFlowDensityEstimator.Options { BitsPerDimensionColumnName = bits, LatentColumnName = latent });
    }

    /// <summary>A network of one flow that moves nothing.</summary>
    internal static FlowNetwork Network(int features, int conditions)
    {
        var network = new FlowNetwork(
            new FlowDescription(features, conditions, 1, 1, [3], Activation.Silu, "rk4", 1e-4, 1e-5, 1.0 / 8, []));
        float[] mean = [1, -1], scale = [0.5f, 4];
        network.Standardize((mean[..features], scale[..features]), null,
            conditions == 0 ? null : (new float[conditions], [.. Enumerable.Repeat(1f, conditions)]));
        using (no_grad())
            foreach (TorchSharp.Modules.Parameter parameter in network.parameters())
                parameter.zero_();
        return network;
    }

    internal static IDataView Data(params float[][] rows) =>
        new MLContext(1).Data.LoadFromEnumerable(rows.Select(row => new Pair { Features = row }).ToArray());

    private ContinuousFlowDensityTransformer Density(DensityOutput output) =>
        new(_mlContext, new ContinuousFlowModel(Network(2, 0)), new FlowColumns("Features", [2], null), [], output);

    private ITransformer Reloaded(ITransformer model, IDataView data)
    {
        using var stream = new MemoryStream();
        _mlContext.Model.Save(model, data.Schema, stream);
        stream.Position = 0;
        return new MLContext(1).Model.Load(stream, out _);
    }

    private sealed class Pair
    {
        [VectorType(2)]
        public float[] Features { get; set; } = [];
    }
}
