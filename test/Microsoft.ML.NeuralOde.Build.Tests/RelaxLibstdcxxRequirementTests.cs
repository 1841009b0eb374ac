using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;

namespace Microsoft.ML.NeuralOde.Build.Tests;

public sealed class RelaxLibstdcxxRequirementTests : IDisposable
{
    private const string Symbol = "_ZSt21ios_base_library_initv";
    private const int SymbolNumber = 3;
    private const ushort NewVersion = 3;
    private static readonly string PackagedLibrary =
        Path.Combine(AppContext.BaseDirectory, "runtimes", "linux-x64", "native", "libLibTorchSharp.so");

    private readonly string _folder = Directory.CreateTempSubdirectory("neuralode-").FullName;
    private readonly string _library;

    public RelaxLibstdcxxRequirementTests() => _library = Path.Combine(_folder, "libLibTorchSharp.so");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Flag_index_and_name_change_and_nothing_else()
    {
        ElfImage image = ElfImage.Typical();
        byte[] expected = image.ToArray();
        File.WriteAllBytes(_library, expected);
        expected[image.FlagsAt(NewVersion)] = (byte)ElfImage.Weak;
        expected[image.VersionIndexAt(SymbolNumber)] = 1;
        Encoding.ASCII.GetBytes("sched_yield".PadRight(Symbol.Length, '\0')).CopyTo(expected, image.NameAt(SymbolNumber));

        Run("always").Should().BeEmpty();

        File.ReadAllBytes(_library).Should().Equal(expected);
    }

    [Fact]
    public void The_library_of_the_package_is_relaxed_by_a_few_bytes_and_only_once()
    {
        byte[] original = File.ReadAllBytes(PackagedLibrary);
        File.Copy(PackagedLibrary, _library);

        Run("always").Should().BeEmpty();

        byte[] relaxed = File.ReadAllBytes(_library);
        relaxed.Should().HaveSameCount(original);
        original.Zip(relaxed).Count(pair => pair.First != pair.Second).Should().BeInRange(1, 2 + 2 + Symbol.Length);
        // The name also stands in the table that debuggers read; the loader's is the one that goes.
        byte[] name = Encoding.ASCII.GetBytes(Symbol);
        relaxed.AsSpan().Count(name).Should().Be(original.AsSpan().Count(name) - 1);
        AssertSecondRunLeavesTheFileAlone();
    }

    [Fact]
    public void A_second_run_leaves_the_file_alone()
    {
        File.WriteAllBytes(_library, ElfImage.Typical().ToArray());
        Run("always").Should().BeEmpty();

        AssertSecondRunLeavesTheFileAlone();
    }

    [Fact]
    public void Size_and_time_stamp_stay_so_that_incremental_builds_do_not_copy_again()
    {
        byte[] image = ElfImage.Typical().ToArray();
        File.WriteAllBytes(_library, image);
        var stamp = new DateTime(2020, 1, 2, 3, 4, 5, DateTimeKind.Utc);
        File.SetLastWriteTimeUtc(_library, stamp);

        Run("always").Should().BeEmpty();

        File.ReadAllBytes(_library).Should().HaveCount(image.Length).And.NotEqual(image);
        File.GetLastWriteTimeUtc(_library).Should().Be(stamp);
        Directory.GetFiles(_folder).Should().Equal(_library);
    }

    [Fact]
    public void Where_the_copy_is_a_link_to_the_package_cache_the_cache_keeps_its_file()
    {
        byte[] image = ElfImage.Typical().ToArray();
        string cached = Path.Combine(_folder, "cached.so");
        File.WriteAllBytes(cached, image);
        File.CreateSymbolicLink(_library, cached);

        Run("always").Should().BeEmpty();

        File.ReadAllBytes(cached).Should().Equal(image);
        File.ReadAllBytes(_library).Should().NotEqual(image);
    }

    [Theory]
    [InlineData("GLIBCXX_3.4.30\0", true)]
    [InlineData("GLIBCXX_3.4.30\0GLIBCXX_3.4.32\0GLIBCXX_3.4.33\0", false)]
    [InlineData("GLIBCXX_3.4.320\0", true)]
    public void Auto_changes_the_file_where_the_first_libstdcxx_found_lacks_the_version(string versions, bool changes)
    {
        byte[] image = ElfImage.Typical().ToArray();
        File.WriteAllBytes(_library, image);
        string first = WriteSystemLibrary("first", versions);
        string second = WriteSystemLibrary("second", "");
        string empty = Directory.CreateDirectory(Path.Combine(_folder, "empty")).FullName;

        Run("auto", $"{empty};;{first};{second}").Should().BeEmpty();

        File.ReadAllBytes(_library).SequenceEqual(image).Should().Be(!changes);
    }

    [Fact]
    public void Auto_changes_nothing_where_there_is_no_libstdcxx_to_compare_with()
    {
        byte[] image = ElfImage.Typical().ToArray();
        File.WriteAllBytes(_library, image);

        Run("auto", Path.Combine(_folder, "nowhere")).Should().BeEmpty();

        File.ReadAllBytes(_library).Should().Equal(image);
    }

    [Fact]
    public void A_file_that_does_not_need_the_version_is_left_alone()
    {
        byte[] image = ElfImage.Typical(needsNewVersion: false).ToArray();
        File.WriteAllBytes(_library, image);

        Run("always").Should().BeEmpty();

        File.ReadAllBytes(_library).Should().Equal(image);
    }

