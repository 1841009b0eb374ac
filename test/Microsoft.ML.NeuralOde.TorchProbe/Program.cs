using Microsoft.ML.NeuralOde;
using TorchSharp;

try
{
    // Many threads at once, as servers do, and once more afterwards.
    Parallel.For(0, 8, _ => TorchRuntime.EnsureAvailable());
    TorchRuntime.EnsureAvailable();
    using torch.Tensor ones = torch.ones(2, 3);
    using torch.Tensor sum = ones.sum();
    Console.WriteLine($"sum {sum.item<float>():0}");
    return 0;
}
catch (AggregateException e)
{
    foreach (Exception inner in e.InnerExceptions.Take(1))
        Console.Error.WriteLine($"{inner.GetType().Name}|{inner.InnerException?.GetType().Name}|{inner.Message}");
    return 3;
}
