using Microsoft.ML.NeuralOde.Paths;
using Microsoft.ML.NeuralOde.Series;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// A neural controlled differential equation dz = F(z) dX with a dense network F whose last layer is tanh (P. Kidger, J. Morrill,
/// J. Foster, T. Lyons, Neural controlled differential equations for irregular time series, 2020).
/// </summary>
/// <remarks>
/// It is solved along the number of the knot: all rows of the batch then have their knots at the same places, whatever their times, and a
/// controlled equation does not mind how fast its path is run through. Step sizes and tolerances of the solver are in that unit: 1 is from
/// one knot to the next.
/// </remarks>
public sealed class NeuralCde : ControlledEquation
{
    private readonly ControlField _field;

    /// <summary>Creates an equation with random parameters.</summary>
    /// <param name="channels">The number of channels of the path, with time and counts.</param>
    /// <param name="width">The size of the state.</param>
    /// <param name="hidden">Sizes of the hidden layers of F; null for one of the state's size.</param>
    /// <param name="activation">The non-linearity after each hidden layer.</param>
    /// <param name="options">
    /// How to solve; null for the classical Runge–Kutta method with a step from each knot to the next. The discontinuities and events are
    /// the equation's own.
    /// </param>
    /// <exception cref="ArgumentException">A number or option makes no sense; the message says which and what would.</exception>
    public NeuralCde(
        long channels, long width, IReadOnlyList<long>? hidden = null, Activation activation = Activation.Relu,
        OdeSolverOptions? options = null)
        : base(nameof(NeuralCde), channels, width, 1)
    {
        Options = KnotSolve.Checked(options);
        _field = new ControlField(this, channels, width, hidden, activation);
    }

    /// <summary>Sizes of the hidden layers of F.</summary>
    public IReadOnlyList<long> Hidden => _field.Hidden;

    /// <summary>The non-linearity after each hidden layer.</summary>
    public Activation Activation => _field.Activation;

    /// <summary>How it is solved.</summary>
    public OdeSolverOptions Options { get; }

    private protected override Tensor Solve(PathPieces pieces, Tensor initial, bool all)
    {
        Tensor[] coefficients = [.. new[] { pieces.First, pieces.Second, pieces.Third }.OfType<Tensor>()];
        return KnotSolve.Run(this, Forward, coefficients, initial, all, Options);
    }

    private Tensor Forward(Tensor place, Tensor state, IReadOnlyList<Tensor> pieces)
    {
        using DisposeScope scope = NewDisposeScope();
        return _field.Along(state, PieceSlopes.At(place, pieces)).MoveToOuterDisposeScope();
    }
}
