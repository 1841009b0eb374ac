namespace Microsoft.ML.NeuralOde.Fitting;

/// <summary>A function to be made small.</summary>
internal interface IObjective
{
    /// <summary>Writes value and gradient at a point; false where there are none.</summary>
    bool TryEvaluate(double[] point, out double value, double[] gradient);
}

/// <summary>
/// The limited-memory method of Broyden, Fletcher, Goldfarb and Shanno (D. C. Liu, J. Nocedal, On the limited memory BFGS method for large
/// scale optimization, 1989), with steps that meet the weak conditions of Wolfe, found by bisection (A. S. Lewis, M. L. Overton, Nonsmooth
/// optimization via quasi-Newton methods, 2013).
/// </summary>
internal sealed class Lbfgs(IObjective problem, double[] start, double tolerance, int maximumIterations)
{
    private const int Memory = 20;
    private const int MostTrials = 30;
    private const double Decrease = 1e-4, Curvature = 0.9;

    private readonly LinkedList<Pair> _pairs = new();
    private double[] _gradient = new double[start.Length];

    public double[] Point { get; private set; } = (double[])start.Clone();

    /// <summary>The value at <see cref="Point"/>.</summary>
    public double Value { get; private set; }

    public int Iterations { get; private set; }

    /// <summary>Searches; null where not even the start can be evaluated.</summary>
    public OdeFitConvergence? Run()
    {
        if (!problem.TryEvaluate(Point, out double value, _gradient) || !double.IsFinite(value))
            return null;
        Value = value;
        while (Iterations < maximumIterations)
        {
            if (Value == 0 || Array.TrueForAll(_gradient, g => g == 0))
                return OdeFitConvergence.Converged;
            Iterations++;
            double before = Value;
            if (!Step())
            {
                // What the past says of curvature may be wrong: once more along the gradient.
                bool isFresh = _pairs.Count == 0;
                _pairs.Clear();
                if (isFresh || !Step())
                    return OdeFitConvergence.Stalled;
            }
            if (before - Value <= tolerance * before)
                return OdeFitConvergence.Converged;
        }
        return OdeFitConvergence.IterationLimit;
    }

    private bool Step()
    {
        double[] direction = Direction();
        double slope = Dot(direction, _gradient);
        if (!(slope < 0))
            return false;
        double low = 0, high = double.PositiveInfinity;
        double length = _pairs.Count > 0 ? 1 : Math.Min(1, 1 / Math.Sqrt(Dot(_gradient, _gradient)));
        double[] next = new double[Point.Length], gradient = new double[Point.Length];
        (double[] Point, double[] Gradient, double Value)? lower = null;
        for (int trial = 0; trial < MostTrials; trial++)
        {
            for (int i = 0; i < next.Length; i++)
                next[i] = Point[i] + length * direction[i];
            bool isSound = problem.TryEvaluate(next, out double value, gradient) && double.IsFinite(value);
            if (!isSound || value > Value + Decrease * length * slope)
                high = length;
            else
            {
                if (value < (lower?.Value ?? Value))
                    lower = ((double[])next.Clone(), (double[])gradient.Clone(), value);
                if (Dot(direction, gradient) >= Curvature * slope)
                    break;
                low = length;
            }
            length = double.IsFinite(high) ? (low + high) / 2 : 2 * length;
        }
        if (lower is not { } found)
            return false;
        Remember(found.Point, found.Gradient);
        (Point, _gradient, Value) = found;
        return true;
    }

    private void Remember(double[] point, double[] gradient)
    {
        double[] step = Minus(point, Point), change = Minus(gradient, _gradient);
        double product = Dot(step, change);
        if (!(product > 1e-12 * Math.Sqrt(Dot(step, step) * Dot(change, change))))
            return;
        _pairs.AddLast(new Pair(step, change, product));
        if (_pairs.Count > Memory)
            _pairs.RemoveFirst();
    }

    private double[] Direction()
    {
        double[] direction = Array.ConvertAll(_gradient, g => -g);
        var shares = new Stack<double>();
        for (LinkedListNode<Pair>? node = _pairs.Last; node is not null; node = node.Previous)
        {
            double share = Dot(node.Value.Step, direction) / node.Value.Product;
            shares.Push(share);
            Add(direction, -share, node.Value.Change);
        }
        if (_pairs.Last is { } last)
        {
            double scale = last.Value.Product / Dot(last.Value.Change, last.Value.Change);
            for (int i = 0; i < direction.Length; i++)
                direction[i] *= scale;
        }
        foreach (Pair pair in _pairs)
            Add(direction, shares.Pop() - Dot(pair.Change, direction) / pair.Product, pair.Step);
        return direction;
    }

    private static void Add(double[] target, double factor, double[] other)
    {
        for (int i = 0; i < target.Length; i++)
            target[i] += factor * other[i];
    }

    private static double[] Minus(double[] a, double[] b) => [.. a.Zip(b, (x, y) => x - y)];

    private static double Dot(double[] a, double[] b)
    {
        double sum = 0;
        for (int i = 0; i < a.Length; i++)
            sum += a[i] * b[i];
        return sum;
    }

    /// <summary>A step, and how the gradient changed along it.</summary>
    private sealed record Pair(double[] Step, double[] Change, double Product);
}

/// <summary>Half the sum of squares of residuals.</summary>
internal sealed class HalfSquares(IResiduals problem, int size) : IObjective
{
    private readonly double[] _residuals = new double[problem.Count];
    private readonly double[,] _jacobian = new double[problem.Count, size];

    public bool TryEvaluate(double[] point, out double value, double[] gradient)
    {
        value = double.NaN;
        if (!problem.TryEvaluate(point, _residuals, _jacobian))
            return false;
        value = _residuals.Sum(r => r * r) / 2;
        Array.Clear(gradient);
        for (int row = 0; row < _residuals.Length; row++)
            for (int i = 0; i < gradient.Length; i++)
                gradient[i] += _jacobian[row, i] * _residuals[row];
        return true;
    }
}
