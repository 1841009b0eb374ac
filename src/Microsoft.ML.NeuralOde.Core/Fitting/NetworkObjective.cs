namespace Microsoft.ML.NeuralOde.Fitting;

/// <summary>
/// The mean square of the residuals of a network by its weights and the segments' first states: of observations, and of the joints between
/// segments.
/// </summary>
/// <remarks>Segments of as many times are solved as one batch, each by its own times.</remarks>
internal sealed class NetworkObjective : IObjective
{
    private readonly nn.Module<Tensor, Tensor, Tensor> _module;
    private readonly IReadOnlyList<ShootingSegment> _segments;
    private readonly OdeNetworkFitOptions _options;
    private readonly OdeSolverOptions _solver;
    private readonly FitScales _scales;
    private readonly double _joint;
    private readonly int _size;

    public NetworkObjective(
        nn.Module<Tensor, Tensor, Tensor> module, IReadOnlyList<ShootingSegment> segments, FitScales scales,
        OdeNetworkFitOptions options, OdeSolverOptions solver, double joint)
    {
        (_module, _segments, _scales, _options, _solver, _joint) = (module, segments, scales, options, solver, joint);
        Weights = [.. module.parameters().Where(parameter => parameter.requires_grad)];
        WeightCount = (int)Weights.Sum(weight => weight.numel());
        _size = WeightCount + segments.Count(segment => segment.Variable >= 0) * scales.Components.Length;
    }

    /// <summary>What is learned.</summary>
    public IReadOnlyList<Tensor> Weights { get; }

    public int WeightCount { get; }

    /// <summary>Why the last point could not be evaluated.</summary>
    public OdeSolverException? Failure { get; private set; }

    /// <summary>The mean square of the residuals of observations at the last point.</summary>
    public double OfObservations { get; private set; }

    /// <summary>The largest distance of the ends of neighbouring segments at the last point, in units of the components'
    /// deviations.</summary>
    public double Gap { get; private set; }

    /// <summary>The weights as they are.</summary>
    public static double[] Read(IEnumerable<Tensor> weights)
    {
        using IDisposable noGrad = no_grad();
        return [.. weights.SelectMany(weight =>
        {
            using DisposeScope scope = NewDisposeScope();
            return weight.detach().to(ScalarType.Float64, CPU).contiguous().data<double>().ToArray();
        })];
    }

    /// <summary>Sets the weights.</summary>
    public void Write(double[] point)
    {
        using IDisposable noGrad = no_grad();
        int next = 0;
        foreach (Tensor weight in Weights)
        {
            using Tensor values = tensor(point[next..(next + (int)weight.numel())], weight.shape, ScalarType.Float64);
            weight.copy_(values);
            next += (int)weight.numel();
        }
    }

    public bool TryEvaluate(double[] point, out double value, double[] gradient)
    {
        value = double.NaN;
        _options.CancellationToken.ThrowIfCancellationRequested();
        Write(point);
        using DisposeScope scope = NewDisposeScope();
        Tensor like = Weights[0];
        int dimensions = _scales.Components.Length;
        double[] states = [.. _segments.SelectMany(segment => ShootingResiduals.State(segment, point).ToArray())];
        Tensor starts = tensor(states, [_segments.Count, dimensions], ScalarType.Float64).to(like.dtype, like.device).requires_grad_();
        Tensor squares, ends;
        try
        {
            (squares, ends) = Explain(starts);
        }
        catch (OdeSolverException failure)
        {
            Failure = failure;
            return false;
        }
        OfObservations = squares.ToDouble();
        Tensor all = squares;
        if (Open(starts, ends) is { } open)
        {
            Gap = open.detach().abs().max().ToDouble();
            all = squares.Plus(open.Squared().mean().Times(_joint * _joint));
        }
        if (_options.WeightPenalty > 0)
            all = Weights.Aggregate(all, (sum, weight) => sum.Plus(weight.Squared().sum().Times(_options.WeightPenalty)));
        value = all.ToDouble();
        if (!double.IsFinite(value))
            return false;
        Tensor?[] slopes = Autograd.PullSum("the residuals", all, [.. Weights, starts]);
        int next = 0;
        for (int i = 0; i < Weights.Count; i++)
        {
            int count = (int)Weights[i].numel();
            if (slopes[i] is { } slope)
                Read([slope]).CopyTo(gradient, next);
            else
                Array.Clear(gradient, next, count);
            next += count;
        }
        double[] ofStarts = slopes[^1] is { } found ? Read([found]) : new double[states.Length];
        for (int i = 0; i < _segments.Count; i++)
            if (_segments[i].Variable >= 0)
                Array.Copy(ofStarts, i * dimensions, gradient, _segments[i].Variable, dimensions);
        return Array.TrueForAll(gradient, double.IsFinite);
    }

