using System.IO.Compression;
using System.Security.Cryptography;
using System.Text;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Persistence;

/// <summary>Files of SaveSealed, what LoadSealed makes of them, and what it says about those that it refuses.</summary>
public sealed class SealedModelTests : IClassFixture<SavedModels>, IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("neuralode-").FullName;
    private readonly MLContext _mlContext = new(1);
    private readonly SavedModels _models;

    public SealedModelTests(SavedModels models) => _models = models;

    private string ModelFile => Path.Combine(_folder, "model.zip");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_pipeline_says_the_same_after_saving_and_loading_by_either_reader()
    {
        TransformerChain<Microsoft.ML.Transforms.KeyToValueMappingTransformer> model =
            Fitted.Model(_mlContext, Fitted.Options(o => o.NumberOfEpochs = 1));
        File.WriteAllText(ModelFile, "what was there before");
        string seal = _mlContext.Model.SaveSealed(model, Blobs.View(_mlContext, []).Schema, ModelFile);
        List<Point> rows = Blobs.Rows(20, seed: 7);
        float[] expected = Scores(model);

        Scores(_mlContext.Model.LoadSealed(ModelFile, out DataViewSchema? schema,
            new SealedModelOptions { ExpectedSeal = seal.ToUpperInvariant() })).Should().Equal(expected);
        Scores(_mlContext.Model.Load(ModelFile, out DataViewSchema other)).Should().Equal(expected);
        schema!.Select(c => $"{c.Name} {c.Type}").Should().Equal(other.Select(c => $"{c.Name} {c.Type}"));
        Directory.GetFiles(_folder).Should().Equal(ModelFile);

        _mlContext.Model.SaveSealed(model, null, ModelFile).Should().NotBe(seal, "the schema is a part of it");
        _mlContext.Model.LoadSealed(ModelFile, out DataViewSchema? none);
        none.Should().BeNull();

        float[] Scores(ITransformer loaded) => [.. Fitted.Predict(_mlContext, loaded, rows).SelectMany(p => p.Score)];
    }

    [Fact]
    public void The_seal_is_a_list_of_hashes_of_all_other_entries_and_stands_for_the_content()
    {
        List<(string Name, byte[] Bytes)> entries = Mutations.Read(_models.Archives[0]);
        byte[] text = entries.Single(entry => entry.Name == "NeuralOde.sha256").Bytes;

        string[] lines = Encoding.UTF8.GetString(text).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        lines[0].Should().StartWith("#");
        lines[1..].Should()
            .Equal(entries.Where(entry => entry.Name != "NeuralOde.sha256").OrderBy(entry => entry.Name, StringComparer.Ordinal)
            .Select(entry => $"{Convert.ToHexStringLower(SHA256.HashData(entry.Bytes))}  {entry.Name}"));
        _models.Seals[0].Should().Be(Convert.ToHexStringLower(SHA256.HashData(text)));

        // Packed anew, in another order and without compression, it is the same model.
        SavedModels.Score(SavedModels.Load(Mutations.Write([.. Enumerable.Reverse(entries)]),
            new SealedModelOptions { ExpectedSeal = _models.Seals[0] })).Should().Equal(_models.Scores[0]);
    }

    [Fact]
    public void What_is_refused_is_named_with_what_was_found_and_what_would_be_right()
    {
        List<(string Name, byte[] Bytes)> entries = Mutations.Read(_models.Archives[0]);
        string sealName = "NeuralOde.sha256",
            terms = entries.Single(entry => entry.Name.EndsWith("Terms.txt", StringComparison.Ordinal)).Name;

        Refusal(Change(terms, bytes => bytes[^1] ^= 1)).Should()
            .Match($"The model file '*model.zip', entry '{terms}': its SHA-256 is *, by the seal it must be *. Copy the file again*SaveSealed.");
        Refusal(Mutations.Write([.. entries.Where(entry => entry.Name != terms)])).Should().Match($"*entry '{terms}': it is missing*");
        Refusal(Mutations.Write([.. entries, ("more", [1])])).Should().Match("*entry 'more': the seal does not list it*");
        Refusal(Mutations.Write([.. entries, (terms.Replace('/', '\\'), [1])])).Should().Match("*there are two of this name*");
        Refusal(Mutations.Write([.. entries.Where(entry => entry.Name != sealName)]))
            .Should().Match("*has no seal, the entry 'NeuralOde.sha256'*Save the model again with SaveSealed*mlContext.Model.Load*");
        Refusal(Change(sealName, bytes => bytes[2] ^= 1)).Should().Match($"*entry '{sealName}': it is no seal*");
        Refusal(Change(sealName,
            bytes => bytes[bytes.AsSpan()
                .IndexOf("\n"u8) + 1 + bytes.AsSpan(bytes.AsSpan().IndexOf("\n"u8) + 1, 64).IndexOfAnyInRange((byte)'a', (byte)'f')] -= 32))
            .Should().Match("*its SHA-256 is*");
        Refusal([1, 2, 3]).Should().Match("The model file '*model.zip' is no zip archive that can be read: *");
        Refusal(_models.Archives[0][..^100]).Should().Match("*no zip archive*");
        Refusal(_models.Archives[1], new SealedModelOptions { ExpectedSeal = _models.Seals[0] })
            .Should().Match($"*bears the seal {_models.Seals[1]}; expected is {_models.Seals[0]}*");
        Refusal(_models.Archives[0], new SealedModelOptions { MaximumEntries = 3 }).Should().Match("*entries; at most 3*MaximumEntries*");
        Refusal(_models.Archives[0], new SealedModelOptions { MaximumBytes = 4000 })
            .Should().Match("*entry '*': it declares * bytes; all entries together may have 4,000 (MaximumBytes)*");

        byte[] Change(string name, Action<byte[]> change)
        {
            byte[] bytes = (byte[])entries.Single(entry => entry.Name == name).Bytes.Clone();
            change(bytes);
            return Mutations.Write([.. entries.Select(entry => entry.Name == name ? (name, bytes) : entry)]);
        }
    }

    [Fact]
    public void What_lies_under_a_seal_made_anew_is_refused_for_its_own_sake()
    {
        byte[] altered = Mutations.Reseal(Mutations.Replace(_models.Archives[0], payload => { payload[^60] ^= 1; return payload; }));
        Refusal(altered).Should()
            .Match("The model file '*model.zip' is as it was saved, but cannot be loaded: Entry '*Transform_001*Model.key': *checksum is wrong*");

        // The header's name of the assembly, in UTF-16: somebody has ML.NET load another one.
        List<(string Name, byte[] Bytes)> entries = Mutations.Read(_models.Archives[0]);
        int root = entries.FindIndex(entry => entry.Name == "TransformerChain/Model.key");
        byte[] name = Encoding.Unicode.GetBytes("Microsoft.ML.Data,"), evil = Encoding.Unicode.GetBytes("Somebody.Elses.Ml,");
        int place = entries[root].Bytes.AsSpan().IndexOf(name);
        evil.CopyTo(entries[root].Bytes, place);
        byte[] foreign = Mutations.Reseal(Mutations.Write(entries));
        Refusal(foreign)
            .Should().Match("*entry 'TransformerChain/Model.key': it is to be read by the assembly 'Somebody.Elses.Ml'*TrustedAssemblies*");
        byte[] backslashes = Mutations.Reseal(Mutations.Write([.. entries.Select(entry => (entry.Name.Replace('/', '\\'), entry.Bytes))]));
        Refusal(backslashes).Should().Match("*TrustedAssemblies*");
        Refusal(foreign, new SealedModelOptions { TrustedAssemblies = ["Somebody.Elses.Ml"] })
            .Should().Match("*cannot be loaded: Could not load file or assembly 'Somebody.Elses.Ml*");
    }

    [Fact]
    public void Arguments_that_make_no_sense_are_named()
    {
        using var stream = new DeflateStream(Stream.Null, CompressionMode.Decompress);
        ((Action)(() => _mlContext.Model.LoadSealed(stream, out _))).Should().Throw<ArgumentException>().WithMessage("*seekable*");
        ((Action)(() => SavedModels.Load(_models.Archives[0], new SealedModelOptions { MaximumBytes = 0 }))).Should()
            .Throw<ArgumentOutOfRangeException>().WithMessage("*MaximumBytes*");
        ((Action)(() => _mlContext.Model.LoadSealed(ModelFile, out _))).Should().Throw<FileNotFoundException>();
    }

    private string Refusal(byte[] archive, SealedModelOptions? options = null)
    {
        File.WriteAllBytes(ModelFile, archive);
        Action load = () => _mlContext.Model.LoadSealed(ModelFile, out _, options);
        return load.Should().Throw<InvalidDataException>().Which.Message;
    }
}
