using System.IO.Compression;
using System.Reflection;
using Microsoft.ML.NeuralOde.Service.Settings;

namespace Microsoft.ML.NeuralOde.Service.Models;

/// <summary>Loads a model from the bytes of its file, with a seal or without.</summary>
internal static class ModelReader
{
    private const string Seal = "NeuralOde.sha256";

    /// <returns>The model, the columns of the data that it was saved with (null if none), and whether a seal says that the file is
    /// whole.</returns>
    /// <exception cref="InvalidDataException">The file is damaged or no model.</exception>
    public static (ITransformer Model, DataViewSchema? Schema, bool IsSealed) Load(
        MLContext mlContext, byte[] bytes, ModelSettings settings)
    {
        using var stream = new MemoryStream(bytes, writable: false);
        // What is no archive at all goes there, too: the library says best what is wrong with it.
        if (settings.RequireSeal || settings.Seal is not null || !IsArchiveWithoutSeal(stream, settings.MaximumModelBytes))
        {
            var options = new SealedModelOptions { ExpectedSeal = settings.Seal, MaximumBytes = settings.MaximumModelBytes };
            return (mlContext.Model.LoadSealed(stream, out DataViewSchema? inputs, options), inputs, true);
        }
        try
        {
            return (mlContext.Model.Load(stream, out DataViewSchema schema), schema, false);
        }
        catch (TargetInvocationException exception) when (exception.InnerException is { } inner)
        {
            throw new InvalidDataException(inner.Message, inner);
        }
    }

    private static bool IsArchiveWithoutSeal(MemoryStream stream, long maximum)
    {
        try
        {
            using var archive = new ZipArchive(stream, ZipArchiveMode.Read, leaveOpen: true);
            if (archive.GetEntry(Seal) is not null)
                return false;
            long total = archive.Entries.Sum(entry => entry.Length);
            return total <= maximum ? true
                : throw new ModelFileException(
                    $"its entries declare {total:N0} bytes; at most {maximum:N0} are allowed (Model:MaximumModelBytes).");
        }
        catch (Exception exception) when (exception is InvalidDataException
            or EndOfStreamException or NotSupportedException or OverflowException)
        {
            return false;
        }
        finally
        {
            stream.Position = 0;
        }
    }
}
