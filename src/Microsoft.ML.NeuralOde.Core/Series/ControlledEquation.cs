using Microsoft.ML.NeuralOde.Paths;
using TorchSharp.Modules;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// A controlled differential equation dz = F(z) dX, driven by a path X, from a learned linear map of X at the first observation
/// (P. Kidger, J. Morrill, J. Foster, T. Lyons, 2020).
/// </summary>
/// <remarks>A row's states do not depend on the other rows of the batch, nor on how much longer they are.</remarks>
public abstract class ControlledEquation : Module<ControlPath, Tensor>
{
    private protected ControlledEquation(string name, long channels, long width, int window)
        : base(name)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(channels);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(width);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(window);
        (Channels, Width, Window) = (channels, width, window);
        double bound = 1 / Math.Sqrt(channels);
        Dynamics.ModuleParameters.OwnUniform(this, "initial_weight", [width, channels], bound);
        Dynamics.ModuleParameters.OwnUniform(this, "initial_bias", [width], bound);
    }

    /// <summary>The number of channels of the path, with time and counts.</summary>
    public long Channels { get; }

    /// <summary>The size of the state z.</summary>
    public long Width { get; }

    /// <summary>The number of pieces of the path that make one step of the equation; 1 where each is one.</summary>
    public int Window { get; }

    // Asked for by name: a module that is moved has other parameters.
    private Parameter InitialWeight => get_parameter("initial_weight")!;

    private Parameter InitialBias => get_parameter("initial_bias")!;

    /// <summary>The state at the end of each row's path.</summary>
    /// <param name="path">X, with <see cref="Channels"/> channels.</param>
    /// <returns>Shape <c>[batch, width]</c>.</returns>
    /// <exception cref="ArgumentException">The path has another number of channels, or another type or device than the
    /// parameters.</exception>
    public override Tensor forward(ControlPath path)
    {
        Check(path);
        using DisposeScope scope = NewDisposeScope();
        return Solve(path.Pieces, Initial(path.Pieces), false).MoveToOuterDisposeScope();
    }

    /// <summary>The states at the observations of each row; behind a row's end its last state.</summary>
    /// <param name="path">X, with <see cref="Channels"/> channels.</param>
    /// <returns>Shape <c>[batch, length, width]</c>.</returns>
    /// <exception cref="ArgumentException">The path does not fit.</exception>
    /// <exception cref="InvalidOperationException">The equation takes several pieces at once (<see cref="Window"/>).</exception>
    public Tensor StatesAtObservations(ControlPath path)
    {
        Check(path);
        RequireSingle();
        using DisposeScope scope = NewDisposeScope();
        Tensor states = Solve(path.Pieces, Initial(path.Pieces), true);
        return (path.KnotsPerObservation == 1 ? states : states.slice(1, 0, states.size(1), path.KnotsPerObservation).contiguous())
            .MoveToOuterDisposeScope();
    }

    /// <summary>The states at times of each row's own.</summary>
    /// <param name="path">X, with <see cref="Channels"/> channels.</param>
    /// <param name="times">
    /// Shape <c>[batch, n]</c>, in any order; they get gradients. Before a row's first observation and behind its last the state stays.
    /// </param>
    /// <returns>Shape <c>[batch, n, width]</c>.</returns>
    /// <exception cref="ArgumentException">The path does not fit, or the times have another shape or are not finite.</exception>
    /// <exception cref="InvalidOperationException">The equation takes several pieces at once (<see cref="Window"/>).</exception>
    public Tensor StatesAt(ControlPath path, Tensor times)
    {
        Check(path);
        RequireSingle();
        Inputs.RequireAlive(times, nameof(times), "The tensor of times");
        if (!times.is_floating_point() || times.dim() != 2 || times.size(0) != path.Rows || times.size(1) == 0)
            throw new ArgumentException(
                $"The times have shape [{string.Join(", ", times.shape)}] and type {times.dtype}; they must be of a floating-point type and of shape "
                + $"[{path.Rows}, n].", nameof(times));
        using DisposeScope scope = NewDisposeScope();
        if (!times.detach().isfinite().all().item<bool>())
            throw new ArgumentException("A time is NaN or infinite; times must be finite.", nameof(times));
        Tensor initial = Initial(path.Pieces);
        if (path.Knots.size(1) == 1)
            return initial.unsqueeze(1).expand(path.Rows, times.size(1), Width).contiguous().MoveToOuterDisposeScope();
        (PathPieces pieces, Tensor places) = path.Pieces.With(times.to(path.Knots.device));
        Tensor states = Solve(pieces, initial, true);
        return states.gather(1, places.unsqueeze(2).expand(path.Rows, times.size(1), Width)).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// The states at the start and behind each window of <see cref="Window"/> pieces of the path, the last of which may be shorter; behind
    /// a row's end its last state.
    /// </summary>
    /// <param name="path">X, with <see cref="Channels"/> channels.</param>
    /// <returns>Shape <c>[batch, windows + 1, width]</c>.</returns>
    /// <exception cref="ArgumentException">The path does not fit.</exception>
    public Tensor StatesAtWindows(ControlPath path)
    {
        Check(path);
        using DisposeScope scope = NewDisposeScope();
        return Solve(path.Pieces, Initial(path.Pieces), true).MoveToOuterDisposeScope();
    }

    /// <summary>The states behind the start and each window, <c>[batch, windows + 1, width]</c>, or the last alone,
    /// <c>[batch, width]</c>.</summary>
    private protected abstract Tensor Solve(PathPieces pieces, Tensor initial, bool all);

    private Tensor Initial(PathPieces pieces) => functional.linear(pieces.Values.select(1, 0), InitialWeight, InitialBias);

    private void RequireSingle()
    {
        if (Window > 1)
            throw new InvalidOperationException(
                $"This equation takes {Window} pieces of the path at once, and has no states in between; make one with a window of 1, or ask for "
                + $"{nameof(StatesAtWindows)}.");
    }

    private void Check(ControlPath path)
    {
        ArgumentNullException.ThrowIfNull(path);
        Inputs.RequireAlive(path.Values, nameof(path), "The path");
        Inputs.RequireAlive(InitialWeight, GetName(), "A parameter of the equation");
        if (path.Channels != Channels)
            throw new ArgumentException(
                $"The path has {path.Channels} channels, with time and counts; this equation was made for {Channels}.", nameof(path));
        Inputs.RequireLike(path.Values, InitialWeight, nameof(path));
    }
}
