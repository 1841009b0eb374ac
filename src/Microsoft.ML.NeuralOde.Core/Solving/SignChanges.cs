namespace Microsoft.ML.NeuralOde.Solving;

/// <summary>
/// Finds the sign changes of a function on [0, 1]: by polynomials through its values at Chebyshev points, on pieces that are halved until
/// the polynomial describes the function.
/// </summary>
/// <remarks>
/// The coefficients of a smooth function fall fast; those of one that oscillates between its samples do not (J. P. Boyd, Solving
/// Transcendental Equations, 2014, ch. 2). A value at one more place guards against functions that vanish at the points.
/// </remarks>
internal sealed class SignChanges
{
    private const int Degree = 8;

    /// <summary>Halvings at most: beyond, a jump or a kink is known well enough.</summary>
    private const int DeepestPiece = 16;

    /// <summary>Pieces of one step at most.</summary>
    public const int MostPieces = 256;

    /// <summary>How much of a function's size its polynomial may miss.</summary>
    private const double Resolved = 1e-3;

    /// <summary>The place of one more value, irrational so that it has no pattern in common with the points.</summary>
    private static readonly double Guard = (3 - Math.Sqrt(5)) / 2;

    private static readonly double[] Points = [.. Enumerable.Range(0, Degree + 1).Select(j => (1 - Math.Cos(Math.PI * j / Degree)) / 2)];

    private readonly Func<double, double> _function;
    private readonly Lazy<double> _noise;
    private readonly List<(double Place, double Value)> _values = [];
    private readonly int _mostPieces;
    private int _pieces;

    private SignChanges(Func<double, double> function, Func<double> noise, int mostPieces)
    {
        _function = function;
        _mostPieces = mostPieces;
        _noise = new Lazy<double>(noise);
    }

    /// <summary>Where a function changes its sign.</summary>
    /// <param name="Brackets">The changes, in order.</param>
    /// <param name="Sign">The sign behind the last one, with which the function goes on; 0 where it has none yet.</param>
    /// <param name="IsComplete">Whether there are no others, as far as a polynomial can tell.</param>
    public readonly record struct Result(IReadOnlyList<Bracket> Brackets, int Sign, bool IsComplete);

    /// <summary>Two places between which the sign changes. A value of 0 is the zero itself.</summary>
    /// <param name="Left">The place before.</param>
    /// <param name="LeftValue">The value there.</param>
    /// <param name="Right">The place behind.</param>
    /// <param name="RightValue">The value there.</param>
    /// <param name="Sign">The sign before.</param>
    public readonly record struct Bracket(double Left, double LeftValue, double Right, double RightValue, int Sign);

    /// <summary>Looks for the changes.</summary>
    /// <param name="function">The function.</param>
    /// <param name="start">Its value at 0.</param>
    /// <param name="sign">The sign with which it comes there; 0 where it has none yet.</param>
    /// <param name="noise">By how much rounding moves its values.</param>
    /// <param name="mostPieces">Pieces at most.</param>
    public static Result Find(Func<double, double> function, double start, int sign, Func<double> noise, int mostPieces = MostPieces)
    {
        var search = new SignChanges(function, noise, mostPieces);
        double end = function(1);
        bool isComplete = search.Describe(0, start, 1, end, 0);
        search._values.Sort((a, b) => a.Place.CompareTo(b.Place));
        (List<Bracket> brackets, sign) = search.Changes(sign == 0 ? Math.Sign(start) : sign);
        return new Result(brackets, sign, isComplete);
    }

