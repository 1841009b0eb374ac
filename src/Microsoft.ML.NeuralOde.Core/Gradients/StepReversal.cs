using Microsoft.ML.NeuralOde.Methods;
using Microsoft.ML.NeuralOde.Solving;

namespace Microsoft.ML.NeuralOde.Gradients;

/// <summary>Carries gradients backward over one step of an explicit Runge–Kutta method.</summary>
/// <remarks>
/// With λ₁ the gradient at the step's end and g_o those of outputs inside it, each stage gets
/// K̄_i = h (b_i λ₁ + Σ_o p_i(σ_o) g_o + Σ_{j&gt;i} a_ji v_j) and gives v_i = K̄_iᵀ ∂f/∂y at its input; λ₀ = λ₁ + Σ_o g_o + Σ_i v_i
/// (E. Hairer, C. Lubich, G. Wanner, Geometric Numerical Integration, VI.10, for the transposed method).
/// </remarks>
internal sealed class StepReversal : IDisposable
{
    private readonly OdeProblem _problem;
    private readonly ParameterSums _sums;
    private readonly double[]? _times;
    private readonly SolverStatistics _statistics;
    private readonly Pullback _pullback;
    private readonly ButcherTableau _tableau;
    private readonly Clock _clock;
    private StateArithmetic? _arithmetic;

    /// <param name="problem">The problem.</param>
    /// <param name="like">A tensor like the state.</param>
    /// <param name="sums">Where parameter gradients are added.</param>
    /// <param name="times">Where the gradients of output times are added; null where none are needed.</param>
    /// <param name="statistics">Where evaluations are counted.</param>
    public StepReversal(OdeProblem problem, Tensor like, ParameterSums sums, double[]? times, SolverStatistics statistics)
    {
        _problem = problem;
        _sums = sums;
        _times = times;
        _statistics = statistics;
        _pullback = new Pullback(problem.Function, sums.Active);
        _tableau = ((ExplicitRungeKutta)problem.Options.Method).Tableau;
        bool perRow = problem.Options.PerRow && problem.Options.Method.IsAdaptive && problem.Options.StepSize is null;
        _clock = new Clock(problem.Grid, like, perRow);
    }

    /// <summary>λ at the step's start; <paramref name="gradient"/> is that of the outputs, <c>[times, …]</c>, for the rows of the step.</summary>
    public Tensor Reverse(StepTape.Step step, Tensor state, Tensor adjoint, Tensor gradient)
    {
        StateArithmetic arithmetic = Arithmetic(state, step.Start.Length);
        foreach (StepTape.StepOutput output in step.Outputs.Where(output => output.IsAtEnd))
            adjoint = adjoint + Masked(gradient[output.Output], output.Lanes, step.Start.Length);
        StepTape.StepOutput[] inside = [.. step.Outputs.Where(output => !output.IsAtEnd)];
        Tensor[] incoming = Array.ConvertAll(inside, output => Masked(gradient[output.Output], output.Lanes, step.Start.Length));

        using var span = new StepSpan(step.Start, step.End, _clock);
        int stages = inside.Length > 0 ? _tableau.Extension.Polynomials.Length : _tableau.Stages - (_tableau.IsFirstSameAsLast ? 1 : 0);
        var evaluations = new Pullback.Evaluation[stages];
        // The graph behind an evaluation reads its input's memory when it is pulled.
        var inputs = new Tensor[stages];
        var k = new Tensor[stages];
        var v = new Tensor?[stages];
        try
        {
            for (int i = 0; i < stages; i++)
            {
                inputs[i] = arithmetic.Combine(state, span, Row(i), k.AsSpan(0, i));
                using Tensor time = _clock.Tensor(span, Node(i));
                evaluations[i] = _pullback.Evaluate(time, inputs[i], _times is not null);
                k[i] = evaluations[i].Value;
                _statistics.BackwardEvaluations++;
            }

            double[][] weights = Array.ConvertAll(inside, output => Weights(output, span, derivative: false));
            Tensor[] parts = [adjoint, .. incoming];
            for (int i = stages - 1; i >= 0; i--)
            {
                Tensor cotangent = Cotangent(arithmetic, span, i, parts, weights, v);
                v[i] = evaluations[i].PullState(cotangent, out Tensor? time);
                arithmetic.Release(cotangent);
                evaluations[i].AddParameters(_sums);
                AddStageTime(span, Node(i), time);
                time?.Dispose();
            }
            if (_times is not null)
                AddStepTimes(span, inside, adjoint, incoming, k, v);
            Tensor[] all = [.. incoming, .. v!];
            double[] ones = new double[all.Length];
            Array.Fill(ones, 1);
            Tensor sum = arithmetic.Combine(adjoint, null, ones, all);
            Tensor result = sum.clone();
            arithmetic.Release(sum);
            return result;
        }
        finally
        {
            foreach (Pullback.Evaluation? evaluation in evaluations)
                evaluation?.Dispose();
            foreach (Tensor? tensor in v)
                tensor?.Dispose();
            foreach (Tensor? input in inputs)
                arithmetic.Release(input);
        }
    }

    public void Dispose()
    {
        _arithmetic?.Dispose();
        _pullback.Dispose();
    }

    private StateArithmetic Arithmetic(Tensor state, int lanes)
    {
        if (_arithmetic?.Lanes == lanes)
            return _arithmetic;
        _arithmetic?.Dispose();
        return _arithmetic = StateArithmetic.Create(state, lanes, differentiable: false);
    }

    /// <summary>a_i of a stage, of the method or of its interpolant alone.</summary>
    private double[] Row(int stage) => stage < _tableau.Stages ? _tableau.A[stage] : _tableau.Extension.ExtraA[stage - _tableau.Stages];

