using System.Globalization;
using System.IO.Compression;
using System.Security.Cryptography;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// Brings the files of MNIST into a cache folder. A file appears there under its name only after its content was verified, whatever
/// happens in between; two processes may do it at once.
/// </summary>
internal sealed class MnistDownloader
{
    private const int BufferSize = 1 << 16;

    private readonly MnistDownloadOptions _options;
    private readonly IReadOnlyList<MnistFile> _files;

    /// <param name="options">Where from and where to.</param>
    /// <param name="files">What to fetch, and what its content must be.</param>
    public MnistDownloader(MnistDownloadOptions options, IReadOnlyList<MnistFile> files)
    {
        options.Validate();
        _options = options;
        _files = files;
    }

    /// <summary>Verifies what the cache has and fetches the rest.</summary>
    public async Task EnsureFilesAsync(IProgress<MnistDownloadProgress>? progress, CancellationToken cancellationToken)
    {
        Directory.CreateDirectory(_options.CacheFolder);
        using HttpClient client = CreateClient();
        for (int i = 0; i < _files.Count; i++)
        {
            MnistFile file = _files[i];
            // What reading the folder would find is what has to be right; a wrong file is replaced under its name.
            string path = file.FindIn(_options.CacheFolder) ?? Path.Combine(_options.CacheFolder, file.CompressedName);
            var report = new MnistDownloadProgress(file.CompressedName, i + 1, _files.Count, 0, null, null);
            if (File.Exists(path) && await FindDifferenceAsync(path, file, cancellationToken).ConfigureAwait(false) is null)
            {
                long length = new FileInfo(path).Length;
                progress?.Report(report with { BytesReceived = length, TotalBytes = length });
                continue;
            }
            await FetchAsync(client, file, path, report, progress, cancellationToken).ConfigureAwait(false);
        }
    }

    private HttpClient CreateClient() => _options.MessageHandler is null
        ? new HttpClient(new SocketsHttpHandler { ConnectTimeout = _options.StallTimeout }) { Timeout = Timeout.InfiniteTimeSpan }
        : new HttpClient(_options.MessageHandler, disposeHandler: false) { Timeout = Timeout.InfiniteTimeSpan };

    /// <summary>Tries one mirror after the other.</summary>
    private async Task FetchAsync(
        HttpClient client,
        MnistFile file,
        string path,
        MnistDownloadProgress report,
        IProgress<MnistDownloadProgress>? progress,
        CancellationToken cancellationToken)
    {
        var failures = new List<string>();
        Exception? last = null;
        foreach (Uri mirror in _options.Mirrors)
        {
            string temporary = $"{path}.{Guid.NewGuid():N}.tmp";
            try
            {
                await DownloadAsync(client, mirror, file, temporary, report with { Mirror = mirror }, progress, cancellationToken)
                    .ConfigureAwait(false);
                string? difference = await FindDifferenceAsync(temporary, file, cancellationToken).ConfigureAwait(false);
                if (difference is not null)
                    throw new InvalidDataException(difference);
                File.Move(temporary, path, overwrite: true);
                return;
            }
            catch (Exception e) when (e is HttpRequestException or IOException or InvalidDataException or TimeoutException)
            {
                failures.Add($"{mirror}: {Flatten(e)}");
                last = e;
            }
            finally
            {
                File.Delete(temporary);
            }
        }
        throw new MnistDownloadException(
            $"{file.CompressedName} could not be downloaded. {string.Join(" | ", failures)} | Without a network, put the four MNIST " +
            $"files into '{_options.CacheFolder}' or give the folder that holds them.", last!);
    }

    private async Task DownloadAsync(
        HttpClient client,
        Uri mirror,
        MnistFile file,
        string temporary,
        MnistDownloadProgress report,
        IProgress<MnistDownloadProgress>? progress,
        CancellationToken cancellationToken)
    {
        // A compressed file is never much longer than its content; a mirror that sends more is not sending this file.
        long limit = file.Length + BufferSize;
        var address = new Uri(mirror.AbsoluteUri.TrimEnd('/') + "/" + file.CompressedName);
        using var silence = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        try
        {
            silence.CancelAfter(_options.StallTimeout);
            using HttpResponseMessage response =
                await client.GetAsync(address, HttpCompletionOption.ResponseHeadersRead, silence.Token).ConfigureAwait(false);
            response.EnsureSuccessStatusCode();
            long? total = response.Content.Headers.ContentLength;
            await using Stream source = await response.Content.ReadAsStreamAsync(silence.Token).ConfigureAwait(false);
            await using FileStream target =
                new(temporary, FileMode.CreateNew, FileAccess.Write, FileShare.None, BufferSize, useAsync: true);
            byte[] buffer = new byte[BufferSize];
            long received = 0;
            while (true)
            {
                silence.CancelAfter(_options.StallTimeout);
                int read = await source.ReadAsync(buffer, silence.Token).ConfigureAwait(false);
                if (read == 0)
                    break;
                received += read;
                if (received > limit)
                    throw new InvalidDataException($"it sent more than the {Text(limit)} bytes that the file can have");
                await target.WriteAsync(buffer.AsMemory(0, read), cancellationToken).ConfigureAwait(false);
                progress?.Report(report with { BytesReceived = received, TotalBytes = total });
            }
            if (total is not null && received != total)
                throw new InvalidDataException($"the connection ended after {Text(received)} of {Text(total.Value)} bytes");
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new TimeoutException($"silent for {_options.StallTimeout.TotalSeconds.ToString(CultureInfo.InvariantCulture)} s");
        }
    }

    /// <summary>Compares the uncompressed content with what was published; null where they are the same.</summary>
    private static async Task<string?> FindDifferenceAsync(string path, MnistFile file, CancellationToken cancellationToken)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        long length = 0;
        try
        {
            await using FileStream stored = new(path, FileMode.Open, FileAccess.Read, FileShare.Read, BufferSize, useAsync: true);
            await using Stream content = IdxFile.IsGzip(stored) ? new GZipStream(stored, CompressionMode.Decompress) : stored;
            byte[] buffer = new byte[BufferSize];
            int read;
            while ((read = await content.ReadAsync(buffer, cancellationToken).ConfigureAwait(false)) > 0)
            {
                length += read;
                if (length > file.Length)
                    return $"its content is longer than the {Text(file.Length)} bytes of the published file";
                hash.AppendData(buffer, 0, read);
            }
        }
        catch (InvalidDataException e)
        {
            return $"its content is not a valid gzip file ({e.Message})";
        }
        if (length < file.Length)
            return $"its content has {Text(length)} bytes instead of {Text(file.Length)}";
        string found = Convert.ToHexStringLower(hash.GetHashAndReset());
        return found == file.Sha256 ? null : $"its content has the SHA-256 hash {found} instead of {file.Sha256}";
    }

    private static string Flatten(Exception e) =>
        e.InnerException is { } inner && !e.Message.Contains(inner.Message, StringComparison.Ordinal)
            ? $"{e.Message} ({inner.Message})"
            : e.Message;

    private static string Text(long number) => number.ToString("N0", CultureInfo.InvariantCulture);
}
