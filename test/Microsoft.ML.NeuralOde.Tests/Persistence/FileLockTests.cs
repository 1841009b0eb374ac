using Microsoft.ML.NeuralOde.Persistence;

namespace Microsoft.ML.NeuralOde.Tests.Persistence;

/// <summary>Files that one holder at a time has.</summary>
public sealed class FileLockTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("neuralode-").FullName;

    private string File => Path.Combine(_folder, "lock");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void One_has_it_until_it_is_given_back_and_then_it_is_gone()
    {
        for (int round = 0; round < 3; round++)
        {
            using (FileLock first = FileLock.TryTake(File)!)
            {
                first.Should().NotBeNull();
                FileLock.TryTake(File).Should().BeNull();
                FileLock.TryTake(File).Should().BeNull("asking does not change it");
                using FileLock? other = FileLock.TryTake(File + "2");
                other.Should().NotBeNull("another file is another lock");
                System.IO.File.Exists(File).Should().BeTrue();
            }
            Directory.GetFiles(_folder).Should().BeEmpty();
        }
    }

    [Fact]
    public void What_a_process_left_that_ended_may_be_taken()
    {
        System.IO.File.WriteAllText(File, "left");
        using FileLock? taken = FileLock.TryTake(File);
        taken.Should().NotBeNull();
    }

    [Fact]
    public void Places_where_no_file_can_be_are_errors_and_not_somebody_elses() =>
        FluentActions.Invoking(() => FileLock.TryTake(Path.Combine(_folder, "no", "lock"))).Should().Throw<DirectoryNotFoundException>();

    [Fact]
    public async Task Of_many_who_want_it_one_has_it_at_a_time()
    {
        int holders = 0, most = 0, taken = 0;
        await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(() =>
        {
            for (int done = 0; done < 25;)
            {
                using FileLock? mine = FileLock.TryTake(File);
                if (mine is null)
                {
                    Thread.Yield();
                    continue;
                }
                most = Math.Max(most, Interlocked.Increment(ref holders));
                Interlocked.Increment(ref taken);
                Interlocked.Decrement(ref holders);
                done++;
            }
        })));
        (most, taken).Should().Be((1, 100));
    }
}
