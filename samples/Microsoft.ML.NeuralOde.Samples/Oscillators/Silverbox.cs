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
/// Root mean square error of the response over the simulated samples, in units of the response's standard deviation.
/// </param>
internal sealed record SilverboxResult(string Model, long Parameters, double Error);

/// <summary>
/// Silverbox, an electronic oscillator with a hardening spring (T. Wigren, J. Schoukens, Three free data sets for development and
/// benchmarking in nonlinear system identification, 2013): the drive V1 is given, the response V2 is simulated.
/// </summary>
internal sealed class Silverbox
{
    private const int Window = 40, Rows = 64, Trained = 4000;

    private readonly float[] _drive, _response;

    private Silverbox(float[] drive, float[] response) => (_drive, _response) = (drive, response);

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
        using optim.Optimizer optimizer = optim.Adam(model.parameters(), Rate);
        Tensor times = arange(0, Window + 1, 1, ScalarType.Float32);
        for (int step = 0; step < steps; step++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            using DisposeScope scope = NewDisposeScope();
            int[] starts = [.. Enumerable.Range(0, Rows).Select(_ => source.Next(1, Trained - Window - 1))];
            foreach (optim.ILearningRateController group in optimizer.ParamGroups)
                group.LearningRate = Rate * 0.5 * (1 + Math.Cos(Math.PI * step / steps));
            model.Follow(Cut(_drive, starts, Window + 1));
            optimizer.zero_grad();
            Tensor found = Ode.Solve(model, Start(model, starts), times, Steps).States.select(2, 0).t();
            functional.mse_loss(found, Cut(_response, starts, Window + 1)).backward();
            optimizer.step();
        }
    }

    /// <summary>From one state on, with the drive alone, over all samples behind those of the training.</summary>
    private double Simulate(Driven model)
    {
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        int count = _drive.Length - Trained - 1;
        model.Follow(Cut(_drive, [Trained], count));
        using OdeSolution solution = Ode.Solve(model, Start(model, [Trained]), arange(0, count, 1, ScalarType.Float32), Steps);
        return (solution.States.select(2, 0).squeeze(1) - Cut(_response, [Trained], count).squeeze(0)).square().mean().sqrt().ToDouble();
    }

    private static OdeSolverOptions Steps => new() { Method = OdeMethod.Rk4, StepSize = 1 };

    /// <summary>The response, and where there is room for it its slope.</summary>
    private Tensor Start(Driven model, int[] starts)
    {
        Tensor response = Cut(_response, starts, 1);
        Tensor slope =
            (Cut(_response, [.. starts.Select(start => start + 1)], 1) - Cut(_response, [.. starts.Select(start => start - 1)], 1)) / 2;
        return model.Size == 1 ? response : cat([response, slope], 1);
    }

    private static Tensor Cut(float[] values, int[] starts, int count)
    {
        float[] cut = [.. starts.SelectMany(start => values.Skip(start).Take(count))];
        return tensor(cut, [starts.Length, count]);
    }

    /// <summary>A network of the state and the drive at a time, one sample a unit of time, straight lines between samples.</summary>
    private sealed class Driven : Module<Tensor, Tensor, Tensor>
    {
        private readonly bool _isSecond;
        private readonly Linear _first, _last;
        private Tensor? _drive;

        public Driven(int size, bool isSecond, int hidden)
            : base(nameof(Driven))
        {
            Size = size;
            _isSecond = isSecond;
            _first = Linear(size + 1, hidden);
            _last = Linear(hidden, isSecond ? size / 2 : size);
            register_module("first", _first);
            register_module("last", _last);
        }

        public int Size { get; }

        /// <summary>Takes a drive, shape <c>[rows, samples]</c>, for the solves to come.</summary>
        public void Follow(Tensor drive)
        {
            _drive?.Dispose();
            _drive = drive.DetachFromDisposeScope();
        }

        public override Tensor forward(Tensor t, Tensor y)
        {
            double time = t.ToDouble();
            long before = Math.Min((long)time, _drive!.shape[1] - 1), after = Math.Min(before + 1, _drive.shape[1] - 1);
            Tensor drive = _drive.narrow(1, before, 1) * (before + 1 - time) + _drive.narrow(1, after, 1) * (time - before);
            Tensor rate = _last.call(_first.call(cat([y, drive], 1)).tanh());
            return _isSecond ? cat([y.narrow(1, 1, 1), rate], 1) : rate;
        }
    }
}
