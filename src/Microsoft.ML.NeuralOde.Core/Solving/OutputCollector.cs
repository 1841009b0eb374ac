namespace Microsoft.ML.NeuralOde.Solving;

/// <summary>Gathers the states at the output times: in one tensor that is filled, or in pieces that stay in the graph.</summary>
internal abstract class OutputCollector : IDisposable
{
    public static OutputCollector Create(Tensor initialState, int times, bool differentiable) =>
        differentiable ? new GraphOutput(initialState, times) : new FilledOutput(initialState, times);

    /// <summary>Notes the state of the whole batch at an output time.</summary>
    public abstract void Write(int time, Tensor state);

    /// <summary>Notes the states of some rows: row <c>rows[i]</c> of the batch is row <c>from[i]</c> of <paramref name="state"/>.</summary>
    public abstract void Write(int time, IReadOnlyList<long> rows, IReadOnlyList<long> from, Tensor state);

    /// <summary>All states, <c>[times, …]</c>, NaN where none was written; the caller's.</summary>
    public abstract Tensor Finish();

    public abstract void Dispose();

    private static Tensor Index(IReadOnlyList<long> values, Device device) => tensor([.. values], ScalarType.Int64, device);

    private sealed class FilledOutput : OutputCollector
    {
        private Tensor? _states;

        public FilledOutput(Tensor initialState, int times)
        {
            _states = full([times, .. initialState.shape], Numbers.NaN, initialState.dtype, initialState.device).DetachFromDisposeScope();
        }

        public override void Write(int time, Tensor state)
        {
            using Tensor slot = _states!.select(0, time);
            slot.copy_(state);
        }

        public override void Write(int time, IReadOnlyList<long> rows, IReadOnlyList<long> from, Tensor state)
        {
            using Tensor slot = _states!.select(0, time);
            using Tensor source = Index(from, state.device);
            using Tensor target = Index(rows, state.device);
            using Tensor values = state.index_select(0, source);
            slot.index_copy_(0, target, values);
        }

        public override Tensor Finish()
        {
            Tensor states = _states!;
            _states = null;
            return states;
        }

        public override void Dispose() => _states?.Dispose();
    }

    private sealed class GraphOutput : OutputCollector
    {
        private readonly Tensor _initialState;
        private readonly List<(IReadOnlyList<long>? Rows, Tensor Values)>[] _pieces;

        public GraphOutput(Tensor initialState, int times)
        {
            _initialState = initialState;
            _pieces = new List<(IReadOnlyList<long>?, Tensor)>[times];
            for (int i = 0; i < times; i++)
                _pieces[i] = [];
        }

        public override void Write(int time, Tensor state) => _pieces[time].Add((null, state.alias().DetachFromDisposeScope()));

        public override void Write(int time, IReadOnlyList<long> rows, IReadOnlyList<long> from, Tensor state)
        {
            using Tensor source = Index(from, state.device);
            _pieces[time].Add((rows, state.index_select(0, source).DetachFromDisposeScope()));
        }

        public override Tensor Finish()
        {
            using DisposeScope scope = NewDisposeScope();
            return stack(Array.ConvertAll(_pieces, Join)).DetachFromDisposeScope();
        }

        public override void Dispose()
        {
            foreach (List<(IReadOnlyList<long>? Rows, Tensor Values)> pieces in _pieces)
                foreach ((_, Tensor values) in pieces)
                    values.Dispose();
        }

        private Tensor Join(List<(IReadOnlyList<long>? Rows, Tensor Values)> pieces)
        {
            if (pieces.Count == 1 && pieces[0].Rows is null)
                return pieces[0].Values;
            Tensor missing = full_like(_initialState.detach(), Numbers.NaN);
            if (pieces.Count == 0)
                return missing;
            Tensor rows = Index([.. pieces.SelectMany(piece => piece.Rows!)], _initialState.device);
            return missing.index_copy(0, rows, cat([.. pieces.Select(piece => piece.Values)]));
        }
    }
}
