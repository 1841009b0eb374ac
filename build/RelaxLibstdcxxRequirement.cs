#nullable disable
#pragma warning disable IDE0005 // MSBuild compiles this file without implicit usings.
using System;
using System.Collections.Generic;
using System.IO;
using System.Text;
#if !NEURALODE_CORE
using Microsoft.Build.Framework;
#endif

namespace Microsoft.ML.NeuralOde.Build;

/// <summary>The requirement of libLibTorchSharp.so on the libstdc++ of GCC 13, and how its image in memory does without.</summary>
/// <remarks>
/// TorchSharp's native library asks for the symbol version GLIBCXX_3.4.32, and of that version for one symbol only:
/// std::ios_base_library_init(), which is never called: naming it says "I rely on libstdc++ to set up the iostreams". An older
/// libstdc++ leaves that to the libraries that use them, and libtorch_cpu.so, which is loaded first, does it. So nothing is lost
/// without the symbol. What changes:
///   1. the requirement on the version becomes weak (VER_FLG_WEAK in .gnu.version_r), so the loader does not insist on it;
///   2. the symbol's version index becomes VER_NDX_GLOBAL, so it may be bound to an unversioned name;
///   3. the symbol's name becomes sched_yield, a libc function without arguments that is always there.
/// Nothing changes in a file that does not ask for the version or was relaxed before. One that looks different from what is described
/// here is refused. The result stays loadable on newer systems too.
/// This file is compiled into the library, which uses it at run time, and by MSBuild, for netstandard2.0, whose inline tasks are one file.
/// </remarks>
internal static class LibstdcxxRequirement
{
    public const string Version = "GLIBCXX_3.4.32";

    public const string Symbol = "_ZSt21ios_base_library_initv";

    private const string Replacement = "sched_yield";
    private const uint SectionDynamicSymbols = 11;
    private const uint SectionVersionNeeds = 0x6ffffffe;
    private const uint SectionVersionIndices = 0x6fffffff;
    private const ushort WeakVersion = 0x2;
    private const ushort GlobalVersionIndex = 1;

    /// <summary>Edits the image in memory; false where there is nothing to do.</summary>
    public static bool Relax(byte[] b)
    {
        if (b.Length < 64 || b[0] != 0x7f || b[1] != 'E' || b[2] != 'L' || b[3] != 'F' || b[4] != 2 || b[5] != 1)
            throw new InvalidDataException("It is not a 64-bit little-endian ELF file.");
        List<Section> sections = ReadSections(b);
        Section symbols = Single(sections, SectionDynamicSymbols, ".dynsym");
        Section needs = Single(sections, SectionVersionNeeds, ".gnu.version_r");
        Section indices = Single(sections, SectionVersionIndices, ".gnu.version");
        if (symbols.Link >= sections.Count)
            throw new InvalidDataException("The dynamic symbols name no string table.");
        Section strings = sections[(int)symbols.Link];

        int flagsAt = -1;
        int versionIndex = -1;
        long need = needs.Offset;
        for (uint n = 0; n < needs.Info; n++)
        {
            ushort count = U16(b, need + 2);
            long auxiliary = need + U32(b, need + 8);
            for (int a = 0; a < count; a++)
            {
                if (Name(b, strings, U32(b, auxiliary + 8)) == Version)
                {
                    flagsAt = checked((int)auxiliary + 4);
                    versionIndex = U16(b, auxiliary + 6);
                }
                auxiliary += U32(b, auxiliary + 12);
            }
            uint next = U32(b, need + 12);
            if (next == 0)
                break;
            need += next;
        }
        if (versionIndex < 0)
            return false;

        var users = new List<long>();
        for (long s = 0; s < symbols.Size / 24; s++)
            if ((U16(b, indices.Offset + 2 * s) & 0x7fff) == versionIndex)
                users.Add(s);
        bool weak = (U16(b, flagsAt) & WeakVersion) != 0;
        if (weak && users.Count == 0)
            return false;
        if (users.Count != 1)
            throw new InvalidDataException("It binds " + users.Count + " symbols to " + Version + " where one was expected.");

        uint nameOffset = U32(b, symbols.Offset + 24 * users[0]);
        string name = Name(b, strings, nameOffset);
        if (name != Symbol)
            throw new InvalidDataException("It takes " + name + " from " + Version + " where " + Symbol + " was expected.");
        CheckNameIsNotShared(b, symbols, strings, users[0], nameOffset);

        Put16(b, flagsAt, (ushort)(U16(b, flagsAt) | WeakVersion));
        Put16(b, indices.Offset + 2 * users[0], GlobalVersionIndex);
        for (int i = 0; i < Symbol.Length; i++)
            b[strings.Offset + nameOffset + i] = (byte)(i < Replacement.Length ? Replacement[i] : '\0');
        return true;
    }

    /// <summary>Linkers let one string be the end of another: the name may be overwritten only where nobody else reads it.</summary>
    private static void CheckNameIsNotShared(byte[] b, Section symbols, Section strings, long user, uint nameOffset)
    {
        bool shared = nameOffset == 0 || U8(b, strings.Offset + nameOffset - 1) != 0;
        for (long s = 0; s < symbols.Size / 24; s++)
        {
            uint other = U32(b, symbols.Offset + 24 * s);
            shared |= s != user && other >= nameOffset && other < nameOffset + Symbol.Length;
        }
        if (shared)
            throw new InvalidDataException("The name " + Symbol + " is part of another one.");
    }

    private struct Section
    {
        public uint Type;
        public long Offset;
        public long Size;
        public uint Link;
        public uint Info;
    }

