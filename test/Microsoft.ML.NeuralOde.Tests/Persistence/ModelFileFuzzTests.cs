using System.Reflection;
using FsCheck;
using FsCheck.Xunit;
using Microsoft.ML.NeuralOde.Persistence;
using Microsoft.ML.NeuralOde.Prediction;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Persistence;

/// <summary>
/// Model files that somebody damaged or forged: always an exception that says so, or the very same model; never a crash, a hang, or gigabytes.
/// 10,100 mutations in all.
/// </summary>
[Trait("Category", "Slow")]
public sealed class ModelFileFuzzTests : IClassFixture<ModelFileFuzzTests.Models>
{
    private const long MostBytes = 64 << 20;
    private static readonly TimeSpan MostTime = TimeSpan.FromSeconds(20);

    private readonly Models _models;

    public ModelFileFuzzTests(Models models) => _models = models;

    [Property(MaxTest = 60)]
    public void A_damaged_payload_is_never_read(DoNotShrink<int> seed)
    {
        var random = new Random(seed.Item);
        for (int i = 0; i < 100; i++)
        {
            byte[] damaged = Mutations.Damage(_models.Payload, random);
            if (damaged.AsSpan().SequenceEqual(_models.Payload))
                continue;
            Action read = () => PayloadReader.Read<ModelDescription>(damaged);
            read.Should().Throw<InvalidDataException>();
        }
    }

    [Property(MaxTest = 25)]
    public void A_forged_payload_with_the_right_checksum_is_refused_or_becomes_a_model_of_its_own_size(DoNotShrink<int> seed)
    {
        var random = new Random(seed.Item);
        for (int i = 0; i < 100; i++)
        {
            byte[] forged = Mutations.Forge(_models.Payload, random);
            Bounded(() =>
            {
                try
                {
                    (NeuralOdeModel model, ModelDescription description) = NeuralOdeTransformer.Read(forged, OutputKind.Classes);
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

    [Property(MaxTest = 32)]
    public void A_damaged_archive_gives_an_exception_or_the_same_model(DoNotShrink<int> seed)
    {
        var random = new Random(seed.Item);
        for (int i = 0; i < 50; i++)
        {
            int which = random.Next(_models.Archives.Length);
            byte[] archive = _models.Archives[which];
            int kind = random.Next(3);
            byte[] mutated = kind switch
            {
                0 => Mutations.Damage(archive, random),
                1 => Mutations.Rebuild(archive, _models.Archives[random.Next(_models.Archives.Length)], random),
                _ => Mutations.Replace(archive, payload => Mutations.Damage(payload, random)),
            };
            Bounded(() =>
            {
                if (Models.TryLoad(mutated) is not { } scores)
                    return;
                // Time stamps and unused bytes may differ; a part of another of our models is a whole model by itself.
                _models.Scores.Any(expected => expected.AsSpan().SequenceEqual(scores)).Should().BeTrue("a changed file must not become another model");
            },
            // ML.NET's own entries (vocabularies, schema) declare sizes that it does not check: only what we read is bounded in memory.
            kind == 2 ? MostBytes : long.MaxValue);
        }
    }

    /// <summary>Within limits of time and memory; a hang becomes a failure.</summary>
    private static void Bounded(Action action, long mostBytes = MostBytes)
    {
        long allocated = 0;
        Task task = Task.Factory.StartNew(
            () =>
            {
                long before = GC.GetAllocatedBytesForCurrentThread();
                action();
                allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            },
            CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        bool inTime = ((IAsyncResult)task).AsyncWaitHandle.WaitOne(MostTime);
        inTime.Should().BeTrue($"it may take {MostTime}");
        task.GetAwaiter().GetResult();
        allocated.Should().BeLessThan(mostBytes);
    }

    /// <summary>A small model of each kind, and what it says.</summary>
    public sealed class Models
    {
        private static readonly float[] Point = [0.5f, -1.25f];

        public Models()
        {
            var mlContext = new MLContext(1);
            IDataView data = Blobs.View(mlContext, Blobs.Rows(30));
            Archives =
            [
                Save(Fitted.Pipeline(mlContext, Fitted.Options(o => o.NumberOfEpochs = 1)).Fit(data)),
                Save(mlContext.BinaryClassification.Trainers.NeuralOde(Small(new NeuralOdeBinaryClassificationTrainer.Options { LabelColumnName = "IsRed" })).Fit(WithTargets())),
                Save(mlContext.Regression.Trainers.NeuralOde(Small(new NeuralOdeRegressionTrainer.Options { LabelColumnName = "Sum" })).Fit(WithTargets())),
            ];
            Payload = Mutations.Payload(Archives[0]);
            Scores = [.. Archives.Select(archive => TryLoad(archive) ?? throw new InvalidOperationException("The sound file is not read."))];

            byte[] Save(ITransformer model)
            {
                using var stream = new MemoryStream();
                mlContext.Model.Save(model, data.Schema, stream);
                return stream.ToArray();
            }

            IDataView WithTargets() => mlContext.Data.LoadFromEnumerable(Blobs.Rows(30).Select(point =>
                new Target { Features = point.Features, IsRed = point.Label == "red", Sum = point.Features.Sum() }));
        }

        internal byte[][] Archives { get; }

        internal byte[] Payload { get; }

        internal float[][] Scores { get; }

        /// <summary>What the file's own model says about a point; null where the file is refused.</summary>
        internal static float[]? TryLoad(byte[] archive)
        {
            var mlContext = new MLContext(1);
            ITransformer? loaded = null;
            try
            {
                loaded = mlContext.Model.Load(new MemoryStream(archive), out _);
                NeuralOdeTransformer? model = loaded as NeuralOdeTransformer ?? (loaded as IEnumerable<ITransformer>)?.OfType<NeuralOdeTransformer>().SingleOrDefault();
                if (model is null)
                    return null;
                var scores = new float[model.Model.OutputCount];
                model.Model.Score(Point, 1, scores);
                return scores;
            }
            catch (Exception exception) when (exception is not FluentAssertions.Execution.AssertionFailedException)
            {
                exception.Should().NotBeOfType<AccessViolationException>();
                if (exception is TargetInvocationException && exception.GetBaseException() is { } cause && cause.TargetSite?.DeclaringType?.Assembly == typeof(NeuralOdeModel).Assembly)
                    cause.Should().Match(e => e is InvalidDataException || e is TorchRuntimeException, "our loader explains what is wrong");
                return null;
            }
            finally
            {
                (loaded as IDisposable)?.Dispose();
            }
        }

        private static TOptions Small<TOptions>(TOptions options)
            where TOptions : NeuralOdePredictorOptions
        {
            options.NumberOfEpochs = 1;
            options.EncoderLayers = [4];
            options.DynamicsLayers = [4];
            return options;
        }

        private sealed class Target
        {
            [Microsoft.ML.Data.VectorType(2)]
            public float[] Features { get; set; } = [];

            public bool IsRed { get; set; }

            public float Sum { get; set; }
        }
    }
}
