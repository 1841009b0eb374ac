using System.CommandLine;
using Microsoft.ML.NeuralOde;
using Microsoft.ML.NeuralOde.Benchmarks;
using Microsoft.ML.NeuralOde.Benchmarks.Devices;
using Microsoft.ML.NeuralOde.Benchmarks.Kernels;
using Microsoft.ML.NeuralOde.Benchmarks.Small;

TorchRuntime.EnsureAvailable();
var root = new RootCommand(
    "Measures Microsoft.ML.NeuralOde: kernels by themselves, and whole workloads beside torchdiffeq; compares devices.")
{
    CompareCommand.Create(),
    MemoryCommand.Create(),
    KernelsCommand.Create(),
    DevicesCommand.Create(),
    SmallCommand.Create(),
};
return await root.Parse(args).InvokeAsync();
