namespace Microsoft.ML.NeuralOde.Torch;

/// <summary>Checks of what users hand in, made before torch sees it.</summary>
internal static class Inputs
{
    /// <exception cref="ArgumentNullException">A tensor is null.</exception>
    /// <exception cref="ObjectDisposedException">A tensor is disposed of.</exception>
    public static void RequireAlive(Tensor? tensor, string name, string what)
    {
        ArgumentNullException.ThrowIfNull(tensor, name);
        if (tensor.IsInvalid)
            throw new ObjectDisposedException(
                null, $"{what} is disposed of; it must live as long as it is used, whatever scope it was made in.");
    }

    /// <summary>Requires rows of a width, in the type and on the device of parameters.</summary>
    /// <exception cref="ArgumentException">They differ.</exception>
    public static void RequireLike(Tensor state, Tensor parameter, string name)
    {
        if (state.dtype != parameter.dtype || state.device_type != parameter.device_type || state.device_index != parameter.device_index)
            throw new ArgumentException(
                $"The state has type {state.dtype} on {state.device}, the dynamics' parameters {parameter.dtype} on {parameter.device}; "
                + "move one to the other's by to(…).", name);
    }

    /// <exception cref="ArgumentException">Tolerances of single components do not fit the state, are not numbers from 0 up, or ask for the
    /// impossible.</exception>
    public static void CheckTolerances(OdeSolverOptions options, Tensor state)
    {
        if (options.RelativeTolerances is null && options.AbsoluteTolerances is null)
            return;
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor relative = Of(options.RelativeTolerances, options.RelativeTolerance, nameof(options.RelativeTolerances));
        Tensor absolute = Of(options.AbsoluteTolerances, options.AbsoluteTolerance, nameof(options.AbsoluteTolerances));
        if (relative.eq(Numbers.Zero).logical_and(absolute.eq(Numbers.Zero)).any().item<bool>())
            throw new ArgumentException(
                $"{nameof(OdeSolverOptions)}.{nameof(options.AbsoluteTolerances)}: a component has relative and absolute tolerance 0; "
                + "one of them must be positive.", nameof(options));

        Tensor Of(Tensor? tolerances, double one, string name)
        {
            if (tolerances is null)
                return tensor(new[] { one });
            RequireAlive(tolerances, name, $"{nameof(OdeSolverOptions)}.{name}");
            long[] shape = tolerances.shape, all = state.shape;
            bool fits = shape.Length <= all.Length
                && shape.Reverse().Zip(all.Reverse()).All(pair => pair.First == 1 || pair.First == pair.Second);
            // Rows leave the batch when they are done.
            bool isByRow = options.PerRow && shape.Length == all.Length && shape[0] != 1;
            if (!fits || isByRow || tolerances.is_complex())
                throw new ArgumentException(
                    $"{nameof(OdeSolverOptions)}.{name} has shape [{string.Join(", ", shape)}] and type {tolerances.dtype}; it must be " +
                    "of real numbers and broadcast against the state, whose shape is " +
                    $"[{string.Join(", ", all)}]{(options.PerRow ? ", alike for all rows" : "")}.", nameof(options));
            Tensor numbers = tolerances.detach().to(ScalarType.Float64, CPU);
            if (!numbers.isfinite().logical_and(numbers.ge(Numbers.Zero)).all().item<bool>())
                throw new ArgumentException(
                    $"{nameof(OdeSolverOptions)}.{name} holds a number that is negative, infinite or NaN; "
                    + "all must be zero or positive.", nameof(options));
            return numbers;
        }
    }
}
