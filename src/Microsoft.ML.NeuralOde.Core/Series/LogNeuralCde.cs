using Microsoft.ML.NeuralOde.Paths;
using Microsoft.ML.NeuralOde.Series;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// A neural controlled equation solved by the log-ODE method over windows of several pieces of the path (J. Morrill, C. Salvi, P. Kidger,
/// J. Foster, T. Lyons, Neural rough differential equations for long time series, 2021; B. Walker, A. McLeod, T. Qin, Y. Cheng, H. Li,
/// T. Lyons, Log neural controlled differential equations: the Lie brackets make a difference, 2024): fewer steps for long series.
/// </summary>
/// <remarks>
/// Over a window dz/ds = Σᵢ Fᵢ(z) ΔXⁱ, at depth 2 with Σᵢ﹤ⱼ (DFⱼ Fᵢ − DFᵢ Fⱼ)(z) Lᵢⱼ, where L are the Lévy areas of the window. Cubic
/// pieces enter by their increments.
/// </remarks>
public sealed class LogNeuralCde : ControlledEquation
{
    private readonly ControlField _field;

    /// <summary>Creates an equation with random parameters.</summary>
    /// <param name="channels">The number of channels of the path, with time and counts.</param>
    /// <param name="width">The size of the state.</param>
    /// <param name="window">The number of pieces of the path that make one step.</param>
    /// <param name="depth">1, or 2 with brackets.</param>
    /// <param name="hidden">Sizes of the hidden layers of F; null for one of the state's size.</param>
    /// <param name="activation">The non-linearity after each hidden layer: smooth, since brackets are of derivatives.</param>
    /// <param name="options">
    /// How to solve, with 1 as the length of a window; null for the classical Runge–Kutta method with a step a window.
    /// </param>
    /// <exception cref="ArgumentException">A number or option makes no sense; the message says which and what would.</exception>
    public LogNeuralCde(
        long channels, long width, int window, int depth = 2, IReadOnlyList<long>? hidden = null, Activation activation = Activation.Silu,
        OdeSolverOptions? options = null)
        : base(nameof(LogNeuralCde), channels, width, window)
    {
        if (depth is not (1 or 2))
            throw new ArgumentOutOfRangeException(nameof(depth), depth, "The depth must be 1 or 2.");
        Depth = depth;
        Options = KnotSolve.Checked(options);
        _field = new ControlField(this, channels, width, hidden, activation);
    }

    /// <summary>1, or 2 with brackets.</summary>
    public int Depth { get; }

    /// <summary>Sizes of the hidden layers of F.</summary>
    public IReadOnlyList<long> Hidden => _field.Hidden;

    /// <summary>The non-linearity after each hidden layer.</summary>
    public Activation Activation => _field.Activation;

    /// <summary>How it is solved.</summary>
    public OdeSolverOptions Options { get; }

    private protected override Tensor Solve(PathPieces pieces, Tensor initial, bool all)
    {
        Tensor increments = pieces.Increments();
        if (Depth == 1 || Window == 1 || Channels == 1)
            return KnotSolve.Run(this, WithoutBrackets, [LogSignature.Of(increments, Window, 1)], initial, all, Options);
        (Tensor sums, Tensor areas) = LogSignature.Full(increments, Window);
        return KnotSolve.Run(this, WithBrackets, [sums, areas], initial, all, Options);
    }

    private Tensor WithoutBrackets(Tensor place, Tensor state, IReadOnlyList<Tensor> pieces)
    {
        using DisposeScope scope = NewDisposeScope();
        return _field.Along(state, PieceSlopes.Here(place, pieces)[0]).MoveToOuterDisposeScope();
    }

    private Tensor WithBrackets(Tensor place, Tensor state, IReadOnlyList<Tensor> pieces)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor[] here = PieceSlopes.Here(place, pieces);
        return _field.AlongWithBrackets(state, here[0], here[1]).MoveToOuterDisposeScope();
    }
}