    /// <summary>
    /// The place behind a zero between two places of different sign, next to it among the numbers: inverse quadratic interpolation through the
    /// last three places where these say that it is safe, else bisection (T. R. Chandrupatla, A new hybrid quadratic/bisection algorithm for
    /// finding the zero of a nonlinear function without using derivatives, Adv. Eng. Softw. 28, 1997).
    /// </summary>
    public static double Root(Func<double, double> value, Bracket bracket)
    {
        const double Smallest = 1e-15;
        (double left, double before, double right, double after, _) = bracket;
        if (before == 0 || after == 0)
            return before == 0 ? left : right;
        // The newest place, the other end of the bracket, and the one before them.
        (double Place, double Value) newest = (left, before), other = (right, after), last;
        double part = 0.5;
        while (true)
        {
            double place = newest.Place + part * (other.Place - newest.Place);
            if (place == newest.Place || place == other.Place)
                break;
            double there = value(place);
            if (there == 0)
                return place;
            if (Math.Sign(there) == Math.Sign(newest.Value))
                last = newest;
            else
                (last, other) = (other, newest);
            newest = (place, there);
            double width = Math.Abs(other.Place - newest.Place), smallest = Smallest * Math.Max(newest.Place, other.Place) / width;
            if (!(smallest < 0.5))
                break;
            double x = (newest.Place - other.Place) / (last.Place - other.Place);
            double y = (newest.Value - other.Value) / (last.Value - other.Value);
            bool isSafe = y * y < x && (1 - y) * (1 - y) < 1 - x;
            part = !isSafe ? 0.5
                : newest.Value / (other.Value - newest.Value) * (last.Value / (other.Value - last.Value))
                    + (last.Place - newest.Place) / (other.Place - newest.Place)
                        * (newest.Value / (last.Value - newest.Value)) * (other.Value / (last.Value - other.Value));
            part = Math.Clamp(part, smallest, 1 - smallest);
        }
        return Math.Max(newest.Place, other.Place);
    }

    /// <summary>The changes between the values that are known. One that touches zero and turns back has none.</summary>
    private (List<Bracket> Changes, int Sign) Changes(int sign)
    {
        var brackets = new List<Bracket>();
        (double place, double value) = _values[0];
        // The first zero since the last value that was none.
        double? zero = null;
        for (int i = 1; i < _values.Count; i++)
        {
            (double next, double there) = _values[i];
            bool isLast = i == _values.Count - 1;
            if (there == 0 && !isLast)
            {
                zero ??= next;
                continue;
            }
            // At the step's end a zero counts: the solve may end there.
            if (sign != 0 && Math.Sign(there) != sign)
            {
                brackets.Add(zero is { } at ? new Bracket(place, value, at, 0, sign) : new Bracket(place, value, next, there, sign));
                sign = -sign;
            }
            else if (there != 0)
            {
                sign = Math.Sign(there);
            }
            (place, value, zero) = (next, there, null);
        }
        return (brackets, sign);
    }

    /// <summary>Gathers values of a piece until they tell all its sign changes; false where they may not.</summary>
    private bool Describe(double from, double first, double to, double last, int depth)
    {
        _pieces++;
        double width = to - from;
        var values = new double[Degree + 1];
        for (int j = 0; j <= Degree; j++)
            values[j] = j == 0 ? first : j == Degree ? last : _function(from + width * Points[j]);
        double guard = _function(from + width * Guard);
        double[] coefficients = Coefficients(values);
        double size = Math.Max(values.Max(Math.Abs), Math.Abs(guard));
        double error =
            2 * Math.Max(Math.Abs(coefficients[^1]) + Math.Abs(coefficients[^2]), Math.Abs(guard - Polynomial(coefficients, Guard)));
        double smallest = Math.Min(values.Min(Math.Abs), Math.Abs(guard));
        // Between values far from zero a polynomial may come there all the same.
        bool isFar = smallest > 4 * error && Array.TrueForAll(values, value => Math.Sign(value) == Math.Sign(guard));

        var places = new List<(double Place, double Value)>(Degree + 2);
        for (int j = 0; j <= Degree; j++)
            places.Add((Points[j], values[j]));
        places.Insert(places.FindIndex(entry => entry.Place > Guard), (Guard, guard));
        bool isKnown = size == 0 || (isFar && LookBetween(places, coefficients, error, from, width)), isNoise = false;
        if (!isKnown)
        {
            // No smaller piece cures rounding.
            isNoise = error <= 16 * _noise.Value;
            bool isSure = !isFar && (error <= Resolved * size || isNoise) && LookBetween(places, coefficients, error, from, width);
            isKnown = isSure || isNoise;
        }
        if (!isKnown && depth < DeepestPiece && _pieces < _mostPieces)
        {
            double middle = from + width / 2;
            double value = _function(middle);
            return Describe(from, first, middle, value, depth + 1) & Describe(middle, value, to, last, depth + 1);
        }
        foreach ((double place, double value) in places)
            if (place > 0 || from == 0)
                _values.Add((from + width * place, value));
        // What is no wider than this is a jump, a kink or a point of contact.
        return (isKnown || depth >= DeepestPiece) && !(isNoise && error > 0.5 * size);
    }

