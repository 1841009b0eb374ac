using System.Buffers.Binary;
using System.IO.Compression;
using System.Security.Cryptography;
using Microsoft.ML.NeuralOde.Persistence;

namespace Microsoft.ML.NeuralOde.Tests.Persistence;

/// <summary>Ways in which bytes go wrong, by accident or on purpose.</summary>
internal static class Mutations
{
    private static readonly int[] Sizes = [-1, 0, 1, 255, 1 << 20, int.MaxValue, int.MinValue, int.MaxValue / 4];
    private static readonly string[] Texts = ["-1", "0", "1", "1e999", "2147483647", "-2147483648", "9223372036854775807", "1e-300",
        "null", "\"\"", "[]", "{}", "\"x\"", "[1e9,1e9]", "true"];

    /// <summary>One accident in any bytes.</summary>
    public static byte[] Damage(byte[] bytes, Random random)
    {
        switch (random.Next(6))
        {
            case 0:
                return bytes[..random.Next(bytes.Length)];
            case 1:
                byte[] flipped = (byte[])bytes.Clone();
                for (int n = random.Next(1, 9); n > 0; n--)
                    flipped[random.Next(bytes.Length)] ^= (byte)(1 << random.Next(8));
                return flipped;
            case 2:
                byte[] overwritten = (byte[])bytes.Clone();
                if (bytes.Length >= sizeof(int))
                    BinaryPrimitives.WriteInt32LittleEndian(
                        overwritten.AsSpan(random.Next(bytes.Length - sizeof(int) + 1)), Sizes[random.Next(Sizes.Length)]);
                return overwritten;
            case 3:
                int at = random.Next(bytes.Length);
                return [.. bytes[..at], .. bytes[Math.Min(bytes.Length, at + random.Next(1, 64))..]];
            case 4:
                int place = random.Next(bytes.Length);
                var inserted = new byte[random.Next(1, 64)];
                random.NextBytes(inserted);
                return [.. bytes[..place], .. inserted, .. bytes[place..]];
            default:
                byte[] moved = (byte[])bytes.Clone();
                int length = random.Next(1, Math.Max(2, bytes.Length / 4));
                int from = random.Next(bytes.Length - length + 1), to = random.Next(bytes.Length - length + 1);
                bytes.AsSpan(from, length).CopyTo(moved.AsSpan(to));
                return moved;
        }
    }

    /// <summary>A payload that somebody changed who knows the format: its checksum is right.</summary>
    public static byte[] Forge(byte[] payload, Random random)
    {
        const int HashLength = 32, Description = 12;
        byte[] body = payload[..^HashLength];
        int length = BinaryPrimitives.ReadInt32LittleEndian(body.AsSpan(Description - sizeof(int)));
        if (random.Next(3) == 0)
        {
            byte[] damaged = Damage(body[Description..], random);
            body = [.. body[..Description], .. damaged];
        }
        else
        {
            string json = System.Text.Encoding.UTF8.GetString(body, Description, length);
            byte[] forged = System.Text.Encoding.UTF8.GetBytes(ForgeJson(json, random));
            byte[] size = BitConverter.GetBytes(forged.Length);
            body = [.. body[..(Description - sizeof(int))], .. size, .. forged, .. body[(Description + length)..]];
        }
        return [.. body, .. SHA256.HashData(body)];
    }

    /// <summary>
    /// An archive with the contents of two entries exchanged, one missing, one twice, one damaged or one of another archive.
    /// </summary>
    public static byte[] Rebuild(byte[] archive, byte[] other, Random random)
    {
        List<(string Name, byte[] Bytes)> entries = Read(archive);
        List<(string Name, byte[] Bytes)> others = Read(other);
        int i = random.Next(entries.Count), j = random.Next(entries.Count);
        switch (random.Next(5))
        {
            case 0:
                (entries[i], entries[j]) = ((entries[i].Name, entries[j].Bytes), (entries[j].Name, entries[i].Bytes));
                break;
            case 1:
                entries.RemoveAt(i);
                break;
            case 2:
                entries.Add(entries[i]);
                break;
            case 3:
                entries[i] = (entries[i].Name, Damage(entries[i].Bytes, random));
                break;
            default:
                entries[i] = (entries[i].Name, others[random.Next(others.Count)].Bytes);
                break;
        }
        return Write(entries);
    }

