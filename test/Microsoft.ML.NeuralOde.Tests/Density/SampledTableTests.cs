using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Flows;

namespace Microsoft.ML.NeuralOde.Tests.Density;

public sealed class SampledTableTests : IDisposable
{
    private readonly MLContext _mlContext = new(1);
    private readonly List<IDisposable> _owned = [];

    public void Dispose() => _owned.ForEach(owned => owned.Dispose());

    [Fact]
    public void A_table_is_drawn_like_the_one_that_was_learned()
    {
        // Red rows are twice as frequent as blue ones, are longer, and have one or two legs; blue ones have three.
        var random = new Random(1);
        MixedRow[] rows = [.. Enumerable.Range(0, 900).Select(i => i % 3 == 0
            ? new MixedRow { Colour = "blue", Length = 1 + 0.1f * random.NextSingle(), Legs = 3 }
            : new MixedRow { Colour = "dark.red", Length = 5 + 0.5f * random.NextSingle(), Legs = 1 + random.Next(2) })];
        ContinuousFlowDensityTransformer density = Fit(rows);

        IDataView table = density.SampleAsDataView(600, seed: 4);

        table.Schema.Select(column => (column.Name, column.Type)).Should().Equal(
            ("Length", NumberDataViewType.Single), ("Colour", TextDataViewType.Instance), ("Legs", NumberDataViewType.Single));
        MixedRow[] drawn = Read(table);
        drawn.Should().HaveCount(600);
        drawn.Should().OnlyContain(row => row.Colour == "blue" || row.Colour == "dark.red");
        drawn.Count(row => row.Colour == "blue").Should().BeInRange(140, 260);
        drawn.Should().OnlyContain(row => row.Legs == 1 || row.Legs == 2 || row.Legs == 3, "no row has others");
        drawn.Count(row => (row.Legs == 3) == (row.Colour == "blue")).Should().BeGreaterThan(570);
        drawn.Count(row => (row.Length < 3) == (row.Colour == "blue")).Should().BeGreaterThan(570);

        // Of the slots of the colour exactly one is 1, and the table says the same as the vectors.
        float[][] vectors = [.. density.Sample(600, seed: 4).GetColumn<float[]>("Features")];
        vectors.Should().OnlyContain(row => row[1] + row[2] == 1 && row[1] * row[2] == 0);
        drawn.Zip(vectors).Should().OnlyContain(pair =>
            pair.First.Length == pair.Second[0] && pair.First.Legs == pair.Second[3]
            && pair.First.Colour == (pair.Second[1] == 1 ? "blue" : "dark.red"));
        Read(density.SampleAsDataView(5, seed: 5)).Select(row => row.Length).Should()
            .Equal(Read(density.SampleAsDataView(5, seed: 5)).Select(row => row.Length));
    }

    [Fact]
    public void A_loaded_model_draws_the_same_table()
    {
        MixedRow[] rows = Simple(60);
        ContinuousFlowDensityTransformer density = Fit(rows, epochs: 1);
        using var file = new MemoryStream();
        _mlContext.Model.Save(density, density.SampleAsDataView(1).Schema, file);
        file.Position = 0;
        var loaded = (ContinuousFlowDensityTransformer)new MLContext().Model.Load(file, out _);
        _owned.Add(loaded);

        Read(loaded.SampleAsDataView(30, seed: 2)).Select(row => (row.Colour, row.Length, row.Legs)).Should()
            .Equal(Read(density.SampleAsDataView(30, seed: 2)).Select(row => (row.Colour, row.Length, row.Legs)));
    }

    [Fact]
    public void Features_without_names_of_their_own_are_called_by_their_slots()
    {
        ContinuousFlowDensityTransformer density = _mlContext.Transforms.ContinuousFlowDensity(Options(1))
            .Fit(_mlContext.Data.LoadFromEnumerable(DensityRows.Gaussian(50)));
        _owned.Add(density);

        density.SampleAsDataView(3, seed: 1).Schema.Select(column => column.Name).Should().Equal("Features.0", "Features.1");
        density.SampleAsDataView(3, seed: 1).GetColumn<float>("Features.1").Should()
            .Equal(density.Sample(3, seed: 1).GetColumn<float[]>("Features").Select(row => row[1]));
    }

    [Fact]
    public void A_category_is_called_after_the_column_that_was_encoded_whatever_dots_there_are()
    {
        IDataView data = _mlContext.Data.LoadFromEnumerable(
            Enumerable.Range(0, 4).Select(i => new MixedRow { Colour = $"x.{i % 2}", Length = i }));
        IDataView encoded = _mlContext.Transforms.Categorical.OneHotEncoding("the.colour", nameof(MixedRow.Colour))
            .Append(_mlContext.Transforms.Concatenate("Features", nameof(MixedRow.Length), "the.colour", nameof(MixedRow.Length)))
            .Fit(data).Transform(data);

        TableColumn[] columns = TableColumn.Of(encoded.Schema, encoded.Schema["Features"]);

        columns.Select(column => column.Name).Should().Equal("Features.0", "the.colour", "Features.3");
        columns[1].Categories.Should().Equal("x.0", "x.1");
        columns[1].ValuesOf([[0, 0.2f, 0.7f, 0], [0, 0.6f, 0.5f, 0]]).Should().BeEquivalentTo(new[] { "x.1", "x.0" });
    }

    [Fact]
    public void A_count_that_is_not_positive_and_a_condition_that_does_not_fit_are_refused()
    {
        MixedRow[] rows = Simple(30);
        ContinuousFlowDensityTransformer density = Fit(rows, epochs: 1);

        density.Invoking(d => d.SampleAsDataView(0)).Should().Throw<ArgumentException>().WithMessage("*count*");
        density.Invoking(d => d.SampleAsDataView(1, condition: [1])).Should().Throw<ArgumentException>().WithMessage("*condition*");
    }

    private static MixedRow[] Simple(int count) =>
        [.. Enumerable.Range(0, count).Select(i => new MixedRow { Colour = i % 2 == 0 ? "a" : "b", Length = i, Legs = i % 5 })];

    private static ContinuousFlowDensityEstimator.Options Options(int epochs) => new()
    {
        Dequantization = Dequantization.Integers,
        NumberOfEpochs = epochs,
        HiddenLayers = [48, 48],
    };

    private ContinuousFlowDensityTransformer Fit(MixedRow[] rows, int epochs = 8)
    {
        IDataView data = _mlContext.Data.LoadFromEnumerable(rows);
        IDataView features = _mlContext.Transforms.Categorical.OneHotEncoding(nameof(MixedRow.Colour))
            .Append(_mlContext.Transforms.Concatenate("Features", nameof(MixedRow.Length), nameof(MixedRow.Colour), nameof(MixedRow.Legs)))
            .Fit(data).Transform(data);
        ContinuousFlowDensityTransformer density = _mlContext.Transforms.ContinuousFlowDensity(Options(epochs)).Fit(features);
        _owned.Add(density);
        return density;
    }

    private MixedRow[] Read(IDataView table) => [.. _mlContext.Data.CreateEnumerable<MixedRow>(table, reuseRowObject: false)];

    private sealed class MixedRow
    {
        public string Colour { get; set; } = "";

        public float Length { get; set; }

        public float Legs { get; set; }
    }
}
