using System.IO.Compression;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Persistence;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Classification;

public sealed class ModelFileTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("neuralode-").FullName;
    private readonly MLContext _mlContext = new(1);

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_model_says_the_same_after_saving_and_loading_with_all_it_knows()
    {
        var model = Fitted.Model(
            _mlContext, Fitted.Options(o => { o.NumberOfEpochs = 2; o.Normalization = FeatureNormalization.PerSlot; }));
        string file = Save(model);

        var loaded = (TransformerChain<ITransformer>)_mlContext.Model.Load(file, out DataViewSchema schema);

        schema.Select(c => c.Name).Should().Contain(["Features", "Label"]);
        Scores(loaded).Should().Equal(Scores(model));
        NeuralOdeClassificationTransformer inner = loaded.OfType<NeuralOdeClassificationTransformer>().Single();
        inner.TrainingHistory.Select(r => r.TrainLoss).Should().Equal(model.NeuralOde().TrainingHistory.Select(r => r.TrainLoss));
        inner.FeatureColumnType.Should().Be(model.NeuralOde().FeatureColumnType);
        inner.Model.ParameterCount.Should().Be(model.NeuralOde().Model.ParameterCount);
    }

    [Fact]
    public void A_fresh_process_loads_it_without_registering_anything()
    {
        var model = Fitted.Model(_mlContext, Fitted.Options(o => o.NumberOfEpochs = 2));
        var point = new Point { Features = [0.5f, -1.25f] };
        PointPrediction expected = Fitted.Predict(_mlContext, model, [point])[0];

        (int code, string output) = Host(Save(model), "0.5", "-1.25");

        output.Should()
            .Be($"{expected.PredictedLabel}|{string.Join(" ", expected.Score.Select(s => s.ToString("R", System.Globalization.CultureInfo.InvariantCulture)))}");
        code.Should().Be(0);
    }

    [Fact]
    public void Numeric_classes_keep_their_values()
    {
        IDataView data = _mlContext.Data.LoadFromEnumerable(Blobs.Rows(60)
            .Select(p => new NumberedPoint { Features = p.Features, Label = p.Label.Length * 10 }));
        var model = _mlContext.Transforms.Conversion.MapValueToKey("Label")
            .Append(_mlContext.MulticlassClassification.Trainers.NeuralOde(Fitted.Options(o => o.NumberOfEpochs = 1)))
            .Append(_mlContext.Transforms.Conversion.MapKeyToValue("PredictedLabel")).Fit(data);
        string file = Path.Combine(_folder, "numbers.zip");
        _mlContext.Model.Save(model, data.Schema, file);
        ITransformer loaded = _mlContext.Model.Load(file, out _);

        int[] labels = [.. loaded.Transform(data).GetColumn<int>("PredictedLabel")];

        labels.Should().OnlyContain(label => label == 30 || label == 40 || label == 50);
    }

    [Fact]
    public void An_altered_weight_is_noticed_and_a_newer_format_is_named()
    {
        var model = Fitted.Model(_mlContext, Fitted.Options(o => o.NumberOfEpochs = 1));
        string altered = Alter(Save(model), payload => payload[^60] ^= 1);
        Action load = () => _mlContext.Model.Load(altered, out _);
        Innermost(load).Should().BeOfType<InvalidDataException>().Which.Message.Should().Contain("checksum");

        string newer = Alter(Save(model), payload => payload[4] = 9);
        Action loadNewer = () => _mlContext.Model.Load(newer, out _);
        Innermost(loadNewer).Should().BeOfType<InvalidDataException>().Which.Message.Should().Contain("format 9").And.Contain("Update");

        Host(newer, "0", "0").Output.Should().Contain("format 9");
    }

    [Fact]
    public void Payloads_survive_the_round_trip_and_refuse_everything_else()
    {
        var payload = new Payload<string>("hello", [new NamedArray("a", [2, 2], [1, 2, 3, 4]), new NamedArray("b", [0], [])]);
        byte[] bytes = payload.ToBytes();
        Payload<string> read = PayloadReader.Read<string>(bytes);
        read.Description.Should().Be("hello");
        read.Arrays.Should().BeEquivalentTo(payload.Arrays);
        for (int length = 0; length < bytes.Length; length++)
        {
            Action truncated = () => PayloadReader.Read<string>(bytes[..length]);
            truncated.Should().Throw<InvalidDataException>();
        }
        for (int i = 0; i < bytes.Length; i++)
        {
            byte[] damaged = (byte[])bytes.Clone();
            damaged[i] ^= 0x40;
            Action read2 = () => PayloadReader.Read<string>(damaged);
            read2.Should().Throw<InvalidDataException>();
        }
    }

    private string Save(ITransformer model)
    {
        string file = Path.Combine(_folder, $"{Guid.NewGuid():N}.zip");
        _mlContext.Model.Save(model, Blobs.View(_mlContext, []).Schema, file);
        return file;
    }

    private float[] Scores(ITransformer model) => [.. Fitted.Predict(_mlContext, model, Blobs.Rows(30, seed: 7)).SelectMany(p => p.Score)];

    /// <summary>Changes the model's payload inside the archive, which stays a sound archive.</summary>
    private static string Alter(string file, Action<byte[]> change)
    {
        using ZipArchive archive = ZipFile.Open(file, ZipArchiveMode.Update);
        foreach (ZipArchiveEntry entry in archive.Entries.ToArray())
        {
            using var memory = new MemoryStream();
            using (Stream stream = entry.Open())
                stream.CopyTo(memory);
            byte[] bytes = memory.ToArray();
            int start = bytes.AsSpan().IndexOf("NODE\u0001\0\0\0"u8);
            if (start < 0)
                continue;
            int length = BitConverter.ToInt32(bytes, start - 4);
            byte[] payload = bytes[start..(start + length)];
            change(payload);
            payload.CopyTo(bytes, start);
            using Stream target = entry.Open();
            target.Write(bytes);
            target.SetLength(bytes.Length);
            return file;
        }
        throw new InvalidOperationException("The archive holds no payload.");
    }

    private static Exception Innermost(Action act)
    {
        Exception exception = act.Should().Throw<Exception>().Which;
        while (exception.InnerException is { } inner)
            exception = inner;
        return exception;
    }

    private static (int Code, string Output) Host(params string[] arguments) => Programs.Run(Programs.ModelHost, arguments);

    private sealed class NumberedPoint
    {
        [VectorType(2)]
        public float[] Features { get; set; } = [];

        public int Label { get; set; }
    }
}