    private static List<Section> ReadSections(byte[] b)
    {
        long table = I64(b, 0x28);
        int entry = U16(b, 0x3a);
        int count = U16(b, 0x3c);
        var sections = new List<Section>();
        for (int i = 0; i < count; i++)
        {
            long at = table + (long)i * entry;
            sections.Add(new Section
            {
                Type = U32(b, at + 4),
                Offset = I64(b, at + 24),
                Size = I64(b, at + 32),
                Link = U32(b, at + 40),
                Info = U32(b, at + 44),
            });
        }
        return sections;
    }

    private static Section Single(List<Section> sections, uint type, string name)
    {
        List<Section> found = sections.FindAll(s => s.Type == type);
        if (found.Count != 1)
            throw new InvalidDataException("It has " + found.Count + " sections " + name + " where one was expected.");
        return found[0];
    }

    private static string Name(byte[] b, Section strings, uint offset)
    {
        long start = strings.Offset + offset;
        long end = start;
        while (U8(b, end) != 0)
            end++;
        return Encoding.ASCII.GetString(b, (int)start, (int)(end - start));
    }

    private static byte U8(byte[] b, long at) => b[Check(b, at, 1)];

    private static ushort U16(byte[] b, long at) => BitConverter.ToUInt16(b, Check(b, at, 2));

    private static uint U32(byte[] b, long at) => BitConverter.ToUInt32(b, Check(b, at, 4));

    private static long I64(byte[] b, long at) => BitConverter.ToInt64(b, Check(b, at, 8));

    private static void Put16(byte[] b, long at, ushort value)
    {
        int index = Check(b, at, 2);
        b[index] = (byte)value;
        b[index + 1] = (byte)(value >> 8);
    }

    private static int Check(byte[] b, long at, int size)
    {
        if (at < 0 || at > b.Length - size)
            throw new InvalidDataException("An offset points outside of the file: it is cut off or damaged.");
        return (int)at;
    }
}

#if !NEURALODE_CORE
/// <summary>
/// MSBuild task: makes a copy of libLibTorchSharp.so loadable where the system's libstdc++ is older than GCC 13's.
/// </summary>
/// <remarks>
/// The task edits the copy in an output folder (never the package cache). Nothing happens where the system's libstdc++ has the version. A
/// file that cannot be relaxed is left as it is and fails the build.
/// </remarks>
public class RelaxLibstdcxxRequirement : Microsoft.Build.Utilities.Task
{
    private static readonly char[] Separators = { ';' };

    /// <summary>The copy of libLibTorchSharp.so to edit in place.</summary>
    [Required]
    public string Library { get; set; }

    /// <summary>
    /// auto: only where the system's libstdc++ lacks the version; always: whatever the system has, for programs that are built on
    /// a newer system than they run on.
    /// </summary>
    public string Mode { get; set; } = "auto";

    /// <summary>Where to look for libstdc++.so.6, separated by semicolons.</summary>
    public string SearchFolders { get; set; } =
        "/usr/lib/x86_64-linux-gnu;/lib/x86_64-linux-gnu;/usr/lib64;/lib64;/usr/lib;/lib";

    public override bool Execute()
    {
        bool always = string.Equals(Mode, "always", StringComparison.OrdinalIgnoreCase);
        if (!always && !string.Equals(Mode, "auto", StringComparison.OrdinalIgnoreCase))
        {
            Log.LogError("NeuralOdeNativeCompatibility is '{0}'; it can be auto (the default), always or never.", Mode);
            return false;
        }
        try
        {
            if (!always && !SystemLacksVersion())
                return true;
            byte[] file = File.ReadAllBytes(Library);
            if (LibstdcxxRequirement.Relax(file))
            {
                Replace(file);
                Log.LogMessage(MessageImportance.Normal, "Relaxed the requirement on {0} in {1}.", LibstdcxxRequirement.Version, Library);
            }
            return true;
        }
        catch (Exception e) when (e is InvalidDataException || e is IOException || e is UnauthorizedAccessException)
        {
            Log.LogError("Cannot make {0} loadable with this system's libstdc++: {1} Set NeuralOdeNativeCompatibility=never to " +
                "build without this step; the program then needs a libstdc++ with {2} (GCC 13 or later).", Library, e.Message,
                LibstdcxxRequirement.Version);
            return false;
        }
    }

    /// <summary>
    /// Puts a new file in the old one's place, in one step: the old one may be a link to the package cache. Size and time stamp stay
    /// those of the original, so that an incremental build does not copy it again.
    /// </summary>
    private void Replace(byte[] content)
    {
        DateTime stamp = File.GetLastWriteTimeUtc(Library);
        string temporary = Library + "." + Guid.NewGuid().ToString("N");
        try
        {
            File.WriteAllBytes(temporary, content);
            File.SetLastWriteTimeUtc(temporary, stamp);
            File.Replace(temporary, Library, null);
        }
        finally
        {
            File.Delete(temporary);
        }
    }

    private bool SystemLacksVersion()
    {
        foreach (string folder in SearchFolders.Split(Separators, StringSplitOptions.RemoveEmptyEntries))
        {
            string path = Path.Combine(folder, "libstdc++.so.6");
            if (File.Exists(path))
                return IndexOf(File.ReadAllBytes(path), Encoding.ASCII.GetBytes(LibstdcxxRequirement.Version + "\0")) < 0;
        }
        Log.LogMessage(MessageImportance.Normal, "No libstdc++.so.6 found; {0} is left as it is.", Library);
        return false;
    }

    private static int IndexOf(byte[] text, byte[] pattern)
    {
        for (int i = 0; i <= text.Length - pattern.Length; i++)
        {
            int j = 0;
            while (j < pattern.Length && text[i + j] == pattern[j])
                j++;
            if (j == pattern.Length)
                return i;
        }
        return -1;
    }
}
#endif
