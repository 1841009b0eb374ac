namespace Microsoft.ML.NeuralOde.Forecasting;

/// <summary>What a linear map of the last values says, one map for each step ahead: what the latent equation corrects.</summary>
/// <param name="weights">Of each lead, from 1 on, the weights of the lags, from 0 on.</param>
internal sealed class LinearForecast(double[][] weights)
{
    private static readonly int[] ContextLengths = [16, 32, 64, 128];
    private static readonly double[] Penalties = [1e-8, 1e-5, 1e-3, 1e-1];

    /// <summary>Of windows in which nothing ever changes.</summary>
    private const double LeastPenalty = 1e-200;

    /// <summary>As a file holds them, so that a loaded model says the same.</summary>
    public double[][] Weights { get; } = [.. weights.Select(map => map.Select(weight => (double)(float)weight).ToArray())];

    public int Leads => Weights.Length;

    public int ContextLength => Weights[0].Length;

    /// <summary>Fits maps by least squares with a penalty; the penalty, and the length where it is open, are those that do best on later
    /// windows.</summary>
    /// <param name="windows">The windows.</param>
    /// <param name="leads">The number of maps.</param>
    /// <param name="contextLength">The number of lags; null for one of a few.</param>
    public static LinearForecast Fit(ForecastWindows windows, int leads, int? contextLength)
    {
        using IDisposable noGrad = no_grad();
        int longest = windows.Training.Concat(windows.Validation).Max(window => window.End);
        int[] lengths = contextLength is { } asked ? [asked] : [.. ContextLengths.Where((length, i) => i == 0 || 2 * length <= longest)];
        (double Error, LinearForecast? Found) best = (double.PositiveInfinity, null);
        foreach (int length in lengths)
        {
            using DisposeScope scope = NewDisposeScope();
            Design training = Design.Of(windows.Training, length, leads), validation = Design.Of(windows.Validation, length, leads);
            foreach (double penalty in Penalties)
            {
                double[][] found = training.Solve(penalty);
                double error = validation.Error(found);
                if (error < best.Error || best.Found is null)
                    best = (error, new LinearForecast(found));
            }
        }
        return best.Found!;
    }

    /// <summary>The forecasts at the steps ahead, in units of the window.</summary>
    public double[] At(ContextView context)
    {
        double[] lags = context.Lags(ContextLength);
        return [.. Weights.Select(map => Dot(map, lags))];
    }

    /// <summary>The value of forecasts between their steps; behind the last one it stays.</summary>
    public static double Between(double[] forecasts, double lead)
    {
        if (lead >= forecasts.Length)
            return forecasts[^1];
        int left = (int)Math.Floor(Math.Max(lead, 0));
        double before = left == 0 ? 0 : forecasts[left - 1];
        return before + (Math.Max(lead, 0) - left) * (forecasts[left] - before);
    }

    private static double Dot(double[] a, double[] b)
    {
        double sum = 0;
        for (int i = 0; i < a.Length; i++)
            sum += a[i] * b[i];
        return sum;
    }

    /// <summary>Lags and targets of windows as matrices in float64.</summary>
    private sealed record Design(double[][] Lags, double[][] Targets, double[] Units)
    {
        public static Design Of(IEnumerable<ForecastWindow> windows, int length, int leads)
        {
            var lags = new List<double[]>();
            var targets = new List<double[]>();
            var units = new List<double>();
            var spreads = new Dictionary<ObservedSeries, double>();
            foreach (ForecastWindow window in windows)
            {
                if (window.Context(length) is not { } context)
                    continue;
                if (!spreads.TryGetValue(window.Series, out double spread))
                    spreads[window.Series] = spread = ContextView.Of(window.Series, window.Series.Count, window.Series.Count)!.Scale;
                lags.Add(context.Lags(length));
                targets.Add(window.Targets(context, leads));
                units.Add(context.Scale / spread);
            }
            return new Design([.. lags], [.. targets], [.. units]);
        }

        /// <summary>The maps, <c>[leads][lags]</c>.</summary>
        public double[][] Solve(double penalty)
        {
            int leads = Targets[0].Length, length = Lags[0].Length;
            using Tensor x = tensor([.. Lags.SelectMany(row => row)], [Lags.Length, length], ScalarType.Float64);
            double[][] maps = new double[leads][];
            Tensor? shared = null;
            for (int lead = 0; lead < leads; lead++)
            {
                using DisposeScope scope = NewDisposeScope();
                double[] wanted = [.. Targets.Select(row => row[lead])];
                bool isWhole = !Array.Exists(wanted, double.IsNaN);
                Tensor known = isWhole
                    ? x : x * tensor([.. wanted.Select(value => double.IsNaN(value) ? 0.0 : 1.0)], [Lags.Length, 1], ScalarType.Float64);
                Tensor y = tensor([.. wanted.Select(value => double.IsNaN(value) ? 0.0 : value)], [Lags.Length, 1], ScalarType.Float64);
                Tensor gram = isWhole && shared is not null ? shared : Penalized(known.t().matmul(x), penalty);
                if (isWhole)
                    shared ??= gram.DetachFromDisposeScope();
                maps[lead] = linalg.solve(gram, known.t().matmul(y)).data<double>().ToArray();
            }
            shared?.Dispose();
            return maps;
        }

        /// <summary>The mean squared error of maps, in units of the series' spreads.</summary>
        public double Error(double[][] maps)
        {
            double sum = 0;
            long count = 0;
            for (int i = 0; i < Lags.Length; i++)
                for (int lead = 0; lead < maps.Length; lead++)
                {
                    if (double.IsNaN(Targets[i][lead]))
                        continue;
                    double error = Units[i] * (Dot(maps[lead], Lags[i]) - Targets[i][lead]);
                    sum += error * error;
                    count++;
                }
            return sum / Math.Max(1, count);
        }

        /// <summary>The penalty is relative to the mean square of the lags.</summary>
        private static Tensor Penalized(Tensor gram, double penalty)
        {
            double mean = gram.trace().ToDouble() / gram.size(0);
            return gram.Plus(eye(gram.size(0), dtype: ScalarType.Float64, device: CPU).Times(Math.Max(penalty * mean, LeastPenalty)));
        }
    }
}
