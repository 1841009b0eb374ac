using FsCheck;
using Microsoft.ML.NeuralOde.Networks;
using Microsoft.ML.NeuralOde.Persistence;
using Microsoft.ML.NeuralOde.Prediction;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Persistence;

/// <summary>
/// Model files that somebody damaged or forged: always an exception that says so, or the very same model; never a crash, a hang, or gigabytes.
/// 21,500 mutations in all, each within 64 MB.
/// </summary>
[Trait("Category", "Slow")]
public sealed class ModelFileFuzzTests : IClassFixture<SavedModels>
{
    private const long MostBytes = 64 << 20;
    private static readonly TimeSpan MostTime = TimeSpan.FromMinutes(5);

    private readonly SavedModels _models;
    private readonly byte[] _payload;

    public ModelFileFuzzTests(SavedModels models)
    {
        _models = models;
        _payload = Mutations.Payload(models.Archives[0]);
    }

    [SeededProperty(MaxTest = 60)]
    public void A_damaged_payload_is_never_read(DoNotShrink<int> seed)
    {
        var random = new Random(seed.Item);
        for (int i = 0; i < 100; i++)
        {
            byte[] damaged = Mutations.Damage(_payload, random);
            if (damaged.AsSpan().SequenceEqual(_payload))
                continue;
            Action read = () => PayloadReader.Read<ModelDescription>(damaged);
            read.Should().Throw<InvalidDataException>();
        }
    }

    [SeededProperty(MaxTest = 25)]
    public void A_forged_payload_with_the_right_checksum_is_refused_or_becomes_a_model_of_its_own_size(DoNotShrink<int> seed)
    {
        var random = new Random(seed.Item);
        for (int i = 0; i < 100; i++)
        {
            byte[] forged = Mutations.Forge(_payload, random);
            Bounded(() =>
            {
                try
                {
                    (NeuralOdeModel model, ModelDescription description) = NeuralOdeTransformer.Read(forged, OutputKind.Classes, new DynamicsCatalog());
                    using (model)
                    {
                        description.FeatureDimensions.Aggregate(1, (a, b) => a * b).Should().Be(model.FeatureCount);
                        model.ParameterCount.Should().BeLessThanOrEqualTo(forged.Length / sizeof(float));
                        model.Score(new float[model.FeatureCount], 1, new float[model.OutputCount]);
                    }
                }
                catch (Exception exception) when (exception is InvalidDataException or OdeSolverException)
                {
                }
            });
        }
    }

    [SeededProperty(MaxTest = 200)]
    public void A_damaged_sealed_archive_is_refused_or_gives_the_same_model(DoNotShrink<int> seed)
    {
        var random = new Random(seed.Item);
        for (int i = 0; i < 50; i++)
        {
            int which = random.Next(_models.Archives.Length);
            byte[] archive = _models.Archives[which];
            byte[] mutated = random.Next(4) switch
            {
                0 => Mutations.Damage(archive, random),
                1 => Mutations.Rebuild(archive, _models.Archives[random.Next(_models.Archives.Length)], random),
                2 => Mutations.Replace(archive, payload => Mutations.Damage(payload, random)),
                _ => Mutations.Declare(archive, random),
            };
            // Time stamps and the order of entries are no part of the model.
            LoadedOrRefused(mutated, which);
        }
    }

    [SeededProperty(MaxTest = 20)]
    public void A_seal_made_anew_does_not_help_against_the_expected_one(DoNotShrink<int> seed)
    {
        var random = new Random(seed.Item);
        for (int i = 0; i < 50; i++)
        {
            int which = random.Next(_models.Archives.Length);
            byte[] forged = Mutations.Reseal(Mutations.Rebuild(_models.Archives[which], _models.Archives[random.Next(_models.Archives.Length)], random));
            LoadedOrRefused(forged, which, new SealedModelOptions { ExpectedSeal = _models.Seals[which] });
        }
    }

    [SeededProperty(MaxTest = 10)]
    public void A_damaged_payload_under_a_seal_made_anew_is_refused_by_its_own_checksum(DoNotShrink<int> seed)
    {
        var random = new Random(seed.Item);
        for (int i = 0; i < 50; i++)
        {
            int which = random.Next(_models.Archives.Length);
            byte[] mutated = Mutations.Replace(_models.Archives[which], payload => Mutations.Damage(payload, random));
            LoadedOrRefused(Mutations.Reseal(mutated), which);
            // Without a look at the seal it is the same.
            LoadedOrRefused(mutated, which, load: bytes => new MLContext(1).Model.Load(new MemoryStream(bytes), out _));
        }
    }

    [SeededProperty(MaxTest = 20)]
    public void A_forged_flow_with_right_checksums_is_refused_or_answers_within_limits(DoNotShrink<int> seed)
    {
        var random = new Random(seed.Item);
        for (int i = 0; i < 50; i++)
        {
            byte[] archive = _models.Archives[Array.IndexOf(SmallModels.Kinds, random.Next(2) == 0 ? "density" : "anomaly")];
            byte[] forged = Mutations.Reseal(Mutations.Replace(archive, payload => Mutations.Forge(payload, random)));
            Bounded(() =>
            {
                try
                {
                    SavedModels.Score(SavedModels.Load(forged));
                }
                catch (Exception exception) when (exception is InvalidDataException or OdeSolverException)
                {
                }
            });
        }
    }

    private void LoadedOrRefused(byte[] archive, int which, SealedModelOptions? options = null, Func<byte[], ITransformer>? load = null) => Bounded(() =>
    {
        try
        {
            SavedModels.Score((load ?? (bytes => SavedModels.Load(bytes, options)))(archive)).Should().Equal(_models.Scores[which], "a changed file must not become another model");
        }
        catch (Exception exception) when (exception is InvalidDataException || (load is not null && exception.GetBaseException() is InvalidDataException or FormatException))
        {
            exception.GetBaseException().Message.Should().NotBeEmpty();
        }
    });

    /// <summary>Within limits of time and memory; a hang becomes a failure.</summary>
    private static void Bounded(Action action)
    {
        // Other threads hardly allocate meanwhile: the tests of this assembly run one after the other.
        long before = GC.GetTotalAllocatedBytes();
        Task task = Task.Factory.StartNew(action, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        bool inTime = ((IAsyncResult)task).AsyncWaitHandle.WaitOne(MostTime);
        inTime.Should().BeTrue($"it may take {MostTime}");
        task.GetAwaiter().GetResult();
        (GC.GetTotalAllocatedBytes() - before).Should().BeLessThan(MostBytes);
    }
}
