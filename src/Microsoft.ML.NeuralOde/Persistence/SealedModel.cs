using System.Reflection;
using System.Runtime.ExceptionServices;
using Microsoft.ML.NeuralOde.Interop;

namespace Microsoft.ML.NeuralOde.Persistence;

/// <summary>Loads a checked archive through ML.NET, and tells the causes of failures, which ML.NET wraps.</summary>
internal static class SealedModel
{
    public static ITransformer Load(
        ModelOperationsCatalog catalog, Stream stream, string file, SealedModelOptions? options, out DataViewSchema? inputSchema)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentNullException.ThrowIfNull(stream);
        MLNetVersion.Check();
        if (!stream.CanRead)
            throw new ArgumentException("The stream cannot be read: it was closed, or is for writing only.", nameof(stream));
        if (!stream.CanSeek)
            throw new ArgumentException(
                "The stream must be seekable: a zip archive is read from its end. "
                + "Copy what comes from a network or a decompressor into a MemoryStream or a file first.", nameof(stream));
        options ??= new SealedModelOptions();
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(options.MaximumBytes);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(options.MaximumEntries);
        using MemoryStream archive = SealedArchive.Open(stream, file, options);
        try
        {
            ITransformer model = catalog.Load(archive, out DataViewSchema schema);
            inputSchema = schema;
            return model;
        }
        catch (Exception exception)
        {
            // Loaders are called by reflection, which wraps what they throw.
            Exception cause = exception;
            while (cause is TargetInvocationException { InnerException: { } inner })
                cause = inner;
            if (cause is TorchRuntimeException or OutOfMemoryException)
                ExceptionDispatchInfo.Throw(cause);
            throw new InvalidDataException($"{file} is as it was saved, but cannot be loaded: {cause.Message}", cause);
        }
    }
}
