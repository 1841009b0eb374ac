namespace Microsoft.ML.NeuralOde.Data;

/// <summary>Rows without their zeros: the numbers that are not zero, and their slots.</summary>
/// <remarks>
/// Whether a row comes as a sparse or as a dense vector, and whether zeros are written out, makes no difference. Statistics keep zeros
/// zero: see <see cref="FeatureNormalization"/>.
/// </remarks>
internal sealed class SparseFormat(int width) : RowFormat(width)
{
    /// <summary>Vectors of fewer numbers are small enough to be kept with their zeros.</summary>
    public const int LeastWidth = 1024;

    /// <summary>A column is sparse where at most one in so many numbers is not zero.</summary>
    private const int LeastZeros = 16;

    /// <summary>The rows that decide: the first ones.</summary>
    private const int DecidingRows = 256;

    // Two arrays beside the numbers.
    private const int RowOverhead = 64;

    public override bool IsSparse => true;

    public override long MostPoolRows => Array.MaxLength;

    /// <summary>Whether a column of many slots has few numbers that are not zero, by the first rows of the data.</summary>
    /// <returns>Null where there are no rows.</returns>
    public static bool? Suits(IDataView data, RowColumns columns)
    {
        int width = columns.ShapeIn(data.Schema).Features;
        if (width < LeastWidth)
            return false;
        using var reader = new RowReader(data, columns, new SparseFormat(width));
        long found = 0, rows = 0;
        while (rows < DecidingRows && found <= (long)width * DecidingRows / LeastZeros && reader.MoveNext())
        {
            found += reader.Features.Values.Length;
            rows++;
        }
        return rows == 0 ? null : found <= (double)rows * width / LeastZeros;
    }

    public override IFeatureReader Open(DataViewRow row, RowColumns columns) =>
        new Reader(new VectorReader(row, columns.FindFeatures(row.Schema), "feature"));

    public override long BytesOf(RowValues row) => (sizeof(float) + sizeof(int)) * (long)row.Values.Length + RowOverhead;

    // A row of zeros is one like others.
    public override FeatureBatch CreateTypical(FeatureStatistics statistics, long count)
    {
        var builder = new SparseBatch.Builder(Width);
        builder.Add(default);
        return builder.Build();
    }

    public override FeatureStatistics CreateStatistics() => new Statistics(Width);

    public override FeatureStore CreateStore(long? expected) => new Store(Width, []);

    public override FeaturePool CreatePool(int rows) => new Pool(Width, rows);

    private sealed class Reader(VectorReader vector) : IFeatureReader
    {
        private int[] _slots = [];
        private float[] _values = [];
        private int _count;

        public RowValues Current => new(_values.AsSpan(0, _count), _slots.AsSpan(0, _count));

        public RowValues Read()
        {
            _count = vector.ReadNonZeros(ref _slots, ref _values);
            return Current;
        }
    }

    /// <summary>The numbers of one row.</summary>
    private struct Row
    {
        private int[] _slots;
        private float[] _values;
        private int _count;

        public readonly RowValues Values => new(_values.AsSpan(0, _count), _slots.AsSpan(0, _count));

        /// <summary>A copy that takes no more than it needs.</summary>
        public static Row Of(RowValues row) =>
            new() { _slots = row.Slots.ToArray(), _values = row.Values.ToArray(), _count = row.Values.Length };

        /// <summary>Takes another row's numbers, into the same arrays where they are large enough and not far too large.</summary>
        public void Set(RowValues row)
        {
            int count = row.Values.Length;
            if (_values is null || _values.Length < count || _values.Length > 2 * count + RowOverhead)
                (_slots, _values) = (new int[count], new float[count]);
            row.Slots.CopyTo(_slots);
            row.Values.CopyTo(_values);
            _count = count;
        }
    }

    private sealed class Store(int width, List<Row> rows) : FeatureStore
    {
        public override long Count => rows.Count;

        public override void Add(RowValues row) => rows.Add(Row.Of(row));

        public override FeatureBatch Slice(long first, long count)
        {
            var builder = new SparseBatch.Builder(width);
            for (long row = first; row < first + count; row++)
                builder.Add(rows[(int)row].Values);
            return builder.Build();
        }

        public override FeatureBatch Take(ReadOnlySpan<long> order, Tensor index)
        {
            var builder = new SparseBatch.Builder(width);
            foreach (long row in order)
                builder.Add(rows[(int)row].Values);
            return builder.Build();
        }

        public override FeatureStore Select(ReadOnlySpan<long> order, Tensor index)
        {
            var chosen = new List<Row>(order.Length);
            foreach (long row in order)
                chosen.Add(rows[(int)row]);
            return new Store(width, chosen);
        }

        public override void Visit(RowVisitor visitor)
        {
            for (int i = 0; i < rows.Count; i++)
                visitor(i, rows[i].Values);
        }

        // Batches are small, and go to the device one by one.
        public override FeatureStore MoveTo(Device device) => this;

        protected override void Dispose(bool disposing) => rows.Clear();
    }

    private sealed class Pool(int width, int rows) : FeaturePool
    {
        private readonly Row[] _rows = new Row[rows];

        public override RowValues Row(int place) => _rows[place].Values;

        public override void Set(int place, RowValues row) => _rows[place].Set(row);

        public override FeatureBatch ToBatch(int count)
        {
            var builder = new SparseBatch.Builder(width);
            foreach (Row row in _rows.AsSpan(0, count))
                builder.Add(row.Values);
            return builder.Build();
        }
    }

    /// <summary>Of each slot, the sum of squares and the number of its values other than zero.</summary>
    private sealed class Statistics(int width) : FeatureStatistics
    {
        private readonly double[] _squares = new double[width];
        private readonly long[] _counts = new long[width];

        public override void Add(RowValues row)
        {
            for (int i = 0; i < row.Values.Length; i++)
            {
                _squares[row.Slots[i]] += (double)row.Values[i] * row.Values[i];
                _counts[row.Slots[i]]++;
            }
        }

        public override void Merge(FeatureStatistics other, long count, long otherCount)
        {
            if (other is not Statistics sparse)
                throw new ArgumentException("Statistics of sparse and of dense rows cannot be put together.", nameof(other));
            for (int slot = 0; slot < width; slot++)
            {
                _squares[slot] += sparse._squares[slot];
                _counts[slot] += sparse._counts[slot];
            }
        }

        public override void Write(BinaryWriter writer)
        {
            for (int slot = 0; slot < width; slot++)
            {
                writer.Write(_squares[slot]);
                writer.Write(_counts[slot]);
            }
        }

        public override void Read(BinaryReader reader)
        {
            for (int slot = 0; slot < width; slot++)
                (_squares[slot], _counts[slot]) = (reader.ReadDouble(), reader.ReadInt64());
        }

        public override (float[] Mean, float[] Scale) Normalization(FeatureNormalization normalization, long count)
        {
            if (normalization == FeatureNormalization.Global)
                return ([0], [Scale(_squares.Sum(), _counts.Sum())]);
            var scale = new float[width];
            for (int slot = 0; slot < width; slot++)
                scale[slot] = Scale(_squares[slot], _counts[slot]);
            return (new float[width], scale);
        }

        // Scales must be finite in float32, and a slot without values keeps its own.
        private static float Scale(double squares, long count) =>
            count > 0 && Math.Sqrt(squares / count) > 1e-30 ? (float)Math.Sqrt(count / squares) : 1;
    }
}
