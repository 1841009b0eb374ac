using System.Runtime.InteropServices;
using Microsoft.ML.NeuralOde.Dynamics;
using Microsoft.ML.NeuralOde.Kernels;
using TorchSharp.Modules;

namespace Microsoft.ML.NeuralOde.Core.Tests.Dynamics;

/// <summary>Layers on the kernels against the same layers in torch's operations, differentiated by autograd.</summary>
public class LinearLayersTests
{
    /// <summary>Sizes on both sides of every register width and of every block.</summary>
    private static readonly (int Rows, long[] Sizes)[] Shapes =
    [
        (1, [1, 1]), (1, [784, 128, 64]), (2, [3, 5, 2]), (8, [9, 128, 64]), (9, [17, 33, 7, 40]), (63, [16, 16]), (64, [31, 130, 1]),
        (65, [130, 15, 17, 16, 3]), (128, [784, 128, 64]), (131, [300, 129, 10]), (500, [4, 3, 2]),
    ];

    public static TheoryData<ScalarType, bool> Kinds => new()
    {
        { ScalarType.Float32, true }, { ScalarType.Float32, false }, { ScalarType.Float64, true }, { ScalarType.Float64, false },
    };

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Values_and_gradients_equal_those_of_torch(ScalarType type, bool hasBias)
    {
        foreach ((int rows, long[] sizes) in Shapes)
            foreach (bool ofInput in new[] { false, true })
            {
                using DisposeScope scope = NewDisposeScope();
                Linear[] layers = Layers(sizes, type, hasBias);
                Tensor x = randn([rows, sizes[0]], type);
                if (ofInput)
                    x.requires_grad_();
                // Not contiguous, as the way back of a slice has it.
                Tensor cotangent = randn([sizes[^1], rows], type).t();
                Tensor expected = LinearLayers.ByTorch(x, layers), found = OnKernels(x, layers);
                AssertClose(expected, found);
                Tensor[] inputs = [.. ofInput ? new[] { x } : [], .. layers.SelectMany(layer => layer.parameters())];
                AssertClose(autograd.grad([expected], inputs, [cotangent]), autograd.grad([found], inputs, [cotangent]));
            }
    }

    [Fact]
    public void What_needs_no_gradient_gets_none()
    {
        long[] sizes = [19, 24, 33, 5];
        for (int frozen = 0; frozen < 1 << 7; frozen++)
        {
            using DisposeScope scope = NewDisposeScope();
            Linear[] layers = Layers(sizes, ScalarType.Float32, hasBias: true);
            Tensor[] all = [randn(12, sizes[0]), .. layers.SelectMany(layer => new Tensor[] { layer.weight!, layer.bias! })];
            for (int i = 0; i < all.Length; i++)
                all[i].requires_grad_((frozen & (1 << i)) == 0);
            Tensor found = OnKernels(all[0], layers);
            found.requires_grad.Should().Be(frozen != (1 << 7) - 1);
            if (!found.requires_grad)
                continue;
            Tensor cotangent = randn(12, sizes[^1]);
            Tensor[] active = [.. all.Where(tensor => tensor.requires_grad)];
            IList<Tensor> expected = autograd.grad([LinearLayers.ByTorch(all[0], layers)], active, [cotangent]);
            found.backward([cotangent]);
            AssertClose(expected, [.. active.Select(tensor => tensor.grad!)]);
            all.Where(tensor => !tensor.requires_grad).Should().NotContain(tensor => !ReferenceEquals(tensor.grad, null));
        }
    }

    [Fact]
    public void Gradients_add_up_and_a_graph_that_is_kept_is_walked_again()
    {
        using DisposeScope scope = NewDisposeScope();
        Linear[] layers = Layers([20, 30, 10], ScalarType.Float64, hasBias: true);
        Tensor x = randn([16, 20], ScalarType.Float64), other = randn([9, 20], ScalarType.Float64);
        Tensor first = OnKernels(x, layers), second = OnKernels(other, layers);
        Tensor once = autograd.grad([first.sum()], [layers[0].weight!], retain_graph: true)[0];
        AssertClose(once, autograd.grad([first.sum()], [layers[0].weight!])[0]);
        first = OnKernels(x, layers);
        (first.sum() + second.sum()).backward();
        Tensor otherOnce = autograd.grad([LinearLayers.ByTorch(other, layers).sum()], [layers[0].weight!])[0];
        AssertClose(once + otherOnce, layers[0].weight!.grad!);
    }

