using Microsoft.ML.NeuralOde.Methods;

namespace Microsoft.ML.NeuralOde.Solving;

/// <summary>Makes the time tensors that right-hand sides are given, from float64 numbers, in the state's type and on its device.</summary>
/// <remarks>One lane gives a scalar; per-row times have shape <c>[rows, 1, …]</c>, which broadcasts against the state.</remarks>
internal sealed class Clock
{
    private readonly TimeGrid _grid;
    private readonly ScalarType _type;
    private readonly Device _device;
    private readonly bool _perRow;
    private readonly int _stateDimensions;

    public Clock(TimeGrid grid, Tensor state, bool perRow)
    {
        _grid = grid;
        _type = state.dtype;
        _device = state.device;
        _perRow = perRow;
        _stateDimensions = (int)state.dim();
    }

    /// <summary>Whether times enter the graph.</summary>
    public bool IsTracked => _grid.IsTracked;

    public Tensor Tensor(double[] times)
    {
        if (_grid.IsTracked)
        {
            Tensor tracked = Track(times);
            return _perRow ? Spread(tracked) : Squeeze(tracked);
        }
        return _perRow ? Spread(tensor(times, _type, _device)) : tensor(times[0], _type, _device);
    }

    /// <summary>The times at a fraction of a step: in the graph they depend on its ends alone.</summary>
    public Tensor Tensor(StepSpan span, double fraction)
    {
        if (span.TrackedSize is null || fraction is 0 or 1)
            return Tensor(span.At(fraction));
        using Tensor start = Track(span.Start);
        using Tensor elapsed = span.TrackedSize.Times(fraction);
        Tensor time = start.Plus(elapsed);
        return _perRow ? Spread(time) : Squeeze(time);
    }

    /// <summary>The output time nearest to the middle of a stretch, if one lies inside it.</summary>
    public double? OutputInside(double start, double end)
    {
        double middle = (start + end) / 2;
        int before = _grid.Locate(middle).Segment;
        double best = double.NaN;
        for (int i = before; i <= Math.Min(before + 1, _grid.Count - 1); i++)
        {
            double time = _grid.Values[i];
            if ((time - start) * (end - time) > 0 && !(Math.Abs(time - middle) >= Math.Abs(best - middle)))
                best = time;
        }
        return double.IsNaN(best) ? null : best;
    }

    /// <summary>end − start in the graph, shape <c>[lanes]</c>; null where times carry no derivative.</summary>
    public Tensor? Difference(double[] start, double[] end)
    {
        if (!_grid.IsTracked)
            return null;
        using Tensor from = Track(start);
        using Tensor to = Track(end);
        return to - from;
    }

    private Tensor Track(double[] times)
    {
        Tensor[] parts = Array.ConvertAll(times, _grid.At);
        Tensor stacked = stack(parts);
        foreach (Tensor part in parts)
            part.Dispose();
        return stacked;
    }

    private static Tensor Squeeze(Tensor times)
    {
        using (times)
            return times.squeeze(0);
    }

    private Tensor Spread(Tensor times)
    {
        using (times)
        {
            var shape = new long[_stateDimensions];
            Array.Fill(shape, 1);
            shape[0] = times.numel();
            return times.reshape(shape);
        }
    }
}
