namespace Microsoft.ML.NeuralOde;

/// <summary>
/// Processes that train one model together, each on a part of every batch (<see cref="NeuralOdeTrainerOptions.Distributed"/>): what a
/// training needs of an engine that connects them. Microsoft.ML.NeuralOde.Distributed has one for MPI.
/// </summary>
/// <remarks>
/// All processes call the same methods in the same order with buffers of the same length. Every method throws
/// <see cref="TrainingGroupException"/> where another process has failed or does not answer; the group is of no use from then on.
/// </remarks>
public abstract class TrainingGroup
{
    private ErrorNorm? _stepNorm;

    /// <summary>The number of this process, from 0.</summary>
    public abstract int Rank { get; }

    /// <summary>The number of processes.</summary>
    public abstract int Size { get; }

    /// <summary>
    /// What all processes must have in common beside options and data, by name: the engine and its version. The names are the same
    /// everywhere.
    /// </summary>
    public virtual IReadOnlyDictionary<string, string> Facts => new Dictionary<string, string>();

    /// <summary>
    /// Whether this process was asked to end. The training of all processes then ends before the next step, with a checkpoint where there
    /// is a folder for it.
    /// </summary>
    public virtual bool IsStopRequested => false;

    /// <summary>Adds numbers up, place by place, over all processes; all get the same bits.</summary>
    /// <param name="values">The numbers of this process; they become the sums.</param>
    /// <exception cref="TrainingGroupException">Another process has failed or does not answer.</exception>
    public abstract void Sum(Span<float> values);

    /// <inheritdoc cref="Sum(Span{float})"/>
    public abstract void Sum(Span<double> values);

    /// <summary>Gives all processes what one has.</summary>
    /// <param name="values">What the sender has, or room for as much.</param>
    /// <param name="sender">The sender's rank.</param>
    /// <exception cref="TrainingGroupException">Another process has failed or does not answer.</exception>
    public abstract void Broadcast(Span<byte> values, int sender);

    /// <summary>
    /// Tells the other processes that this one cannot go on; what they wait for ends with an exception that has this one's message. Returns
    /// at once, or when they have heard of it; throws nothing.
    /// </summary>
    /// <param name="cause">Why.</param>
    public abstract void Fail(Exception cause);

    /// <summary>
    /// The norm by which all processes agree on the steps of a batch while <see cref="SharesSteps"/>; otherwise each by itself.
    /// </summary>
    internal ErrorNorm StepNorm => _stepNorm ??= ErrorNorm.Shared(MeanSquare);

    internal bool SharesSteps { get; set; }

    /// <summary>Whether this process's rows have a say in the steps that all agree on.</summary>
    internal bool CountsInSteps { get; set; } = true;

    /// <summary>Whether a training is under way.</summary>
    protected bool IsTraining { get; private set; }

    /// <summary>Says that a training begins, or that it has ended.</summary>
    internal void SetTraining(bool isTraining) => IsTraining = isTraining;

    private double MeanSquare(double own, double components)
    {
        if (!SharesSteps || Size == 1)
            return own;
        Span<double> sums = CountsInSteps ? [own * components, components] : [0, 0];
        Sum(sums);
        return sums[0] / sums[1];
    }
}

/// <summary>
/// A training of several processes cannot go on: another process has failed, does not answer, or has other options or data. The message
/// says which and why.
/// </summary>
public sealed class TrainingGroupException : Exception
{
    /// <summary>Makes an exception.</summary>
    /// <param name="message">Which process, and why.</param>
    /// <param name="inner">What was behind it; null for nothing.</param>
    public TrainingGroupException(string message, Exception? inner = null)
        : base(message, inner)
    {
    }
}
