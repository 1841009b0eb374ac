using System.Security.Cryptography;

namespace Microsoft.ML.NeuralOde.Samples.Data;

/// <summary>Digits to learn from and digits to be tested with.</summary>
/// <param name="Name">A short name, for files: <c>mnist</c>, <c>embedded</c>.</param>
/// <param name="Origin">Where they come from, in words.</param>
/// <param name="Train">The digits for training.</param>
/// <param name="Test">The digits for testing.</param>
internal sealed record DigitData(string Name, string Origin, MnistImages Train, MnistImages Test)
{
    /// <summary>The first rows only.</summary>
    public DigitData Limit(int? rows) => rows is { } count ? this with { Train = Train.Take(count), Test = Test.Take(count) } : this;

    /// <summary>Twelve hexadecimal digits that differ for different data.</summary>
    public string Fingerprint()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (MnistImages images in (MnistImages[])[Train, Test])
        {
            hash.AppendData(images.Labels.Span);
            for (int i = 0; i < images.Count; i++)
                hash.AppendData(images.GetPixels(i));
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset())[..12];
    }
}
