using System.Collections.Concurrent;
using Microsoft.ML.NeuralOde.Kernels;

namespace Microsoft.ML.NeuralOde.Core.Tests.Kernels;

/// <summary>Work shared by threads: every row once, whatever the threads do.</summary>
public class RowBlocksTests
{
    [Theory]
    [InlineData(1, 1)]
    [InlineData(1, 130)]
    [InlineData(2, 1)]
    [InlineData(2, 64)]
    [InlineData(3, 1000)]
    [InlineData(8, 129)]
    public void Every_row_is_done_once_in_blocks_of_its_own(int workers, int rows)
    {
        for (int repetition = 0; repetition < 200; repetition++)
        {
            int[] visits = new int[rows];
            var used = new ConcurrentBag<int>();
            RowBlocks.Run(workers, rows, 64, (worker, start, count) =>
            {
                used.Add(worker);
                (start % 64).Should().Be(0);
                for (nint r = start; r < start + count; r++)
                    Interlocked.Increment(ref visits[r]);
            });
            visits.Should().OnlyContain(visit => visit == 1);
            used.Should().OnlyContain(worker => worker >= 0 && worker < workers);
        }
    }

    [Fact]
    public void Threads_at_the_same_time_get_no_number_twice()
    {
        for (int repetition = 0; repetition < 50; repetition++)
        {
            int[] inside = new int[4];
            RowBlocks.Run(4, 64 * 64, 64, (worker, _, _) =>
            {
                Interlocked.Increment(ref inside[worker]).Should().Be(1);
                Thread.SpinWait(50);
                Interlocked.Decrement(ref inside[worker]);
            });
        }
    }

    [Fact]
    public void Several_callers_do_not_mix_their_rows_up()
    {
        Parallel.For(0, 8, caller =>
        {
            for (int repetition = 0; repetition < 200; repetition++)
            {
                long sum = 0;
                RowBlocks.Run(2, 300, 64, (_, start, count) =>
                {
                    for (nint r = start; r < start + count; r++)
                        Interlocked.Add(ref sum, r + caller);
                });
                sum.Should().Be((299 * 300 / 2) + (300 * caller));
            }
        });
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void A_failure_reaches_the_caller(int workers)
    {
        Action run = () => RowBlocks.Run(workers, 640, 64, (_, start, _) =>
        {
            if (start == 320)
                throw new InvalidOperationException("Block five.");
        });
        run.Should().Throw<InvalidOperationException>().WithMessage("Block five.");
    }

    /// <summary>No more threads than torch has, than there are blocks, and than there are two million multiply–adds for each.</summary>
    [Theory]
    [InlineData(128, 1e6, 1)]
    [InlineData(10, 1e12, 1)]
    [InlineData(64, 1e12, 1)]
    [InlineData(65, 1e12, 2)]
    [InlineData(128, 1e12, 2)]
    [InlineData(129, 1e12, 3)]
    [InlineData(1 << 20, 3.9e6, 1)]
    [InlineData(1 << 20, 4e6, 2)]
    [InlineData(1 << 20, 6e6, 3)]
    [InlineData(1 << 20, 1e30, 3)]
    public void Threads_are_as_many_as_have_work(int rows, double work, int expected)
    {
        int before = get_num_threads();
        try
        {
            set_num_threads(3);
            RowBlocks.Workers(rows, 64, work).Should().Be(expected);
        }
        finally
        {
            set_num_threads(before);
        }
    }

    [Fact]
    public void The_number_of_threads_does_not_change_a_bit()
    {
        int before = get_num_threads();
        try
        {
            set_num_threads(1);
            (float[] Values, float[][] Gradients) one = Solve();
            set_num_threads(2);
            (float[] Values, float[][] Gradients) two = Solve();
            two.Values.Should().Equal(one.Values);
            for (int i = 0; i < one.Gradients.Length; i++)
                two.Gradients[i].Should().Equal(one.Gradients[i]);
        }
        finally
        {
            set_num_threads(before);
        }

        static (float[] Values, float[][] Gradients) Solve()
        {
            using DisposeScope scope = NewDisposeScope();
            random.manual_seed(3);
            var dynamics = new DenseDynamics(20, [64, 64], time: TimeDependence.Concatenate);
            Tensor y = randn(700, 20);
            Tensor final = Ode.Solve(dynamics, y, 0, 1, new OdeSolverOptions { Gradient = GradientMethod.Checkpointed() }).Final;
            final.square().sum().backward();
            return (final.detach().data<float>().ToArray(),
                [.. dynamics.parameters().Select(parameter => parameter.grad!.data<float>().ToArray())]);
        }
    }
}
