using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Microsoft.ML.NeuralOde.Kernels;

/// <summary>A matrix laid out column by column instead of row by row.</summary>
internal static unsafe class Transposition<T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    // A cache line of each row is read at once, and what becomes of it fits into the first cache.
    private const nint Strip = 16, Side = 4;

    /// <summary>to[c, r] ← from[r, c].</summary>
    /// <param name="from">The matrix.</param>
    /// <param name="fromRow">From one of its rows to the next.</param>
    /// <param name="rows">Its rows.</param>
    /// <param name="columns">Its columns.</param>
    /// <param name="to">Where it is laid out anew.</param>
    /// <param name="toRow">From one row to the next there.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run(T* from, nint fromRow, nint rows, nint columns, T* to, nint toRow)
    {
        nint squareRows = rows - rows % Side, squareColumns = columns - columns % Side;
        for (nint strip = 0; strip < squareColumns; strip += Strip)
        {
            nint end = Math.Min(strip + Strip, squareColumns);
            for (nint r = 0; r < squareRows; r += Side)
                for (nint c = strip; c < end; c += Side)
                    Square(from + r * fromRow + c, fromRow, to + c * toRow + r, toRow);
        }
        for (nint r = 0; r < rows; r++)
            for (nint c = r < squareRows ? squareColumns : 0; c < columns; c++)
                to[c * toRow + r] = from[r * fromRow + c];
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Square(T* from, nint fromRow, T* to, nint toRow)
    {
        if (typeof(T) != typeof(float) || !Sse.IsSupported)
        {
            for (nint c = 0; c < Side; c++)
                for (nint r = 0; r < Side; r++)
                    to[c * toRow + r] = from[r * fromRow + c];
            return;
        }
        Vector128<float> a = Row(from), b = Row(from + fromRow), c2 = Row(from + 2 * fromRow), d = Row(from + 3 * fromRow);
        Vector128<float> ab = Sse.UnpackLow(a, b), cd = Sse.UnpackLow(c2, d), ba = Sse.UnpackHigh(a, b), dc = Sse.UnpackHigh(c2, d);
        Sse.MoveLowToHigh(ab, cd).Store((float*)to);
        Sse.MoveHighToLow(cd, ab).Store((float*)(to + toRow));
        Sse.MoveLowToHigh(ba, dc).Store((float*)(to + 2 * toRow));
        Sse.MoveHighToLow(dc, ba).Store((float*)(to + 3 * toRow));

        static Vector128<float> Row(T* row) => Vector128.Load((float*)row);
    }
}