    /// <summary>An archive whose model payload is replaced, together with its length.</summary>
    public static byte[] Replace(byte[] archive, Func<byte[], byte[]> change)
    {
        List<(string Name, byte[] Bytes)> entries = Read(archive);
        for (int i = 0; i < entries.Count; i++)
            if (Locate(entries[i].Bytes) is { } place)
            {
                byte[] changed = change(entries[i].Bytes[place]);
                entries[i] = (entries[i].Name,
                    [.. entries[i].Bytes[..(place.Start.Value - sizeof(int))], .. BitConverter.GetBytes(changed.Length), .. changed,
                        .. entries[i].Bytes[place.End..]]);
                return Write(entries);
            }
        throw new InvalidOperationException("The archive holds no payload.");
    }

    /// <summary>
    /// An archive that declares another size, offset, method or checksum of one entry, in the entry's own header or in the directory.
    /// </summary>
    public static byte[] Declare(byte[] archive, Random random)
    {
        byte[] changed = (byte[])archive.Clone();
        bool inDirectory = random.Next(3) > 0;
        List<int> headers = Find(archive, inDirectory ? "PK\u0001\u0002"u8 : "PK\u0003\u0004"u8);
        // Checksum, packed size, unpacked size, and in the directory the entry's place.
        int[] fields = inDirectory ? [16, 20, 24, 42] : [14, 18, 22];
        int field = headers[random.Next(headers.Count)] + fields[random.Next(fields.Length)];
        BinaryPrimitives.WriteInt32LittleEndian(
            changed.AsSpan(field), random.Next(2) == 0 ? Sizes[random.Next(Sizes.Length)] : random.Next(2 * archive.Length));
        return changed;
    }

    /// <summary>What somebody does who changes an archive and knows how seals are made.</summary>
    public static byte[] Reseal(byte[] archive)
    {
        using var target = new MemoryStream();
        // Of two entries of a name the first stays: a seal has no two.
        ModelSeal.Write(
            new MemoryStream(Write([.. Read(archive).Where(entry => entry.Name != ModelSeal.EntryName).DistinctBy(entry => entry.Name)])),
            target);
        return target.ToArray();
    }

    /// <summary>The payload in an archive.</summary>
    public static byte[] Payload(byte[] archive) =>
        Read(archive).Select(entry => Locate(entry.Bytes) is { } place ? entry.Bytes[place] : null).First(bytes => bytes is not null)!;

    public static List<(string Name, byte[] Bytes)> Read(byte[] archive)
    {
        using var zip = new ZipArchive(new MemoryStream(archive));
        return [.. zip.Entries.Select(entry =>
        {
            using Stream stream = entry.Open();
            using var memory = new MemoryStream();
            stream.CopyTo(memory);
            return (entry.FullName, memory.ToArray());
        })];
    }

    public static byte[] Write(List<(string Name, byte[] Bytes)> entries)
    {
        using var memory = new MemoryStream();
        using (var zip = new ZipArchive(memory, ZipArchiveMode.Create, leaveOpen: true))
            foreach ((string name, byte[] bytes) in entries)
            {
                using Stream stream = zip.CreateEntry(name).Open();
                stream.Write(bytes);
            }
        return memory.ToArray();
    }

    private static List<int> Find(byte[] bytes, ReadOnlySpan<byte> pattern)
    {
        var places = new List<int>();
        for (int i = 0; i + pattern.Length <= bytes.Length; i++)
            if (bytes.AsSpan(i).StartsWith(pattern))
                places.Add(i);
        return places;
    }

    private static Range? Locate(byte[] entry)
    {
        int start = entry.AsSpan().IndexOf("NODE\u0001\0\0\0"u8);
        return start < 0 ? null : start..(start + BitConverter.ToInt32(entry, start - sizeof(int)));
    }

    /// <summary>One value of a JSON text replaced by another, which may be of the wrong kind or size.</summary>
    private static string ForgeJson(string json, Random random)
    {
        System.Text.RegularExpressions.MatchCollection values =
            System.Text.RegularExpressions.Regex.Matches(json, "(?<=[:,\\[])(-?[0-9.eE+-]+|\"[^\"]*\"|null|true|false)(?=[,\\]}])");
        System.Text.RegularExpressions.Match value = values[random.Next(values.Count)];
        return $"{json[..value.Index]}{Texts[random.Next(Texts.Length)]}{json[(value.Index + value.Length)..]}";
    }
}