    /// <summary>The mean square of the residuals, and the segments' last states.</summary>
    private (Tensor Squares, Tensor Ends) Explain(Tensor starts)
    {
        var sums = new List<Tensor>();
        var ends = new Tensor[_segments.Count];
        long count = 0;
        foreach (IGrouping<int, int> group in Enumerable.Range(0, _segments.Count).GroupBy(i => _segments[i].Times.Length))
        {
            int[] members = [.. group];
            Tensor places = tensor([.. members.Select(i => (long)i)], device: starts.device);
            Tensor times = tensor(
                [.. members.SelectMany(i => _segments[i].Times)], [members.Length, group.Key], ScalarType.Float64).to(starts.device);
            using OdeSolution solution = Ode.Solve(_module, starts.index_select(0, places), times, _solver);
            Tensor states = solution.States.alias();
            (Tensor wanted, Tensor isSeen, long seen) = Targets(members, group.Key, states);
            Tensor shown = _options.Observation is { } observation ? Observed(observation, states) : states;
            Tensor units = tensor(_scales.Columns, ScalarType.Float64).to(states.dtype, states.device);
            sums.Add(((shown - wanted) / units * isSeen).Squared().sum());
            count += seen;
            Tensor last = states.select(0, group.Key - 1);
            for (int i = 0; i < members.Length; i++)
                ends[members[i]] = last.select(0, i);
        }
        return (sums.Aggregate((a, b) => a.Plus(b)).Times(1.0 / Math.Max(1, count)), stack(ends));
    }

    private Tensor Observed(Func<Tensor, Tensor> observation, Tensor states)
    {
        Tensor shown = observation(states) ?? throw new InvalidOperationException("OdeNetworkFitOptions.Observation returned null.");
        long[] expected = [states.size(0), states.size(1), _scales.Columns.Length];
        return shown.shape.SequenceEqual(expected) ? shown : throw new InvalidOperationException(
            $"OdeNetworkFitOptions.Observation returned the shape [{string.Join(", ", shown.shape)}] for states of "
            + $"[{string.Join(", ", states.shape)}]; it must be [{string.Join(", ", expected)}].");
    }

    /// <summary>What was observed, 0 where nothing was, and which that is: <c>[times, segments, columns]</c>.</summary>
    private (Tensor Wanted, Tensor IsSeen, long Seen) Targets(int[] members, int length, Tensor like)
    {
        int columns = _scales.Columns.Length;
        double[] wanted = new double[length * members.Length * columns], isSeen = new double[wanted.Length];
        long seen = 0;
        for (int time = 0; time < length; time++)
            for (int i = 0; i < members.Length; i++)
                for (int column = 0; column < columns; column++)
                {
                    ShootingSegment segment = _segments[members[i]];
                    double value = segment.Trajectory.Values[segment.First + time, column];
                    if (time < segment.FirstExplained || double.IsNaN(value))
                        continue;
                    int place = (time * members.Length + i) * columns + column;
                    (wanted[place], isSeen[place]) = (value, 1);
                    seen++;
                }
        return (Made(wanted), Made(isSeen), seen);

        Tensor Made(double[] values) =>
            tensor(values, [length, members.Length, columns], ScalarType.Float64).to(like.dtype, like.device);
    }

    /// <summary>What is open between segments' ends and the next ones' starts, in units of the components; null for none.</summary>
    private Tensor? Open(Tensor starts, Tensor ends)
    {
        long[] before = [.. Enumerable.Range(0, _segments.Count).Where(i => !_segments[i].IsLastOfRecord).Select(i => (long)i)];
        Gap = 0;
        if (before.Length == 0)
            return null;
        Tensor from = tensor(before, device: starts.device), to = tensor([.. before.Select(i => i + 1)], device: starts.device);
        Tensor units = tensor(_scales.Components, ScalarType.Float64).to(starts.dtype, starts.device);
        return (ends.index_select(0, from) - starts.index_select(0, to)) / units;
    }
}
