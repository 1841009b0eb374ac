using Microsoft.ML.NeuralOde.Methods;
using Microsoft.ML.NeuralOde.Solving;
using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Gradients;

/// <summary>
/// The equation that is solved backward, d(y, λ)/dt = (f, −λᵀ ∂f/∂y), and the parameters' gradients, quadratures of λᵀ ∂f/∂θ along its
/// steps.
/// </summary>
/// <remarks>
/// For implicit methods: y and λ lie side by side in each row, <c>[rows, 2n]</c>, since the linear algebra goes row by row.
/// </remarks>
internal sealed class RowwiseAdjointSystem : VectorField
{
    private readonly VectorField _equation;
    private readonly Func<Tensor, Tensor, Tensor>? _jacobian;
    private readonly ParameterSums _sums;
    private readonly GraphPullback _pullback;
    private readonly long[] _shape;
    private readonly long _rows;

    /// <param name="equation">f(t, y).</param>
    /// <param name="jacobian">∂f/∂y from the user; null for autograd.</param>
    /// <param name="like">A tensor like y.</param>
    /// <param name="sums">Where parameter gradients are added.</param>
    public RowwiseAdjointSystem(VectorField equation, Func<Tensor, Tensor, Tensor>? jacobian, Tensor like, ParameterSums sums)
    {
        _equation = equation;
        _jacobian = jacobian;
        _sums = sums;
        _pullback = new GraphPullback(equation, sums.Active);
        _shape = like.shape;
        _rows = JacobianEvaluator.Rows(like);
    }

    /// <summary>None: gradients are sums of our own.</summary>
    public override IReadOnlyList<Tensor> Parameters => [];

    /// <summary>(y, λ) as one tensor.</summary>
    public Tensor Join(Tensor y, Tensor adjoint)
    {
        // Without elements, −1 would leave the width open.
        long width = y.numel() / Math.Max(1, _rows);
        using Tensor left = y.reshape(_rows, width);
        using Tensor right = adjoint.reshape(_rows, width);
        return cat([left, right], 1);
    }

    /// <summary>y (0) or λ (1).</summary>
    public Tensor Part(Tensor joint, int index)
    {
        long width = joint.shape[1] / 2;
        using Tensor part = joint.narrow(1, index * width, width);
        return part.reshape(_shape);
    }

    /// <summary>The tolerances of y, for both parts.</summary>
    public Tensor? Tolerances(Tensor? tolerances)
    {
        if (tolerances is null)
            return null;
        using Tensor whole = tolerances.expand(_shape);
        return Join(whole, whole);
    }

    /// <summary>d(y, λ)/dt.</summary>
    public override Tensor Evaluate(Tensor time, Tensor joint)
    {
        using Tensor y = Part(joint, 0);
        using Tensor adjoint = Part(joint, 1);
        using Pullback.Evaluation evaluation = _pullback.Evaluate(time, y, withTime: false);
        using Tensor product = evaluation.PullState(adjoint, out _);
        using Tensor rate = product.neg_();
        return Join(evaluation.Value, rate);
    }

    /// <summary>
    /// The Jacobian for Newton iterations, ∂f/∂y and −(∂f/∂y)ᵀ on the diagonal: that λ depends on y costs an iteration, not a second
    /// derivative.
    /// </summary>
    public Tensor Jacobian(Tensor time, Tensor joint)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor jacobian = JacobianEvaluator.Evaluate(
            (t, y) => RightHandSide.Own(_equation, t, y), _jacobian, time, Part(joint, 0).contiguous());
        Tensor zero = zeros_like(jacobian);
        return cat([cat([jacobian, zero], 2), cat([zero, -jacobian.transpose(1, 2)], 2)], 1).MoveToOuterDisposeScope();
    }

    /// <summary>Adds w ∫ λᵀ ∂f/∂θ dt over an accepted step by the method's own weights.</summary>
    public void Accumulate(AcceptedStep step, double weight)
    {
        StepStages stages = step.Stepper.Stages;
        StepSpan span = step.Attempt.Span;
        double size = weight * span.Size[0];
        using var arithmetic = new TensorArithmetic(1);
        for (int i = 0; i < stages.Derivatives.Length; i++)
        {
            if (stages.B[i] == 0)
                continue;
            using Tensor stage = arithmetic.Combine(step.Stepper.State, span, stages.A[i], stages.Derivatives);
            using Tensor y = Part(stage, 0);
            using Tensor adjoint = Part(stage, 1);
            using Tensor time = tensor(span.At(stages.C[i])[0], y.dtype, y.device);
            using Pullback.Evaluation evaluation = _pullback.Evaluate(time, y, withTime: false);
            evaluation.PullState(adjoint, out _).Dispose();
            evaluation.AddParameters(_sums, size * stages.B[i]);
        }
    }
}
