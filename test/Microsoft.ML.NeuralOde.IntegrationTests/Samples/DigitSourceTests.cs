using System.Net;
using Microsoft.ML.NeuralOde.Samples.Data;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Samples;

public sealed class DigitSourceTests : IDisposable
{
    private readonly SampleHost _host = new();

    public void Dispose() => _host.Dispose();

    [Fact]
    public async Task Without_anything_the_embedded_digits_are_taken_and_the_reason_is_said()
    {
        (await Load(null, null)).Origin.Should().Be("embedded digits (no --data, no NEURALODE_DATA, no --download)");
        (await Load(null, "")).Name.Should().Be("embedded");
    }

    [Fact]
    public async Task A_folder_of_the_environment_without_MNIST_is_named() =>
        (await Load(null, _host.WorkFolder)).Origin.Should()
        .Be($"embedded digits (NEURALODE_DATA, '{_host.WorkFolder}', does not hold MNIST)");

    [Fact]
    public async Task A_folder_that_was_named_must_hold_MNIST()
    {
        Func<Task> load = () => Load(_host.WorkFolder, null);

        (await load.Should().ThrowAsync<FileNotFoundException>()).WithMessage($"*{_host.WorkFolder}*train-images-idx3-ubyte*");
    }

    [Fact]
    public async Task The_mirrors_are_asked_only_where_allowed_and_no_folder_is_given()
    {
        using var mirrors = new NoMirrors();
        Func<Task> load = () => DigitSource.LoadAsync(
            null, null, new MnistDownloadOptions { CacheFolder = _host.PathOf("mnist"), MessageHandler = mirrors }, _host.Display,
            CancellationToken.None);

        await load.Should().ThrowAsync<MnistDownloadException>();
        mirrors.Requests.Should().Be(new MnistDownloadOptions().Mirrors.Count);
    }

    [RealData("mnist")]
    public async Task A_folder_with_MNIST_is_taken_named_or_from_the_environment()
    {
        (await Load(RealDataAttribute.Folder, null)).Train.Count.Should().Be(60_000);
        (await Load(null, RealDataAttribute.Folder)).Name.Should().Be("mnist");
    }

    private Task<DigitData> Load(string? folder, string? environmentFolder) =>
        DigitSource.LoadAsync(folder, environmentFolder, download: null, _host.Display, CancellationToken.None);

    private sealed class NoMirrors : HttpMessageHandler
    {
        public int Requests { get; private set; }

        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            Requests++;
            return Task.FromResult(new HttpResponseMessage(HttpStatusCode.NotFound));
        }
    }
}