    [Fact]
    public void Second_derivatives_equal_those_of_torch()
    {
        using DisposeScope scope = NewDisposeScope();
        Linear[] layers = Layers([6, 20, 11, 3], ScalarType.Float64, hasBias: true);
        Tensor x = randn([10, 6], ScalarType.Float64).requires_grad_();
        Tensor[] inputs = [x, .. layers.SelectMany(layer => layer.parameters())];
        AssertClose(Second(LinearLayers.ByTorch(x, layers)), Second(OnKernels(x, layers)));

        IList<Tensor> Second(Tensor result)
        {
            Tensor slope = autograd.grad([result.pow(3).sum()], [x], retain_graph: true, create_graph: true)[0];
            return autograd.grad([slope.pow(2).sum()], inputs, allow_unused: true);
        }
    }

    [Fact]
    public void Without_gradients_there_is_no_graph()
    {
        using DisposeScope scope = NewDisposeScope();
        Linear[] layers = Layers([20, 30, 10], ScalarType.Float32, hasBias: true);
        Tensor x = randn(16, 20);
        using (no_grad())
        {
            Tensor found = OnKernels(x, layers);
            found.requires_grad.Should().BeFalse();
            AssertClose(LinearLayers.ByTorch(x, layers), found);
        }
    }

    [Fact]
    public void Weights_that_changed_before_the_way_back_are_refused()
    {
        using DisposeScope scope = NewDisposeScope();
        Linear[] layers = Layers([20, 30, 10], ScalarType.Float32, hasBias: true);
        Tensor loss = OnKernels(randn(16, 20), layers).sum();
        using (no_grad())
            layers[1].weight!.Multiply(2);
        Action back = () => loss.backward();
        back.Should().Throw<ExternalException>().WithMessage("*modified by an inplace operation*");
    }

    [Fact]
    public void Numbers_that_are_none_stay_so()
    {
        using DisposeScope scope = NewDisposeScope();
        Linear[] layers = Layers([20, 30, 10], ScalarType.Float32, hasBias: true);
        Tensor x = randn(16, 20);
        x[3, 5] = float.NaN;
        using IDisposable noGrad = no_grad();
        Tensor isNumber = OnKernels(x, layers).isnan().logical_not().all(1);
        isNumber.data<bool>().ToArray().Should().Equal(Enumerable.Range(0, 16).Select(row => row != 3));
    }

    [Fact]
    public void Results_do_not_depend_on_the_number_of_threads()
    {
        using DisposeScope scope = NewDisposeScope();
        Linear[] layers = Layers([300, 210, 170], ScalarType.Float32, hasBias: true);
        Tensor x = randn(270, 300).requires_grad_(), cotangent = randn(270, 170);
        int before = get_num_threads();
        try
        {
            set_num_threads(1);
            Tensor[] one = All();
            set_num_threads(2);
            foreach ((Tensor alone, Tensor together) in one.Zip(All()))
                AssertSame(alone, together);
        }
        finally
        {
            set_num_threads(before);
        }

        Tensor[] All()
        {
            Tensor result = OnKernels(x, layers);
            return [result, .. autograd.grad([result], [x, .. layers.SelectMany(layer => layer.parameters())], [cotangent])];
        }
    }

    [Fact]
    public void What_the_kernels_do_not_know_is_left_to_torch()
    {
        using DisposeScope scope = NewDisposeScope();
        Linear[] layers = Layers([12, 20, 10], ScalarType.Float32, hasBias: true);
        LinearLayers.HasKernelsFor(randn(16, 12), layers).Should().BeTrue();
        LinearLayers.HasKernelsFor(randn(12, 16).t(), layers).Should().BeFalse("rows must lie one behind the other");
        LinearLayers.HasKernelsFor(randn(2, 8, 12), layers).Should().BeFalse();
        LinearLayers.HasKernelsFor(randn(0, 12), layers).Should().BeFalse();
        LinearLayers.HasKernelsFor(randn(16, 11), layers).Should().BeFalse();
        LinearLayers.HasKernelsFor(randn([16, 12], ScalarType.Float64), layers).Should().BeFalse();
        LinearLayers.HasKernelsFor(randn(16, 12).to(ScalarType.BFloat16), layers).Should().BeFalse();
        LinearLayers.HasKernelsFor(randn([16, 12], device: META), layers).Should().BeFalse();
        LinearLayers.HasKernelsFor(randn(16, 1025), Layers([1025, 1024], ScalarType.Float32, hasBias: true)).Should().BeFalse();
        var byInput = new Parameter(randn(12, 20).t());
        layers[0].weight = byInput;
        LinearLayers.HasKernelsFor(randn(16, 12), layers).Should().BeFalse();
        foreach (Tensor x in new[] { randn(16, 12), randn(12, 16).t(), randn(2, 8, 12), randn(0, 12), randn(3, 12) })
            AssertSame(LinearLayers.ByTorch(x, layers), LinearLayers.Apply(x, layers));
    }

