using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Scoring;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Scoring;

/// <summary>Columns of objects that belong to whoever reads them, and of values that take much memory, beside scores.</summary>
public sealed class ObjectColumnTests : IClassFixture<CursorPropertyTests.Model>
{
    private const int Rows = 300;

    private readonly NeuralOdeClassificationTransformer _model;

    public ObjectColumnTests(CursorPropertyTests.Model model) => _model = model.Transformer;

    public enum Reader
    {
        Cursor,
        ShuffledCursor,
        CursorSet,
        RowMapper,
    }

    [Theory]
    [InlineData(Reader.Cursor)]
    [InlineData(Reader.ShuffledCursor)]
    [InlineData(Reader.CursorSet)]
    [InlineData(Reader.RowMapper)]
    public void One_who_reads_pictures_into_one_variable_has_one_picture_at_a_time(Reader reader)
    {
        var source = new PictureView(Rows);
        IDataView scored = _model.Transform(source);
        float[][] expected = [.. scored.GetColumn<float[]>("Score")];
        DataViewSchema.Column[] columns = [scored.Schema["Picture"], scored.Schema["Number"], scored.Schema["Score"]];
        var seen = new List<int>();

        Picture picture = null!;
        Read(reader, source, scored, columns, row =>
        {
            ValueGetter<Picture> getPicture = row.GetGetter<Picture>(columns[0]);
            ValueGetter<int> getNumber = row.GetGetter<int>(columns[1]);
            ValueGetter<VBuffer<float>> getScore = row.GetGetter<VBuffer<float>>(columns[2]);
            return () =>
            {
                int number = 0;
                VBuffer<float> score = default;
                getScore(ref score);
                getPicture(ref picture);
                getNumber(ref number);
                picture.Number.Should().Be(number);
                picture.IsDisposed.Should().BeFalse();
                score.DenseValues().Should().Equal(expected[number]);
                seen.Add(number);
            };
        });

        seen.Order().Should().Equal(Enumerable.Range(0, Rows));
        source.MostAlive.Should().Be(1);
        source.Alive.Should().Be(1, "the last one belongs to the one who read it");
    }

    [Theory]
    [InlineData(Reader.Cursor)]
    [InlineData(Reader.CursorSet)]
    [InlineData(Reader.RowMapper)]
    public void Each_time_a_picture_is_asked_for_it_is_another_one_that_nobody_else_disposes_of(Reader reader)
    {
        var source = new PictureView(20);
        IDataView scored = _model.Transform(source);
        DataViewSchema.Column[] columns = [scored.Schema["Picture"], scored.Schema["PredictedLabel"]];
        var kept = new List<Picture>();

        Read(reader, source, scored, columns, row =>
        {
            ValueGetter<Picture> getter = row.GetGetter<Picture>(columns[0]);
            return () =>
            {
                for (int time = 0; time < 2; time++)
                {
                    Picture picture = null!;
                    getter(ref picture);
                    kept.Add(picture);
                }
            };
        });

        kept.Should().OnlyHaveUniqueItems().And.HaveCount(40).And.OnlyContain(picture => !picture.IsDisposed);
        kept.Select(picture => picture.Number).Should().Equal(Enumerable.Range(0, 40).Select(i => i / 2));
        source.Made.Should().Be(40, "a picture that nobody asks for is not made");
    }

    [Fact]
    public void Pictures_that_nobody_asks_for_cost_nothing_and_rows_are_read_ahead()
    {
        var source = new PictureView(Rows);
        _model.Transform(source).GetColumn<float[]>("Score").Should().HaveCount(Rows);
        source.Made.Should().Be(0);
        source.MostAhead.Should().BeGreaterThan(100);
    }

    [Fact]
    public void Large_vectors_are_read_ahead_within_a_bound_of_memory()
    {
        // 300 of them are 1.2 GB.
        var source = new PictureView(Rows) { PixelsPerRow = 1 << 20 };
        IDataView scored = _model.Transform(source);
        DataViewSchema.Column[] columns = [scored.Schema["Pixels"], scored.Schema["Score"]];
        using DataViewRowCursor cursor = scored.GetRowCursor(columns);
        ValueGetter<VBuffer<float>> getter = cursor.GetGetter<VBuffer<float>>(columns[0]);
        VBuffer<float> pixels = default;
        for (int row = 0; cursor.MoveNext(); row++)
        {
            source.Consumed = row;
            getter(ref pixels);
            pixels.GetValues()[^1].Should().Be(row);
        }
        source.Consumed.Should().Be(Rows - 1);
        source.MostAhead.Should().BeInRange(1, 16);
    }

    [Fact]
    public void Only_plain_values_are_read_ahead()
    {
        RowBuffer.CanReadAhead(new ObjectType(typeof(Picture))).Should().BeFalse();
        RowBuffer.CanReadAhead(new ObjectType(typeof(string))).Should().BeFalse();
        RowBuffer.CanReadAhead(new ObjectType(typeof(IEnumerable<float>))).Should().BeFalse();
        RowBuffer.CanReadAhead(new ObjectType(typeof(KeyValuePair<int, object>))).Should().BeFalse();
        RowBuffer.CanReadAhead(new ObjectType(typeof(System.Runtime.InteropServices.GCHandle))).Should().BeTrue();
        RowBuffer.CanReadAhead(new ObjectType(typeof(DisposableNumber))).Should().BeFalse();
        foreach (DataViewSchema.Column column in new MLContext().Data.LoadFromEnumerable(EveryType.Rows(1, 1)).Schema)
            RowBuffer.CanReadAhead(column.Type).Should().BeTrue(column.Name);
    }