    [Fact]
    public void A_second_symbol_of_the_version_is_an_error()
    {
        ElfImage image = ElfImage.Typical();
        image.Symbol("_ZSt3newv", NewVersion);

        AssertRefused(image.ToArray(), "2 symbols");
    }

    [Fact]
    public void Another_symbol_of_the_version_is_an_error()
    {
        ElfImage image = ElfImage.Typical(needsNewVersion: false);
        image.Need("GLIBCXX_3.4.32", NewVersion);
        image.Symbol("_ZSt3newv", NewVersion);

        AssertRefused(image.ToArray(), "_ZSt3newv");
    }

    [Fact]
    public void A_name_that_is_the_end_of_another_one_is_an_error()
    {
        ElfImage image = ElfImage.Typical(needsNewVersion: false);
        image.Need("GLIBCXX_3.4.32", NewVersion);
        uint longer = image.AddString("my" + Symbol);
        image.Symbol(longer, 1);
        image.Symbol(longer + 2, NewVersion);

        AssertRefused(image.ToArray(), "part of another one");
    }

    [Fact]
    public void A_name_of_which_another_symbol_uses_the_end_is_an_error()
    {
        ElfImage image = ElfImage.Typical(needsNewVersion: false);
        image.Need("GLIBCXX_3.4.32", NewVersion);
        uint name = image.AddString(Symbol);
        image.Symbol(name, NewVersion);
        image.Symbol(name + 6, 1);

        AssertRefused(image.ToArray(), "part of another one");
    }

    public static TheoryData<string, byte[]> NotALibrary => new()
    {
        { "empty", [] },
        { "text", Encoding.ASCII.GetBytes(string.Concat(Enumerable.Repeat("not a library\n", 20))) },
        { "32 bit", [.. Enumerable.Repeat((byte)0x7f, 1), .. "ELF"u8, 1, 1, .. new byte[100]] },
        { "header only", ElfImage.Typical().ToArray()[..64] },
    };

    [Theory]
    [MemberData(nameof(NotALibrary))]
    public void What_is_no_library_is_an_error_that_names_the_file(string what, byte[] content)
    {
        what.Should().NotBeEmpty();
        AssertRefused(content, "NeuralOdeNativeCompatibility=never");
    }

    [Theory]
    [InlineData(0.1)]
    [InlineData(0.5)]
    [InlineData(0.999)]
    public void A_truncated_copy_of_the_packages_library_is_an_error_that_names_the_file(double part)
    {
        byte[] whole = File.ReadAllBytes(PackagedLibrary);
        AssertRefused(whole[..(int)(whole.Length * part)], "cut off or damaged");
    }

    [Fact]
    public void A_missing_file_is_an_error_that_names_it()
    {
        Run("always").Should().ContainSingle().Which.Should().Contain(_library);
    }

    [Fact]
    public void An_unknown_mode_is_an_error_that_lists_the_known_ones()
    {
        Run("sometimes").Should().ContainSingle().Which.Should().ContainAll("'sometimes'", "auto", "always", "never");
    }

    [Fact]
    public void Damaged_images_end_in_an_error_or_a_result_but_never_in_a_crash()
    {
        byte[] whole = ElfImage.Typical().ToArray();
        var random = new Random(1);
        for (int i = 0; i < 2000; i++)
        {
            byte[] damaged = (byte[])whole.Clone();
            for (int j = random.Next(1, 5); j > 0; j--)
                damaged[random.Next(damaged.Length)] = (byte)random.Next(256);
            File.WriteAllBytes(_library, damaged);

            List<string> errors = Run("always");

            if (errors.Count > 0)
                File.ReadAllBytes(_library).Should().Equal(damaged);
        }
    }

    private void AssertSecondRunLeavesTheFileAlone()
    {
        byte[] relaxed = File.ReadAllBytes(_library);
        using FileStream file = new(_library, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);

        Run("always").Should().BeEmpty();

        File.ReadAllBytes(_library).AsSpan().SequenceEqual(relaxed).Should().BeTrue();
        file.SetLength(1);
        File.ReadAllBytes(_library).Should().HaveCount(1, "it is still the file that was opened before, not a new one in its place");
    }

    private void AssertRefused(byte[] content, string reason)
    {
        File.WriteAllBytes(_library, content);

        Run("always").Should().ContainSingle().Which.Should().ContainAll(_library, reason);

        File.ReadAllBytes(_library).AsSpan().SequenceEqual(content).Should().BeTrue();
        Directory.GetFiles(_folder).Should().Equal(_library);
    }

    private string WriteSystemLibrary(string name, string versions)
    {
        string folder = Directory.CreateDirectory(Path.Combine(_folder, name)).FullName;
        File.WriteAllText(Path.Combine(folder, "libstdc++.so.6"), "\0" + versions + "\0");
        return folder;
    }

    private List<string> Run(string mode, string? searchFolders = null)
    {
        var engine = new RecordingBuildEngine();
        var task = new RelaxLibstdcxxRequirement { BuildEngine = engine, Library = _library, Mode = mode };
        if (searchFolders != null)
            task.SearchFolders = searchFolders;
        task.Execute().Should().Be(engine.Errors.Count == 0);
        return engine.Errors;
    }
}
