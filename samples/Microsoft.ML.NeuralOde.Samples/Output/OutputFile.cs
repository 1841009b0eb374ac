using System.Text.Json;

namespace Microsoft.ML.NeuralOde.Samples.Output;

/// <summary>A file for results: checked before the work begins, and replaced as a whole once they are there.</summary>
internal sealed class OutputFile
{
    private OutputFile(string path) => FullPath = path;

    public string FullPath { get; }

    /// <summary>Makes the folder of the file and sees whether a file can be written there.</summary>
    /// <param name="option">The option that names the file, for messages.</param>
    /// <param name="path">The file; null where none is wanted.</param>
    /// <param name="mayExist">Whether a file that is there may be replaced.</param>
    /// <exception cref="UserException">The file cannot be written; the message says why.</exception>
    public static OutputFile? At(string option, string? path, bool mayExist = true)
    {
        if (path is null)
            return null;
        var file = new OutputFile(Path.GetFullPath(path));
        if (Directory.Exists(file.FullPath) || Path.EndsInDirectorySeparator(path))
            throw new UserException($"{option}: '{path}' is a folder; the name of a file would be right.");
        if (!mayExist && File.Exists(file.FullPath))
            throw new UserException($"{option}: '{path}' exists already; another name would be right, or delete it first.");
        EnsureFolder(option, file.Folder);
        if (file.IsDevice)
            return file;
        try
        {
            string trial = file.Temporary();
            File.Create(trial).Dispose();
            File.Delete(trial);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserException($"{option}: '{path}' cannot be written: {e.Message}", e);
        }
        return file;
    }

    /// <summary>Makes a folder for results.</summary>
    /// <exception cref="UserException">It cannot be made; the message says why.</exception>
    public static void EnsureFolder(string option, string folder)
    {
        try
        {
            Directory.CreateDirectory(folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserException($"{option}: the folder '{folder}' cannot be made: {e.Message}", e);
        }
    }

    /// <summary>Replaces the file; what was there before stays until the new one is complete.</summary>
    public void Write(string text)
    {
        if (IsDevice)
        {
            File.WriteAllText(FullPath, text);
            return;
        }
        string temporary = Temporary();
        try
        {
            File.WriteAllText(temporary, text);
            File.Move(temporary, FullPath, overwrite: true);
        }
        finally
        {
            File.Delete(temporary);
        }
    }

    /// <summary>Writes a value as JSON.</summary>
    public void WriteJson<T>(T value, JsonSerializerOptions format) => Write(JsonSerializer.Serialize(value, format) + "\n");

    private string Folder => Path.GetDirectoryName(FullPath)!;

    // A pipe or a terminal has no "complete".
    private bool IsDevice => FullPath.StartsWith("/dev/", StringComparison.Ordinal);

    private string Temporary() => $"{FullPath}.{Guid.NewGuid():N}.tmp";
}
