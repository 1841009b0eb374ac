using Microsoft.ML.NeuralOde.Samples.Output;

namespace Microsoft.ML.NeuralOde.Samples.Data;

/// <summary>
/// Chooses the digits: a folder that was named, the folder of the environment, the mirrors if allowed, or the embedded ones.
/// </summary>
internal static class DigitSource
{
    public const string EnvironmentVariable = "NEURALODE_DATA";

    /// <summary>The folder of public data that was given, or else the environment's; null where neither is.</summary>
    public static string? Folder(string? given) =>
        (given ?? Environment.GetEnvironmentVariable(EnvironmentVariable)) is { Length: > 0 } folder ? folder : null;

    /// <summary>The digits of a command: the embedded ones where they are asked for, else as below with the environment's folder.</summary>
    public static Task<DigitData> ChooseAsync(
        string? folder, bool embedded, MnistDownloadOptions? download, Display display, CancellationToken cancellationToken) => embedded
        ? Task.FromResult(EmbeddedDigits.Load())
        : LoadAsync(folder, Environment.GetEnvironmentVariable(EnvironmentVariable), download, display, cancellationToken);

    /// <param name="folder">The folder given by the user; it must hold MNIST.</param>
    /// <param name="environmentFolder">The value of <see cref="EnvironmentVariable"/>; used where it holds MNIST.</param>
    /// <param name="download">The cache and mirrors to use; <see langword="null"/> where nothing may be downloaded.</param>
    /// <param name="display">Shows the progress of a download.</param>
    /// <param name="cancellationToken">Stops a download.</param>
    public static async Task<DigitData> LoadAsync(
        string? folder, string? environmentFolder, MnistDownloadOptions? download, Display display, CancellationToken cancellationToken)
    {
        if (folder is not null)
            return FromFolder(folder);

        string reason = $"no --data, no {EnvironmentVariable}, no --download";
        if (!string.IsNullOrEmpty(environmentFolder))
        {
            if (MnistDataset.Find(environmentFolder) is not null)
                return FromFolder(environmentFolder);
            reason = $"{EnvironmentVariable}, '{environmentFolder}', does not hold MNIST";
        }

        if (download is not null)
        {
            MnistDataset mnist = await DownloadAsync(download, display, cancellationToken).ConfigureAwait(false);
            return new DigitData("mnist", $"MNIST from the cache {download.CacheFolder}", mnist.Train, mnist.Test);
        }

        DigitData embedded = EmbeddedDigits.Load();
        return embedded with { Origin = $"{embedded.Origin} ({reason})" };
    }

    private static DigitData FromFolder(string folder)
    {
        var mnist = MnistDataset.Load(folder);
        return new DigitData("mnist", $"MNIST from {MnistDataset.Find(folder)}", mnist.Train, mnist.Test);
    }

    private static Task<MnistDataset> DownloadAsync(MnistDownloadOptions options, Display display, CancellationToken cancellationToken) =>
        display.ProgressAsync("Downloading MNIST", report =>
        {
            var progress = new ImmediateProgress(p =>
            {
                double share = p.TotalBytes is > 0 ? (double)p.BytesReceived / p.TotalBytes.Value : 0;
                report((p.FileNumber - 1 + share) / p.FileCount);
            });
            return MnistDataset.DownloadAsync(options, progress, cancellationToken);
        });

    /// <summary>Unlike <see cref="Progress{T}"/> reports in order, on the caller's thread.</summary>
    private sealed class ImmediateProgress(Action<MnistDownloadProgress> report) : IProgress<MnistDownloadProgress>
    {
        public void Report(MnistDownloadProgress value) => report(value);
    }
}
