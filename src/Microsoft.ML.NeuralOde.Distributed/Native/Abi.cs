namespace Microsoft.ML.NeuralOde.Native;

/// <summary>
/// The numbers of the MPICH ABI, which MPICH from 3.1 on, Intel MPI, Cray MPI and MVAPICH have in common (MPICH ABI Compatibility
/// Initiative), and MS-MPI with them as far as they are used here. Handles are 32-bit numbers.
/// </summary>
internal static class Abi
{
    public const int Success = 0;
    public const int World = 0x44000000;
    public const int Byte = 0x4c00010d, Single = 0x4c00040a, Double = 0x4c00080b;
    public const int Sum = 0x58000003;
    public const int ReturnErrors = 0x54000001;
    public const int NoRequest = 0x2c000000;
    public const int AnySource = -2, AnyTag = -1;
    public const int ThreadMultiple = 3;
    public const int Shared = 1;
    public const int NoInfo = 0x1c000000;
    public const int LongestText = 8192;
    public static readonly nint InPlace = -1;
}

/// <summary>What is known of a message that came.</summary>
internal struct MessageStatus
{
    public int CountLow;
    public int CountHigh;
    public int Source;
    public int Tag;
    public int Error;
}
