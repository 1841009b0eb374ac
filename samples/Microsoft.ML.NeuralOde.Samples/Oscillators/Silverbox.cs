using System.Globalization;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Samples.Oscillators;

/// <summary>How a learned oscillator follows a drive that it was not trained on.</summary>
/// <param name="Model">The kind of equation.</param>
/// <param name="Parameters">How many weights.</param>
/// <param name="Error">
/// Root mean square error of the response over the simulated samples, in units of their standard deviation.
/// </param>
internal sealed record SilverboxResult(string Model, long Parameters, double Error);

/// <summary>
/// Silverbox, an electronic oscillator with a hardening spring (T. Wigren, J. Schoukens, Three free data sets for development and
/// benchmarking in nonlinear system identification, 2013): the drive V1 is given, the response V2 is simulated.
/// </summary>
internal sealed class Silverbox
{
    private const int Window = 40, Rows = 64, Trained = 4000;

    // Splines through the samples: nine to a period are too few for straight lines. The method asks for the drive at samples and halfway.
    private const int PerSample = 2;

    private readonly float[] _drive, _response, _slope;

    private Silverbox(float[] drive, float[] response)
    {
        using DisposeScope scope = NewDisposeScope();
        using ControlPath drives = Path(drive), responses = Path(response);
        _drive = Numbers(drives.Evaluate(arange(0, drive.Length - 1, 1.0 / PerSample, ScalarType.Float64).unsqueeze(0)));
        _response = response;
        _slope = Numbers(responses.Derivative(arange(0, response.Length, 1, ScalarType.Float64).unsqueeze(0)));

        static ControlPath Path(float[] values)
        {
            using var series = new SeriesBatch(tensor(values, [1, values.Length, 1], ScalarType.Float64));
            return ControlPath.NaturalCubic(series, time: false);
        }

        static float[] Numbers(Tensor values) => [.. values.to(ScalarType.Float32).contiguous().data<float>()];
    }

    /// <summary>Reads two columns, V1 and V2, under a line of names.</summary>
    /// <exception cref="UserException">The file has other columns, or too few rows.</exception>
    public static Silverbox Read(string file)
    {
        if (!File.Exists(file))
            throw new UserException($"There is no file '{file}'; --data names a CSV file with the columns V1 and V2.");
        string[][] rows = [.. File.ReadLines(file).Skip(1).Select(line => line.Split(','))];
        if (rows.Length < Trained + 200 || rows.Any(row => row.Length != 2))
            throw new UserException(
                $"'{file}' has {rows.Length} rows; it must have two columns, V1 and V2, and at least {Trained + 200} rows.");
        return new Silverbox(Column(0), Column(1));

        float[] Column(int index)
        {
            float[] values = [.. rows.Select(row => float.Parse(row[index], CultureInfo.InvariantCulture))];
            double mean = values.Average(), deviation = Math.Sqrt(values.Average(value => (value - mean) * (value - mean)));
            return [.. values.Select(value => (float)((value - mean) / deviation))];
        }
    }

    public IEnumerable<SilverboxResult> Run(int steps, int seed, CancellationToken cancellationToken)
    {
        foreach ((string name, int state, bool isSecond,
            int hidden) in new[] { ("first order", 1, false, 40), ("augmented by one", 2, false, 24), ("second order", 2, true, 30) })
        {
            random.manual_seed(seed);
            using var model = new Driven(state, isSecond, hidden);
            Train(model, steps, seed, cancellationToken);
            yield return new SilverboxResult(name, model.parameters().Sum(parameter => parameter.numel()), Simulate(model));
        }
    }

    private void Train(Driven model, int steps, int seed, CancellationToken cancellationToken)
    {
        const double Rate = 0.01;
        var source = new Random(seed);
        using var optimizer = new AdamOptimizer(model.parameters(), Rate);
        Tensor times = arange(0, Window + 1, 1, ScalarType.Float32);
        for (int step = 0; step < steps; step++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            using DisposeScope scope = NewDisposeScope();
            int[] starts = [.. Enumerable.Range(0, Rows).Select(_ => source.Next(1, Trained - Window - 1))];
            optimizer.LearningRate = Rate * 0.5 * (1 + Math.Cos(Math.PI * step / steps));
            model.Follow(Drive(starts, Window + 1));
            optimizer.ZeroGradients();
            Tensor found = Ode.Solve(model, Start(model, starts), times, Steps).States.select(2, 0).t();
            functional.mse_loss(found, Cut(_response, starts, Window + 1)).backward();
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1);
            optimizer.Step();
        }
    }

    /// <summary>From one state on, with the drive alone, over all samples behind those of the training.</summary>
    private double Simulate(Driven model)
    {
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        int count = _response.Length - Trained - 1;
        model.Follow(Drive([Trained], count));
        using OdeSolution solution = Ode.Solve(model, Start(model, [Trained]), arange(0, count, 1, ScalarType.Float32), Steps);
        Tensor response = Cut(_response, [Trained], count).squeeze(0);
        return ((solution.States.select(2, 0).squeeze(1) - response).square().mean().sqrt() / response.std(unbiased: false)).ToDouble();
    }

    private static OdeSolverOptions Steps => new() { Method = OdeMethod.Rk4, StepSize = 1 };

    /// <summary>The response, and where there is room for it its slope.</summary>
    private Tensor Start(Driven model, int[] starts) => model.Size == 1
        ? Cut(_response, starts, 1) : cat([Cut(_response, starts, 1), Cut(_slope, starts, 1)], 1);

    private Tensor Drive(int[] starts, int samples) =>
        Cut(_drive, [.. starts.Select(start => PerSample * start)], PerSample * (samples - 1) + 1);

    private static Tensor Cut(float[] values, int[] starts, int count)
    {
        float[] cut = [.. starts.SelectMany(start => values[start..(start + count)])];
        return tensor(cut, [starts.Length, count]);
    }

    /// <summary>
    /// A linear function of the state and the drive at a time, and a network beside it for what is not linear. One sample is a unit of time.
    /// </summary>
    private sealed class Driven : Module<Tensor, Tensor, Tensor>
    {
        private readonly bool _isSecond;
        private readonly Linear _first, _last, _linear;
        private Tensor? _drive;

        public Driven(int size, bool isSecond, int hidden)
            : base(nameof(Driven))
        {
            Size = size;
            _isSecond = isSecond;
            _first = Linear(size + 1, hidden);
            _last = Linear(hidden, isSecond ? size / 2 : size);
            _linear = Linear(size + 1, isSecond ? size / 2 : size, hasBias: false);
            // Nothing moves at first: a random spring that pushes outwards is never learned from.
            init.zeros_(_last.weight!);
            init.zeros_(_linear.weight!);
            register_module("first", _first);
            register_module("last", _last);
            register_module("linear", _linear);
        }

        public int Size { get; }

        /// <summary>Takes a drive at samples and halfway, shape <c>[rows, times]</c>, for the solves to come.</summary>
        public void Follow(Tensor drive)
        {
            _drive?.Dispose();
            _drive = drive.DetachFromDisposeScope();
        }

        public override Tensor forward(Tensor t, Tensor y)
        {
            Tensor drive = _drive!.narrow(1, (long)Math.Round(PerSample * t.ToDouble()), 1);
            Tensor input = cat([y, drive], 1);
            Tensor rate = _linear.call(input) + _last.call(_first.call(input).tanh());
            return _isSecond ? cat([y.narrow(1, 1, 1), rate], 1) : rate;
        }
    }
}
