using System.Buffers.Binary;
using System.Text;
using Microsoft.ML.NeuralOde.Persistence;

namespace Microsoft.ML.NeuralOde.Tests.Persistence;

/// <summary>Sealed archives of any content, at the bounds of what is taken.</summary>
public class SealedArchiveTests
{
    private const string Model = "part/Model.key";

    [Fact]
    public void What_is_targetcomes_back_in_the_order_of_the_names_whatever_is_in_it()
    {
        (string Name, byte[] Bytes)[] entries =
            [("b", Bytes(200_000)), ("a", []), ("folder/two  blanks", Bytes(81_920)), ("B2", Bytes(81_921)), ("Ω", [7])];
        using var copy = new MemoryStream();
        string seal = ModelSeal.Write(new MemoryStream(Mutations.Write([.. entries])), copy);

        MemoryStream opened = Open(copy.ToArray(), new SealedModelOptions { ExpectedSeal = $" {seal.ToUpperInvariant()}\n" });

        opened.Position.Should().Be(0);
        List<(string Name, byte[] Bytes)> found = Mutations.Read(opened.ToArray());
        found.Select(entry => entry.Name).Should().Equal("B2", "a", "b", "folder/two  blanks", "Ω");
        foreach ((string name, byte[] bytes) in entries)
            found.Single(entry => entry.Name == name).Bytes.Should().Equal(bytes);

        static byte[] Bytes(int count) => [.. Enumerable.Range(0, count).Select(i => (byte)(i * 7))];
    }

    [Fact]
    public void As_many_entries_and_bytes_as_allowed_are_taken_and_one_less_is_not()
    {
        byte[] archive = Seal(("a", new byte[300]), ("b", new byte[1_700]));
        long total = Mutations.Read(archive).Sum(entry => (long)entry.Bytes.Length);
        long seal = total - 2_000;
        Open(archive, new SealedModelOptions { MaximumEntries = 3, MaximumBytes = total }).Length.Should().BePositive();
        Refused(archive, new SealedModelOptions { MaximumEntries = 2 })
            .Should().Be("The file has 3 entries; at most 2 are allowed (MaximumEntries).");
        Refused(archive, new SealedModelOptions { MaximumBytes = total - 1 }).Should()
            .Match($"The file, entry '{ModelSeal.EntryName}': it declares {seal} bytes; "
                + $"all entries together may have {total - 1:N0} (MaximumBytes)*");
        new SealedModelOptions().MaximumBytes.Should().Be(1_073_741_824);
        new SealedModelOptions().MaximumEntries.Should().Be(10_000);
    }

    [Theory]
    [InlineData(4 << 20, "it is no seal as SaveSealed writes it")]
    [InlineData((4 << 20) + 1, "it declares 4,194,305 bytes; a seal has at most 4,194,304")]
    public void A_seal_has_four_mebibytes_at_most(int bytes, string what) =>
        Refused(Mutations.Write([("a", [1]), (ModelSeal.EntryName, new byte[bytes])])).Should()
            .StartWith($"The file, entry '{ModelSeal.EntryName}': {what}. ");

    [Fact]
    public void What_cannot_be_read_or_allows_nothing_is_an_error_of_the_caller()
    {
        ModelOperationsCatalog catalog = new MLContext(1).Model;
        using var stream = new MemoryStream(Seal(("a", [1])));
        FluentActions.Invoking(() => SealedModel.Load(null!, stream, "The file", null, out _)).Should().Throw<ArgumentNullException>()
            .WithParameterName("catalog");
        FluentActions.Invoking(() => SealedModel.Load(catalog, null!, "The file", null, out _)).Should().Throw<ArgumentNullException>()
            .WithParameterName("stream");
        Refused(new SealedModelOptions { MaximumEntries = 0 }, "options.MaximumEntries");
        Refused(new SealedModelOptions { MaximumEntries = -1 }, "options.MaximumEntries");
        Refused(new SealedModelOptions { MaximumBytes = 0 }, "options.MaximumBytes");
        // What allows one of each is told that there are more.
        FluentActions.Invoking(() => SealedModel.Load(catalog, stream, "The file", new SealedModelOptions { MaximumEntries = 1 }, out _))
            .Should().Throw<InvalidDataException>().WithMessage("The file has 2 entries; at most 1 are allowed*");
        stream.Dispose();
        FluentActions.Invoking(() => SealedModel.Load(catalog, stream, "The file", null, out _)).Should().Throw<ArgumentException>()
            .WithMessage("The stream cannot be read: it was closed, or is for writing only.*");

        void Refused(SealedModelOptions options, string parameter) =>
            FluentActions.Invoking(() => SealedModel.Load(catalog, stream, "The file", options, out _)).Should()
                .Throw<ArgumentOutOfRangeException>().WithParameterName(parameter);
    }

    /// <summary>Names that one reader or another takes for the same.</summary>
    [Theory]
    [InlineData("folder/name", "folder/name")]
    [InlineData("folder/name", "folder\\name")]
    [InlineData("folder/name", "Folder/NAME")]
    public void Two_entries_of_one_name_are_refused(string first, string second) =>
        Refused(Mutations.Write([(first, [1]), (second, [2]), (ModelSeal.EntryName, [])])).Should()
            .Be($"The file, entry '{second}': there are two of this name. Copy the file again, or save the model again with SaveSealed.");

