using System.Net;
using System.Security.Cryptography;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Datasets;

public sealed class MnistDownloadTests : IDisposable
{
    private static readonly byte[] Content = IdxFiles.Encode([1, 2, 3], 3);
    private static readonly byte[] Compressed = IdxFiles.Gzip(Content);
    private static readonly MnistFile File0 = new("some-file", Content.Length, Convert.ToHexStringLower(SHA256.HashData(Content)));

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_file_is_fetched_once_and_reported()
    {
        using var mirrors = new FakeMirrors(_ => Answer(Compressed));
        var reports = new Reports();

        await Download(mirrors, reports);
        await Download(mirrors);

        mirrors.Requests.Should().Equal("http://first.example/mnist/some-file.gz");
        Cached().Should().Equal("some-file.gz");
        IdxFile.Read(Path.Combine(_folder.Path, "some-file.gz"), 1).Data.ToArray().Should().Equal(1, 2, 3);
        reports.Should().NotBeEmpty();
        reports[^1].Should()
            .Be(new MnistDownloadProgress(
                "some-file.gz", 1, 1, Compressed.Length, Compressed.Length, new Uri("http://first.example/mnist/")));
    }

    [Fact]
    public async Task The_next_mirror_is_asked_where_one_fails_or_sends_something_else()
    {
        using var mirrors = new FakeMirrors(
            uri => uri.Host == "first.example" ? new HttpResponseMessage(HttpStatusCode.NotFound) : Answer(Compressed));
        await Download(mirrors);
        mirrors.Requests.Should().HaveCount(2);

        // The same length, other content: only the hash tells.
        File.WriteAllBytes(Path.Combine(_folder.Path, "some-file.gz"), IdxFiles.Gzip(IdxFiles.Encode([1, 2, 4], 3)));
        using var second = new FakeMirrors(uri => Answer(uri.Host == "first.example" ? "<html/>"u8.ToArray() : Compressed));
        await Download(second);
        second.Requests.Should().HaveCount(2);
        IdxFile.Read(Path.Combine(_folder.Path, "some-file.gz"), 1).Data.ToArray().Should().Equal(1, 2, 3);
    }

    [Fact]
    public async Task A_wrong_plain_file_in_the_cache_does_not_survive()
    {
        _folder.Write("some-file", "wrong"u8.ToArray());
        using var mirrors = new FakeMirrors(_ => Answer(Compressed));

        await Download(mirrors);

        IdxFile.Read(File0.FindIn(_folder.Path)!, 1).Data.ToArray().Should().Equal(1, 2, 3);
    }

    [Fact]
    public async Task A_plain_file_put_there_by_hand_needs_no_network()
    {
        _folder.Write("some-file", Content);
        using var mirrors = new FakeMirrors(_ => throw new HttpRequestException("no network"));

        await Download(mirrors);

        mirrors.Requests.Should().BeEmpty();
    }

    [Fact]
    public async Task Without_a_good_mirror_the_message_says_what_each_did_and_nothing_stays()
    {
        using var mirrors = new FakeMirrors(
            uri => uri.Host == "first.example" ? throw new HttpRequestException("no such host") : Answer(Compressed[..^12]));

        Func<Task> download = () => Download(mirrors);

        (await download.Should().ThrowAsync<MnistDownloadException>())
            .WithMessage("some-file.gz*first.example/mnist/: no such host*second.example*").WithMessage($"*{_folder.Path}*");
        Cached().Should().BeEmpty();
    }

    [Fact]
    public async Task A_mirror_that_sends_far_too_much_is_left()
    {
        using var mirrors = new FakeMirrors(_ => Answer(new byte[1 << 20]));

        Func<Task> download = () => Download(mirrors);

        (await download.Should().ThrowAsync<MnistDownloadException>()).WithMessage("*sent more than*");
        Cached().Should().BeEmpty();
    }

    [Fact]
    public async Task A_silent_mirror_is_left()
    {
        using var mirrors = new FakeMirrors(
            uri => new HttpResponseMessage
            {
                Content = uri.Host == "first.example"
                ? new StreamContent(new SilentStream()) : new ByteArrayContent(Compressed)
            });

        await Download(mirrors, stallTimeout: TimeSpan.FromMilliseconds(50));

        mirrors.Requests.Should().HaveCount(2);
        Cached().Should().Equal("some-file.gz");
    }

