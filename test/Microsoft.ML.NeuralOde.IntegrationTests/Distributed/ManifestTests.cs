using System.Diagnostics;
using System.Reflection;
using System.Text.Json;
using YamlDotNet.Serialization;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Distributed;

/// <summary>The manifests and scripts of docs/distributed.</summary>
public class ManifestTests
{
    private static readonly string Folder = typeof(ManifestTests).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>()
        .Single(attribute => attribute.Key == "Manifests").Value!;

    private static readonly ManifestSchema Schema = new(
        JsonDocument.Parse(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "Distributed", "manifests.schema.json"))).RootElement);

    [Theory]
    [InlineData("mpijob.yaml", "MPIJob")]
    [InlineData("volume.yaml", "PersistentVolumeClaim")]
    public void Manifests_have_the_form_that_Kubernetes_asks_for(string file, string kind) =>
        Schema.Check(Parse(Read(file)), kind).Should().BeEmpty();

    [Theory]
    [InlineData("  mpiImplementation: MPICH", "  mpiImplementation: MPI", "MPIJob.spec.mpiImplementation is MPI*")]
    [InlineData("  slotsPerWorker: 1", "  slotsPerWorker: none", "MPIJob.spec.slotsPerWorker is no integer")]
    [InlineData("  name: neural-ode", "  name: Neural_ODE", "MPIJob.metadata.name is 'Neural_ODE'*")]
    [InlineData("      replicas: 4", "      replica: 4", "*has no replicas*")]
    public void A_manifest_of_another_form_is_found_out(string right, string wrong, string defect)
    {
        string text = Read("mpijob.yaml");
        text.Should().Contain(right);
        Schema.Check(Parse(text.Replace(right, wrong, StringComparison.Ordinal)), "MPIJob").Should().Contain(found => Like(found, defect));
    }

    [Fact]
    public void The_job_starts_as_many_ranks_as_it_has_places_for_and_mounts_what_it_names()
    {
        object? job = Parse(Read("mpijob.yaml"));
        var command = (List<object?>)At(job, "spec", "mpiReplicaSpecs", "Launcher", "template", "spec", "containers", 0, "command")!;
        int ranks = int.Parse((string)command[command.IndexOf("-n") + 1]!, System.Globalization.CultureInfo.InvariantCulture);
        string Number(params object[] path) => (string)At(job, ["spec", .. path])!;
        ranks.Should().Be(int.Parse(Number("slotsPerWorker"), System.Globalization.CultureInfo.InvariantCulture)
            * int.Parse(Number("mpiReplicaSpecs", "Worker", "replicas"), System.Globalization.CultureInfo.InvariantCulture));

        object[] pod = ["spec", "mpiReplicaSpecs", "Worker", "template", "spec"];
        IEnumerable<object?> Names(params object[] path) => ((List<object?>)At(job, [.. pod, .. path])!).Select(item => At(item, "name"));
        Names("containers", 0, "volumeMounts").Should().BeEquivalentTo(Names("volumes"));
        At(job, [.. pod, "volumes", 0, "persistentVolumeClaim", "claimName"])
            .Should().Be(At(Parse(Read("volume.yaml")), "metadata", "name"));
    }

    [Fact]
    public void The_script_for_Slurm_is_one_that_a_shell_can_read()
    {
        if (OperatingSystem.IsWindows())
            return;
        using Process shell = Process.Start("bash", ["-n", Path.Combine(Folder, "slurm.sh")]);
        shell.WaitForExit();
        shell.ExitCode.Should().Be(0);
        Read("slurm.sh").Should().Contain("#SBATCH --signal=TERM@").And.Contain("srun --mpi=pmi2 ");
    }

    private static string Read(string file) => File.ReadAllText(Path.Combine(Folder, file));

    private static object? Parse(string yaml) => new DeserializerBuilder().Build().Deserialize<object?>(yaml);

    private static object? At(object? node, params object[] path) =>
        path.Aggregate(node, (at, step) => step is int index ? ((List<object?>)at!)[index] : ((Dictionary<object, object?>)at!)[step]);

    private static bool Like(string text, string pattern) =>
        System.Text.RegularExpressions.Regex.IsMatch(
            text, $"^{System.Text.RegularExpressions.Regex.Escape(pattern).Replace("\\*", ".*", StringComparison.Ordinal)}$");
}