    /// <summary>Where the header of a model says that the name of its assembly stands: from the first byte to the last one.</summary>
    [Theory]
    [InlineData(256, 256, 0, null)]
    [InlineData(256, 0, 0, null)]
    [InlineData(255, 0, 0, "it has 255 bytes; the header of a model alone has 256")]
    [InlineData(0, 0, 0, "it has 0 bytes; the header of a model alone has 256")]
    [InlineData(256, 257, 0, "it declares 0 bytes at 257 of its 256")]
    [InlineData(256, -1, 0, "it declares 0 bytes at -1 of its 256")]
    [InlineData(300, 256, 44, null)]
    [InlineData(300, 256, 45, "it declares 45 bytes at 256 of its 300")]
    [InlineData(300, 300, 1, "it declares 1 bytes at 300 of its 300")]
    [InlineData(300, 256, uint.MaxValue, "it declares 4,294,967,295 bytes at 256 of its 300")]
    [InlineData(300, long.MaxValue, 2, "it declares 2 bytes at 9,223,372,036,854,775,807 of its 300")]
    public void A_header_that_points_out_of_its_entry_is_refused_with_the_numbers(int length, long offset, uint count, string? defect)
    {
        // Blanks of UTF-16 are a name that is none.
        byte[] entry = [.. Enumerable.Range(0, length).Select(i => i % 2 == 0 ? (byte)' ' : (byte)0)];
        if (length >= 256)
            Point(entry, offset, count);
        byte[] archive = Seal((Model, entry));
        if (defect is null)
            Open(archive).Length.Should().BePositive();
        else
            Refused(archive).Should().StartWith($"The file, entry '{Model}': {defect}. ");
        // Whatever has another name is none of that.
        Open(Seal(("part/Model.key2", entry))).Length.Should().BePositive();
    }

    [Theory]
    [InlineData("Microsoft.ML.Data, Version=1.0.0.0", true)]
    [InlineData("Microsoft.ML.", true)]
    [InlineData("", true)]
    [InlineData(" Trusted , Version=2", true)]
    [InlineData("microsoft.ml.Data", false)]
    [InlineData("Microsoft.ML", false)]
    [InlineData("Trusted.Too", false)]
    public void Only_assemblies_of_the_library_and_trusted_ones_may_read_an_entry(string assembly, bool isTaken)
    {
        byte[] name = Encoding.Unicode.GetBytes(assembly), entry = [.. new byte[256], .. name];
        Point(entry, 256, (uint)name.Length);
        var options = new SealedModelOptions { TrustedAssemblies = ["Other", "Trusted"] };
        foreach (string place in new[] { Model, "part\\MODEL.KEY", "Model.key" })
            if (isTaken)
                Open(Seal((place, entry)), options).Length.Should().BePositive();
            else
                Refused(Seal((place, entry)), options).Should().Contain($"entry '{place}'").And.Contain($"by the assembly '{assembly}'");
    }

    [Fact]
    public void There_is_one_way_to_write_a_seal()
    {
        const string First = "# Microsoft.ML.NeuralOde seal 1";
        string hash = new('0', 64), other = new('f', 64);
        ModelSeal.Parse(Text(First, ""))!.Hashes.Should().BeEmpty();
        ModelSeal.Parse(Text(First, $"{hash}  a", $"{other}  b", ""))!.Hashes.Should()
            .BeEquivalentTo(new Dictionary<string, string> { ["a"] = hash, ["b"] = other });
        foreach (byte[] bytes in new[]
        {
            [], Text(""), Text(First), Text(First + " ", ""), Text(First, $"{other}  b", $"{hash}  a", ""), Text(First, $"{hash}  ", ""),
            Text(First, $"{hash}", ""), Text(First, $"{hash} a", ""), Text(First, $"{hash}  a", $"{other}  a", ""),
            Text(First, $"{hash}  a"), Text(First, $"{hash}  a", "", ""),
        })
            ModelSeal.Parse(bytes).Should().BeNull(Encoding.UTF8.GetString(bytes));

        static byte[] Text(params string[] lines) => Encoding.UTF8.GetBytes(string.Join('\n', lines));
    }

    private static void Point(byte[] entry, long offset, uint count)
    {
        BinaryPrimitives.WriteInt64LittleEndian(entry.AsSpan(0x90), offset);
        BinaryPrimitives.WriteUInt32LittleEndian(entry.AsSpan(0x98), count);
    }

    private static byte[] Seal(params (string Name, byte[] Bytes)[] entries)
    {
        using var target = new MemoryStream();
        ModelSeal.Write(new MemoryStream(Mutations.Write([.. entries])), target);
        return target.ToArray();
    }

    private static MemoryStream Open(byte[] archive, SealedModelOptions? options = null) =>
        SealedArchive.Open(new MemoryStream(archive), "The file", options ?? new SealedModelOptions());

    private static string Refused(byte[] archive, SealedModelOptions? options = null) =>
        FluentActions.Invoking(() => Open(archive, options)).Should().Throw<InvalidDataException>().Which.Message;
}
