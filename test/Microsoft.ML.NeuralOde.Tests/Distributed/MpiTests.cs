using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Distributed;

/// <summary>Processes that train together over MPI.</summary>
public sealed class MpiTests : IDisposable
{
    private static readonly TimeSpan Seconds = TimeSpan.FromSeconds(60);

    private readonly string _folder = Directory.CreateTempSubdirectory("neuralode-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [MpiFact]
    public void One_two_and_four_ranks_train_the_same_model_and_all_ranks_have_it_bit_by_bit()
    {
        double[]? alone = null;
        foreach (int ranks in new[] { 1, 2, 4 })
        {
            using MpiJob job = MpiJob.Run(ranks);
            job.Code.Should().Be(0, string.Join('\n', job.Lines));
            Enumerable.Range(0, ranks).Select(rank => job.Said(rank, "hash ")).Distinct().Should().ContainSingle();
            job.Lines.Should().ContainSingle(line => line.Contains("epoch 3/3", StringComparison.Ordinal), "rank 0 speaks for all");
            double[] found = Result(job);
            alone ??= found;
            found[0].Should().BeApproximately(alone[0], 1e-5 * alone[0]);
            found[1].Should().BeApproximately(alone[1], 1e-5);
        }
    }

    [MpiTheory]
    [InlineData("held=Parts")]
    [InlineData("held=Own", "rank1.rows=17", "rank2.rows=0")]
    public void Ranks_that_hold_some_of_the_rows_train_the_same_model(params string[] rows)
    {
        using MpiJob job = MpiJob.Run(3, rows);
        job.Code.Should().Be(0, string.Join('\n', job.Lines));
        Enumerable.Range(0, 3).Select(rank => job.Said(rank, "hash ")).Distinct().Should().ContainSingle();
        job.Lines.Should().ContainSingle(line => line.Contains("epoch 3/3", StringComparison.Ordinal));
    }

    [MpiTheory]
    [InlineData("seed=8", "The processes of the training differ: on rank 1 Seed is 8 and on rank 0 7.")]
    [InlineData("batch=7", "The processes of the training differ: on rank 1 BatchSize is 7 and on rank 0 20.")]
    [InlineData("rows=90", "The processes of the training differ: on rank 1 the training data is 90 rows")]
    [InlineData("rows=0", "Rank 1 failed: The data set is empty")]
    [InlineData("leave=1", "Rank 1 has ended its program, while rank 0 waits for it in a training.")]
    public void Ranks_that_do_not_fit_together_are_told_so(string difference, string message)
    {
        using MpiJob job = MpiJob.Run(2, $"rank1.{difference}");
        job.Code.Should().NotBe(0);
        job.Said(0, "TrainingGroupException: ").Should().StartWith(message);
    }

    [MpiFact]
    public void A_request_to_end_leaves_a_checkpoint_with_which_another_number_of_ranks_goes_on()
    {
        using MpiJob whole = MpiJob.Run(1, "epochs=40");
        using (MpiJob job = MpiJob.Start(2, "epochs=40", "pause=100", $"folder={_folder}"))
        {
            job.Await(line => line.Contains("epoch 3/40", StringComparison.Ordinal));
            MpiJob.Signal(job.ProcessOf(1), "TERM");
            job.End(Seconds);
            job.Said(1, "OperationCanceledException: ").Should().StartWith("The training was asked to end in epoch ");
            job.Said(0, "OperationCanceledException: ").Should().EndWith("neuralode.checkpoint' and goes on from there.");
        }
        using MpiJob rest = MpiJob.Run(3, "epochs=40", $"folder={_folder}");
        rest.Code.Should().Be(0, string.Join('\n', rest.Lines));
        rest.Lines.Should().NotContain(line => line.Contains("epoch 2/40", StringComparison.Ordinal), "it has gone on");
        Result(rest)[0].Should().BeApproximately(Result(whole)[0], 1e-3 * Result(whole)[0]);
    }

    [MpiFact]
    public void A_rank_that_hangs_is_missed_by_the_others()
    {
        using MpiJob job = MpiJob.Start(3, "epochs=100000", "silence=5");
        job.Await(line => line.Contains("epoch 2/", StringComparison.Ordinal));
        MpiJob.Signal(job.ProcessOf(1), "STOP");
        job.End(Seconds);
        job.Code.Should().NotBe(0);
        job.Said(2, "TrainingGroupException: ").Should().StartWith("Nothing was heard of rank 1 for 5 seconds");
        job.Said(0, "TrainingGroupException: ").Should().StartWith("Nothing was heard of rank 1 for 5 seconds");
    }

    [MpiFact]
    [Trait("Category", "Slow")]
    public void A_job_of_which_a_rank_is_killed_twenty_times_in_a_row_ends_as_one_that_is_left_alone()
    {
        const int Kills = 20;
        using MpiJob alone = MpiJob.Run(2, "epochs=60");
        var random = new Random(4);
        for (int kill = 0; kill < Kills; kill++)
        {
            using MpiJob job = MpiJob.Start(2, "epochs=60", $"folder={_folder}");
            int process = job.ProcessOf(random.Next(2));
            job.Await(line => line.Contains("epoch ", StringComparison.Ordinal));
            Thread.Sleep(random.Next(0, 40));
            MpiJob.Signal(process, "KILL");
            job.End(Seconds);
            job.Code.Should().NotBe(0);
        }
        using MpiJob rest = MpiJob.Run(2, "epochs=60", $"folder={_folder}");
        rest.Code.Should().Be(0, string.Join('\n', rest.Lines));
        rest.Said(0, "hash ").Should().Be(alone.Said(0, "hash "));
    }

    [Fact]
    public void A_library_that_is_not_there_or_is_none_is_refused_with_what_to_install()
    {
        FluentActions.Invoking(() => Mpi.FindLibrary("/nowhere/libmpi.so")).Should().Throw<MpiException>()
            .WithMessage("The MPI library '/nowhere/libmpi.so' cannot be loaded. Install MPICH*");
        string other = OperatingSystem.IsWindows() ? "kernel32.dll" : OperatingSystem.IsMacOS() ? "libSystem.dylib" : "libc.so.6";
        FluentActions.Invoking(() => Mpi.FindLibrary(other)).Should().Throw<MpiException>()
            .WithMessage($"'{other}' is no library of MPI 3*Install MPICH*");
    }

    [OpenMpiFact]
    public void Open_MPI_is_refused_by_name() =>
        FluentActions.Invoking(() => Mpi.FindLibrary(OpenMpiFactAttribute.Library)).Should().Throw<MpiException>()
            .WithMessage("*is Open MPI, whose binary interface is another one than that of MPICH*mpiexec.mpich*");

    [MpiFact]
    public void A_process_that_another_launcher_has_started_beside_others_does_not_train_alone()
    {
        (int code, string output) = Programs.Run(Programs.TrainingHost, ["rank"], start => start.Environment["OMPI_COMM_WORLD_SIZE"] = "2");
        code.Should().Be(1);
        output.Should().Contain("The mpiexec of Open MPI has started 2 processes").And.Contain("this one is alone");
    }

    [Fact]
    public void Options_that_make_no_sense_are_refused_by_name()
    {
        FluentActions.Invoking(() => Mpi.Start(new MpiOptions { Silence = TimeSpan.Zero }))
            .Should().Throw<ArgumentOutOfRangeException>().WithMessage("Silence is*");
        FluentActions.Invoking(() => Mpi.Start(new MpiOptions { Patience = TimeSpan.FromSeconds(5) }))
            .Should().Throw<ArgumentOutOfRangeException>().WithMessage("Patience is*");
        FluentActions.Invoking(() => Mpi.Start(new MpiOptions { Threads = 0 }))
            .Should().Throw<ArgumentOutOfRangeException>().WithMessage("Threads is*");
        FluentActions.Invoking(() => Mpi.Start(new MpiOptions { Library = " " }))
            .Should().Throw<ArgumentOutOfRangeException>().WithMessage("Library is*");
    }

    /// <summary>The last validation loss and the first score, as rank 0 has them.</summary>
    private static double[] Result(MpiJob job)
    {
        string[] words = job.Said(0, "loss ").Split(' ');
        return [double.Parse(words[0], CultureInfo.InvariantCulture), double.Parse(words[2], CultureInfo.InvariantCulture)];
    }

    private sealed class OpenMpiFactAttribute : FactAttribute
    {
        public const string Library = "libmpi.so.40";

        public OpenMpiFactAttribute()
        {
            if (!NativeLibrary.TryLoad(Library, out _))
                Skip = $"There is no Open MPI ({Library}) here; 'apt-get install libopenmpi3' brings it.";
        }
    }
}
