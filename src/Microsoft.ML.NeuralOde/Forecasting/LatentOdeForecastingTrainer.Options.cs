using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Forecasting;
using Microsoft.ML.NeuralOde.Training;

namespace Microsoft.ML.NeuralOde;

public sealed partial class LatentOdeForecastingTrainer
{
    /// <summary>The options of <see cref="LatentOdeForecastingTrainer"/>.</summary>
    /// <remarks>
    /// The options of all trainers hold here as well; <see cref="NeuralOdeTrainerOptions.FeatureColumnName"/> is the column of values. The
    /// defaults of <see cref="NeuralOdeTrainerOptions.BatchSize"/> (64), <see cref="NeuralOdeTrainerOptions.MaximumGradientNorm"/> (1),
    /// <see cref="NeuralOdeTrainerOptions.Solver"/> (<see cref="OdeMethod.Rk4"/>), and
    /// <see cref="NeuralOdeTrainerOptions.ValidationFraction"/> (0.2) are others. That fraction is the end of each series, by time, not a
    /// choice at random; a step without <see cref="NeuralOdeTrainerOptions.StepSize"/> is 1/32 of the context's time.
    /// </remarks>
    public sealed class Options : NeuralOdeTrainerOptions
    {
        internal const int DefaultHorizon = 10;
        internal const double DefaultConfidenceLevel = 0.95;
        internal const string DefaultForecast = "Forecast";
        internal const double DefaultStepSize = 1.0 / 32;
        private const double DefaultValidationFraction = 0.2;

        /// <summary>Creates options with their defaults.</summary>
        public Options()
        {
            FeatureColumnName = SeriesAnnotations.Values;
            BatchSize = 64;
            MaximumGradientNorm = 1;
            Solver = OdeMethod.Rk4;
            ValidationFraction = DefaultValidationFraction;
        }

        /// <summary>The column of times; null for 0, 1, 2, …. Default: null.</summary>
        public string? TimeColumnName;

        /// <summary>The column that tells to which series a row belongs; null for one series, or for a series a row. Default:
        /// null.</summary>
        public string? SeriesKeyColumnName;

        /// <summary>
        /// Columns of values, one a channel, instead of the single one of <see cref="NeuralOdeTrainerOptions.FeatureColumnName"/>: all of
        /// them single values, an observation a row, or all of them vectors, a series a row. Default: null.
        /// </summary>
        [Option(OptionUse.Decides, IsLeftOutWhenNull = true)]
        public string[]? ChannelColumnNames;

        /// <summary>
        /// The number of channels in the single column of values. A vector that is exactly as long, by its type, is an observation; so is
        /// one of known size beside a column of single times. Otherwise a vector is a series, in which a time's channels stand behind those
        /// of the time before. Default: null, the size of an observation, or what the annotation ChannelCount of the column says, or one.
        /// </summary>
        [Option(OptionUse.Decides, IsLeftOutWhenNull = true)]
        public int? ChannelCount;

        /// <summary>
        /// Columns of numbers that are known of the times to come as well, such as prices or holidays; beside series as vectors vectors,
        /// which are as long. The forecast of a row takes them from the rows behind it in the same data: see <see cref="SeriesFuture"/> for
        /// engines. Default: null, none.
        /// </summary>
        [Option(OptionUse.Decides, IsLeftOutWhenNull = true)]
        public string[]? ExogenousColumnNames;

        /// <summary>The column of the forecasts, a vector of <see cref="Horizon"/> numbers, of each channel one a step. Default:
        /// “Forecast”.</summary>
        public string ForecastColumnName = DefaultForecast;

        /// <summary>The column of the lower ends of the intervals; null for none. Default: null.</summary>
        public string? ConfidenceLowerBoundColumn;

        /// <summary>The column of the upper ends of the intervals; null for none. Default: null.</summary>
        public string? ConfidenceUpperBoundColumn;

        /// <summary>The share of values that are to lie inside of the intervals, between 0 and 1. Default: 0.95.</summary>
        public double ConfidenceLevel = DefaultConfidenceLevel;

        /// <summary>The number of steps to forecast. Default: 10.</summary>
        public int Horizon = DefaultHorizon;

        /// <summary>
        /// The number of observations that a forecast looks at. Default: null, that of 16, 32, 64 and 128 with which the linear part does
        /// best on the windows for validation.
        /// </summary>
        public int? ContextLength;

        /// <summary>The windows to learn from, at most; of more every second, third, … is taken. Default: 1024.</summary>
        public int MaximumWindows = 1024;

        /// <summary>The size of the latent state. Default: 8.</summary>
        public int LatentSize = 8;

        /// <summary>The width of the latent equation's networks. Default: 32.</summary>
        public int HiddenSize = 32;

        /// <summary>How observations are read. Default: <see cref="LatentRecognition.ReversedGru"/>.</summary>
        public LatentRecognition Recognition = LatentRecognition.ReversedGru;

        /// <summary>How the latent state moves. Default: <see cref="LatentEvolution.Ode"/>.</summary>
        public LatentEvolution Evolution = LatentEvolution.Ode;

        /// <summary>Whether the latent state is a distribution. Default: true.</summary>
        public bool Variational = true;

        /// <summary>The latent samples of a forecast. Default: 16.</summary>
        public int Samples = 16;