    [Fact]
    public void No_layers_are_the_rows_themselves()
    {
        using Tensor x = randn(16, 12);
        LinearLayers.Apply(x).Should().BeSameAs(x);
    }

    [Fact]
    public void What_is_worth_it_is_computed_by_the_kernels()
    {
        using DisposeScope scope = NewDisposeScope();
        Linear[] layers = Layers([43, 257, 10], ScalarType.Float32, hasBias: true), large = Layers([300, 200], ScalarType.Float32, hasBias: true);
        Tensor x = randn(65, 43), wide = randn(64, 300);
        AssertSame(OnKernels(x, layers), LinearLayers.Apply(x, layers));
        AssertSame(OnKernels(wide, large), LinearLayers.Apply(wide, large));
        // A row and a single small layer are not.
        AssertSame(LinearLayers.ByTorch(x[..1], layers), LinearLayers.Apply(x[..1], layers));
        Tensor few = x[..8];
        AssertSame(LinearLayers.ByTorch(few, layers[0]), LinearLayers.Apply(few, layers[0]));
    }

    [Fact]
    public void A_step_leaves_no_tensor_behind()
    {
        using DisposeScope scope = NewDisposeScope();
        Linear[] layers = Layers([12, 20, 10], ScalarType.Float32, hasBias: true);
        Tensor x = randn(16, 12);
        Step();
        long before = Tensor.TotalCount;
        for (int i = 0; i < 5; i++)
            Step();
        (Tensor.TotalCount - before).Should().BeLessThanOrEqualTo(0);

        void Step()
        {
            using DisposeScope step = NewDisposeScope();
            OnKernels(x, layers).sum().backward();
        }
    }

    [Fact]
    public void A_transposed_matrix_is_that_of_torch()
    {
        foreach ((int rows, int columns) in new[] { (1, 1), (3, 5), (4, 4), (5, 3), (16, 17), (128, 784), (31, 66) })
        {
            using DisposeScope scope = NewDisposeScope();
            Check<float>(rand(rows, columns), rows + 3);
            Check<double>(rand([rows, columns], ScalarType.Float64), rows + 1);
        }

        static unsafe void Check<T>(Tensor matrix, int row)
            where T : unmanaged, System.Numerics.IBinaryFloatingPointIeee754<T>
        {
            (long rows, long columns) = (matrix.shape[0], matrix.shape[1]);
            Tensor found = full([columns, row], -1, matrix.dtype);
            Transposition<T>.Run(
                (T*)StateKernels.Address(matrix), (nint)columns, (nint)rows, (nint)columns, (T*)StateKernels.Address(found), row);
            AssertSame(matrix.t(), found.narrow(1, 0, rows));
            found.narrow(1, rows, row - rows).eq(-1).all().item<bool>().Should().BeTrue("what lies between the rows is not ours");
        }
    }

    private static Tensor OnKernels(Tensor x, Linear[] layers)
    {
        LinearLayers.HasKernelsFor(x, layers).Should().BeTrue();
        return LinearLayersFunction.Run(x, [.. layers.Select(layer => ((Tensor)layer.weight!, (Tensor?)layer.bias))]);
    }

    private static Linear[] Layers(long[] sizes, ScalarType type, bool hasBias) =>
        [.. sizes.Skip(1).Select((size, i) => nn.Linear(sizes[i], size, hasBias, dtype: type))];

    private static void AssertSame(Tensor expected, Tensor found)
    {
        found.shape.Should().Equal(expected.shape);
        found.eq(expected).all().item<bool>().Should().BeTrue();
    }

    private static void AssertClose(IList<Tensor> expected, IList<Tensor> found)
    {
        found.Should().HaveSameCount(expected);
        foreach ((Tensor one, Tensor other) in expected.Zip(found))
        {
            ReferenceEquals(one, null).Should().Be(ReferenceEquals(other, null));
            if (one is not null)
                AssertClose(one, other!);
        }
    }

    private static void AssertClose(Tensor expected, Tensor found)
    {
        found.shape.Should().Equal(expected.shape);
        found.dtype.Should().Be(expected.dtype);
        double size = Math.Max(1, expected.abs().max().ToDouble());
        (expected - found).abs().max().ToDouble().Should().BeLessThan(size * (expected.dtype == ScalarType.Float32 ? 2e-5 : 1e-12));
    }
}
