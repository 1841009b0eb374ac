namespace Microsoft.ML.NeuralOde.Gradients;

/// <summary>Where to keep states, so that few steps are made more than once on the way back.</summary>
internal static class CheckpointSchedule
{
    /// <summary>
    /// Which of the states that are kept to give up for a new one, while the number of steps is not known: an index into
    /// <paramref name="levels"/>, or its length where there is room.
    /// </summary>
    /// <remarks>
    /// A state is dispensable where a later one has a higher level. The newest has level 0, unless none is dispensable: then the one before
    /// it goes and it is one level higher. That repeats no step more often than the best schedule for the number of steps made so far (Q.
    /// Wang, P. Moin, G. Iaccarino, Minimal repetition dynamic checkpointing algorithm for unsteady adjoint calculation, SIAM J. Sci.
    /// Comput. 31, 2009).
    /// </remarks>
    /// <param name="levels">The levels of the states that are kept, oldest first; the first, the initial state, is never given up.</param>
    /// <param name="capacity">How many may be kept, at least 2.</param>
    /// <param name="level">The level of the new one.</param>
    public static int Replace(IReadOnlyList<int> levels, int capacity, out int level)
    {
        level = 0;
        if (levels.Count < capacity)
            return levels.Count;
        int highest = levels[^1];
        for (int i = levels.Count - 2; i > 0; i--)
        {
            if (levels[i] < highest)
                return i;
            highest = Math.Max(highest, levels[i]);
        }
        level = levels[^1] + 1;
        return levels.Count - 1;
    }

    /// <summary>
    /// After how many steps to keep the next state, where <paramref name="steps"/> steps are still to be reversed from a state that is kept
    /// and <paramref name="free"/> more may be kept: the binomial schedule, which makes the fewest steps (A. Griewank, A. Walther,
    /// Algorithm 799: revolve, ACM Trans. Math. Softw. 26, 2000). No less than <paramref name="steps"/> where there is nothing to keep.
    /// </summary>
    public static int Next(int steps, int free)
    {
        if (free == 0 || steps <= 1)
            return steps;
        int snapshots = free + 1;
        int repetitions = 1;
        while (Reach(snapshots, repetitions) < steps)
            repetitions++;
        return (int)Math.Max(Math.Max(1, Reach(snapshots, repetitions - 2)), steps - Reach(snapshots - 1, repetitions));
    }

    /// <summary>
    /// How many steps some snapshots can reverse so that none is made more often than <paramref name="repetitions"/> times: (s + r over s).
    /// </summary>
    public static long Reach(int snapshots, int repetitions)
    {
        if (repetitions < 0)
            return 0;
        long reach = 1;
        for (int i = 1; i <= repetitions; i++)
        {
            reach = reach * (snapshots + i) / i;
            if (reach > int.MaxValue)
                return int.MaxValue;
        }
        return reach;
    }
}