    /// <summary>
    /// Looks where the polynomial comes to zero between values of one sign, and adds the function's value there; false where the polynomial
    /// is not sure to the last.
    /// </summary>
    private bool LookBetween(List<(double Place, double Value)> places, double[] coefficients, double error, double from, double width)
    {
        const int Steps = 8;
        bool isSure = true;
        for (int i = places.Count - 1; i > 0; i--)
        {
            ((double left, double before), (double right, double after)) = (places[i - 1], places[i]);
            int sign = Math.Sign(before);
            if (sign == 0 || sign != Math.Sign(after))
                continue;
            (double place, double least) = (left, double.PositiveInfinity);
            for (int k = 1; k < Steps; k++)
            {
                double there = left + (right - left) * k / Steps;
                double value = sign * Polynomial(coefficients, there);
                if (value < least)
                    (place, least) = (there, value);
            }
            // The parabola through three neighbours has its lowest point next to the polynomial's, the nearer the closer they are.
            double h = (right - left) / Steps;
            do
            {
                double below = sign * Polynomial(coefficients, place - h), above = sign * Polynomial(coefficients, place + h);
                double curvature = below - 2 * least + above;
                if (curvature > 0)
                {
                    double lowest = Math.Clamp(place + h * (below - above) / (2 * curvature), left, right);
                    double value = sign * Polynomial(coefficients, lowest);
                    if (value < least)
                        (place, least) = (lowest, value);
                }
                h /= Steps;
            }
            while (least > error && least < Math.Min(Math.Abs(before), Math.Abs(after)) / 2 && h > 1e-7 * (right - left));
            if (least > error || !(place > left && place < right))
                continue;
            double found = _function(from + width * place);
            places.Insert(i, (place, found));
            isSure &= Math.Sign(found) == -sign;
        }
        return isSure;
    }

    /// <summary>The coefficients of the Chebyshev polynomials that have these values at the points.</summary>
    private static double[] Coefficients(double[] values)
    {
        var coefficients = new double[Degree + 1];
        for (int k = 0; k <= Degree; k++)
        {
            double sum = 0;
            for (int j = 0; j <= Degree; j++)
                // The points ascend, from −1.
                sum += (j is 0 or Degree ? 0.5 : 1) * values[j] * Math.Cos(Math.PI * k * (Degree - j) / Degree);
            coefficients[k] = (k is 0 or Degree ? 1.0 : 2.0) / Degree * sum;
        }
        return coefficients;
    }

    /// <summary>Σ c_k T_k by Clenshaw's recurrence, at a place in [0, 1].</summary>
    private static double Polynomial(double[] coefficients, double place)
    {
        double x = 2 * place - 1, next = 0, afterNext = 0;
        for (int k = coefficients.Length - 1; k > 0; k--)
            (next, afterNext) = (2 * x * next - afterNext + coefficients[k], next);
        return x * next - afterNext + coefficients[0];
    }
}
