using Microsoft.ML.NeuralOde.Plots;
using Microsoft.ML.NeuralOde.Samples.Data;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Samples.Tutorial.Chapters;

/// <summary>Series that are seen at odd times: a latent equation, trained as a variational autoencoder.</summary>
internal sealed class SeriesModels() : Chapter(8, "series", "Series: latent and controlled equations")
{
    private const int Latent = 4;
    private const int Hidden = 24;
    private const double End = 6;
    private const double Noise = 0.1;

    private static readonly OdeSolverOptions Options = new() { RelativeTolerance = 1e-3, AbsoluteTolerance = 1e-4 };

    public override void Run(TutorialPage page, CancellationToken cancellationToken)
    {
        using DisposeScope outer = NewDisposeScope();
        random.manual_seed(page.Seed(12));
        var source = new Random(page.Seed(4));
        using var model = new LatentEquation();
        using var optimizer = new AdamOptimizer(model.parameters(), 1e-2);
        const int Steps = 900;
        var losses = new double[Steps];
        for (int step = 0; step < Steps; step++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            using DisposeScope scope = NewDisposeScope();
            // The noise that is believed in falls to the true one: at first only the rough shape counts.
            // Each batch has odd times of its own; the model sees the first half of each series and is to say all of it.
            double[] times = [.. Enumerable.Range(0, 30).Select(_ => End * source.NextDouble()).Order()];
            (Tensor values, _) = Waves(64, times, source);
            int seen = times.Count(time => time < End / 2);
            optimizer.LearningRate = 1e-2 * 0.5 * (1 + Math.Cos(Math.PI * step / Steps));
            optimizer.ZeroGradients();
            Tensor loss = model.Loss(values, times, seen, Math.Max(Noise, 0.6 * (1 - 2.0 * step / Steps)));
            loss.backward();
            nn.utils.clip_grad_norm_(model.parameters(), 1);
            optimizer.Step();
            losses[step] = loss.ToDouble();
        }
        page.Number("last-loss", losses.TakeLast(20).Average(), "0.0", null);
        Forecast(page, model);
        Errors(page, model);
        page.Number("weights", model.parameters().Sum(parameter => parameter.numel()), "N0", 0);
        using var signals = new LeadingSignal(page);
        signals.Run(cancellationToken);
    }

    /// <summary>One series of which twelve points are seen, with what may follow.</summary>
    private static void Forecast(TutorialPage page, LatentEquation model)
    {
        using IDisposable noGrad = no_grad();
        var figures = new List<Figure>();
        foreach (int seed in (int[])[21, 33])
        {
            using DisposeScope scope = NewDisposeScope();
            var source = new Random(page.Seed(seed));
            double[] seenTimes = [.. Enumerable.Range(0, 12).Select(_ => 0.5 * End * source.NextDouble()).Order()];
            double[] grid = Spaced(0, End, 121);
            double[] all = [.. seenTimes.Concat(grid).Order().Distinct()];
            (Tensor values, double[] truth) = Waves(1, all, source);
            int[] places = [.. seenTimes.Select(time => Array.IndexOf(all, time))];
            Tensor observed = values.index_select(0, tensor([.. places.Select(i => (long)i)]));
            Tensor paths = model.Sample(observed, seenTimes, all, 200);
            double[][] draws = [.. Enumerable.Range(0, 200).Select(row => Numbers(paths.select(1, row)))];
            double[][] sorted = [.. Enumerable.Range(0, all.Length).Select(i => draws.Select(draw => draw[i]).Order().ToArray())];
            figures.Add(Figures.SeriesWithIntervals(
                $"series {figures.Count + 1}", all, [.. sorted.Select(column => column.Average())],
                [.. sorted.Select(column => column[10] - 1.64 * Noise)], [.. sorted.Select(column => column[189] + 1.64 * Noise)],
                new Curve("seen", seenTimes, Numbers(observed)), new Curve("truth", all, truth), intervalName: "90 % interval"));
        }
        page.Figure("forecast", Figure.Combine("twelve points at odd times, and what follows", 2, figures), 1100, 420);
    }

