using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Forecasting;

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

        /// <summary>The column of the forecasts, a vector of <see cref="Horizon"/> numbers. Default: “Forecast”.</summary>
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

        internal ForecastColumns ToColumns() => new(FeatureColumnName, TimeColumnName, SeriesKeyColumnName);

        internal ForecastOutputs ToOutputs() =>
            new(ForecastColumnName, ConfidenceLowerBoundColumn, ConfidenceUpperBoundColumn, ConfidenceLevel);

        internal ForecastDescription ToDescription(int contextLength) => new(
            Horizon, contextLength, LatentSize, HiddenSize, $"{Recognition}", $"{Evolution}", Variational, Solver.Name,
            ProductionStepSize ?? StepSize ?? DefaultStepSize, Samples);

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
    }
}
