using System.Runtime.InteropServices;

namespace Microsoft.ML.NeuralOde.Data;

/// <summary>Rows with all their numbers, as tensors <c>[rows, features]</c>.</summary>
internal sealed class DenseFormat(int width) : RowFormat(width)
{
    private const long ChunkBytes = 1 << 26;
    private const int UsualChunk = 8192;

    public override bool IsSparse => false;

    public override long MostPoolRows => Array.MaxLength / Math.Max(1, Width);

    public override IFeatureReader Open(DataViewRow row, RowColumns columns) =>
        new Reader(new VectorReader(row, columns.FindFeatures(row.Schema), "feature"), columns.Filling);

    public override long BytesOf(RowValues row) => sizeof(float) * (long)Width;

    public override FeatureBatch CreateTypical(FeatureStatistics statistics, long count) =>
        new Batch(tensor(statistics.Slots.PerSlot(count).Mean, [1, Width], device: CPU).DetachFromDisposeScope());

    public override FeatureStatistics CreateStatistics() => new Statistics(Width);

    public override FeatureStore CreateStore(long? expected) =>
        new Store(Width, (int)Math.Clamp(expected ?? UsualChunk, 1, Math.Max(1, ChunkBytes / (sizeof(float) * (long)Width))));

    public override FeaturePool CreatePool(int rows) => new Pool(Width, rows);

    /// <summary>A store of rows that are in a tensor already, which it owns.</summary>
    public FeatureStore StoreOf(Tensor features) => new Store(Width, features);

    /// <summary>Rows that are in a tensor already, which the batch owns.</summary>
    public static FeatureBatch BatchOf(Tensor features) => new Batch(features);

    private sealed class Reader(VectorReader vector, FeatureFilling? filling) : IFeatureReader
    {
        private readonly float[] _values = new float[vector.Size];

        public RowValues Current => new(_values, default);

        public RowValues Read()
        {
            vector.Read(_values);
            if (filling is not null)
                FeatureFilling.Fill(_values, filling.Values);
            return Current;
        }
    }

    private sealed class Batch(Tensor values) : FeatureBatch
    {
        public override long Count => values.shape[0];

        public override FeatureBatch To(Device device) => new Batch(values.to(device));

        public override Tensor ToDense() => values;

        protected override void Dispose(bool disposing) => values.Dispose();
    }

    /// <summary>Rows in one tensor; while they are read, in pieces of it.</summary>
    private sealed class Store : FeatureStore
    {
        private readonly int _width;
        private readonly int _chunkRows;
        private readonly List<Tensor> _chunks = [];
        private Tensor? _features;
        private int _used;

        public Store(int width, int chunkRows)
        {
            _width = width;
            _chunkRows = chunkRows;
            _used = chunkRows;
        }

        public Store(int width, Tensor features)
        {
            _width = width;
            _features = features;
        }

        public override long Count =>
            _features is null ? Math.Max(0, _chunks.Count - 1L) * _chunkRows + (_chunks.Count == 0 ? 0 : _used) : _features.shape[0];

        public override Device Device => _features?.device ?? CPU;

        public override void Add(RowValues row)
        {
            if (_used == _chunkRows)
            {
                _chunks.Add(empty([_chunkRows, _width], ScalarType.Float32, CPU).DetachFromDisposeScope());
                _used = 0;
            }
            row.Values.CopyTo(MemoryMarshal.Cast<byte, float>(_chunks[^1].bytes).Slice(_used * _width, _width));
            _used++;
        }

        public override void Complete()
        {
            using Tensor last = _chunks[^1].narrow(0, 0, _used);
            _features = (_chunks.Count == 1 ? last.alias() : cat([.. _chunks.SkipLast(1), last])).DetachFromDisposeScope();
            Free(_chunks);
        }

        public override FeatureBatch Slice(long first, long count) => new Batch(_features!.narrow(0, first, count));

        public override FeatureBatch Take(ReadOnlySpan<long> rows, Tensor index) =>
            new Batch(_features!.index_select(0, index).DetachFromDisposeScope());

        public override FeatureStore Select(ReadOnlySpan<long> rows, Tensor index) =>
            new Store(_width, _features!.index_select(0, index).DetachFromDisposeScope());

        public override void Visit(RowVisitor visitor)
        {
            // A span reaches over 2 GiB at most: a piece at a time.
            long piece = Math.Max(1, (1L << 28) / Math.Max(1, _width));
            for (long first = 0; first < Count; first += piece)
            {
                long size = Math.Min(piece, Count - first);
                using Tensor rows = _features!.narrow(0, first, size);
                ReadOnlySpan<float> values = MemoryMarshal.Cast<byte, float>(rows.bytes);
                for (int i = 0; i < size; i++)
                    visitor(first + i, new RowValues(values.Slice(i * _width, _width), default));
            }
        }

        public override FeatureStore MoveTo(Device device) =>
            device.type == Device.type ? this : new Store(_width, _features!.to(device).DetachFromDisposeScope());

        protected override void Dispose(bool disposing)
        {
            _features?.Dispose();
            Free(_chunks);
        }

        private static void Free(List<Tensor> chunks)
        {
            chunks.ForEach(chunk => chunk.Dispose());
            chunks.Clear();
        }
    }

    private sealed class Pool(int width, int rows) : FeaturePool
    {
        private readonly float[] _values = new float[(long)rows * width];

        public override RowValues Row(int place) => new(_values.AsSpan(place * width, width), default);

        public override void Set(int place, RowValues row) => row.Values.CopyTo(_values.AsSpan(place * width));

        public override FeatureBatch ToBatch(int count)
        {
            Tensor result = empty([count, width], ScalarType.Float32, CPU).DetachFromDisposeScope();
            MemoryMarshal.AsBytes(_values.AsSpan(0, count * width)).CopyTo(result.bytes);
            return new Batch(result);
        }
    }

    private sealed class Statistics(int width) : FeatureStatistics
    {
        public override Moments Slots { get; } = new(width);

        public override void Add(RowValues row) => Slots.Add(row.Values);

        public override void Merge(FeatureStatistics other, long count, long otherCount) => Slots.Merge(other.Slots, otherCount);

        public override void Write(BinaryWriter writer) => Slots.Write(writer);

        public override void Read(BinaryReader reader) => Slots.Read(reader);

        public override (float[] Mean, float[] Scale) Normalization(FeatureNormalization normalization, long count) =>
            normalization == FeatureNormalization.Global ? Slots.Overall(count) : Slots.PerSlot(count);
    }
}
