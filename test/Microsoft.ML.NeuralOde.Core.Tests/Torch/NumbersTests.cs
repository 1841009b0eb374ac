using Microsoft.ML.NeuralOde.Core.Tests.Support;

namespace Microsoft.ML.NeuralOde.Core.Tests.Torch;

public class NumbersTests
{
    [Fact]
    public void Each_operation_is_that_of_its_formula_and_has_its_derivative()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor b = tensor(new[] { 2.0, -1.0 });
        foreach ((string name, Func<Tensor, Tensor> operation, Func<double, double, double> formula, Func<double, double> derivative) in
            new (string, Func<Tensor, Tensor>, Func<double, double, double>, Func<double, double>)[]
            {
                ("a + b", a => a.Plus(b), (x, y) => x + y, _ => 1),
                ("a + 3", a => a.Plus(3), (x, _) => x + 3, _ => 1),
                ("a - 3", a => a.Minus(3), (x, _) => x - 3, _ => 1),
                ("3 - a", a => a.From(3), (x, _) => 3 - x, _ => -1),
                ("3 a", a => a.Times(3), (x, _) => 3 * x, _ => 3),
                ("a / 4", a => a.Over(4), (x, _) => x / 4, _ => 0.25),
                ("a squared", a => a.Squared(), (x, _) => x * x, x => 2 * x),
                ("a cubed", a => a.Power(3), (x, _) => x * x * x, x => 3 * x * x),
                ("at least 1", a => a.AtLeast(1), (x, _) => Math.Max(x, 1), x => x > 1 ? 1 : 0),
                ("add", a => a.clone().Add(b), (x, y) => x + y, _ => 1),
                ("multiply", a => a.clone().Multiply(3), (x, _) => 3 * x, _ => 3),
            })
        {
            Tensor a = tensor(new[] { 0.5, 1.5 }).requires_grad_();
            Tensor result = operation(a);
            result.detach().data<double>().ToArray().Should().Equal([formula(0.5, 2), formula(1.5, -1)], name);
            result.sum().backward();
            a.grad!.data<double>().ToArray().Should().Equal([derivative(0.5), derivative(1.5)], name);
        }
        Numbers.Range(4, ScalarType.Float32, CPU).data<float>().ToArray().Should().Equal(0, 1, 2, 3);
    }

    [Fact]
    public void No_method_hands_torch_a_number_that_a_collection_may_free() =>
        UnguardedNumbers.In(typeof(ContinuousFlow).Assembly).Should().BeEmpty();

    [Fact]
    public void No_chain_of_calls_leaves_a_tensor_to_collections() =>
        string.Join('\n', UnscopedChains.In(typeof(ContinuousFlow).Assembly)).Should().BeEmpty();

    [Fact]
    public void Chains_are_found_where_no_scope_is_open()
    {
        IReadOnlyList<string> found = UnscopedChains.In(typeof(NumbersTests).Assembly);
        found.Should()
            .ContainSingle(chain => chain.Contains(nameof(ChainSamples.Bare), StringComparison.Ordinal)).Which.Should().EndWith("neg, exp");
        found.Should().ContainSingle(chain => chain.Contains(nameof(ChainSamples.Inner), StringComparison.Ordinal));
        found.Should().ContainSingle(chain => chain.Contains(nameof(ChainSamples.Chosen), StringComparison.Ordinal));
        found.Should().NotContain(chain => chain.Contains(nameof(ChainSamples.Scoped), StringComparison.Ordinal));
        found.Should().NotContain(chain => chain.Contains(nameof(ChainSamples.Held), StringComparison.Ordinal));
        found.Should().NotContain(chain => chain.Contains(nameof(ChainSamples.InScope), StringComparison.Ordinal));
    }

    [Fact]
    [Trait("Category", "Slow")]
    public void Collections_on_another_thread_do_not_disturb()
    {
        // With operators on tensors and numbers in the place of Numbers this fails within a second or two.
        using DisposeScope outer = NewDisposeScope();
        using var flow = new ContinuousFlow(2, new ContinuousFlowOptions { Hidden = [32, 32, 32] });
        Tensor x = randn(64, 2);
        flow.Observe(x);
        using var ended = new CancellationTokenSource();
        var collector = new Thread(() =>
        {
            while (!ended.IsCancellationRequested)
            {
                GC.Collect(0);
                GC.WaitForPendingFinalizers();
            }
        });
        collector.Start();
        try
        {
            for (DateTime end = DateTime.UtcNow.AddSeconds(4); DateTime.UtcNow < end;)
            {
                using DisposeScope scope = NewDisposeScope();
                using (no_grad())
                    flow.LogDensity(x);
                FlowMatching.Loss(flow, x).backward();
            }
        }
        finally
        {
            ended.Cancel();
            collector.Join();
        }
    }
}

public static class ChainSamples
{
    public static Tensor Bare(Tensor a) => a.neg().exp();

    public static Tensor Calls(Tensor a) => Inner(a);

    public static Tensor Chosen(Tensor a, bool first) => (first ? a.neg() : a.sin()).exp();

    public static Tensor Scoped(Tensor a)
    {
        using DisposeScope scope = NewDisposeScope();
        return InScope(a.neg().exp()).MoveToOuterDisposeScope();
    }

    public static Tensor Held(Tensor a)
    {
        using Tensor negative = a.neg();
        return negative.exp();
    }

    internal static Tensor Inner(Tensor a) => a.neg().exp();

    internal static Tensor InScope(Tensor a) => a.neg().exp();
}
