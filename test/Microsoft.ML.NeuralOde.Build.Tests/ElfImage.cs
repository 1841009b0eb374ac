using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;

namespace Microsoft.ML.NeuralOde.Build.Tests;

/// <summary>Writes small ELF images with the four sections that symbol versions live in, and finds its way in them again.</summary>
internal sealed class ElfImage
{
    public const ushort Weak = 2;
    private const int HeaderSize = 64;
    private const int SymbolSize = 24;
    private const int NeedSize = 16;

    private readonly List<byte> _strings = [0];
    private readonly List<(uint Name, ushort Version)> _symbols = [(0, 0)];
    private readonly List<(uint Name, ushort Index)> _versions = [];
    private readonly uint _library;

    public ElfImage() => _library = AddString("libstdc++.so.6");

    /// <summary>The C++ library's usual needs, with or without the version of GCC 13.</summary>
    public static ElfImage Typical(bool needsNewVersion = true)
    {
        var image = new ElfImage();
        image.Need("GLIBCXX_3.4", 2);
        image.Symbol("_ZNSt8ios_base4InitC1Ev", 2);
        image.Symbol("malloc", 1);
        if (needsNewVersion)
        {
            image.Need("GLIBCXX_3.4.32", 3);
            image.Symbol("_ZSt21ios_base_library_initv", 3);
        }
        image.Symbol("_ZSt4cout", 2);
        return image;
    }

    public uint AddString(string text)
    {
        uint at = (uint)_strings.Count;
        _strings.AddRange(Encoding.ASCII.GetBytes(text + "\0"));
        return at;
    }

    public void Need(string version, ushort index) => _versions.Add((AddString(version), index));

    public void Symbol(string name, ushort version) => Symbol(AddString(name), version);

    public void Symbol(uint name, ushort version) => _symbols.Add((name, version));

    /// <summary>Where the flags of the version with this index stand.</summary>
    public int FlagsAt(ushort index) => NeedsAt + NeedSize * (1 + _versions.FindIndex(v => v.Index == index)) + 4;

    /// <summary>Where the version index of a symbol stands; symbol 0 is the empty one.</summary>
    public int VersionIndexAt(int symbol) => IndicesAt + 2 * symbol;

    /// <summary>Where a symbol's name stands.</summary>
    public int NameAt(int symbol) => HeaderSize + (int)_symbols[symbol].Name;

    private int SymbolsAt => HeaderSize + _strings.Count;

    private int IndicesAt => SymbolsAt + SymbolSize * _symbols.Count;

    private int NeedsAt => IndicesAt + 2 * _symbols.Count;

    private int SectionsAt => NeedsAt + NeedSize * (1 + _versions.Count);

    public byte[] ToArray()
    {
        var stream = new MemoryStream();
        var w = new BinaryWriter(stream);
        // e_ident: 64 bit, little-endian, version 1; ET_DYN, x86-64.
        w.Write([0x7f, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        w.Write((ushort)3);
        w.Write((ushort)62);
        w.Write(1u);
        w.Write(0L);
        w.Write(0L);
        w.Write((long)SectionsAt);
        w.Write(0u);
        foreach (ushort half in new ushort[] { HeaderSize, 0, 0, 64, 5, 0 })
            w.Write(half);

        w.Write(_strings.ToArray());
        foreach ((uint name, _) in _symbols)
        {
            w.Write(name);
            w.Write(new byte[SymbolSize - 4]);
        }
        foreach ((_, ushort version) in _symbols)
            w.Write(version);

        w.Write((ushort)1);
        w.Write((ushort)_versions.Count);
        w.Write(_library);
        w.Write((uint)NeedSize);
        w.Write(0u);
        foreach ((uint name, ushort index) in _versions)
        {
            w.Write(0u);
            w.Write((ushort)0);
            w.Write(index);
            w.Write(name);
            w.Write(index == _versions.Last().Index ? 0u : NeedSize);
        }

        Section(w, 0, 0, 0, 0, 0);
        Section(w, 3, HeaderSize, _strings.Count, 0, 0);
        Section(w, 11, SymbolsAt, SymbolSize * _symbols.Count, 1, 1);
        Section(w, 0x6fffffff, IndicesAt, 2 * _symbols.Count, 2, 0);
        Section(w, 0x6ffffffe, NeedsAt, NeedSize * (1 + _versions.Count), 1, 1);
        return stream.ToArray();
    }

    private static void Section(BinaryWriter w, uint type, int offset, int size, uint link, uint info)
    {
        w.Write(0u);
        w.Write(type);
        w.Write(0L);
        w.Write(0L);
        w.Write((long)offset);
        w.Write((long)size);
        w.Write(link);
        w.Write(info);
        w.Write(0L);
        w.Write(0L);
    }
}
