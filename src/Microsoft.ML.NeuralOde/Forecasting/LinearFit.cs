namespace Microsoft.ML.NeuralOde.Forecasting;

/// <summary>Fits linear maps by least squares with a penalty, and chooses by later windows how.</summary>
internal sealed class LinearFit
{
    /// <summary>Maps that see all channels are tried up to so many lags.</summary>
    private const int MostCoupled = 256;

    /// <summary>Of windows in which nothing ever changes.</summary>
    private const double LeastPenalty = 1e-200;

    private static readonly double[] Penalties = [1e-8, 1e-5, 1e-3, 1e-1];

    private readonly LinearShape _shape;
    private readonly ExogenousUnits _units;

    private LinearFit(ForecastWindows windows, LinearShape shape)
    {
        _shape = shape;
        ContextView[] contexts = [.. windows.Training.Select(window => window.Context(shape.ContextLength)).OfType<ContextView>()];
        _units = UnitsOf(contexts, shape);
    }

    /// <summary>The maps that do best on later windows, and their mean squared error in units of the series' spreads.</summary>
    public static (double Error, LinearForecast Found) Run(ForecastWindows windows, LinearShape shape)
    {
        var fit = new LinearFit(windows, shape);
        double[][] weights = new double[shape.Leads * shape.Channels][];
        double[] scales = new double[shape.Channels];
        double sum = 0;
        for (int channel = 0; channel < shape.Channels; channel++)
        {
            Design training = Design.Of(windows.Training, shape, fit._units, channel);
            Design validation = Design.Of(windows.Validation, shape, fit._units, channel);
            (double Error, double[][]? Maps, Way? Way) best = (double.PositiveInfinity, null, null);
            foreach (Way way in fit.Ways(channel))
            {
                using DisposeScope scope = NewDisposeScope();
                foreach (double[][] maps in fit.Solutions(training, way))
                {
                    double error = validation.Error(maps, shape, way.Scale);
                    if (error < best.Error || best.Maps is null)
                        best = (error, maps, way);
                }
            }
            for (int lead = 0; lead < shape.Leads; lead++)
                weights[lead * shape.Channels + channel] = best.Maps![lead];
            scales[channel] = best.Way!.Scale;
            sum += best.Error;
        }
        return (sum / shape.Channels, new LinearForecast(shape, weights, fit._units with { Scales = scales }));
    }

    private IEnumerable<Way> Ways(int channel)
    {
        int[] own = [.. Enumerable.Range(channel * _shape.ContextLength, _shape.ContextLength)];
        int[] all = [.. Enumerable.Range(0, _shape.Lags)];
        double[] scales = _shape.Exogenous == 0 ? [0] : [0, _units.Scales[channel]];
        foreach (int[] lags in _shape.Channels > 1 && _shape.Lags <= MostCoupled ? [own, all] : (int[][])[own])
            foreach (double scale in scales)
                yield return new Way(lags, scale);
    }

    /// <summary>The maps, one for each lead, for each penalty.</summary>
    private IEnumerable<double[][]> Solutions(Design training, Way way)
    {
        Tensor x = training.Features(_shape, way.Scale);
        var systems = new List<(Tensor Gram, Tensor Right, int[] Places)>();
        Tensor? shared = null;
        for (int lead = 0; lead < _shape.Leads; lead++)
        {
            int[] places = [.. way.Lags, .. _shape.ExogenousPlaces(lead)];
            double[] wanted = training.Wanted(lead);
            bool isWhole = !Array.Exists(wanted, double.IsNaN);
            long rows = wanted.Length;
            Tensor mine = places.Length == _shape.Features ? x : x.index_select(1, tensor([.. places.Select(place => (long)place)]));
            Tensor known = isWhole
                ? mine : mine * tensor([.. wanted.Select(value => double.IsNaN(value) ? 0.0 : 1.0)], [rows, 1], ScalarType.Float64);
            Tensor y = tensor([.. wanted.Select(value => double.IsNaN(value) ? 0.0 : value)], [rows, 1], ScalarType.Float64);
            Tensor gram = isWhole && _shape.Exogenous == 0 && shared is not null ? shared : known.t().matmul(mine);
            if (isWhole)
                shared ??= gram;
            systems.Add((gram, known.t().matmul(y), places));
        }
        foreach (double penalty in Penalties)
            yield return Solve(systems, penalty);
    }

    private double[][] Solve(List<(Tensor Gram, Tensor Right, int[] Places)> systems, double penalty)
    {
        double[][] maps = new double[systems.Count][];
        // Systems of one matrix are solved at once.
        foreach (IGrouping<object?, int> leads in Enumerable.Range(0, systems.Count).GroupBy(
            lead => systems[lead].Gram, ReferenceEqualityComparer.Instance))
        {
            using DisposeScope scope = NewDisposeScope();
            Tensor right = cat([.. leads.Select(lead => systems[lead].Right)], 1);
            Tensor found = linalg.solve(Penalized((Tensor)leads.Key!, penalty), right).t().contiguous();
            double[] all = found.data<double>().ToArray();
            foreach ((int lead, int row) in leads.Select((lead, row) => (lead, row)))
            {
                int[] places = systems[lead].Places;
                maps[lead] = new double[_shape.Features];
                for (int i = 0; i < places.Length; i++)
                    maps[lead][places[i]] = all[row * places.Length + i];
            }
        }
        return maps;
    }

