#:project ../../../src/Microsoft.ML.NeuralOde.Core
#:property PublishAot=false
// Write dynamics: any module f(t, y) of TorchSharp is a right-hand side, trained here to follow a spiral.
using Microsoft.ML.NeuralOde;
using TorchSharp;
using static TorchSharp.torch;

random.manual_seed(1);
using Tensor start = tensor(new[] { 2f, 0f }, [1, 2]), times = linspace(0, 1.5, 20, ScalarType.Float64), matrix = tensor(new[] { -0.1f, 2, -2, -0.1f }, [2, 2]);
using Tensor observed = Ode.Solve((t, y) => y.mm(matrix), start, times).States.detach();
using var field = new Field();
using var optimizer = new AdamOptimizer(field.parameters(), learningRate: 0.05);
for (int step = 0; step <= 150; step++)
{
    using DisposeScope scope = NewDisposeScope();
    optimizer.ZeroGradients();
    Tensor loss = (Ode.Solve(field, start, times).States - observed).square().mean();
    loss.backward();
    optimizer.Step();
    if (step % 50 == 0)
        Console.WriteLine($"step {step}: loss {loss.ToDouble():F4}");
}

sealed class Field : nn.Module<Tensor, Tensor, Tensor>
{
    private readonly TorchSharp.Modules.Linear _linear = nn.Linear(2, 2, hasBias: false);
    public Field() : base("field") => RegisterComponents();
    public override Tensor forward(Tensor t, Tensor y) => _linear.call(y);
}
