using System.Runtime.InteropServices;
using System.Text;

namespace Microsoft.ML.NeuralOde.Native;

/// <summary>The functions of an MPI library that are used.</summary>
internal sealed unsafe class MpiLibrary
{
    private readonly nint _handle;
    private readonly delegate* unmanaged[Cdecl]<nint, int, int, int, int, int*, int> _broadcast;
    private readonly delegate* unmanaged[Cdecl]<int*, int*, nint, int> _test;
    private readonly delegate* unmanaged[Cdecl]<nint, int, int, int, int, int, int*, int> _send;
    private readonly delegate* unmanaged[Cdecl]<nint, int, int, int, int, int, MessageStatus*, int> _receive;
    private readonly delegate* unmanaged[Cdecl]<int, int, int, int*, MessageStatus*, int> _probe;
    private readonly delegate* unmanaged[Cdecl]<nint, nint, int, int, int, int, int*, int> _allReduce;

    /// <param name="library">The library's file or name; null for the first that is found.</param>
    /// <exception cref="MpiException">There is none of the right kind.</exception>
    public MpiLibrary(string? library)
    {
        LeaveSignalsToDotNet();
        (_handle, Name) = LibrarySearch.Find(library);
        _broadcast = (delegate* unmanaged[Cdecl]<nint, int, int, int, int, int*, int>)Export("MPI_Ibcast");
        _test = (delegate* unmanaged[Cdecl]<int*, int*, nint, int>)Export("MPI_Test");
        _send = (delegate* unmanaged[Cdecl]<nint, int, int, int, int, int, int*, int>)Export("MPI_Isend");
        _receive = (delegate* unmanaged[Cdecl]<nint, int, int, int, int, int, MessageStatus*, int>)Export("MPI_Recv");
        _probe = (delegate* unmanaged[Cdecl]<int, int, int, int*, MessageStatus*, int>)Export("MPI_Iprobe");
        _allReduce = (delegate* unmanaged[Cdecl]<nint, nint, int, int, int, int, int*, int>)Export("MPI_Iallreduce");
    }

    /// <summary>The file or name it was found by.</summary>
    public string Name { get; }