    private void Read(Reader reader, IDataView source, IDataView scored, DataViewSchema.Column[] columns, Func<DataViewRow, Action> open)
    {
        switch (reader)
        {
            case Reader.RowMapper:
                using (DataViewRowCursor input = source.GetRowCursor(source.Schema))
                using (DataViewRow row = _model.GetRowToRowMapper(source.Schema).GetRow(input, columns))
                {
                    Action read = open(row);
                    while (input.MoveNext())
                        read();
                }
                break;
            case Reader.CursorSet:
                foreach (DataViewRowCursor cursor in scored.GetRowCursorSet(columns, 3))
                    ReadAll(cursor);
                break;
            default:
                ReadAll(scored.GetRowCursor(columns, reader == Reader.ShuffledCursor ? new Random(1) : null));
                break;
        }

        void ReadAll(DataViewRowCursor cursor)
        {
            using (cursor)
            {
                Action read = open(cursor);
                while (cursor.MoveNext())
                    read();
            }
        }
    }

    private readonly struct DisposableNumber : IDisposable
    {
        public void Dispose()
        {
        }
    }

    /// <summary>As ML.NET's images: made when asked for, and disposed of by those who asked.</summary>
    private sealed class Picture(PictureView view, int number) : IDisposable
    {
        public int Number { get; } = number;

        public bool IsDisposed { get; private set; }

        public void Dispose()
        {
            IsDisposed = true;
            view.Alive--;
        }
    }

    private sealed class ObjectType(Type raw) : StructuredDataViewType(raw)
    {
        public override bool Equals(DataViewType? other) => other is ObjectType && other.RawType == RawType;

        public override bool Equals(object? obj) => obj is DataViewType other && Equals(other);

        public override int GetHashCode() => RawType.GetHashCode();
    }

    private sealed class PictureView : IDataView
    {
        private readonly int _rows;

        public PictureView(int rows)
        {
            _rows = rows;
            var builder = new DataViewSchema.Builder();
            builder.AddColumn("Features", new VectorDataViewType(NumberDataViewType.Single, 3));
            builder.AddColumn("Picture", new ObjectType(typeof(Picture)));
            builder.AddColumn("Number", NumberDataViewType.Int32);
            builder.AddColumn("Pixels", new VectorDataViewType(NumberDataViewType.Single));
            Schema = builder.ToSchema();
        }

        public int PixelsPerRow { get; init; } = 1;

        public int Alive { get; set; }

        public int MostAlive { get; private set; }

        public int Made { get; private set; }

        public int Consumed { get; set; }

        public int MostAhead { get; private set; }

        public bool CanShuffle => true;

        public DataViewSchema Schema { get; }

        public long? GetRowCount() => _rows;

        public DataViewRowCursor GetRowCursor(IEnumerable<DataViewSchema.Column> columnsNeeded, Random? rand = null)
        {
            int[] order = [.. Enumerable.Range(0, _rows)];
            rand?.Shuffle(order);
            return new Cursor(this, order, [.. columnsNeeded.Select(column => column.Index)]);
        }

        public DataViewRowCursor[] GetRowCursorSet(IEnumerable<DataViewSchema.Column> columnsNeeded, int n, Random? rand = null) =>
            [GetRowCursor(columnsNeeded, rand)];

        private sealed class Cursor(PictureView view, int[] order, HashSet<int> active) : DataViewRowCursor
        {
            private int _position = -1;

            public override long Position => _position;

            public override long Batch => 0;

            public override DataViewSchema Schema => view.Schema;

            private int Number => order[_position];

            public override bool MoveNext()
            {
                if (_position + 1 >= order.Length)
                    return false;
                _position++;
                view.MostAhead = Math.Max(view.MostAhead, _position - view.Consumed);
                return true;
            }

            public override bool IsColumnActive(DataViewSchema.Column column) => active.Contains(column.Index);

            public override ValueGetter<DataViewRowId> GetIdGetter() => (ref DataViewRowId id) => id = new DataViewRowId((ulong)Number, 0);

            public override ValueGetter<TValue> GetGetter<TValue>(DataViewSchema.Column column)
            {
                IsColumnActive(column).Should().BeTrue();
                Delegate getter = column.Name switch
                {
                    "Features" =>
                        (ValueGetter<VBuffer<float>>)((ref VBuffer<float> value) => Fill(ref value, [Number % 7 - 3, Number % 5 - 2, 1])),
                    "Pixels" => (ValueGetter<VBuffer<float>>)((ref VBuffer<float> value) =>
                    {
                        VBufferEditor<float> editor = VBufferEditor.Create(ref value, view.PixelsPerRow);
                        editor.Values[^1] = Number;
                        value = editor.Commit();
                    }),
                    "Number" => (ValueGetter<int>)((ref int value) => value = Number),
                    _ => (ValueGetter<Picture>)((ref Picture value) =>
                    {
                        value?.Dispose();
                        value = new Picture(view, Number);
                        view.Made++;
                        view.MostAlive = Math.Max(view.MostAlive, ++view.Alive);
                    }),
                };
                return (ValueGetter<TValue>)getter;
            }

            private static void Fill(ref VBuffer<float> value, ReadOnlySpan<float> numbers)
            {
                VBufferEditor<float> editor = VBufferEditor.Create(ref value, numbers.Length);
                numbers.CopyTo(editor.Values);
                value = editor.Commit();
            }
        }
    }
}
