namespace Microsoft.ML.NeuralOde.Core.Tests.Solving;

/// <summary>The error norm by which several processes, here threads, agree on every step of a batch that they share.</summary>
public class SharedNormTests
{
    // Every kind of adaptive method whose steps can be shared, with float64 so that only sums in another order differ.
    public static TheoryData<string, int> Cases
    {
        get
        {
            var data = new TheoryData<string, int>();
            foreach (OdeMethod method in OdeMethod.All.Where(method => method is { IsAdaptive: true, ExplicitTableau: not null }))
                foreach (int size in (int[])[1, 2, 3])
                    data.Add(method.Name, size);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Parts_of_a_batch_take_the_steps_of_the_whole_batch(string method, int size)
    {
        (double[] expected, SolverStatistics whole) = Solve(method, 0, 7, ErrorNorm.Rms);
        using var meeting = new Meeting(size);
        // Seven rows, unequal parts; rows are of very different stiffness, so that parts by themselves would take other steps.
        int[] starts = [.. Enumerable.Range(0, size + 1).Select(part => 7 * part / size)];
        (double[] Final, SolverStatistics Statistics)[] parts = meeting.Run(
            rank => Solve(method, starts[rank], starts[rank + 1], ErrorNorm.Shared((own, count) => meeting.Mean(rank, own, count))));

        parts.Should().OnlyContain(part => part.Statistics.AcceptedSteps == whole.AcceptedSteps
            && part.Statistics.RejectedSteps == whole.RejectedSteps);
        double[] found = [.. parts.SelectMany(part => part.Final)];
        for (int i = 0; i < found.Length; i++)
            found[i].Should().BeApproximately(expected[i], 1e-9 * Math.Max(1, Math.Abs(expected[i])));
        if (size == 3)
        {
            // Alone, the easiest part takes fewer.
            (_, SolverStatistics alone) = Solve(method, starts[0], starts[1], ErrorNorm.Rms);
            alone.AcceptedSteps.Should().BeLessThan(whole.AcceptedSteps);
        }
    }

    [Fact]
    public void A_part_that_has_no_say_follows_the_steps_of_the_others()
    {
        (_, SolverStatistics expected) = Solve("dopri5", 0, 2, ErrorNorm.Rms);
        using var meeting = new Meeting(2);
        (double[] Final, SolverStatistics Statistics)[] parts = meeting.Run(rank => Solve(
            "dopri5", rank == 0 ? 0 : 5, rank == 0 ? 2 : 7,
            ErrorNorm.Shared((own, count) => meeting.Mean(rank, own, rank == 0 ? count : 0))));
        parts.Should().OnlyContain(part => part.Statistics.AcceptedSteps == expected.AcceptedSteps);
    }

    /// <summary>y′ = −(1 + 3 row) (y − cos t), the rows from one to another.</summary>
    private static (double[] Final, SolverStatistics Statistics) Solve(string method, int first, int end, ErrorNorm norm)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        Tensor rates = (arange(first, end, ScalarType.Float64) * 3 + 1).unsqueeze(1);
        Tensor initial = ones(end - first, 2, ScalarType.Float64) * tensor([1.0, 2.0]);
        OdeSolution solution = Ode.Solve(
            (t, y) => -rates * (y - t.cos()), initial, tensor([0.0, 1.5]), new OdeSolverOptions
            {
                Method = OdeMethod.Parse(method),
                RelativeTolerance = 1e-4,
                AbsoluteTolerance = 1e-6,
                Norm = norm,
            });
        return (solution.Final.data<double>().ToArray(), solution.Statistics);
    }

    /// <summary>Where threads bring numbers and all take their weighted mean.</summary>
    private sealed class Meeting(int size) : IDisposable
    {
        private readonly Barrier _barrier = new(size);
        private readonly (double Own, double Count)[] _brought = new (double, double)[size];

        public T[] Run<T>(Func<int, T> act)
        {
            var results = new T[size];
            Exception? failure = null;
            Thread[] threads = [.. Enumerable.Range(0, size).Select(rank => new Thread(() =>
            {
                try
                {
                    results[rank] = act(rank);
                }
                catch (Exception exception)
                {
                    failure = exception;
                }
            }))];
            Array.ForEach(threads, thread => thread.Start());
            Array.ForEach(threads, thread => thread.Join(TimeSpan.FromSeconds(60)).Should().BeTrue("nobody waits in vain"));
            failure.Should().BeNull();
            return results;
        }

        public double Mean(int rank, double own, double count)
        {
            _brought[rank] = (own, count);
            Wait();
            double sum = 0, counts = 0;
            foreach ((double each, double weight) in _brought)
                (sum, counts) = (sum + each * weight, counts + weight);
            Wait();
            return sum / counts;
        }

        public void Dispose() => _barrier.Dispose();

        private void Wait()
        {
            if (!_barrier.SignalAndWait(TimeSpan.FromSeconds(30)))
                throw new TimeoutException("The others take other steps.");
        }
    }
}
