using System.CommandLine;
using Microsoft.ML.NeuralOde.Samples.Digits;
using Microsoft.ML.NeuralOde.Samples.Output;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Samples;

public sealed class MnistCommandTests : IDisposable
{
    private readonly SampleHost _host = new();

    public void Dispose() => _host.Dispose();

    [Fact]
    public void Without_options_the_defaults_hold()
    {
        MnistSettings settings = Parse();

        settings.Should().Be(new MnistSettings() with { Gradient = settings.Gradient });
        settings.Gradient.Name.Should().Be(GradientMethod.Checkpointed().Name);
        settings.BatchSizeFor(4_000).Should().BeLessThan(settings.BatchSizeFor(60_000));
        settings.EpochsFor(4_000).Should().BeGreaterThan(settings.EpochsFor(60_000));
    }

    [Fact]
    public void Each_option_reaches_its_setting()
    {
        MnistSettings settings = Parse(
            "--data", "d", "--work", "w", "--epochs", "3", "--batch-size", "64", "--learning-rate", "0.01", "--schedule", "onecycle",
            "--solver", "dopri5", "--rtol", "1e-5", "--atol", "1e-6", "--gradient", "adjoint", "--seed", "-7", "--limit", "500",
            "--validation", "0.25", "--patience", "2", "--weight-decay", "0.5",
            "--model", "m.zip", "--json", "j.json");

        settings.Data.Should().Be("d");
        settings.WorkFolder.Should().Be("w");
        settings.EpochsFor(60_000).Should().Be(3);
        settings.BatchSize.Should().Be(64);
        settings.LearningRate.Should().Be(0.01);
        settings.Schedule.Should().Be(LearningRateSchedule.OneCycle);
        settings.Solver.Should().BeSameAs(OdeMethod.Dopri5);
        settings.RelativeTolerance.Should().Be(1e-5);
        settings.AbsoluteTolerance.Should().Be(1e-6);
        settings.Gradient.Name.Should().Be(GradientMethod.Adjoint().Name);
        settings.ValidationFraction.Should().Be(0.25);
        settings.Patience.Should().Be(2);
        settings.WeightDecay.Should().Be(0.5);
        settings.Seed.Should().Be(-7);
        settings.Limit.Should().Be(500);
        settings.ModelFile.Should().Be(Path.GetFullPath("m.zip"));
        settings.Json.Should().Be("j.json");
    }

    [Fact]
    public async Task The_source_of_the_digits_is_one()
    {
        Parse("--download").Download.Should().BeTrue();
        Parse("--embedded").Embedded.Should().BeTrue();

        (await _host.RunAsync("mnist", "--embedded", "--data", "d")).Should().Be(1);
        _host.Error.Trim().Should().Be("--embedded excludes --data and --download; one of them would be right.");
    }

    [Fact]
    public void The_model_goes_into_the_work_folder_unless_told_otherwise() =>
        Parse("--work", _host.WorkFolder).ModelFile.Should().Be(_host.PathOf("mnist-model.zip"));

    [Theory]
    [InlineData("--epochs", "0", "--epochs is '0'; a positive whole number would be right.")]
    [InlineData("--epochs", "2.5", "--epochs is '2.5'; a positive whole number would be right.")]
    [InlineData("--batch-size", "-1", "--batch-size is '-1'; a positive whole number would be right.")]
    [InlineData("--batch-size", "99999999999", "--batch-size is '99999999999'; a positive whole number would be right.")]
    [InlineData("--limit", "none", "--limit is 'none'; a positive whole number would be right.")]
    [InlineData("--rtol", "0", "--rtol is '0'; a positive number would be right.")]
    [InlineData("--atol", "NaN", "--atol is 'NaN'; a positive number would be right.")]
    [InlineData("--learning-rate", "Infinity", "--learning-rate is 'Infinity'; a positive number would be right.")]
    [InlineData("--schedule", "2", "--schedule: '2' is unknown; Constant, CosineAnnealing, OneCycle, Step would be right.")]
    [InlineData("--solver", "dopri55", "--solver: *dopri55*")]
    [InlineData("--gradient", "sideways", "--gradient: *sideways*")]
    [InlineData("--solver", "dopr5", "--solver: *Did you mean 'dopri5'?")]
    [InlineData("--gradient", "adjoin", "--gradient: *Did you mean 'adjoint'?")]
    [InlineData("--schedule", "cosine", "--schedule: *Did you mean 'CosineAnnealing'?")]
    [InlineData("--validation", "1", "--validation is '1'; a number from 0 to below 1 would be right.")]
    [InlineData("--weight-decay", "-1", "--weight-decay is '-1'; zero or a positive number would be right.")]
    [InlineData("--seed", "x", "*'x'*'--seed'*")]
    [InlineData("--data", "", "--data is empty; a path would be right.")]
    public async Task A_wrong_value_is_refused_by_the_name_of_its_option(string option, string value, string message)
    {
        (await _host.RunAsync("mnist", option, value)).Should().Be(1);

        _host.Error.Trim().Should().Match(message);
        _host.Error.Should().NotContain("   at ");
        _host.Output.Trim().Should().BeEmpty();
    }

    [Fact]
    public async Task A_result_that_cannot_be_written_is_refused_before_any_work()
    {
        string file = _host.PathOf("file");
        await File.WriteAllTextAsync(file, "not a folder");

        (await _host.RunAsync("mnist", "--work", _host.WorkFolder, "--json", Path.Combine(file, "figures.json"))).Should().Be(1);

        _host.Error.Should().StartWith($"Error: --json: the folder '{file}' cannot be made");
        _host.Output.Should().BeEmpty();
    }

    [Fact]
    public void The_line_of_an_epoch_fits_80_columns()
    {
        string line = TrainingLines.Epoch(new NeuralOdeEpochReport
        {
            Epoch = 100,
            NumberOfEpochs = 100,
            MetricName = "accuracy",
            TrainLoss = 12.3456,
            TrainMetric = 1,
            ValidationLoss = 12.3456,
            ValidationMetric = 1,
            Seconds = 1234.56,
        });

        line.Should().Contain("validation 100.00").And.Contain("accuracy 100.00");
        line.Length.Should().BeLessThanOrEqualTo(80);
    }

    private MnistSettings Parse(params string[] args)
    {
        MnistSettings? found = null;
        System.CommandLine.Command command = MnistCommand.Create(
            (settings, _, _) =>
            {
                found = settings;
                return Task.CompletedTask;
            },
            _host.Display);
        new RootCommand { command }.Parse(["mnist", .. args]).Invoke().Should().Be(0);
        return found!;
    }
}
