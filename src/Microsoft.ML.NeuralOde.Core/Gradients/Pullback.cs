using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Gradients;

/// <summary>
/// Evaluates the right-hand side so that its vector–Jacobian products can be asked for: <see cref="GraphPullback"/> through the autograd
/// graph, <see cref="AnalyticPullback"/> by what the right-hand side itself knows. <see cref="PullbackSource"/> tells which one a state
/// takes.
/// </summary>
internal abstract class Pullback
{
    /// <summary>f at a point, with what its derivatives need.</summary>
    /// <param name="times">The time, or one a row, as numbers.</param>
    /// <param name="clock">Makes a tensor of them where one is needed.</param>
    /// <param name="state">The state.</param>
    /// <param name="withTime">Whether derivatives with respect to the times are wanted.</param>
    public abstract Evaluation Evaluate(double[] times, Clock clock, Tensor state, bool withTime);

    /// <summary>
    /// f at a point in memory that the kernels work on, written to <paramref name="value"/>, and −λᵀ ∂f/∂y, written to
    /// <paramref name="rate"/>. Derivatives of the parameters may be added from what is returned.
    /// </summary>
    public abstract Evaluation EvaluateAdjoint(ReadOnlySpan<double> times, Tensor state, Tensor cotangent, Tensor value, Tensor rate);

    /// <summary>A value of f and what leads back from it.</summary>
    internal abstract class Evaluation : IDisposable
    {
        /// <summary>f, without graph, contiguous.</summary>
        public abstract Tensor Value { get; }

        /// <summary>Whether the memory of the state must not change before <see cref="PullState"/>.</summary>
        public abstract bool ReadsState { get; }

        /// <summary>About how much memory it holds; null where that is unknown.</summary>
        public abstract long? Bytes { get; }

        /// <summary>
        /// Tensors that an autograd node may hold in its stead, until it is made <see cref="Again"/>; none where it must live on itself.
        /// </summary>
        public virtual IReadOnlyList<Tensor> Saved => [];

        /// <summary>λᵀ ∂f/∂y, and λᵀ ∂f/∂t where it was asked for; can be asked for once. The results are the caller's.</summary>
        public abstract Tensor PullState(Tensor cotangent, out Tensor? time);

        /// <summary>Adds w λᵀ ∂f/∂θ of the λ that was pulled; can be asked for once.</summary>
        public abstract void AddParameters(ParameterSums sums, double weight = 1);

        /// <summary>Lets go of what derivatives need: no more of them will be asked for, only the value.</summary>
        public abstract void Close();

        /// <summary>The evaluation, with the tensors that were <see cref="Saved"/> in its stead.</summary>
        public virtual Evaluation Again(IReadOnlyList<Tensor> saved) => this;

        public abstract void Dispose();
    }
}