    private double Node(int stage) => stage < _tableau.Stages ? _tableau.C[stage] : _tableau.Extension.ExtraC[stage - _tableau.Stages];

    private Tensor Cotangent(StateArithmetic arithmetic, StepSpan span, int stage, Tensor[] parts, double[][] weights, Tensor?[] v)
    {
        int lanes = span.Start.Length;
        Tensor[] later = [.. v.Skip(stage + 1).Select(tensor => tensor!)];
        Tensor[] tensors = [.. parts, .. later];
        var coefficients = new double[lanes * tensors.Length];
        for (int lane = 0; lane < lanes; lane++)
        {
            Span<double> row = coefficients.AsSpan(lane * tensors.Length, tensors.Length);
            row[0] = stage < _tableau.Stages ? _tableau.B[stage] : 0;
            for (int o = 0; o < weights.Length; o++)
                row[1 + o] = weights[o][lane * _tableau.Extension.Polynomials.Length + stage];
            for (int j = 0; j < later.Length; j++)
                row[parts.Length + j] = Row(stage + 1 + j)[stage];
        }
        return arithmetic.Combine(null, span, coefficients, tensors);
    }

    /// <summary>p_i(σ), or p_i′(σ), of an output inside the step, lane-major.</summary>
    private double[] Weights(StepTape.StepOutput output, StepSpan span, bool derivative)
    {
        int count = _tableau.Extension.Polynomials.Length;
        var weights = new double[count * span.Start.Length];
        for (int lane = 0; lane < span.Start.Length; lane++)
        {
            Span<double> row = weights.AsSpan(lane * count, count);
            double sigma = Sigma(output, span, lane);
            if (derivative)
                _tableau.Extension.WeightDerivatives(sigma, row);
            else
                _tableau.Extension.Weights(sigma, row);
        }
        return weights;
    }

    private static double Sigma(StepTape.StepOutput output, StepSpan span, int lane) =>
        span.Size[lane] == 0 ? 0 : (output.Times[lane] - span.Start[lane]) / span.Size[lane];

    /// <summary>The gradient of an output in the lanes that reached it in this step, zero in the others.</summary>
    private static Tensor Masked(Tensor gradient, int[] lanes, int count)
    {
        if (lanes.Length == count)
            return gradient;
        var mask = new bool[count];
        foreach (int lane in lanes)
            mask[lane] = true;
        var shape = new long[gradient.dim()];
        Array.Fill(shape, 1);
        shape[0] = count;
        return where(tensor(mask, device: gradient.device).reshape(shape), gradient, zeros_like(gradient));
    }

    private void AddStageTime(StepSpan span, double node, Tensor? derivative)
    {
        if (_times is null || derivative is null)
            return;
        using Tensor flat = derivative.reshape(-1).to(ScalarType.Float64, CPU);
        ReadOnlySpan<double> values = [.. flat.data<double>()];
        for (int lane = 0; lane < values.Length; lane++)
        {
            AddTime(span.Start[lane], (1 - node) * values[lane]);
            AddTime(span.End[lane], node * values[lane]);
        }
    }

    /// <summary>What the step's ends and the places of its outputs contribute, besides the times at which f was evaluated.</summary>
    private void AddStepTimes(StepSpan span, StepTape.StepOutput[] inside, Tensor adjoint, Tensor[] incoming, Tensor[] k, Tensor?[] v)
    {
        int lanes = span.Start.Length;
        var size = new double[lanes];
        for (int i = 0; i < k.Length; i++)
        {
            AddDots(size, adjoint, k[i], _ => i < _tableau.Stages ? _tableau.B[i] : 0);
            for (int j = 0; j < i; j++)
                if (Row(i)[j] is var a and not 0)
                    AddDots(size, v[i]!, k[j], _ => a);
        }
        int count = _tableau.Extension.Polynomials.Length;
        for (int o = 0; o < inside.Length; o++)
        {
            StepTape.StepOutput output = inside[o];
            double[] p = Weights(output, span, derivative: false);
            double[] slope = Weights(output, span, derivative: true);
            var place = new double[lanes];
            for (int i = 0; i < k.Length; i++)
            {
                AddDots(size, incoming[o], k[i], lane => p[lane * count + i] - Sigma(output, span, lane) * slope[lane * count + i]);
                AddDots(place, incoming[o], k[i], lane => slope[lane * count + i]);
            }
            for (int lane = 0; lane < lanes; lane++)
            {
                AddTime(output.Times[lane], place[lane]);
                AddTime(span.Start[lane], -place[lane]);
            }
        }
        for (int lane = 0; lane < lanes; lane++)
        {
            AddTime(span.End[lane], size[lane]);
            AddTime(span.Start[lane], -size[lane]);
        }
    }

    private static void AddDots(double[] sums, Tensor a, Tensor b, Func<int, double> weight)
    {
        using Tensor product = a * b;
        using Tensor flat = product.reshape(sums.Length, -1);
        using Tensor dots = flat.sum(1).to(ScalarType.Float64, CPU);
        double[] values = dots.data<double>().ToArray();
        for (int lane = 0; lane < sums.Length; lane++)
            sums[lane] += weight(lane) * values[lane];
    }

    /// <summary>Hands a derivative with respect to a time inside the solve on to the output times around it.</summary>
    private void AddTime(double time, double value)
    {
        (int segment, double fraction) = _problem.Grid.Locate(time);
        _times![segment] += (1 - fraction) * value;
        if (fraction != 0)
            _times[segment + 1] += fraction * value;
    }
}
