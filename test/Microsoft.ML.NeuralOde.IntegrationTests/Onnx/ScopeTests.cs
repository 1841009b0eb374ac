using Microsoft.ML.NeuralOde.Core.Tests.Support;
using Microsoft.ML.NeuralOde.Plots;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Onnx;

/// <summary>Tensors in the middle of a chain of calls are safe from collections on other threads.</summary>
public class ScopeTests
{
    [Fact]
    public void No_chain_of_calls_leaves_a_tensor_to_collections()
    {
        foreach (System.Reflection.Assembly assembly in new[] { typeof(NeuralOdeOnnxExtensions).Assembly, typeof(FlowFigure).Assembly })
        {
            string.Join('\n', UnscopedChains.In(assembly)).Should().BeEmpty();
            UnguardedNumbers.In(assembly).Should().BeEmpty();
        }
    }

    [Fact]
    public void Models_are_exported_beside_a_collecting_thread()
    {
        using var ended = new CancellationTokenSource();
        var collector = new Thread(() =>
        {
            while (!ended.IsCancellationRequested)
            {
                GC.Collect(0);
                GC.WaitForPendingFinalizers();
            }
        });
        using var images =
            new OdeBlock(new ConvolutionalDynamics(4), options: new OdeSolverOptions { Method = OdeMethod.Rk4, StepSize = 0.5 });
        using var flow = new ContinuousFlow(3);
        byte[][] expected = [Export(images), Export(flow)];
        collector.Start();
        try
        {
            for (int i = 0; i < 30; i++)
            {
                Export(images).Should().Equal(expected[0]);
                Export(flow).Should().Equal(expected[1]);
            }
        }
        finally
        {
            ended.Cancel();
            collector.Join();
        }

        static byte[] Export(object module)
        {
            using var stream = new MemoryStream();
            if (module is OdeBlock block)
                block.SaveAsOnnx([4, 6, 6], stream);
            else
                ((ContinuousFlow)module).SaveAsOnnx(stream, stepSize: 0.5);
            return stream.ToArray();
        }
    }
}
