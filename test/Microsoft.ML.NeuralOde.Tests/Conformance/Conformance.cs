using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Conformance;

/// <summary>
/// What ML.NET checks of its own estimators: bad schemas are refused everywhere, the columns that are promised are those that come, a model
/// says the same after saving and loading, and cursors agree whatever columns they are asked for.
/// </summary>
internal static class Conformance
{
    /// <param name="mlContext">The context.</param>
    /// <param name="estimator">What is checked.</param>
    /// <param name="valid">Data to fit to and to transform.</param>
    /// <param name="unfitting">Data that can be neither fitted nor transformed.</param>
    /// <param name="untrainable">Data that can be transformed but not fitted.</param>
    public static void Check(
        MLContext mlContext, IEstimator<ITransformer> estimator, IDataView valid, IDataView[] unfitting, params IDataView[] untrainable)
    {
        foreach (IDataView data in unfitting.Concat(untrainable))
        {
            Refused(() => estimator.GetOutputSchema(Schemas.ShapeOf(data.Schema)));
            Refused(() => estimator.Fit(data));
        }
        SchemaShape promised = estimator.GetOutputSchema(Schemas.ShapeOf(valid.Schema));
        ITransformer model = estimator.Fit(valid);
        SameSchema(promised, model.Transform(valid).Schema);
        CheckModel(mlContext, model, valid, unfitting);
    }

    /// <summary>The same of a model that comes from no estimator.</summary>
    /// <param name="mlContext">The context.</param>
    /// <param name="model">What is checked, and disposed of.</param>
    /// <param name="valid">Data to transform.</param>
    /// <param name="unfitting">Data that cannot be transformed.</param>
    public static void CheckModel(MLContext mlContext, ITransformer model, IDataView valid, IDataView[] unfitting)
    {
        foreach (IDataView data in unfitting)
        {
            Refused(() => model.GetOutputSchema(data.Schema));
            Refused(() => model.Transform(data));
            Refused(() => model.GetRowToRowMapper(data.Schema));
        }

        IDataView scored = model.Transform(valid);
        SameSchema(model.GetOutputSchema(valid.Schema), scored.Schema);
        model.IsRowToRowMapper.Should().BeTrue();
        SameSchema(model.GetRowToRowMapper(valid.Schema).OutputSchema, scored.Schema);
        CheckCursors(scored);
        CheckDependencies(model.GetRowToRowMapper(valid.Schema), valid.Schema);

        ITransformer loaded = Reload(mlContext, model, valid.Schema, out byte[] saved);
        SameSchema(loaded.GetOutputSchema(valid.Schema), scored.Schema);
        SameRows(Cursors.Read(loaded.Transform(valid), scored.Schema), Cursors.Read(scored, scored.Schema));
        Reload(mlContext, loaded, valid.Schema, out byte[] again);
        Persistence.Mutations.Read(again).Select(entry => (entry.Name, Convert.ToHexString(entry.Bytes)))
            .Should().BeEquivalentTo(Persistence.Mutations.Read(saved).Select(entry => (entry.Name, Convert.ToHexString(entry.Bytes))),
                "what was loaded is saved as it was");

        ((IDisposable)model).Dispose();
        Action afterDisposal = () => model.Transform(valid);
        afterDisposal.Should().Throw<ObjectDisposedException>();
        ((IDisposable)loaded).Dispose();
    }

    private static void Refused(Action action) =>
        action.Should().Throw<ArgumentOutOfRangeException>().WithMessage("*'*'*", "the column is named");

    private static ITransformer Reload(MLContext mlContext, ITransformer model, DataViewSchema schema, out byte[] saved)
    {
        using var stream = new MemoryStream();
        mlContext.Model.Save(model, schema, stream);
        saved = stream.ToArray();
        return mlContext.Model.Load(new MemoryStream(saved), out _);
    }

    /// <summary>All, even, odd and single columns, in order and shuffled: the same values; row ids that are stable and unique.</summary>
    private static void CheckCursors(IDataView view)
    {
        List<ReadRow> all = Cursors.Read(view, view.Schema);
        all.Select(row => row.Id).Should().OnlyHaveUniqueItems();
        (view.GetRowCount() ?? all.Count).Should().Be(all.Count);
        SameRows(Cursors.Read(view, view.Schema), all);
        SameRows(Cursors.Read(view, view.Schema.Where(column => column.Index % 2 == 0)), all);
        SameRows(Cursors.Read(view, view.Schema.Where(column => column.Index % 2 == 1)), all);
        foreach (DataViewSchema.Column column in view.Schema)
            SameRows(Cursors.Read(view, [column]), all);
        Cursors.Read(view, []).Select(row => row.Id).Should().Equal(all.Select(row => row.Id));
        List<ReadRow> shuffled = Cursors.Read(view, view.Schema, new Random(3));
        Dictionary<string, ReadRow> byId = all.ToDictionary(row => row.Id);
        shuffled.Should().HaveSameCount(all);
        SameRows(shuffled, [.. shuffled.Select(row => byId[row.Id])]);
    }

    private static void CheckDependencies(IRowToRowMapper mapper, DataViewSchema input)
    {
        foreach (DataViewSchema.Column column in mapper.OutputSchema)
        {
            DataViewSchema.Column[] needed = [.. mapper.GetDependencies([column])];
            needed.Should().OnlyContain(dependency => input[dependency.Index].Name == dependency.Name);
            if (column.Index < input.Count)
                needed.Select(dependency => dependency.Index).Should().Equal(column.Index);
            else
                needed.Should().NotBeEmpty();
        }
    }

    private static void SameRows(List<ReadRow> found, List<ReadRow> expected)
    {
        found.Select(row => row.Id).Should().Equal(expected.Select(row => row.Id));
        for (int i = 0; i < found.Count; i++)
            foreach ((string name, string value) in found[i].Values)
                if (value != expected[i].Values[name])
                    throw new InvalidOperationException($"Row {i} has {value} in column '{name}', not {expected[i].Values[name]}.");
    }

    private static void SameSchema(DataViewSchema found, DataViewSchema expected)
    {
        found.Select(column => (column.Name, column.Type.ToString(), column.IsHidden))
            .Should().Equal(expected.Select(column => (column.Name, column.Type.ToString(), column.IsHidden)));
        foreach (DataViewSchema.Column column in found)
            column.Annotations.Schema.Select(a => (a.Name, a.Type.ToString()))
            .Should().BeEquivalentTo(expected[column.Index].Annotations.Schema.Select(a => (a.Name, a.Type.ToString())));
    }

    /// <summary>What an estimator promises without data, against what came.</summary>
    private static void SameSchema(SchemaShape promised, DataViewSchema found)
    {
        DataViewSchema.Column[] visible = [.. found.Where(column => !column.IsHidden)];
        promised.Select(column => column.Name).Should().BeEquivalentTo(visible.Select(column => column.Name));
        SchemaShape actual = Schemas.ShapeOf(found);
        foreach (SchemaShape.Column column in promised)
        {
            SchemaShape.Column match = actual.Single(other => other.Name == column.Name);
            (match.Kind, match.ItemType.ToString(), match.IsKey).Should()
                .Be((column.Kind, column.ItemType.ToString(), column.IsKey), $"column '{column.Name}' was promised so");
            column.Annotations.Select(a => a.Name).Except(match.Annotations.Select(a => a.Name))
                .Should().BeEmpty($"column '{column.Name}' was promised with these annotations");
        }
    }
}
