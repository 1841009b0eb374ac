#:project ../../../src/Microsoft.ML.NeuralOde.Core
#:property PublishAot=false
// Fit four parameters: growth, predation, death and conversion of Lotka and Volterra from 40 noisy observations.
using Microsoft.ML.NeuralOde;

double[] truth = [1.0, 0.5, 1.2, 0.4], times = [.. Enumerable.Range(0, 40).Select(i => 8 * i / 39.0)];
OdeModel model = (t, y, p, dy) => (dy[0], dy[1]) = (y[0] * (p[0] - p[1] * y[1]), y[1] * (p[3] * y[0] - p[2]));
NativeOdeSolution exact = Ode.Solve((t, y, dy) => model(t, y, truth, dy), [2, 1], times);
var random = new Random(1);
var observed = new double[40, 2];
for (int i = 0; i < 80; i++)
    observed[i / 2, i % 2] = exact[i / 2][i % 2] * (1 + 0.1 * (random.NextDouble() - 0.5));       // a deviation of 3 %
OdeParameter[] guesses = [.. ((string[])["growth", "predation", "death", "conversion"]).Select(name => OdeParameter.Positive(name, 1))];
OdeFitResult fit = OdeFit.Fit(model, guesses, [new OdeTrajectory(times, observed)]);
foreach ((OdeFittedParameter rate, double value) in fit.Parameters.Zip(truth))
    Console.WriteLine($"{rate.Name}: {rate.Value:F3}, known to {rate.StandardError:F3} (true {value:F1})");
