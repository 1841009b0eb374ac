using System.Runtime.CompilerServices;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.NeuralOde.Interop;

/// <summary>Carries a model's bytes into and out of ML.NET's model files.</summary>
internal static class ModelFile
{
    /// <summary>An entry is written from one array of bytes; its description takes little of it.</summary>
    public static readonly long MostWeights = (Array.MaxLength - (1 << 24)) / sizeof(float);

    /// <summary>Writes a payload so that a fresh process finds the class that reads it: the assembly's name stands in the file.</summary>
    /// <param name="context">ML.NET's file.</param>
    /// <param name="loaderSignature">The name of the class that reads it.</param>
    /// <param name="payload">The model.</param>
    /// <param name="metadata">What people are to read about it: the name of an entry, and its text.</param>
    public static void Save(ModelSaveContext context, string loaderSignature, byte[] payload, (string Entry, string Text) metadata)
    {
        context.CheckAtModel();
        context.SetVersionInfo(Version(loaderSignature));
        context.Writer.Write(payload.Length);
        context.Writer.Write(payload);
        context.SaveTextStream(metadata.Entry, writer => writer.Write(metadata.Text));
    }

    /// <summary>Reads a payload and makes of it what it holds.</summary>
    /// <exception cref="InvalidDataException">The entry is truncated, damaged or written by a newer version; the message names
    /// it.</exception>
    /// <exception cref="NotSupportedException">The ML.NET that is loaded lacks what this library calls.</exception>
    public static T Load<T>(IHostEnvironment environment, ModelLoadContext context, string loaderSignature, Func<byte[], T> read)
    {
        MLNetVersion.Check();
        return LoadChecked(environment, context, loaderSignature, read);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static T LoadChecked<T>(IHostEnvironment environment, ModelLoadContext context, string loaderSignature, Func<byte[], T> read)
    {
        Contracts.CheckValue(environment, nameof(environment));
        environment.CheckValue(context, nameof(context));
        TorchRuntime.EnsureAvailable();
        context.CheckAtModel(Version(loaderSignature));
        try
        {
            int length = context.Reader.ReadInt32();
            return length > 0 ? read(ReadExactly(context.Reader, length)) : throw Damaged($"its length is {length}");
        }
        catch (InvalidDataException exception)
        {
            throw new InvalidDataException(
                $"Entry '{context.Directory}{Path.DirectorySeparatorChar}{ModelLoadContext.ModelStreamName}': {exception.Message}",
                exception);
        }
    }

    /// <summary>What is said of a model that cannot be as it was saved.</summary>
    /// <param name="what">What is wrong, as a clause.</param>
    /// <param name="inner">Its cause; null for none.</param>
    public static InvalidDataException Damaged(string what, Exception? inner = null) =>
        new($"The neural ODE model in the file is damaged: {what}. Save the model again, or copy the file again.", inner);

    /// <summary>Reads piece by piece: a length that is only declared costs no memory.</summary>
    private static byte[] ReadExactly(BinaryReader reader, int length)
    {
        const int Piece = 1 << 20;
        using var payload = new MemoryStream(Math.Min(length, Piece));
        while (payload.Length < length)
        {
            byte[] piece = reader.ReadBytes((int)Math.Min(Piece, length - payload.Length));
            if (piece.Length == 0)
                throw Damaged($"it holds {payload.Length} of {length} bytes");
            payload.Write(piece);
        }
        return payload.Length == payload.Capacity ? payload.GetBuffer() : payload.ToArray();
    }

    // The envelope's version. What is inside has one of its own (PayloadReader), which changes more often.
    private static VersionInfo Version(string loaderSignature) => new(
        modelSignature: "NEURALOD",
        verWrittenCur: 0x00010001,
        verReadableCur: 0x00010001,
        verWeCanReadBack: 0x00010001,
        loaderSignature: loaderSignature,
        loaderAssemblyName: typeof(ModelFile).Assembly.FullName);
}
