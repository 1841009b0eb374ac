using System.Globalization;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Tests.Persistence;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Forecasting;

/// <summary>What forecasters have in common with all trainers: seeds, checkpoints, cancellation, files.</summary>
public sealed class ForecastingTrainingTests : IDisposable
{
    private readonly MLContext _mlContext = new(1);
    private readonly TemporaryFolder _folder = new();
    private readonly IDataView _data;

    public ForecastingTrainingTests()
    {
        float[] values = ForecastingTests.Noisy(140, 3);
        _data = _mlContext.Data.LoadFromEnumerable(values.Select((value, i) => new Day
        {
            Key = i % 2 == 0 ? "even" : "odd",
            Time = i,
            Value = value,
            Double = 2 * value,
            Holiday = i % 7 == 0 ? 1 : 0,
        }).ToArray());
    }

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_seed_decides_and_an_interrupted_training_ends_as_one_that_is_not()
    {
        SeriesForecast expected = Forecast(_ => { });
        Same(Forecast(_ => { }), expected);
        Forecast(options => options.Seed = 2).LowerBounds.Should().NotEqual(expected.LowerBounds);
        foreach (int epoch in new[] { 1, 2 })
        {
            using var stop = new CancellationTokenSource();
            FluentActions.Invoking(() => Forecast(options =>
            {
                Checkpoint(options);
                options.CancellationToken = stop.Token;
                options.EpochCallback = report =>
                {
                    if (report.Epoch == epoch)
                        stop.Cancel();
                };
            })).Should().Throw<OperationCanceledException>();
        }
        Same(Forecast(Checkpoint), expected);
        FluentActions.Invoking(() => Forecast(options => { Checkpoint(options); options.HiddenSize = 9; }))
            .Should().Throw<InvalidOperationException>().WithMessage("*another training*HiddenSize was 8 and is 9*");

        void Checkpoint(LatentOdeForecastingTrainer.Options options)
        {
            options.CheckpointFolder = _folder.Path;
            options.CheckpointInterval = TimeSpan.Zero;
        }
    }

    [Fact]
    public void A_training_that_is_cancelled_before_it_begins_is_cancelled() =>
        FluentActions.Invoking(() => Forecast(options => options.CancellationToken = new CancellationToken(true)))
            .Should().Throw<OperationCanceledException>();

    [Fact]
    public void A_sealed_file_says_the_same()
    {
        using LatentOdeForecastingTransformer model = Fit(_ => { });
        string path = Path.Combine(_folder.Path, "forecast.zip");
        string seal = _mlContext.Model.SaveSealed(model, _data.Schema, path);
        using var loaded = (LatentOdeForecastingTransformer)_mlContext.Model.LoadSealed(
            path, out _, new SealedModelOptions { ExpectedSeal = seal });
        loaded.ChannelNames.Should().Equal("Value", "Double");
        loaded.SeriesKeys.Should().Equal("even", "odd");
        SeriesFuture future = new() { Exogenous = [[1], [0], [0]] };
        Same(loaded.CreateForecastingEngine("odd").Predict(future), model.CreateForecastingEngine("odd").Predict(future));
        loaded.Model.LatentShares.Should().Equal(model.Model.LatentShares);
        loaded.Transform(_data).GetColumn<float[]>("Forecast").Select(row => row[0])
            .Should().Equal(model.Transform(_data).GetColumn<float[]>("Forecast").Select(row => row[0]));

        List<(string Name, byte[] Bytes)> entries = Mutations.Read(File.ReadAllBytes(path));
        int payload = entries.FindIndex(entry => entry.Bytes.AsSpan().IndexOf("NODE"u8) >= 0);
        entries[payload].Bytes[^50] ^= 1;
        File.WriteAllBytes(path, Mutations.Write([.. entries]));
        FluentActions.Invoking(() => _mlContext.Model.LoadSealed(path, out _)).Should().Throw<InvalidDataException>();
    }

    [Fact]
    public void Another_process_says_the_same()
    {
        using LatentOdeForecastingTransformer model = Fit(options => options.ExogenousColumnNames = null);
        string path = Path.Combine(_folder.Path, "forecast.zip");
        _mlContext.Model.Save(model, _data.Schema, path);
        (int code, string output) = Programs.Run(Programs.ModelHost, [path, "forecast", "odd"]);
        code.Should().Be(0, output);
        output.Split(' ').Select(text => float.Parse(text, CultureInfo.InvariantCulture))
            .Should().Equal(model.CreateForecastingEngine("odd").Predict().Values);
    }

    [Fact]
    public void A_file_from_before_there_were_channels_goes_on()
    {
        // Written by the version that knew one channel: a sine of period 24 with gaps, and a falling line.
        string path = Path.Combine(AppContext.BaseDirectory, "Persistence", "Fixtures", "forecast-v1.zip");
        using var model = (LatentOdeForecastingTransformer)_mlContext.Model.LoadSealed(path, out _);
        model.ChannelNames.Should().Equal("Value");
        model.ExogenousColumnNames.Should().BeEmpty();
        SeriesForecast sine = model.CreateForecastingEngine("a").Predict(), line = model.CreateForecastingEngine("b").Predict();
        for (int i = 0; i < 6; i++)
        {
            sine.Values[i].Should().BeApproximately(10 + 3 * MathF.Sin((160 + i) * MathF.Tau / 12), 0.05f * 3);
            line.Values[i].Should().BeApproximately(7 - 90 - i, 0.02f * 90);
            line.LowerBounds[i].Should().BeLessThan(line.Values[i]);
        }
        sine.Times.Should().Equal(320, 322, 324, 326, 328, 330);
    }

    private SeriesForecast Forecast(Action<LatentOdeForecastingTrainer.Options> change)
    {
        using LatentOdeForecastingTransformer model = Fit(change);
        return model.CreateForecastingEngine("even").Predict(new SeriesFuture { Exogenous = [[0], [1], [0]] });
    }

    private LatentOdeForecastingTransformer Fit(Action<LatentOdeForecastingTrainer.Options> change)
    {
        LatentOdeForecastingTrainer.Options options = ForecastingTests.Small(new LatentOdeForecastingTrainer.Options
        {
            Horizon = 3,
            TimeColumnName = "Time",
            SeriesKeyColumnName = "Key",
            ChannelColumnNames = ["Value", "Double"],
            ExogenousColumnNames = ["Holiday"],
        });
        options.NumberOfEpochs = 3;
        change(options);
        return _mlContext.Forecasting.LatentOde(options).Fit(_data);
    }

    private static void Same(SeriesForecast found, SeriesForecast expected)
    {
        found.Times.Should().Equal(expected.Times);
        found.Values.Should().Equal(expected.Values);
        found.LowerBounds.Should().Equal(expected.LowerBounds);
        found.UpperBounds.Should().Equal(expected.UpperBounds);
    }

    private sealed class Day
    {
        public string Key { get; set; } = "";

        public double Time { get; set; }

        public float Value { get; set; }

        public float Double { get; set; }

        public float Holiday { get; set; }
    }
}
