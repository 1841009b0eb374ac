namespace Microsoft.ML.NeuralOde.Data;

/// <summary>Rows that are series, each of its own length, see <see cref="SeriesReader"/>.</summary>
/// <param name="channels">The number of channels.</param>
internal sealed class SeriesFormat(int channels) : RowFormat(channels)
{
    private const int BatchesTogether = 4;

    // An array and its place in a list.
    private const int RowOverhead = 32;

    public override bool IsSparse => false;

    public override long MostPoolRows => Array.MaxLength;

    public override IFeatureReader Open(DataViewRow row, RowColumns columns) =>
        new SeriesReader(row, columns.Series!.Find(columns.Context, row.Schema));

    /// <summary>A series without any value says nothing, and an infinite value is none.</summary>
    public override string? FindGap(RowValues row, long position)
    {
        int stride = SeriesReader.TimeParts + Width;
        bool isEmpty = true;
        for (int i = 0; i < row.Values.Length; i++)
        {
            if (i % stride < SeriesReader.TimeParts)
                continue;
            if (float.IsInfinity(row.Values[i]))
                return $"row {position}, where observation {i / stride} of channel {i % stride - SeriesReader.TimeParts} is infinite,";
            isEmpty &= float.IsNaN(row.Values[i]);
        }
        return isEmpty ? $"row {position}, {(row.Values.IsEmpty ? "which is empty" : "all of whose values are missing")}," : null;
    }

    public override string DescribeGaps(long rows, string first, string column) =>
        $"{rows} rows have series in the column '{column}' without any value or with infinite ones, {first} first";

    public override long BytesOf(RowValues row) => sizeof(float) * (long)row.Values.Length + RowOverhead;

    /// <summary>Two observations of the channels' means, as long apart as series last.</summary>
    public override FeatureBatch CreateTypical(FeatureStatistics statistics, long count)
    {
        float[] means = statistics.Normalization(FeatureNormalization.PerSlot, count).Mean;
        int stride = SeriesReader.TimeParts + Width;
        var row = new float[2 * stride];
        for (int i = 0; i < 2; i++)
        {
            SeriesReader.SetTime(row.AsSpan(i * stride, stride), i * Math.Max(statistics.MeanSpan, 1e-3));
            means.CopyTo(row, i * stride + SeriesReader.TimeParts);
        }
        return new SeriesRows(Width, [row]);
    }

    public override FeatureStatistics CreateStatistics() => new Statistics(Width);

    public override FeatureStore CreateStore(long? expected) => new Store(Width, []);

    public override FeaturePool CreatePool(int rows) => new Pool(Width, rows);

    private sealed class Store(int channels, List<float[]> rows) : FeatureStore
    {
        public override long Count => rows.Count;

        public override void Add(RowValues row) => rows.Add(row.Values.ToArray());

        public override FeatureBatch Slice(long first, long count) => new SeriesRows(channels, rows.GetRange((int)first, (int)count));

        public override FeatureBatch Take(ReadOnlySpan<long> order, Tensor index) => new SeriesRows(channels, Chosen(order));

        public override FeatureStore Select(ReadOnlySpan<long> order, Tensor index) => new Store(channels, Chosen(order));

        public override void Visit(RowVisitor visitor)
        {
            for (int i = 0; i < rows.Count; i++)
                visitor(i, new RowValues(rows[i], default));
        }

        /// <summary>
        /// Series of some batches that follow each other are dealt anew by their lengths, and the batches are shuffled: like with like, and
        /// yet others together in each epoch.
        /// </summary>
        public override void Arrange(long[] order, int batchSize, Random random)
        {
            int together = (int)Math.Min(order.Length, (long)BatchesTogether * batchSize);
            // Series of one length stay in their random order.
            long[] sorted = [.. order.Chunk(Math.Max(1, together)).SelectMany(some => some.OrderBy(row => rows[(int)row].Length))];
            int[] batches = [.. Enumerable.Range(0, order.Length / batchSize)];
            random.Shuffle(batches);
            // A last batch that is not full stays the last.
            sorted.CopyTo(order, 0);
            for (int i = 0; i < batches.Length; i++)
                sorted.AsSpan(batches[i] * batchSize, batchSize).CopyTo(order.AsSpan(i * batchSize));
        }