    /// <summary>The penalty is relative to the mean square of the lags.</summary>
    private static Tensor Penalized(Tensor gram, double penalty)
    {
        double mean = gram.trace().ToDouble() / gram.size(0);
        return gram.Plus(eye(gram.size(0), dtype: ScalarType.Float64, device: CPU).Times(Math.Max(penalty * mean, LeastPenalty)));
    }

    private static ExogenousUnits UnitsOf(ContextView[] contexts, LinearShape shape)
    {
        // Windows that know too little of their series are refused by the trainer.
        if (shape.Exogenous == 0 || contexts.Length == 0)
            return new ExogenousUnits(
                new double[shape.Exogenous], [.. Enumerable.Repeat(1.0, shape.Exogenous)], new double[shape.Channels]);
        double[] means = new double[shape.Exogenous], deviations = new double[shape.Exogenous];
        for (int column = 0; column < shape.Exogenous; column++)
        {
            double[] values = [.. contexts.Select(context => context.Exogenous(column, 0))];
            means[column] = (float)values.Average();
            double spread = Math.Sqrt(values.Average(value => Math.Pow(value - means[column], 2)));
            deviations[column] = (float)spread > 0 ? (float)spread : 1;
        }
        return new ExogenousUnits(means, deviations, [.. Enumerable.Range(0, shape.Channels)
            .Select(channel => (double)(float)Math.Sqrt(contexts.Average(context => Math.Pow(context.Scale(channel), 2))))]);
    }

    /// <summary>What maps of a channel may read.</summary>
    /// <param name="Lags">The places of lags.</param>
    /// <param name="Scale">As in <see cref="ExogenousUnits"/>.</param>
    private sealed record Way(int[] Lags, double Scale);

    /// <summary>What is read of windows for a channel, and what is wanted of it.</summary>
    private sealed record Design(double[] Scales, double[][] Rows, double[][] Targets, double[] Spreads)
    {
        public static Design Of(IEnumerable<ForecastWindow> windows, LinearShape shape, ExogenousUnits units, int channel)
        {
            var scales = new List<double>();
            var rows = new List<double[]>();
            var targets = new List<double[]>();
            var spreads = new List<double>();
            var ofSeries = new Dictionary<ObservedSeries, double>();
            foreach (ForecastWindow window in windows)
            {
                if (window.Context(shape.ContextLength) is not { } context)
                    continue;
                if (!ofSeries.TryGetValue(window.Series, out double spread))
                    ofSeries[window.Series] = spread =
                        ContextView.Of(window.Series, window.Series.Count, window.Series.Count)!.Scale(channel);
                double[] row = LinearForecast.Read(context, shape, units, channel), all = window.Targets(context, shape.Leads);
                double[] wanted = [.. Enumerable.Range(0, shape.Leads).Select(lead => all[lead * shape.Channels + channel])];
                Mask(row, wanted, shape);
                scales.Add(context.Scale(channel));
                rows.Add(row);
                targets.Add(wanted);
                spreads.Add(spread);
            }
            return new Design([.. scales], [.. rows], [.. targets], [.. spreads]);
        }

        /// <summary>What maps read, <c>[windows, features]</c>.</summary>
        public Tensor Features(LinearShape shape, double scale)
        {
            Tensor x = tensor([.. Rows.SelectMany(row => row)], [Rows.Length, shape.Features], ScalarType.Float64);
            if (scale == 0)
                return x;
            Tensor factors = tensor([.. Scales.Select(own => scale / own)], [Rows.Length, 1], ScalarType.Float64);
            return cat([x.narrow(1, 0, shape.Lags), x.narrow(1, shape.Lags, shape.Features - shape.Lags) * factors], 1);
        }

        /// <summary>What came at a lead in each window.</summary>
        public double[] Wanted(int lead) => [.. Targets.Select(row => row[lead])];

        /// <summary>The mean squared error of maps, in units of the series' spreads.</summary>
        public double Error(double[][] maps, LinearShape shape, double scale)
        {
            double sum = 0;
            long count = 0;
            for (int i = 0; i < Rows.Length; i++)
            {
                double factor = scale > 0 ? scale / Scales[i] : 1;
                for (int lead = 0; lead < maps.Length; lead++)
                {
                    if (double.IsNaN(Targets[i][lead]))
                        continue;
                    double said = Dot(maps[lead], Rows[i], 0, shape.Lags)
                        + factor * Dot(maps[lead], Rows[i], shape.Lags, shape.Features);
                    double error = Scales[i] / Spreads[i] * (said - Targets[i][lead]);
                    sum += error * error;
                    count++;
                }
            }
            return sum / Math.Max(1, count);
        }

        /// <summary>Targets of which an exogenous value is not known are not learned from.</summary>
        private static void Mask(double[] row, double[] targets, LinearShape shape)
        {
            if (!Array.Exists(row, double.IsNaN))
                return;
            for (int lead = 0; lead < shape.Leads; lead++)
                if (shape.ExogenousPlaces(lead).Any(place => double.IsNaN(row[place])))
                    targets[lead] = double.NaN;
            for (int i = 0; i < row.Length; i++)
                row[i] = double.IsNaN(row[i]) ? 0 : row[i];
        }

        private static double Dot(double[] a, double[] b, int first, int end)
        {
            double sum = 0;
            for (int i = first; i < end; i++)
                sum += a[i] * b[i];
            return sum;
        }
    }
}