    /// <summary>The error of the forecast beside that of repeating the last value and of the mean.</summary>
    private static void Errors(TutorialPage page, LatentEquation model)
    {
        using IDisposable noGrad = no_grad();
        var source = new Random(page.Seed(77));
        double model2 = 0, last2 = 0, mean2 = 0;
        int count = 0, inside = 0;
        for (int series = 0; series < 100; series++)
        {
            using DisposeScope scope = NewDisposeScope();
            double[] seenTimes = [.. Enumerable.Range(0, 12).Select(_ => 0.5 * End * source.NextDouble()).Order()];
            double[] later = Spaced(0.55 * End, End, 10);
            double[] all = [.. seenTimes, .. later];
            (Tensor values, double[] truth) = Waves(1, all, source);
            double[] observed = Numbers(values);
            Tensor paths = model.Sample(values.narrow(0, 0, 12), seenTimes, all, 60);
            double[] expected = Numbers(paths.mean([1L]).squeeze(-1));
            double[] spread = Numbers(paths.std([1L], unbiased: true).squeeze(-1));
            for (int i = 12; i < all.Length; i++)
            {
                model2 += Square(expected[i] - truth[i]);
                last2 += Square(observed[11] - truth[i]);
                mean2 += Square(observed.Take(12).Average() - truth[i]);
                double width = 1.64 * Math.Sqrt(Square(spread[i]) + Noise * Noise);
                if (Math.Abs(expected[i] - observed[i]) <= width)
                    inside++;
                count++;
            }
        }
        page.Number("rmse-model", Math.Sqrt(model2 / count), "0.00", null);
        page.Number("rmse-last", Math.Sqrt(last2 / count), "0.00", 0.02);
        page.Number("rmse-mean", Math.Sqrt(mean2 / count), "0.00", 0.02);
        page.Number("coverage", 100.0 * inside / count, "0", null);

        static double Square(double x) => x * x;
    }

    /// <summary>Swings of random height and phase: with noise, shape [times, series, 1], and, of the first series, without.</summary>
    private static (Tensor Values, double[] Truth) Waves(int series, double[] times, Random source)
    {
        var values = new float[times.Length * series];
        var truth = new double[times.Length];
        for (int row = 0; row < series; row++)
        {
            double height = 0.6 + 0.8 * source.NextDouble(), phase = 2 * Math.PI * source.NextDouble();
            for (int i = 0; i < times.Length; i++)
            {
                double value = height * Math.Exp(-0.1 * times[i]) * Math.Sin(2 * times[i] + phase);
                if (row == 0)
                    truth[i] = value;
                values[i * series + row] = (float)(value + Noise * source.NextNormal());
            }
        }
        return (tensor(values, [times.Length, series, 1]), truth);
    }

    /// <summary>A recurrent network reads what was seen, backward in time; an equation carries the latent state; a network reads it
    /// out.</summary>
    private sealed class LatentEquation : nn.Module
    {
        private readonly TorchSharp.Modules.GRUCell _reader = nn.GRUCell(2, Hidden);
        private readonly TorchSharp.Modules.Linear _start = nn.Linear(Hidden, 2 * Latent);
        private readonly DenseDynamics _dynamics = new(Latent, [32], time: TimeDependence.None);
        private readonly TorchSharp.Modules.Sequential _decoder =
            nn.Sequential(("in", nn.Linear(Latent, 24)), ("act", nn.Tanh()), ("out", nn.Linear(24, 1)));

        public LatentEquation()
            : base(nameof(LatentEquation)) => RegisterComponents();

        /// <summary>The negative evidence bound: how badly all points are said, plus the information in the latent state.</summary>
        public Tensor Loss(Tensor values, double[] times, int seen, double noise)
        {
            (Tensor mean, Tensor logDeviation) = Encode(values.narrow(0, 0, seen), times[..seen]);
            Tensor z0 = mean + logDeviation.exp() * randn_like(mean);
            Tensor said = Decode(z0, times);
            Tensor misfit = ((said - values) / noise).square().sum([0L, 2L]).mean() * 0.5;
            Tensor information = (logDeviation.exp().square() + mean.square() - logDeviation * 2 - 1).sum([1L]).mean() * 0.5;
            return (misfit + information) / times.Length;
        }

        /// <summary>Paths that fit what was seen, shape [times, samples, 1].</summary>
        public Tensor Sample(Tensor seen, double[] seenTimes, double[] times, int samples)
        {
            (Tensor mean, Tensor logDeviation) = Encode(seen, seenTimes);
            Tensor z0 = mean + logDeviation.exp() * randn(samples, Latent);
            return Decode(z0, times);
        }

        private (Tensor Mean, Tensor LogDeviation) Encode(Tensor values, double[] times)
        {
            Tensor state = zeros(values.shape[1], Hidden);
            double next = times.Length > 0 ? times[^1] : 0;
            for (int i = times.Length - 1; i >= 0; i--)
            {
                Tensor gap = full_like(values[i], next - times[i]);
                state = _reader.call(cat([values[i], gap], 1), state);
                next = times[i];
            }
            // How long before the first point the latent state lies is one more thing to know.
            state = _reader.call(cat([zeros(values.shape[1], 1), full([values.shape[1], 1], (float)next)], 1), state);
            Tensor both = _start.call(state);
            return (both.narrow(1, 0, Latent), both.narrow(1, Latent, Latent).clamp(-5, 1));
        }

        private Tensor Decode(Tensor z0, double[] times)
        {
            using Tensor grid = tensor([-1e-3, .. times]);
            OdeSolution solution = Ode.Solve(_dynamics, z0, grid, Options);
            return _decoder.call(solution.States.narrow(0, 1, times.Length));
        }
    }
}
