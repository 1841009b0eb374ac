using FsCheck;
using Microsoft.ML.NeuralOde.Networks;
using Microsoft.ML.NeuralOde.Persistence;
using Microsoft.ML.NeuralOde.Prediction;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Persistence;

/// <summary>
/// Model files that somebody damaged or forged: always an exception that says so, or the very same model; never a crash, a hang, or
/// gigabytes. 21,500 mutations in all, each within 64 MB.
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

    /// <summary>Else a reader that refuses everything would pass all that follows.</summary>
    [Fact]
    public void What_is_whole_is_read_whoever_wrote_the_archive_and_in_whatever_order()
    {
        PayloadReader.Read<ModelDescription>(_payload).Arrays.Should().NotBeEmpty();
        using (NeuralOdeTransformer.Read(_payload, OutputKind.Classes, new DynamicsCatalog()).Model)
            for (int which = 0; which < _models.Archives.Length; which++)
            {
                List<(string Name, byte[] Bytes)> entries = Mutations.Read(_models.Archives[which]);
                foreach (byte[] archive in new[]
                {
                    _models.Archives[which], Mutations.Write(entries), Mutations.Write([.. entries.AsEnumerable().Reverse()]),
                        Mutations.Reseal(_models.Archives[which]),
                    Mutations.Replace(_models.Archives[which], payload => payload),
                })
                {
                    SavedModels.Score(SavedModels.Load(archive)).Should().Equal(_models.Scores[which]);
                    SavedModels.Score(SavedModels.Load(archive, new SealedModelOptions { ExpectedSeal = _models.Seals[which] })).Should()
                        .Equal(_models.Scores[which]);
                    SavedModels.Score(new MLContext(1).Model.Load(new MemoryStream(archive), out _)).Should().Equal(_models.Scores[which]);
                }
            }
    }

    [Fact]
    public void A_number_that_is_forged_with_right_checksums_becomes_another_model_of_the_right_kind()
    {
        // No weights are left, which makes sense, under checksums and a seal made anew, where nobody said which seal to expect.
        byte[] forged = Mutations.Reseal(Mutations.Replace(_models.Archives[0], payload =>
        {
            Payload<ModelDescription> read = PayloadReader.Read<ModelDescription>(payload);
            foreach (NamedArray array in read.Arrays)
                array.Values.AsSpan().Clear();
            return new Payload<ModelDescription>(read.Description, read.Arrays).ToBytes();
        }));
        SavedModels.Score(SavedModels.Load(forged)).Should().Equal([1f / 3, 1f / 3, 1f / 3], (a, b) => Math.Abs(a - b) < 1e-6);
        FluentActions.Invoking(() => SavedModels.Load(forged, new SealedModelOptions { ExpectedSeal = _models.Seals[0] })).Should()
            .Throw<InvalidDataException>();
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
        int read = 0;
        for (int i = 0; i < 100; i++)
        {
            byte[] forged = Mutations.Forge(_payload, random);
            Bounded(() =>
            {
                try
                {
                    (NeuralOdeModel model, ModelDescription description) =
                        NeuralOdeTransformer.Read(forged, OutputKind.Classes, new DynamicsCatalog());
                    using (model)
                    {
                        description.FeatureDimensions.Aggregate(1, (a, b) => a * b).Should().Be(model.FeatureCount);
                        model.ParameterCount.Should().BeLessThanOrEqualTo(forged.Length / sizeof(float));
                        model.Score(new float[model.FeatureCount], 1, new float[model.OutputCount]);
                    }
                    read++;
                }
                catch (Exception exception) when (exception is InvalidDataException or OdeSolverException)
                {
                }
            });
        }
        // Most numbers of a training's history may be any.
        read.Should().BeGreaterThan(0);
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
            byte[] forged = Mutations.Reseal(
                Mutations.Rebuild(_models.Archives[which], _models.Archives[random.Next(_models.Archives.Length)], random));
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
    public void Another_forged_model_with_right_checksums_is_refused_or_answers_within_limits(DoNotShrink<int> seed)
    {
        var random = new Random(seed.Item);
        for (int i = 0; i < 50; i++)
        {
            string[] kinds = ["density", "anomaly", "images", "images-augmented", "second-order", .. SmallModels.SeriesKinds];
            byte[] archive = _models.Archives[Array.IndexOf(SmallModels.AllKinds, kinds[random.Next(kinds.Length)])];
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

    private void LoadedOrRefused(byte[] archive, int which, SealedModelOptions? options = null, Func<byte[], ITransformer>? load = null) =>
        Bounded(() =>
    {
        try
        {
            SavedModels.Score((load ?? (bytes => SavedModels.Load(bytes, options)))(archive))
                .Should().Equal(_models.Scores[which], "a changed file must not become another model");
        }
        catch (Exception exception) when (exception is InvalidDataException
            || (load is not null && exception.GetBaseException() is InvalidDataException or FormatException))
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
