namespace Microsoft.ML.NeuralOde.Fitting;

/// <summary>
/// The state with its sensitivities as one system: S_k′ = ∂f/∂y S_k + ∂f/∂p p_k′, the derivative of f along (S_k, p_k′), by a central
/// difference.
/// </summary>
/// <param name="model">f(t, y; p).</param>
/// <param name="components">The number of components of y.</param>
/// <param name="values">p.</param>
/// <param name="slopes">p′ of each parameter by the number that is searched for.</param>
/// <param name="withInitial">Whether there are sensitivities to the initial state, behind those to the parameters.</param>
internal sealed class SensitivitySystem(OdeModel model, int components, double[] values, double[] slopes, bool withInitial)
{
    /// <summary>The cube root of rounding: where rounding and curvature spoil a central difference alike.</summary>
    private const double Increment = 6e-6;

    /// <summary>A component much smaller than the largest counts as this fraction of it.</summary>
    private const double SmallFraction = 1e-3;

    private readonly double[] _moved = new double[components];
    private readonly double[] _before = new double[components];
    private readonly double[] _after = new double[components];
    private readonly double[] _parameters = (double[])values.Clone();

    /// <summary>The number of sensitivities.</summary>
    public int Directions => values.Length + (withInitial ? components : 0);

    /// <summary>The initial state with the sensitivities there.</summary>
    public double[] Start(ReadOnlySpan<double> state)
    {
        var start = new double[components * (1 + Directions)];
        state.CopyTo(start);
        for (int i = 0; withInitial && i < components; i++)
            start[components * (1 + values.Length + i) + i] = 1;
        return start;
    }

    /// <summary>The right-hand side.</summary>
    public void Evaluate(double time, ReadOnlySpan<double> state, Span<double> derivative)
    {
        ReadOnlySpan<double> y = state[..components];
        model(time, y, _parameters, derivative[..components]);
        for (int k = 0; k < Directions; k++)
            Along(k, y, state.Slice(components * (1 + k), components), derivative.Slice(components * (1 + k), components),
                new Model(model, time));
    }

    /// <summary>The derivative of what is observed by the number that a direction belongs to.</summary>
    public void Observe(
        OdeObservation observation, int direction, double time, ReadOnlySpan<double> state, double[] before, double[] after,
        Span<double> result)
    {
        ReadOnlySpan<double> y = state[..components];
        ReadOnlySpan<double> s = state.Slice(components * (1 + direction), components);
        double epsilon = Size(direction, y, s);
        Move(direction, y, s, -epsilon);
        observation(time, _moved, _parameters, before);
        Move(direction, y, s, epsilon);
        observation(time, _moved, _parameters, after);
        Move(direction, y, s, 0);
        for (int i = 0; i < before.Length; i++)
            result[i] = epsilon == 0 ? 0 : (after[i] - before[i]) / (2 * epsilon);
    }

    private void Along(int direction, ReadOnlySpan<double> y, ReadOnlySpan<double> s, Span<double> result, Model at)
    {
        double epsilon = Size(direction, y, s);
        if (epsilon == 0)
        {
            result.Clear();
            return;
        }
        Move(direction, y, s, -epsilon);
        at.Evaluate(_moved, _parameters, _before);
        Move(direction, y, s, epsilon);
        at.Evaluate(_moved, _parameters, _after);
        Move(direction, y, s, 0);
        for (int i = 0; i < components; i++)
            result[i] = (_after[i] - _before[i]) / (2 * epsilon);
    }

    private void Move(int direction, ReadOnlySpan<double> y, ReadOnlySpan<double> s, double epsilon)
    {
        for (int i = 0; i < components; i++)
            _moved[i] = y[i] + epsilon * s[i];
        if (direction < values.Length)
            _parameters[direction] = values[direction] + epsilon * slopes[direction];
    }

    /// <summary>How far to go along a direction, so that no component moves by more than a small fraction of its size; 0 for
    /// nowhere.</summary>
    private double Size(int direction, ReadOnlySpan<double> y, ReadOnlySpan<double> s)
    {
        double largest = 0, steepest = 0;
        foreach (double component in y)
            largest = Math.Max(largest, Math.Abs(component));
        double small = largest == 0 ? 1 : SmallFraction * largest;
        for (int i = 0; i < components; i++)
            steepest = Math.Max(steepest, Math.Abs(s[i]) / Math.Max(Math.Abs(y[i]), small));
        if (direction < values.Length)
            steepest = Math.Max(steepest, Math.Abs(slopes[direction]) / Math.Max(Math.Abs(values[direction]), 1e-8));
        return steepest == 0 ? 0 : Increment / steepest;
    }

    private readonly ref struct Model(OdeModel model, double time)
    {
        private readonly double _time = time;

        public void Evaluate(double[] state, double[] parameters, double[] result)
        {
            Array.Fill(result, double.NaN);
            model(_time, state, parameters, result);
        }
    }
}