    /// <summary>What the library calls itself, in one line; may be asked before <see cref="Initialize"/>.</summary>
    public string Version()
    {
        byte* text = stackalloc byte[Abi.LongestText];
        int length;
        var version = (delegate* unmanaged[Cdecl]<byte*, int*, int>)Export("MPI_Get_library_version");
        Check(version(text, &length), "MPI_Get_library_version");
        string all = Encoding.UTF8.GetString(text, length).TrimEnd('\0');
        return string.Join(' ', all.Split('\n')[0].Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
    }

    public bool IsInitialized => Flag("MPI_Initialized");

    public bool IsFinalized => Flag("MPI_Finalized");

    /// <returns>The thread support that there is.</returns>
    public int Initialize(int threads)
    {
        int provided;
        var initialize = (delegate* unmanaged[Cdecl]<nint, nint, int, int*, int>)Export("MPI_Init_thread");
        Check(initialize(0, 0, threads, &provided), "MPI_Init_thread");
        return provided;
    }

    public int ThreadSupport() => Number("MPI_Query_thread");

    public void Finish() => Check(((delegate* unmanaged[Cdecl]<int>)Export("MPI_Finalize"))(), "MPI_Finalize");

    public void Abort(int communicator, int code) => ((delegate* unmanaged[Cdecl]<int, int, int>)Export("MPI_Abort"))(communicator, code);

    public int Rank(int communicator) => Number("MPI_Comm_rank", communicator);

    public int Size(int communicator) => Number("MPI_Comm_size", communicator);

    /// <summary>Another communicator of the same processes, whose errors are returned.</summary>
    public int Duplicate(int communicator)
    {
        int copy = Number("MPI_Comm_dup", communicator);
        var set = (delegate* unmanaged[Cdecl]<int, int, int>)Export("MPI_Comm_set_errhandler");
        Check(set(copy, Abi.ReturnErrors), "MPI_Comm_set_errhandler");
        return copy;
    }

    /// <summary>The number of the processes on this host.</summary>
    public int SizeOfHost(int communicator)
    {
        int host;
        var split = (delegate* unmanaged[Cdecl]<int, int, int, int, int*, int>)Export("MPI_Comm_split_type");
        Check(split(communicator, Abi.Shared, 0, Abi.NoInfo, &host), "MPI_Comm_split_type");
        return Size(host);
    }

    /// <summary>Begins to add numbers up in place.</summary>
    /// <returns>A request.</returns>
    public int BeginSum(nint values, int count, int type, int communicator)
    {
        int request;
        Check(_allReduce(Abi.InPlace, values, count, type, Abi.Sum, communicator, &request), "MPI_Iallreduce");
        return request;
    }

    /// <summary>Begins to give all what one has.</summary>
    public int BeginBroadcast(nint bytes, int count, int sender, int communicator)
    {
        int request;
        Check(_broadcast(bytes, count, Abi.Byte, sender, communicator, &request), "MPI_Ibcast");
        return request;
    }

    /// <summary>Begins to send a message.</summary>
    public int BeginSend(nint bytes, int count, int receiver, int tag, int communicator)
    {
        int request;
        Check(_send(bytes, count, Abi.Byte, receiver, tag, communicator, &request), "MPI_Isend");
        return request;
    }

    /// <summary>Whether what was begun is done; the request is none then.</summary>
    public bool IsDone(ref int request)
    {
        int flag;
        fixed (int* pointer = &request)
            // MS-MPI and the MPICH ABI agree on 1 for a status that is not wanted.
            Check(_test(pointer, &flag, 1), "MPI_Test");
        return flag != 0;
    }

    /// <summary>A message that has come; null for none.</summary>
    public (int Sender, int Tag, byte[] Bytes)? TryReceive(int communicator, int longest)
    {
        int flag;
        MessageStatus status;
        Check(_probe(Abi.AnySource, Abi.AnyTag, communicator, &flag, &status), "MPI_Iprobe");
        if (flag == 0)
            return null;
        byte[] bytes = new byte[longest];
        (int sender, int tag) = (status.Source, status.Tag);
        fixed (byte* start = bytes)
            Check(_receive((nint)start, longest, Abi.Byte, sender, tag, communicator, &status), "MPI_Recv");
        // Bytes are counted one by one; messages are far smaller than what the high part would count.
        return (sender, tag, bytes[..status.CountLow]);
    }

    private bool Flag(string name)
    {
        int flag;
        Check(((delegate* unmanaged[Cdecl]<int*, int>)Export(name))(&flag), name);
        return flag != 0;
    }

    private int Number(string name)
    {
        int value;
        Check(((delegate* unmanaged[Cdecl]<int*, int>)Export(name))(&value), name);
        return value;
    }

    private int Number(string name, int communicator)
    {
        int value;
        Check(((delegate* unmanaged[Cdecl]<int, int*, int>)Export(name))(communicator, &value), name);
        return value;
    }

    private void Check(int code, string function)
    {
        if (code == Abi.Success)
            return;
        byte* text = stackalloc byte[Abi.LongestText];
        int length;
        var describe = (delegate* unmanaged[Cdecl]<int, byte*, int*, int>)Export("MPI_Error_string");
        string what = describe(code, text, &length) == Abi.Success ? Encoding.UTF8.GetString(text, length) : $"error {code}";
        throw new MpiException($"{function} failed: {what.Trim()}.");
    }

    private nint Export(string name) => NativeLibrary.TryGetExport(_handle, name, out nint address)
        ? address
        : throw new MpiException($"The MPI library '{Name}' has no {name}: it is too old, or none of the MPICH family.");

    /// <summary>UCX, below MPICH, would take over the signals by which .NET finds null references.</summary>
    private static void LeaveSignalsToDotNet()
    {
        if (OperatingSystem.IsLinux())
            _ = SetEnvironment("UCX_ERROR_SIGNALS", "", 0);

        [DllImport("libc", EntryPoint = "setenv")]
        static extern int SetEnvironment(
            [MarshalAs(UnmanagedType.LPUTF8Str)] string name, [MarshalAs(UnmanagedType.LPUTF8Str)] string value, int replace);
    }
}
