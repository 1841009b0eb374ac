using TorchSharp.Modules;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// A right-hand side, written as an ordinary module, that names the layers it is made of: f(t, y) = layers(y), or layers(y) + w t + b, or
/// layers of y with t as one more column.
/// Where the library's kernels know all of them, <see cref="Ode"/> evaluates and differentiates it by these kernels, which is faster than a
/// tensor operation after the other.
/// </summary>
/// <remarks>
/// The parameters stay the module's own: gradients arrive there, and later changes are seen. Known are <c>Linear</c>, with one of
/// <c>Tanh</c>, <c>ReLU</c>, <c>SiLU</c>, <c>Softplus</c>, <c>Sigmoid</c>, <c>GELU</c> and <see cref="Power"/> (of 2 or 3) between each two
/// or in front of the first, and <c>LayerNorm</c> in front of a <c>Linear</c> or behind it, in float32 and float64 on the CPU; a
/// <c>Sequential</c> stands for its layers. Before the first solve, and whenever the layers change, values and derivatives are compared with
/// those of <c>forward</c>, at two points.
/// <see cref="SolverStatistics.IsLowered"/> says whether the kernels were used, <see cref="SolverStatistics.WhyNotLowered"/> why not;
/// <see cref="OdeSolverOptions.LowerLayers"/> turns them off. <c>forward</c> stays in use in
/// <see cref="GradientMethod.Direct"/>, and wherever else a graph is recorded.
/// </remarks>
public interface ILayeredDynamics
{
    /// <summary>
    /// The layers that the state, of shape <c>[batch, features]</c>, goes through, in this order: the same as <c>forward</c> uses, and all
    /// that the module has.
    /// </summary>
    IReadOnlyList<Module<Tensor, Tensor>> Layers { get; }

    /// <summary>A layer of one input, the time, whose result is added to that of the last layer; null, the default, for none.</summary>
    Linear? AddedTime => null;

    /// <summary>
    /// Where <c>forward</c> joins the time to the columns that the first <c>Linear</c> gets; to those of another one too, if it has one
    /// input more than there are results before it. The default is nowhere.
    /// </summary>
    TimeInput ConcatenatedTime => TimeInput.None;
}

/// <summary>Which input of a linear layer is the time.</summary>
public enum TimeInput
{
    /// <summary>None.</summary>
    None,

    /// <summary>The first, as in <c>cat([t, y], 1)</c>.</summary>
    First,

    /// <summary>The last, as in <c>cat([y, t], 1)</c>.</summary>
    Last,
}
