namespace Microsoft.ML.NeuralOde;

/// <summary>
/// The MNIST database of handwritten digits: 60,000 images for training and 10,000 for testing, 28×28 grey pixels, labels 0 to 9.
/// </summary>
/// <remarks>
/// Reads the four IDX files from a folder (<see cref="Load"/>) or fetches them once into a cache (<see cref="DownloadAsync"/>). Data
/// sets of the same format, such as Fashion-MNIST or KMNIST, can be loaded from a folder too.
/// Source: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, <i>Gradient-based learning applied to document recognition</i>, Proceedings of
/// the IEEE 86(11), 1998. Licence of the data: CC BY-SA 3.0.
/// </remarks>
public sealed class MnistDataset
{
    /// <summary>Rows and columns of an image: 28.</summary>
    public const int ImageSize = 28;

    /// <summary>The number of classes: 10.</summary>
    public const int ClassCount = 10;

    private MnistDataset(MnistImages train, MnistImages test)
    {
        Train = train;
        Test = test;
    }

    /// <summary>The images for training.</summary>
    public MnistImages Train { get; }

    /// <summary>The images for testing.</summary>
    public MnistImages Test { get; }

    /// <summary>Looks for the four files in <paramref name="folder"/> and in its subfolder <c>mnist</c>.</summary>
    /// <param name="folder">The folder to look into.</param>
    /// <returns>The folder that holds all four files, or <see langword="null"/>.</returns>
    public static string? Find(string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        return Candidates(folder).FirstOrDefault(candidate => MnistFile.All.All(file => file.FindIn(candidate) is not null));
    }

    /// <summary>Reads the data set from <paramref name="folder"/> or its subfolder <c>mnist</c>.</summary>
    /// <param name="folder">A folder with the files <c>train-images-idx3-ubyte</c>, <c>train-labels-idx1-ubyte</c>,
    /// <c>t10k-images-idx3-ubyte</c> and <c>t10k-labels-idx1-ubyte</c>, plain or compressed (<c>.gz</c>).</param>
    /// <returns>All images with their labels.</returns>
    /// <exception cref="DirectoryNotFoundException">There is no such folder.</exception>
    /// <exception cref="FileNotFoundException">One of the files is missing; the message names it.</exception>
    /// <exception cref="InvalidDataException">A file is damaged, images are not 28×28, a label is above 9, or the numbers of images
    /// and labels differ. The message names the file.</exception>
    public static MnistDataset Load(string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        if (!Directory.Exists(folder))
            throw new DirectoryNotFoundException($"There is no folder '{folder}'; a folder with the four MNIST files would be right.");
        string? found = Find(folder);
        if (found is null)
            throw Missing(folder);
        return new MnistDataset(
            ReadImages(found, MnistFile.TrainImages, MnistFile.TrainLabels),
            ReadImages(found, MnistFile.TestImages, MnistFile.TestLabels));
    }

    /// <summary>Loads the data set from the cache; what is not there yet is downloaded first.</summary>
    /// <param name="options">Mirrors, cache folder and timeouts; <see langword="null"/> for the defaults.</param>
    /// <param name="progress">Told about every piece that arrives; <see langword="null"/> for none.</param>
    /// <param name="cancellationToken">Stops the download; a file that is not complete is removed.</param>
    /// <returns>All images with their labels.</returns>
    /// <remarks>Every file, cached ones included, is checked against the SHA-256 hash of its published content.</remarks>
    /// <exception cref="MnistDownloadException">No mirror delivered a file with the right content. The message says what each mirror
    /// answered and where files fetched by hand are looked for.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="cancellationToken"/> was cancelled.</exception>
    public static async Task<MnistDataset> DownloadAsync(
        MnistDownloadOptions? options = null,
        IProgress<MnistDownloadProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        options ??= new MnistDownloadOptions();
        var downloader = new MnistDownloader(options, MnistFile.All);
        await downloader.EnsureFilesAsync(progress, cancellationToken).ConfigureAwait(false);
        return Load(options.CacheFolder);
    }

    private static string[] Candidates(string folder) => [folder, Path.Combine(folder, "mnist")];

    private static FileNotFoundException Missing(string folder)
    {
        // The candidate with most of the files is the one the user meant.
        (string Folder, string[] Names) best = Candidates(folder)
            .Select(candidate => (candidate, MnistFile.All.Where(f => f.FindIn(candidate) is null).Select(f => f.Name).ToArray()))
            .MinBy(c => c.Item2.Length);
        return new FileNotFoundException(
            $"The folder '{best.Folder}' lacks {string.Join(", ", best.Names)}. MNIST consists of four files, plain or with the " +
            "ending .gz, " +
            $"in '{folder}' or in its subfolder 'mnist': {string.Join(", ", MnistFile.All.Select(f => f.Name))}.",
            Path.Combine(best.Folder, best.Names[0]));
    }

    private static MnistImages ReadImages(string folder, MnistFile images, MnistFile labels)
    {
        string imagePath = images.FindIn(folder)!;
        string labelPath = labels.FindIn(folder)!;
        IdxFile pixels = IdxFile.Read(imagePath, dimensions: 3);
        if (pixels.Dimensions[1] != ImageSize || pixels.Dimensions[2] != ImageSize)
            throw new InvalidDataException($"'{imagePath}' holds images of {pixels.Dimensions[1]}×{pixels.Dimensions[2]} pixels; " +
                $"{ImageSize}×{ImageSize} would be right.");

        IdxFile classes = IdxFile.Read(labelPath, dimensions: 1);
        if (classes.Dimensions[0] != pixels.Dimensions[0])
            throw new InvalidDataException($"'{labelPath}' holds {classes.Dimensions[0]} labels but '{imagePath}' " +
                $"{pixels.Dimensions[0]} images; the numbers must be equal.");
        int wrong = classes.Data.Span.IndexOfAnyExceptInRange((byte)0, (byte)(ClassCount - 1));
        if (wrong >= 0)
            throw new InvalidDataException($"'{labelPath}' has label {classes.Data.Span[wrong]} at position {wrong}; labels are 0 " +
                $"to {ClassCount - 1}.");
        return new MnistImages(pixels.Data, classes.Data);
    }
}
