namespace Microsoft.ML.NeuralOde;

/// <summary>How far <see cref="MnistDataset.DownloadAsync"/> is.</summary>
/// <param name="FileName">The file that is being fetched.</param>
/// <param name="FileNumber">Which of the files it is, counted from 1.</param>
/// <param name="FileCount">How many files there are.</param>
/// <param name="BytesReceived">How many bytes of this file have arrived.</param>
/// <param name="TotalBytes">How many bytes this file has, <see langword="null"/> where the mirror does not say.</param>
/// <param name="Mirror">The mirror it comes from, <see langword="null"/> where the file was in the cache.</param>
public readonly record struct MnistDownloadProgress(
    string FileName, int FileNumber, int FileCount, long BytesReceived, long? TotalBytes, Uri? Mirror);