        // Batches are small, and go to the device one by one.
        public override FeatureStore MoveTo(Device device) => this;

        protected override void Dispose(bool disposing) => rows.Clear();

        private List<float[]> Chosen(ReadOnlySpan<long> order)
        {
            var chosen = new List<float[]>(order.Length);
            foreach (long row in order)
                chosen.Add(rows[(int)row]);
            return chosen;
        }
    }

    private sealed class Pool(int channels, int rows) : FeaturePool
    {
        private readonly float[][] _rows = new float[rows][];

        public override RowValues Row(int place) => new(_rows[place], default);

        public override void Set(int place, RowValues row)
        {
            // The length is the series' own: an array is used again only where it fits.
            if (_rows[place]?.Length != row.Values.Length)
                _rows[place] = new float[row.Values.Length];
            row.Values.CopyTo(_rows[place]);
        }

        public override FeatureBatch ToBatch(int count) =>
            new SeriesRows(channels, [.. _rows.Take(count).Select(row => (float[])row.Clone())]);
    }

    /// <summary>Of each channel its observed values, and how long series last.</summary>
    private sealed class Statistics(int channels) : FeatureStatistics
    {
        private readonly Moments[] _moments = [.. Enumerable.Range(0, channels).Select(_ => new Moments(1))];
        private readonly long[] _counts = new long[channels];
        private double _span;
        private long _rows;

        public override double MeanSpan => _rows == 0 ? 0 : _span / _rows;

        public override void Add(RowValues row)
        {
            ReadOnlySpan<float> values = row.Values;
            int stride = SeriesReader.TimeParts + channels;
            for (int i = 0; i < values.Length; i += stride)
                for (int c = 0; c < channels; c++)
                {
                    float value = values[i + SeriesReader.TimeParts + c];
                    if (float.IsNaN(value))
                        continue;
                    _moments[c].Add([value]);
                    _counts[c]++;
                }
            _rows++;
            if (values.Length > stride)
                _span += SeriesReader.TimeOf(values[^stride..]);
        }

        public override void Merge(FeatureStatistics other, long count, long otherCount)
        {
            if (other is not Statistics series)
                throw new ArgumentException("Statistics of series and of other rows cannot be put together.", nameof(other));
            for (int c = 0; c < channels; c++)
            {
                _moments[c].Merge(series._moments[c], series._counts[c]);
                _counts[c] += series._counts[c];
            }
            _span += series._span;
            _rows += series._rows;
        }

        public override void Write(BinaryWriter writer)
        {
            for (int c = 0; c < channels; c++)
            {
                _moments[c].Write(writer);
                writer.Write(_counts[c]);
            }
            writer.Write(_span);
            writer.Write(_rows);
        }

        public override void Read(BinaryReader reader)
        {
            for (int c = 0; c < channels; c++)
            {
                _moments[c].Read(reader);
                _counts[c] = reader.ReadInt64();
            }
            (_span, _rows) = (reader.ReadDouble(), reader.ReadInt64());
        }

        public override (float[] Mean, float[] Scale) Normalization(FeatureNormalization normalization, long count)
        {
            if (normalization == FeatureNormalization.Global)
            {
                var all = new Moments(1);
                for (int c = 0; c < channels; c++)
                    all.Merge(_moments[c], _counts[c]);
                (float[] mean, float[] scale) = _counts.Sum() == 0 ? ([0], [1]) : all.PerSlot(_counts.Sum());
                return ([.. Enumerable.Repeat(mean[0], channels)], [.. Enumerable.Repeat(scale[0], channels)]);
            }
            (float[] Mean, float[] Scale)[] each =
                [.. _moments.Select((moments, c) => _counts[c] == 0 ? ((float[])[0], (float[])[1]) : moments.PerSlot(_counts[c]))];
            return ([.. each.Select(channel => channel.Mean[0])], [.. each.Select(channel => channel.Scale[0])]);
        }
    }
}