        /// <summary>
        /// Whether the width of intervals is set, step by step, by the errors on the windows for validation. Default: true; false for what
        /// latent samples and noise say by themselves.
        /// </summary>
        public bool ConformalIntervals = true;

        internal override NeuralOdeTrainerOptions Clone()
        {
            var copy = (Options)base.Clone();
            copy.ChannelColumnNames = (string[]?)ChannelColumnNames?.Clone();
            copy.ExogenousColumnNames = (string[]?)ExogenousColumnNames?.Clone();
            return copy;
        }

        internal ForecastColumns ToColumns() => new(
            ChannelColumnNames?[0] ?? FeatureColumnName, TimeColumnName, SeriesKeyColumnName, ChannelColumnNames, ChannelCount,
            ExogenousColumnNames);

        internal ForecastOutputs ToOutputs() =>
            new(ForecastColumnName, ConfidenceLowerBoundColumn, ConfidenceUpperBoundColumn, ConfidenceLevel);

        internal ForecastDescription ToDescription(LinearShape shape) => new(
            Horizon, shape.ContextLength, LatentSize, HiddenSize, $"{Recognition}", $"{Evolution}", Variational, Solver.Name,
            ProductionStepSize ?? StepSize ?? DefaultStepSize, Samples, shape.Channels, shape.Exogenous);

        internal override void Validate()
        {
            base.Validate();
            const string NameOrNull = "the name of a column or null";
            RequireColumn(ForecastColumnName, nameof(ForecastColumnName));
            Require(ExampleWeightColumnName is null, nameof(ExampleWeightColumnName), ExampleWeightColumnName,
                "null: windows have no weights");
            Require(TimeColumnName is null || !string.IsNullOrWhiteSpace(TimeColumnName), nameof(TimeColumnName),
                TimeColumnName, NameOrNull);
            Require(SeriesKeyColumnName is null || !string.IsNullOrWhiteSpace(SeriesKeyColumnName), nameof(SeriesKeyColumnName),
                SeriesKeyColumnName, NameOrNull);
            Require(ConfidenceLowerBoundColumn is null || !string.IsNullOrWhiteSpace(ConfidenceLowerBoundColumn),
                nameof(ConfidenceLowerBoundColumn),
                ConfidenceLowerBoundColumn, NameOrNull);
            Require(ConfidenceUpperBoundColumn is null || !string.IsNullOrWhiteSpace(ConfidenceUpperBoundColumn),
                nameof(ConfidenceUpperBoundColumn),
                ConfidenceUpperBoundColumn, NameOrNull);
            RequireNames(ChannelColumnNames, nameof(ChannelColumnNames));
            RequireNames(ExogenousColumnNames, nameof(ExogenousColumnNames));
            foreach (string exogenous in ExogenousColumnNames ?? [])
                Require(!(ChannelColumnNames ?? [FeatureColumnName]).Contains(exogenous), nameof(ExogenousColumnNames), exogenous,
                    "another column than those of values, which are not known of the times to come");
            Require(ChannelCount is null or > 0, nameof(ChannelCount), ChannelCount, "a positive number or null");
            Require(ChannelCount is null || ChannelColumnNames is null || ChannelColumnNames.Length == ChannelCount, nameof(ChannelCount),
                ChannelCount, "the number of ChannelColumnNames, or null");
            RequireDifferent(
                (ForecastColumnName, nameof(ForecastColumnName)), (ConfidenceLowerBoundColumn, nameof(ConfidenceLowerBoundColumn)),
                (ConfidenceUpperBoundColumn, nameof(ConfidenceUpperBoundColumn)));
            Require(ConfidenceLevel is > 0 and < 1, nameof(ConfidenceLevel), ConfidenceLevel, "between 0 and 1, such as 0.95");
            Require(Horizon is > 0 and <= 4096, nameof(Horizon), Horizon, "from 1 to 4096 steps");
            Require(ContextLength is null or (>= 2 and <= 4096), nameof(ContextLength), ContextLength,
                "from 2 to 4096 observations, or null");
            Require(MaximumWindows > 0, nameof(MaximumWindows), MaximumWindows, "at least 1");
            Require(Evolution != LatentEvolution.Flow || LatentSize > 1, nameof(LatentSize), LatentSize, "at least 2 for a flow");
            Require(LatentSize is > 0 and <= 1 << 15, nameof(LatentSize), LatentSize, "from 1 to 32768");
            Require(HiddenSize is > 0 and <= 1 << 15, nameof(HiddenSize), HiddenSize, "from 1 to 32768");
            RequireDefined(Recognition, nameof(Recognition));
            RequireDefined(Evolution, nameof(Evolution));
            Require(Samples > 0, nameof(Samples), Samples, "at least 1");
            Require(ValidationFraction is not null, nameof(ValidationFraction), null,
                "between 0 and 1: forecasters are chosen and calibrated by it");
        }

        private static void RequireNames(string[]? names, string option) => Require(
            names is null
                || (names.Length > 0 && names.All(name => !string.IsNullOrWhiteSpace(name)) && names.Distinct().Count() == names.Length),
            option, names is null ? null : $"[{string.Join(", ", names)}]", "different names of columns, at least one, or null");
    }
}
