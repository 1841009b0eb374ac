using Microsoft.ML.NeuralOde;
using Microsoft.ML.NeuralOde.Persistence;

namespace Microsoft.ML;

public static partial class NeuralOdeCatalog
{
    /// <summary>
    /// Saves a model to a file that <see cref="LoadSealed(ModelOperationsCatalog, string, out DataViewSchema?, SealedModelOptions?)"/> can
    /// check before it trusts it.
    /// </summary>
    /// <inheritdoc cref="SaveSealed(ModelOperationsCatalog, ITransformer, DataViewSchema?, Stream)" path="/*[not(self::param)]"/>
    /// <param name="catalog">The catalog.</param>
    /// <param name="model">The model: any pipeline.</param>
    /// <param name="inputSchema">The columns of its input; null to leave them out.</param>
    /// <param name="file">The file; replaced at once when the new one is complete, so that a service that reads it never sees half of
    /// it.</param>
    public static string SaveSealed(this ModelOperationsCatalog catalog, ITransformer model, DataViewSchema? inputSchema, string file)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(file);
        using var stream = new MemoryStream();
        string seal = catalog.SaveSealed(model, inputSchema, stream);
        AtomicFile.Write(file, stream.GetBuffer().AsSpan(0, (int)stream.Length));
        return seal;
    }

    /// <summary>
    /// Saves a model as <see cref="ModelOperationsCatalog.Save(ITransformer, DataViewSchema, Stream)"/> does, with a seal.
    /// </summary>
    /// <remarks>
    /// The seal is an entry “NeuralOde.sha256” with the SHA-256 of every other entry, those of ML.NET included, in the format of the
    /// program sha256sum.
    /// <see cref="ModelOperationsCatalog.Load(string, out DataViewSchema)"/> reads such files, too, without looking at the seal.
    /// </remarks>
    /// <param name="catalog">The catalog.</param>
    /// <param name="model">The model: any pipeline.</param>
    /// <param name="inputSchema">The columns of its input; null to leave them out.</param>
    /// <param name="stream">Receives the archive; stays open.</param>
    /// <returns>The seal's SHA-256, which stands for the whole model: the value for
    /// <see cref="SealedModelOptions.ExpectedSeal"/>.</returns>
    public static string SaveSealed(this ModelOperationsCatalog catalog, ITransformer model, DataViewSchema? inputSchema, Stream stream)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentNullException.ThrowIfNull(stream);
        using var archive = new MemoryStream();
        catalog.Save(model, inputSchema, archive);
        return ModelSeal.Write(archive, stream);
    }

    /// <summary>
    /// Loads a model from a file of <see cref="SaveSealed(ModelOperationsCatalog, ITransformer, DataViewSchema?, string)"/>.
    /// </summary>
    /// <inheritdoc cref="LoadSealed(ModelOperationsCatalog, Stream, out DataViewSchema?, SealedModelOptions?)"
    ///     path="/*[not(self::param)]"/>
    /// <param name="catalog">The catalog.</param>
    /// <param name="file">The file; it may be replaced meanwhile.</param>
    /// <param name="inputSchema">The columns of the model's input; null where they were not saved.</param>
    /// <param name="options">Limits, and the seal that is expected; null for the defaults.</param>
    public static ITransformer LoadSealed(
        this ModelOperationsCatalog catalog, string file, out DataViewSchema? inputSchema, SealedModelOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(file);
        using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete);
        return SealedModel.Load(catalog, stream, $"The model file '{file}'", options, out inputSchema);
    }

    /// <summary>
    /// Loads a model that <see cref="SaveSealed(ModelOperationsCatalog, ITransformer, DataViewSchema?, Stream)"/> wrote, after checking all
    /// of it.
    /// </summary>
    /// <remarks>
    /// <para>
    /// ML.NET's reader takes whatever memory a file declares, and notices few changes. Here the archive's structure and the hash of every
    /// entry are checked first, and ML.NET is given a clean copy of what was checked: an archive that is truncated, altered, mixed from two
    /// or declares sizes that it does not have is refused. The seal in the file finds accidents, and changes by those who do not make the
    /// seal anew; against the others give <see cref="SealedModelOptions.ExpectedSeal"/>.
    /// </para>
    /// <para>The model needs the memory of its entries, unpacked, twice while it loads.</para>
    /// </remarks>
    /// <param name="catalog">The catalog.</param>
    /// <param name="stream">The archive, from its position 0 on; it must be seekable, and stays open.</param>
    /// <param name="inputSchema">The columns of the model's input; null where they were not saved.</param>
    /// <param name="options">Limits, and the seal that is expected; null for the defaults.</param>
    /// <returns>The model; dispose of it.</returns>
    /// <exception cref="InvalidDataException">The file is refused; the message names it, the entry, what was found and what would be
    /// right.</exception>
    /// <exception cref="TorchRuntimeException">The native library cannot be loaded.</exception>
    public static ITransformer LoadSealed(
        this ModelOperationsCatalog catalog, Stream stream, out DataViewSchema? inputSchema, SealedModelOptions? options = null) =>
        SealedModel.Load(catalog, stream, "The model archive", options, out inputSchema);
}
