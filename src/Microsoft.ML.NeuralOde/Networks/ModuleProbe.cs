using TorchSharp.Modules;
using Module = TorchSharp.torch.nn.Module<TorchSharp.torch.Tensor, TorchSharp.torch.Tensor, TorchSharp.torch.Tensor>;

namespace Microsoft.ML.NeuralOde.Networks;

/// <summary>
/// Looks at a module of the user's before it is trained: what would end a training after hours, or make a model that cannot be saved or
/// whose scores depend on a row's neighbours, is told at once.
/// </summary>
internal sealed class ModuleProbe
{
    private const int Rows = 3;
    private const double Time = 0.25;
    private const double Tolerance = 1e-3;

    private readonly string _name;
    private readonly Module _module;
    private readonly Tensor _state;

    private ModuleProbe(string name, Module module, long stateSize)
    {
        _name = name;
        _module = module;
        _state = Numbers.Range(Rows * stateSize, ScalarType.Float32, CPU).cos().reshape(Rows, stateSize);
    }

    /// <param name="source">What makes the module.</param>
    /// <param name="stateSize">The size of its state.</param>
    /// <param name="scoring">How the fitted model will be solved.</param>
    /// <exception cref="InvalidOperationException">The module is not fit; the message says why.</exception>
    public static void Check(NeuralOdeDynamics source, long stateSize, OdeSolverOptions scoring)
    {
        using Module module = source.Create(stateSize);
        using Module other = source.Create(stateSize);
        using DisposeScope scope = NewDisposeScope();
        var probe = new ModuleProbe(source.Name, module, stateSize);
        probe.CheckOwnership(other);
        probe.CheckTypes();
        using (no_grad())
        {
            module.train();
            probe.CheckRepeats("in training mode");
            module.eval();
            Tensor rates = probe.CheckRepeats("in evaluation mode");
            probe.CheckRows(rates);
            if (scoring.Method.IsAdaptive && scoring.StepSize is null)
                probe.CheckTimes(rates);
        }
        using (enable_grad())
            probe.CheckGradients();
    }

    private InvalidOperationException Unfit(string what, Exception? inner = null) =>
        new($"The dynamics '{_name}' ({_module.GetType().Name}) {what}", inner);

    private void CheckOwnership(Module other)
    {
        if (ReferenceEquals(_module, other)
            || _module.parameters().Any(mine => other.parameters().Any(theirs => mine.Handle == theirs.Handle)))
            throw Unfit(
                "have the same weights each time they are made: the function must make a new module at each call, "
                + "because every model owns its own.");
    }

    private void CheckTypes()
    {
        foreach ((string name, Tensor tensor) in _module.named_parameters().Select(pair => (pair.name, (Tensor)pair.parameter))
            .Concat(_module.named_buffers().Select(pair => (pair.name, pair.buffer))))
            if (tensor.dtype != ScalarType.Float32)
                throw Unfit(
                    $"have '{name}' of type {tensor.dtype}; a model holds Float32. "
                    + "Make it so, or keep it in a field that is no parameter and no buffer.");
        _module.to(CPU);
    }

    private Tensor CheckRepeats(string mode)
    {
        using Scalar time = Time;
        Tensor first = Evaluate(full([], time, ScalarType.Float32, CPU), _state, mode),
            second = Evaluate(full([], time, ScalarType.Float32, CPU), _state, mode);
        if (Difference(first, second) > 0)
            throw Unfit(
                $"return other values when they are called again {mode}: they draw random numbers, as dropout does, "
                + "or change with each call. An equation has one right-hand side.");
        return first;
    }

    private void CheckRows(Tensor rates)
    {
        using Scalar time = Time;
        for (int row = 0; row < Rows; row++)
            if (Difference(Evaluate(full([], time, ScalarType.Float32, CPU), _state.narrow(0, row, 1), "for one row"),
                rates.narrow(0, row, 1)) > Tolerance)
                throw Unfit(
                    "return other values for a row alone than among others: "
                    + "normalisation over the batch and the like make scores depend on a row's neighbours.");
    }

    private void CheckTimes(Tensor rates)
    {
        const string Mode = "with a time for each row";
        using Scalar time = Time;
        Tensor perRow = Evaluate(full([Rows, 1], time, ScalarType.Float32, CPU), _state, Mode);
        if (Difference(perRow, rates) > Tolerance)
            throw Unfit(
                $"return other values {Mode} than with one time for all: scoring gives each row its own steps, "
                + "and t is then of shape [batch, 1]. Write it so that it broadcasts against the state, or set a StepSize.");
    }

    private void CheckGradients()
    {
        using Scalar time = Time;
        Tensor t = full([], time, ScalarType.Float32, CPU);
        _module.train();
        Parameter[] trained = [.. _module.parameters().Where(parameter => parameter.requires_grad)];
        foreach (Parameter parameter in trained)
            parameter.requires_grad = false;
        if (Evaluate(t, _state, "without gradients").requires_grad)
            throw Unfit(
                "use weights that are not among their parameters(), which would be neither trained nor saved. Call RegisterComponents() at "
                + "the end of the constructor; keep layers in a ModuleList or Sequential, "
                + "and register single tensors by register_parameter.");
        foreach (Parameter parameter in trained)
            parameter.requires_grad = true;
        if (!Evaluate(t, _state.detach().requires_grad_(true), "with gradients").requires_grad)
            throw Unfit(
                "return a tensor without a gradient: they compute under no_grad, detach what they compute, or leave torch in between.");
    }

    private Tensor Evaluate(Tensor time, Tensor state, string mode)
    {
        Tensor? rates;
        try
        {
            // A module may change what it is given.
            rates = _module.call(time, state.requires_grad ? state : state.clone());
        }
        catch (Exception exception) when (exception is not OutOfMemoryException and not OperationCanceledException)
        {
            throw Unfit(
                $"failed {mode}, for t of shape {Shape(time)} and a state of shape {Shape(state)}: "
                + $"{exception.Message.Split('\n')[0]}", exception);
        }
        if (rates is null || rates.IsInvalid)
            throw Unfit(
                $"return {(rates is null ? "null" : "a tensor that is disposed of")}; dy/dt must be a tensor of the state's shape.");
        if (!rates.shape.AsSpan().SequenceEqual(state.shape) || rates.dtype != ScalarType.Float32)
            throw Unfit(
                $"return {rates.dtype} of shape {Shape(rates)} for a state of Float32 and shape {Shape(state)}; "
                + "dy/dt must be of the state's type and shape.");
        if (rates.device_type != DeviceType.CPU)
            throw Unfit($"return a tensor on {rates.device} for a state on the processor.");
        return rates;
    }

    private static double Difference(Tensor found, Tensor expected)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor difference = (found - expected).abs().nan_to_num();
        Tensor size = expected.abs().nan_to_num().AtLeast(1);
        return (difference / size).max().ToDouble();
    }

    private static string Shape(Tensor tensor) => $"[{string.Join(", ", tensor.shape)}]";
}
