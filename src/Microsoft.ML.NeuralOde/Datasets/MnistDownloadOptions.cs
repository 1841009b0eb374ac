namespace Microsoft.ML.NeuralOde;

/// <summary>Where <see cref="MnistDataset.DownloadAsync"/> takes the files from and where it keeps them.</summary>
public sealed record MnistDownloadOptions
{
    /// <summary>Public copies of the files; a mirror that fails or delivers something else is followed by the next.</summary>
    /// <value>Absolute http or https addresses of folders, in the order in which they are tried.</value>
    public IReadOnlyList<Uri> Mirrors { get; init; } =
    [
        new("https://storage.googleapis.com/cvdf-datasets/mnist/"),
        new("https://ossci-datasets.s3.amazonaws.com/mnist/"),
    ];

    /// <summary>The folder that keeps the downloaded files. Default: <c>Microsoft.ML.NeuralOde/mnist</c> in the user's folder for
    /// local application data (in the temporary folder where a user has none).</summary>
    public string CacheFolder { get; init; } = Path.Combine(DefaultRoot(), "Microsoft.ML.NeuralOde", "mnist");

    /// <summary>How long a mirror may stay silent before the next one is tried. Default: 30 seconds.</summary>
    public TimeSpan StallTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>The handler that sends the requests, for a proxy or for tests; it is not disposed. Default:
    /// <see langword="null"/>, the system's own way.</summary>
    public HttpMessageHandler? MessageHandler { get; init; }

    internal void Validate()
    {
        if (Mirrors is null || Mirrors.Count == 0)
            throw new ArgumentException($"{nameof(Mirrors)} is empty; at least one address is needed.");
        foreach (Uri mirror in Mirrors)
            if (!mirror.IsAbsoluteUri || (mirror.Scheme != Uri.UriSchemeHttp && mirror.Scheme != Uri.UriSchemeHttps))
                throw new ArgumentException($"{nameof(Mirrors)} contains '{mirror}'; absolute addresses that start with http:// or " +
                    "https:// would be right.");
        if (string.IsNullOrWhiteSpace(CacheFolder))
            throw new ArgumentException($"{nameof(CacheFolder)} is empty; the path of a folder would be right.");
        if (StallTimeout <= TimeSpan.Zero)
            throw new ArgumentException($"{nameof(StallTimeout)} is {StallTimeout}; it must be positive.");
    }

    private static string DefaultRoot()
    {
        string folder =
            Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData, Environment.SpecialFolderOption.DoNotVerify);
        return folder.Length > 0 ? folder : Path.GetTempPath();
    }
}
