using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.NeuralOde.Kernels;

/// <summary>
/// The flow z ↦ exp(M) z + φ₁(M) c of a block-diagonal matrix, and its way back, for one row: the Taylor series applied to the vector
/// (A. H. Al-Mohy and N. J. Higham, Computing the action of the matrix exponential, SIAM J. Sci. Comput. 33, 2011), as many terms and parts
/// of the step as the norm of M needs for the accuracy of the type. The exponential itself is never formed.
/// </summary>
/// <remarks>
/// Element (i, j) of block n is at [(i · block + j) · blocks + n], component j of block n of vectors at [j · blocks + n]: registers go
/// along the blocks. Which other rows there are plays no part.
/// </remarks>
internal static unsafe class BlockFlowKernels<T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    /// <summary>Most terms of the series.</summary>
    private const int MostTerms = 24;

    /// <summary>The largest norm for which so many terms are enough; at most 1.</summary>
    private static readonly double[] Reach = Reaches();

    /// <summary>Numbers of scratch memory that a step needs.</summary>
    public static nint ScratchSize(nint block, int parts) => ((MostTerms + 4 + parts) * block + (block * block)) * Vector512<T>.Count;

    /// <summary>The largest sum of absolute values in a row of M; NaN where there is one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static double Norm(T* matrix, nint block, nint blocks)
    {
        nint n = 0;
        T largest = T.Zero;
        if (Vector512.IsHardwareAccelerated)
            for (; n <= blocks - Lanes512<T>.Count; n += Lanes512<T>.Count)
                largest = Norm<Lanes512<T>>(matrix + n, block, blocks, largest);
        if (Vector256.IsHardwareAccelerated)
            for (; n <= blocks - Lanes256<T>.Count; n += Lanes256<T>.Count)
                largest = Norm<Lanes256<T>>(matrix + n, block, blocks, largest);
        for (; n <= blocks - Lanes128<T>.Count; n += Lanes128<T>.Count)
            largest = Norm<Lanes128<T>>(matrix + n, block, blocks, largest);
        for (; n < blocks; n++)
            largest = Norm<SingleLane<T>>(matrix + n, block, blocks, largest);
        return double.CreateTruncating(largest);
    }

    /// <summary>In how many parts a step is made.</summary>
    public static int Parts(double norm) => norm <= 1 ? 1 : (int)Math.Ceiling(norm);

    /// <summary>to = exp(M) from + φ₁(M) c.</summary>
    /// <param name="matrix">M.</param>
    /// <param name="input">c; null for none.</param>
    /// <param name="from">z.</param>
    /// <param name="to">The result.</param>
    /// <param name="block">The size of a block.</param>
    /// <param name="blocks">The number of blocks.</param>
    /// <param name="norm">The norm of M.</param>
    /// <param name="scratch">Memory for the step, see <see cref="ScratchSize"/>.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Forward(T* matrix, T* input, T* from, T* to, nint block, nint blocks, double norm, T* scratch)
    {
        var step = new Step(matrix, input, from, block, blocks, norm, scratch);
        nint n = 0;
        if (Vector512.IsHardwareAccelerated)
            for (; n <= blocks - Lanes512<T>.Count; n += Lanes512<T>.Count)
                Forward<Lanes512<T>>(step, n, to);
        if (Vector256.IsHardwareAccelerated)
            for (; n <= blocks - Lanes256<T>.Count; n += Lanes256<T>.Count)
                Forward<Lanes256<T>>(step, n, to);
        for (; n <= blocks - Lanes128<T>.Count; n += Lanes128<T>.Count)
            Forward<Lanes128<T>>(step, n, to);
        for (; n < blocks; n++)
            Forward<SingleLane<T>>(step, n, to);
    }

    /// <summary>The way back of <see cref="Forward"/>, as it was computed.</summary>
    /// <param name="matrix">M, over which its derivative is written.</param>
    /// <param name="input">c, over which its derivative is written; null for none.</param>
    /// <param name="from">z.</param>
    /// <param name="gradient">The derivative with respect to the result, over which that with respect to z is written.</param>
    /// <param name="block">The size of a block.</param>
    /// <param name="blocks">The number of blocks.</param>
    /// <param name="norm">The norm of M.</param>
    /// <param name="scratch">Memory for the step, see <see cref="ScratchSize"/>.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Backward(T* matrix, T* input, T* from, T* gradient, nint block, nint blocks, double norm, T* scratch)
    {
        var step = new Step(matrix, input, from, block, blocks, norm, scratch);
        nint n = 0;
        if (Vector512.IsHardwareAccelerated)
            for (; n <= blocks - Lanes512<T>.Count; n += Lanes512<T>.Count)
                Backward<Lanes512<T>>(step, n, gradient);
        if (Vector256.IsHardwareAccelerated)
            for (; n <= blocks - Lanes256<T>.Count; n += Lanes256<T>.Count)
                Backward<Lanes256<T>>(step, n, gradient);
        for (; n <= blocks - Lanes128<T>.Count; n += Lanes128<T>.Count)
            Backward<Lanes128<T>>(step, n, gradient);
        for (; n < blocks; n++)
            Backward<SingleLane<T>>(step, n, gradient);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static T Norm<V>(T* matrix, nint block, nint blocks, T largest)
        where V : struct, ILanes<V, T>
    {
        V most = V.Broadcast(T.Zero);
        V check = most;
        for (nint i = 0; i < block; i++)
        {
            V sum = V.Broadcast(T.Zero);
            for (nint j = 0; j < block; j++)
            {
                V x = V.Load(matrix + ((i * block) + j) * blocks);
                sum += V.Max(x, V.Broadcast(T.Zero) - x);
                check += x - x;
            }
            most = V.Max(most, sum);
        }
        T* lanes = stackalloc T[2 * V.Count];
        most.Store(lanes);
        check.Store(lanes + V.Count);
        for (int lane = 0; lane < V.Count; lane++)
        {
            if (!(lanes[V.Count + lane] == T.Zero))
                return T.NaN;
            largest = T.Max(largest, lanes[lane]);
        }
        return largest;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Forward<V>(Step step, nint n, T* to)
        where V : struct, ILanes<V, T>
    {
        nint block = step.Block, blocks = step.Blocks, size = block * V.Count;
        T* state = step.Scratch;
        for (nint i = 0; i < block; i++)
            V.Load(step.From + (i * blocks) + n).Store(state + (i * V.Count));
        T* terms = state + size;
        for (int part = 0; part < step.Parts; part++)
            Series<V>(step, n, state, terms, state);
        for (nint i = 0; i < block; i++)
            V.Load(state + (i * V.Count)).Store(to + (i * blocks) + n);
    }

    /// <summary>target = the state behind a part of the step, and the terms of the series, one after the other; target may be
    /// state.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Series<V>(Step step, nint n, T* state, T* terms, T* target)
        where V : struct, ILanes<V, T>
    {
        nint block = step.Block, blocks = step.Blocks, size = block * V.Count;
        T* matrix = step.Matrix + n;
        T* last = state;
        for (int p = 1; p <= step.Terms; p++)
        {
            V factor = V.Broadcast(step.Factor(p));
            T* next = terms + ((p - 1) * size);
            for (nint i = 0; i < block; i++)
            {
                V sum = p == 1 && step.Input != null ? V.Load(step.Input + (i * blocks) + n) : V.Broadcast(T.Zero);
                T* row = matrix + (i * block * blocks);
                for (nint j = 0; j < block; j++)
                    sum = V.MultiplyAdd(V.Load(row + (j * blocks)), V.Load(last + (j * V.Count)), sum);
                (sum * factor).Store(next + (i * V.Count));
            }
            last = next;
        }
        // From the last term, which is the smallest, to the first.
        for (nint i = 0; i < block; i++)
        {
            V sum = V.Load(terms + ((step.Terms - 1) * size) + (i * V.Count));
            for (int p = step.Terms - 2; p >= 0; p--)
                sum += V.Load(terms + (p * size) + (i * V.Count));
            (V.Load(state + (i * V.Count)) + sum).Store(target + (i * V.Count));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Backward<V>(Step step, nint n, T* gradient)
        where V : struct, ILanes<V, T>
    {
        nint block = step.Block, blocks = step.Blocks, size = block * V.Count;
        T* outer = step.Scratch;
        T* adjoint = outer + size;
        T* matrixGradient = adjoint + size;
        T* terms = matrixGradient + (block * size);
        T* states = terms + (step.Terms * size);
        for (nint i = 0; i < block; i++)
        {
            V.Load(step.From + (i * blocks) + n).Store(states + (i * V.Count));
            V.Load(gradient + (i * blocks) + n).Store(outer + (i * V.Count));
        }
        for (int part = 1; part < step.Parts; part++)
            Series<V>(step, n, states + ((part - 1) * size), terms, states + (part * size));
        for (nint i = 0; i < block * block; i++)
            V.Broadcast(T.Zero).Store(matrixGradient + (i * V.Count));
        T* inputGradient = states + (step.Parts * size);
        for (nint i = 0; i < block; i++)
            V.Broadcast(T.Zero).Store(inputGradient + (i * V.Count));
        for (int part = step.Parts - 1; part >= 0; part--)
        {
            T* state = states + (part * size);
            // The target of the series is not needed: the place of the adjoint takes it.
            Series<V>(step, n, state, terms, adjoint);
            PartBackward<V>(step, n, outer, adjoint, matrixGradient, terms, state, inputGradient);
        }
        for (nint i = 0; i < block; i++)
            V.Load(outer + (i * V.Count)).Store(gradient + (i * blocks) + n);
        for (nint i = 0; i < block * block; i++)
            V.Load(matrixGradient + (i * V.Count)).Store(step.Matrix + (i * blocks) + n);
        if (step.Input != null)
            for (nint i = 0; i < block; i++)
                V.Load(inputGradient + (i * V.Count)).Store(step.Input + (i * blocks) + n);
    }

    /// <summary>From the derivative with respect to the state behind a part, which is <paramref name="outer"/>, to that before
    /// it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void PartBackward<V>(
        Step step, nint n, T* outer, T* adjoint, T* matrixGradient, T* terms, T* state, T* inputGradient)
        where V : struct, ILanes<V, T>
    {
        nint block = step.Block, blocks = step.Blocks, size = block * V.Count;
        T* matrix = step.Matrix + n;
        T* scaled = inputGradient + size;
        for (nint i = 0; i < block; i++)
            V.Load(outer + (i * V.Count)).Store(adjoint + (i * V.Count));
        for (int p = step.Terms; p >= 1; p--)
        {
            T* before = p == 1 ? state : terms + ((p - 2) * size);
            V factor = V.Broadcast(step.Factor(p));
            for (nint i = 0; i < block; i++)
            {
                V a = V.Load(adjoint + (i * V.Count)) * factor;
                a.Store(scaled + (i * V.Count));
                T* row = matrixGradient + (i * size);
                for (nint j = 0; j < block; j++)
                    V.MultiplyAdd(a, V.Load(before + (j * V.Count)), V.Load(row + (j * V.Count))).Store(row + (j * V.Count));
            }
            T* target = p == 1 ? outer : adjoint;
            for (nint j = 0; j < block; j++)
            {
                V sum = V.Load(outer + (j * V.Count));
                T* column = matrix + (j * blocks);
                for (nint i = 0; i < block; i++)
                    sum = V.MultiplyAdd(V.Load(column + (i * block * blocks)), V.Load(scaled + (i * V.Count)), sum);
                sum.Store(target + (j * V.Count));
            }
        }
        for (nint i = 0; i < block; i++)
            (V.Load(inputGradient + (i * V.Count)) + V.Load(scaled + (i * V.Count))).Store(inputGradient + (i * V.Count));
    }

    private static double[] Reaches()
    {
        // θ^(m+1) / (m+1)! is at most half a unit in the last place.
        double accuracy = typeof(T) == typeof(float) ? Math.ScaleB(1, -25) : Math.ScaleB(1, -54);
        var reach = new List<double>();
        double logFactorial = 0;
        do
        {
            int m = reach.Count + 1;
            logFactorial += Math.Log(m + 1);
            reach.Add(Math.Exp((Math.Log(accuracy) + logFactorial) / (m + 1)));
        }
        while (reach[^1] < 1);
        return [.. reach];
    }

    /// <summary>A step of a row.</summary>
    private readonly struct Step
    {
        private readonly double _part;

        public Step(T* matrix, T* input, T* from, nint block, nint blocks, double norm, T* scratch)
        {
            Matrix = matrix;
            Input = input;
            From = from;
            Scratch = scratch;
            (Block, Blocks) = (block, blocks);
            Parts = BlockFlowKernels<T>.Parts(norm);
            _part = 1.0 / Parts;
            int terms = 0;
            while (Reach[terms] < norm * _part && terms < Reach.Length - 1)
                terms++;
            Terms = terms + 1;
        }

        public T* Matrix { get; }

        public T* Input { get; }

        public T* From { get; }

        public nint Block { get; }

        public nint Blocks { get; }

        public T* Scratch { get; }

        public int Parts { get; }

        public int Terms { get; }

        /// <summary>1 / p of a part of the step.</summary>
        public T Factor(int p) => T.CreateTruncating(_part / p);
    }
}
