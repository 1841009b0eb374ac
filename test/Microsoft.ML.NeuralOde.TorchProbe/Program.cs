using System.Runtime.InteropServices;
using Microsoft.ML.NeuralOde;
using TorchSharp;

string what = args.Length > 0 ? args[0] : "ensure";
try
{
    switch (what)
    {
        case "ensure":
            // Many threads at once, as servers do, and once more afterwards.
            Parallel.For(0, 8, _ => TorchRuntime.EnsureAvailable());
            TorchRuntime.EnsureAvailable();
            Sum();
            break;
        case "module":
            // A user of the library alone, who has not heard of EnsureAvailable.
            using (var dynamics = new DenseDynamics(3))
            using (torch.Tensor y = torch.zeros(1, 3))
            using (OdeSolution solution = Ode.Solve(dynamics, y, 0, 1))
                Sum();
            break;
        case "tensor":
            // torch first, the library once touched.
            _ = OdeMethod.Dopri5;
            Sum();
            break;
        case "beside another":
            // As in a process of Python's that has imported torch.
            NativeLibrary.Load(args[1]);
            TorchRuntime.EnsureAvailable();
            break;
        case "start":
            _ = OdeMethod.Dopri5;
            bool isLoaded = File.ReadAllText("/proc/self/maps").Contains("libtorch", StringComparison.Ordinal);
            Console.WriteLine($"{Marshal.PtrToStringUTF8(Libc.GetEnvironment("GOMP_SPINCOUNT"))} {(isLoaded ? "loaded" : "not loaded")}");
            break;
    }
    return 0;
}
catch (Exception e)
{
    e = e is AggregateException many ? many.InnerExceptions[0] : e;
    Console.Error.WriteLine($"{e.GetType().Name}|{e.InnerException?.GetType().Name}|{e.Message}");
    return 3;
}

static void Sum()
{
    using torch.Tensor ones = torch.ones(2, 3);
    using torch.Tensor sum = ones.sum();
    Console.WriteLine($"sum {sum.item<float>():0}");
}

internal static partial class Libc
{
    [LibraryImport("libc", EntryPoint = "getenv", StringMarshalling = StringMarshalling.Utf8)]
    public static partial nint GetEnvironment(string name);
}
