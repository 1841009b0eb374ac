using Microsoft.ML.NeuralOde.Persistence;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Persistence;

/// <summary>Files that are replaced at once, by several writers too.</summary>
public sealed class AtomicFileTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("neuralode-").FullName;

    private string File => Path.Combine(_folder, "model.zip");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Several_writers_of_one_file_all_succeed_and_readers_see_whole_files()
    {
        byte[][] contents = [.. Enumerable.Range(0, 4).Select(i => Enumerable.Repeat((byte)i, 200_000 + i).ToArray())];
        using var end = new CancellationTokenSource();
        Task reader = Task.Run(() =>
        {
            while (!end.IsCancellationRequested)
                if (System.IO.File.Exists(File))
                {
                    byte[] found = System.IO.File.ReadAllBytes(File);
                    found.Should().HaveCount(200_000 + found[0]);
                    found.AsSpan().IndexOfAnyExcept(found[0]).Should().Be(-1);
                }
        });

        Parallel.ForEach(Enumerable.Range(0, 40), i => AtomicFile.Write(File, contents[i % 4]));
        await end.CancelAsync();
        await reader;

        Directory.GetFiles(_folder).Should().Equal(File);
    }

    [Fact]
    public void Several_models_are_sealed_to_one_path_at_once()
    {
        var mlContext = new MLContext(1);
        ITransformer[] models =
            [.. Enumerable.Range(1, 2).Select(epochs => Fitted.Model(mlContext, Fitted.Options(o => o.NumberOfEpochs = epochs)))];
        string[] seals = [.. models.Select(model => mlContext.Model.SaveSealed(model, null, Stream.Null))];

        string[] found = new string[12];
        Parallel.For(0, found.Length, i => found[i] = mlContext.Model.SaveSealed(models[i % 2], null, File));

        found.Should().Equal(Enumerable.Range(0, found.Length).Select(i => seals[i % 2]));
        Directory.GetFiles(_folder).Should().Equal(File);
        mlContext.Model.LoadSealed(File, out _).Should().NotBeNull();
    }

    [Fact]
    public void A_write_that_fails_leaves_the_old_file_and_nothing_else()
    {
        AtomicFile.Write(File, [1, 2, 3]);
        Action write = () => AtomicFile.Write(File, stream =>
        {
            stream.WriteByte(9);
            throw new IOException("the disk is full");
        });
        write.Should().Throw<IOException>().WithMessage("the disk is full");
        System.IO.File.ReadAllBytes(File).Should().Equal(1, 2, 3);
        Directory.GetFiles(_folder).Should().Equal(File);
    }

    [Fact]
    public void What_killed_writers_left_is_removed_and_what_others_are_writing_is_not()
    {
        string old = Leave(File, TimeSpan.FromHours(3)), young = Leave(File, TimeSpan.FromMinutes(1)),
            another = Leave(Path.Combine(_folder, "other.zip"), TimeSpan.FromHours(3));
        string users = Path.Combine(_folder, "model.zip.mine.new");
        System.IO.File.WriteAllText(users, "");
        System.IO.File.SetLastWriteTimeUtc(users, DateTime.UtcNow - TimeSpan.FromDays(9));

        AtomicFile.Write(File, [1]);

        Directory.GetFiles(_folder).Should().BeEquivalentTo([File, young, another, users]);
        old.Should().NotBe(young);
    }

    [Fact]
    public void Places_where_no_file_can_be_are_named()
    {
        ((Action)(() => AtomicFile.Write(_folder, [1]))).Should().Throw<IOException>().WithMessage($"'{_folder}' is a folder*");
        string nowhere = Path.Combine(_folder, "no", "model.zip");
        ((Action)(() => AtomicFile.Write(nowhere, [1]))).Should()
            .Throw<DirectoryNotFoundException>().WithMessage($"'{nowhere}'*there is no folder*");
    }

    private static string Leave(string file, TimeSpan age)
    {
        string path = $"{file}.{Guid.NewGuid():N}.new";
        System.IO.File.WriteAllText(path, "half");
        System.IO.File.SetLastWriteTimeUtc(path, DateTime.UtcNow - age);
        return path;
    }
}
