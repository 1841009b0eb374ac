using System.Diagnostics;
using Microsoft.ML.NeuralOde.Plots;
using Microsoft.ML.NeuralOde.Samples.Data;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Samples.Tutorial.Chapters;

/// <summary>The same digits by networks with and without an equation, and how much harder rows cost.</summary>
internal sealed class Choosing() : Chapter(9, "when-to-use-which", "When to use which, and when not")
{
    private const int Width = 64;

    private static readonly OdeSolverOptions Training = new() { RelativeTolerance = 1e-3, AbsoluteTolerance = 1e-4 };

    public override void Run(TutorialPage page, CancellationToken cancellationToken)
    {
        Digits(page, cancellationToken);
        Rows(page);
    }

    private static void Digits(TutorialPage page, CancellationToken cancellationToken)
    {
        using DisposeScope outer = NewDisposeScope();
        DigitData digits = EmbeddedDigits.Load();
        (Tensor train, Tensor trainLabels) = Tensors(digits.Train);
        (Tensor test, Tensor testLabels) = Tensors(digits.Test);
        var rows = new List<object[]>();
        var curves = new List<Curve>();
        foreach ((string name, Func<nn.Module<Tensor, Tensor>> middle) in new (string, Func<nn.Module<Tensor, Tensor>>)[]
        {
            ("nothing in the middle", () => nn.Identity()),
            ("residual, 6 blocks",
                () => nn.Sequential([.. Enumerable.Range(0, 6).Select(i => ($"block{i}", (nn.Module<Tensor, Tensor>)new Residual()))])),
            ("neural ODE", () => new OdeBlock(new DenseDynamics(Width, [Width]), 1, Training)),
        })
        {
            random.manual_seed(page.Seed(21));
            using nn.Module<Tensor, Tensor> network = nn.Sequential(
                ("encoder0", nn.Linear(784, 128)), ("relu", nn.ReLU()), ("encoder1", nn.Linear(128, Width)), ("middle", middle()),
                ("head", nn.Linear(Width, 10)));
            using var optimizer = new AdamOptimizer(network.parameters(), 1e-3);
            var order = new Random(page.Seed(5));
            var losses = new List<double>();
            long started = Stopwatch.GetTimestamp();
            const int Epochs = 6, Batch = 128;
            for (int epoch = 0; epoch < Epochs; epoch++)
            {
                long[] shuffled = [.. Enumerable.Range(0, digits.Train.Count).Select(i => (long)i)];
                order.Shuffle(shuffled);
                double sum = 0;
                foreach (long[] part in shuffled.Chunk(Batch))
                {
                    cancellationToken.ThrowIfCancellationRequested();
                    using DisposeScope scope = NewDisposeScope();
                    Tensor index = tensor(part);
                    optimizer.ZeroGradients();
                    Tensor loss =
                        nn.functional.cross_entropy(network.call(train.index_select(0, index)), trainLabels.index_select(0, index));
                    loss.backward();
                    optimizer.Step();
                    sum += loss.ToDouble() * part.Length;
                }
                losses.Add(sum / digits.Train.Count);
            }
            double seconds = Stopwatch.GetElapsedTime(started).TotalSeconds / Epochs;
            using IDisposable noGrad = no_grad();
            network.call(test).Dispose();
            started = Stopwatch.GetTimestamp();
            Tensor scores = network.call(test);
            double scoring = 1e3 * Stopwatch.GetElapsedTime(started).TotalMilliseconds / digits.Test.Count;
            double accuracy = 100 * scores.argmax(1).eq(testLabels).to(ScalarType.Float32).mean().ToDouble();
            long weights = network.parameters().Sum(parameter => parameter.numel());
            rows.Add([name, TutorialPage.Cell(weights, "N0", 0), TutorialPage.Cell(accuracy, "0.0", 0.02),
                TutorialPage.Cell(seconds, "0.0", null), TutorialPage.Cell(scoring, "0.0", null)]);
            curves.Add(new Curve(name, [.. Enumerable.Range(1, Epochs).Select(i => (double)i)], losses));
        }
        page.Table("digits",
            ["between encoder and head", "weights", "test accuracy (%)", "s an epoch (this machine)", "µs a scored row (this machine)"],
            rows);
        page.Figure("digits", Figures.Lines("digits: training loss", "epoch", "mean loss", curves, logY: true, markers: true), 620, 380);
    }

    /// <summary>With steps of its own a row costs what it needs: rotations at different speeds.</summary>
    private static void Rows(TutorialPage page)
    {
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        const int Count = 64;
        // The third component is the speed at which the first two go round; most rows are slow, a few fast.
        double[] speeds = [.. Enumerable.Range(0, Count).Select(i => Math.Pow(60, (double)i / (Count - 1)))];
        Tensor y0 = tensor([.. speeds.SelectMany(speed => new[] { 1.0, 0.0, speed })], [Count, 3]);
        var options = new OdeSolverOptions { RelativeTolerance = 1e-5, AbsoluteTolerance = 1e-6 };
        using OdeSolution together = Ode.Solve(Rotate, y0, tensor(new[] { 0.0, 1.0 }), options);
        using OdeSolution apart = Ode.Solve(Rotate, y0, tensor(new[] { 0.0, 1.0 }), options with { PerRow = true });
        page.Number("together", together.Statistics.FunctionEvaluations * Count, "N0", 0.1);
        page.Number("apart", apart.Statistics.RowEvaluations, "N0", 0.1);
        page.Number("saved", (double)together.Statistics.FunctionEvaluations * Count / apart.Statistics.RowEvaluations, "0.0", 0.1);

        static Tensor Rotate(Tensor t, Tensor y)
        {
            Tensor a = y.narrow(1, 0, 1), b = y.narrow(1, 1, 1), speed = y.narrow(1, 2, 1);
            return cat([-(speed * b), speed * a, zeros_like(speed)], 1);
        }
    }

    private static (Tensor Pixels, Tensor Labels) Tensors(MnistImages images)
    {
        var pixels = new float[images.Count * 784];
        var labels = new long[images.Count];
        for (int i = 0; i < images.Count; i++)
        {
            ReadOnlySpan<byte> bytes = images.GetPixels(i);
            for (int p = 0; p < 784; p++)
                pixels[784 * i + p] = bytes[p] / 255f;
            labels[i] = images.Labels.Span[i];
        }
        return (tensor(pixels, [images.Count, 784]), tensor(labels));
    }

    /// <summary>h + f(h), with f as in the equation.</summary>
    private sealed class Residual : nn.Module<Tensor, Tensor>
    {
        private readonly TorchSharp.Modules.Linear _first = nn.Linear(Width, Width);
        private readonly TorchSharp.Modules.Linear _second = nn.Linear(Width, Width);

        public Residual()
            : base(nameof(Residual)) => RegisterComponents();

        public override Tensor forward(Tensor input) => input + _second.call(_first.call(input).tanh());
    }
}