    [Fact]
    public async Task Cancelling_stops_and_leaves_nothing()
    {
        using var cancellation = new CancellationTokenSource();
        using var mirrors =
            new FakeMirrors(_ => new HttpResponseMessage { Content = new StreamContent(new SilentStream(cancellation.Cancel)) });

        Func<Task> download = () => Download(mirrors, cancellationToken: cancellation.Token);

        await download.Should().ThrowAsync<OperationCanceledException>();
        Cached().Should().BeEmpty();
        mirrors.Requests.Should().HaveCount(1);
    }

    [Fact]
    public async Task The_four_files_of_MNIST_are_asked_for()
    {
        using var mirrors = new FakeMirrors(_ => new HttpResponseMessage(HttpStatusCode.NotFound));

        Func<Task> download = () => MnistDataset.DownloadAsync(Options(mirrors));

        (await download.Should().ThrowAsync<MnistDownloadException>()).WithMessage("train-images-idx3-ubyte.gz*404*");
        MnistFile.All.Select(f => f.CompressedName).Should().Equal(
            "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz");
    }

    [Fact]
    public async Task Wrong_options_are_refused_by_name()
    {
        await Refuses(new MnistDownloadOptions { Mirrors = [] }, "Mirrors*");
        await Refuses(new MnistDownloadOptions { Mirrors = [new Uri("ftp://example/")] }, "Mirrors*ftp://example/*http*");
        await Refuses(new MnistDownloadOptions { CacheFolder = " " }, "CacheFolder*");
        await Refuses(new MnistDownloadOptions { StallTimeout = TimeSpan.Zero }, "StallTimeout*");

        static async Task Refuses(MnistDownloadOptions options, string message)
        {
            Func<Task> download = () => MnistDataset.DownloadAsync(options);
            (await download.Should().ThrowAsync<ArgumentException>()).WithMessage(message);
        }
    }

    [RealData("mnist")]
    public async Task Files_of_the_real_data_set_have_the_published_hashes()
    {
        foreach (MnistFile file in MnistFile.All)
            File.Copy(file.FindIn(MnistDataset.Find(RealDataAttribute.Folder!)!)!, Path.Combine(_folder.Path, file.CompressedName));
        using var mirrors = new FakeMirrors(_ => throw new HttpRequestException("no network"));

        MnistDataset mnist = await MnistDataset.DownloadAsync(Options(mirrors));

        mirrors.Requests.Should().BeEmpty();
        mnist.Train.Count.Should().Be(60_000);
    }

    private Task Download(
        FakeMirrors mirrors, Reports? reports = null, TimeSpan? stallTimeout = null, CancellationToken cancellationToken = default) =>
        new MnistDownloader(Options(mirrors) with { StallTimeout = stallTimeout ?? TimeSpan.FromMinutes(1) }, [File0])
            .EnsureFilesAsync(reports, cancellationToken);

    private MnistDownloadOptions Options(FakeMirrors mirrors) => new()
    {
        Mirrors = [new Uri("http://first.example/mnist/"), new Uri("http://second.example")],
        CacheFolder = _folder.Path,
        MessageHandler = mirrors,
    };

    private IEnumerable<string?> Cached() => Directory.EnumerateFiles(_folder.Path).Select(Path.GetFileName);

    private static HttpResponseMessage Answer(byte[] content) => new() { Content = new ByteArrayContent(content) };

    private sealed class Reports : List<MnistDownloadProgress>, IProgress<MnistDownloadProgress>
    {
        public void Report(MnistDownloadProgress value) => Add(value);
    }

    private sealed class FakeMirrors(Func<Uri, HttpResponseMessage> answer) : HttpMessageHandler
    {
        public List<string> Requests { get; } = [];

        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            Requests.Add(request.RequestUri!.AbsoluteUri);
            return Task.FromResult(answer(request.RequestUri));
        }
    }

    /// <summary>Never delivers a byte.</summary>
    private sealed class SilentStream(Action? onRead = null) : Stream
    {
        public override bool CanRead => true;
        public override bool CanSeek => false;
        public override bool CanWrite => false;
        public override long Length => throw new NotSupportedException();
        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            onRead?.Invoke();
            await Task.Delay(Timeout.Infinite, cancellationToken);
            return 0;
        }

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();
        public override void Flush() => throw new NotSupportedException();
        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
        public override void SetLength(long value) => throw new NotSupportedException();
        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
