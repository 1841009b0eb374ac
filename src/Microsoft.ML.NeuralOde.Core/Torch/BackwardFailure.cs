using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;

namespace Microsoft.ML.NeuralOde.Torch;

/// <summary>How a failure inside a node of the autograd graph gets out of the engine.</summary>
/// <remarks>
/// The engine's native code calls nodes and lets no exception through: one that leaves a node ends the process. So a node that fails
/// returns NaN and leaves an error message where native functions leave theirs for the managed caller, and <c>backward</c> or
/// <c>autograd.grad</c>, whichever started the engine, throws it as an <see cref="ExternalException"/>. Nodes of devices other than the CPU
/// run on threads of their own, where nobody would find the message: their failures are kept, and thrown by the next use of the solution or
/// of the parameters.
/// </remarks>
internal static class BackwardFailure
{
    private static readonly ConditionalWeakTable<Tensor, Exception> Untold = [];
    private static volatile bool _anyUntold;

    [ThreadStatic]
    private static (Exception Exception, string Message)? _last;

    [ThreadStatic]
    private static Watch? _watch;

    /// <summary>The failure of another node in the same run of the engine; null for none. To be asked for at the start of a node.</summary>
    public static Exception? Earlier()
    {
        if (_watch is { } watch)
            return watch.Failure;
        try
        {
            CheckForErrors();
            return null;
        }
        catch (ExternalException exception)
        {
            return ToldBy(exception) ?? exception;
        }
    }

    /// <summary>What a node that failed returns for an input: NaN; null where it is gone or needs no gradient.</summary>
    public static Tensor? Undefined(Tensor? input)
    {
        if (input is null || input.IsInvalid || !input.requires_grad)
            return null;
        using IDisposable noGrad = no_grad();
        return full_like(input, Numbers.NaN, requires_grad: false);
    }

    /// <summary>
    /// Tells whoever started the engine of a failure. To be called at the very end of a node: native calls behind it would erase the
    /// message.
    /// </summary>
    /// <param name="exception">What happened.</param>
    /// <param name="device">The device that the node works on.</param>
    /// <returns>False where the failure cannot be told now.</returns>
    public static bool Tell(Exception exception, DeviceType device)
    {
        if (_watch is { } watch)
        {
            watch.Failure ??= exception;
            return true;
        }
        if (device != DeviceType.CPU)
            return false;
        string message = $"The backward pass of an ODE solve failed: {exception.GetType().Name}: {exception.Message}";
        _last = (exception, message.Split('\n')[0]);
        try
        {
            // The parser quotes the text, which is no function, in its error.
            Parse(null, message);
            return true;
        }
        catch (Exception missing) when (missing is MissingMethodException or TypeLoadException)
        {
            return false;
        }
    }

    /// <summary>
    /// What a node returns for its inputs, the function's own object among them: the gradients that are found, or, where that fails here or
    /// has failed in another node of the same run, what stands for them. No exception leaves it, and the failure is told.
    /// </summary>
    /// <param name="context">The node's context.</param>
    /// <param name="gradient">The gradient that came to the node; invalid for none.</param>
    /// <param name="inputs">The number of inputs.</param>
    /// <param name="device">The device that the node works on.</param>
    /// <param name="find">Writes the gradients, from place 1 on.</param>
    /// <param name="instead">What stands for an input's gradient where that failed; null for nothing.</param>
    public static List<Tensor> Guard(
        autograd.AutogradContext context, Tensor gradient, int inputs, DeviceType device, Action<List<Tensor>> find,
        Func<int, Tensor?>? instead = null)
    {
        Exception? failure = Earlier();
        var result = new List<Tensor>(new Tensor[inputs]);
        if (gradient.IsInvalid && failure is null)
            return result;
        try
        {
            if (failure is null)
                find(result);
        }
        catch (Exception exception)
        {
            failure = exception;
            for (int i = 1; i < inputs; i++)
                result[i] = instead?.Invoke(i)!;
        }
        // The caller reads the handles after this returns: nothing else holds the tensors until then.
        context.save_data("gradients", result);
        if (failure is not null)
            Tell(failure, device);
        return result;
    }

    /// <summary>The failure of a node on this thread whose message came out of the engine; null where it is another message.</summary>
    public static Exception? ToldBy(ExternalException told) =>
        _last is { } last && told.Message.Contains(last.Message, StringComparison.Ordinal) ? last.Exception : null;

    /// <summary>Keeps a failure that cannot be told, for the next solve with any of the parameters.</summary>
    public static void Keep(Exception exception, IEnumerable<Tensor> parameters)
    {
        foreach (Tensor parameter in parameters)
            Untold.AddOrUpdate(parameter, exception);
        _anyUntold = true;
    }

    /// <summary>Throws a failure that was kept for one of the parameters.</summary>
    public static void ThrowKept(IReadOnlyList<Tensor> parameters)
    {
        if (!_anyUntold)
            return;
        foreach (Tensor parameter in parameters)
            if (Untold.TryGetValue(parameter, out Exception? exception))
                Throw(exception);
    }

    /// <summary>Throws an exception as it was thrown first, and keeps it no longer.</summary>
    public static void Throw(Exception exception)
    {
        if (_anyUntold)
            foreach ((Tensor parameter, Exception kept) in Untold)
                if (ReferenceEquals(kept, exception))
                    Untold.Remove(parameter);
        ExceptionDispatchInfo.Throw(exception);
    }

    /// <summary>
    /// Takes failures of nodes on this thread while it lasts: for calls of the engine that are ours, and need no message.
    /// </summary>
    internal sealed class Watch : IDisposable
    {
        private readonly Watch? _outer = _watch;

        public Watch() => _watch = this;

        /// <summary>The first failure; null for none.</summary>
        public Exception? Failure { get; set; }

        public void Dispose() => _watch = _outer;
    }

    [UnsafeAccessor(UnsafeAccessorKind.StaticMethod, Name = "THSJIT_compile")]
    private static extern nint Parse([UnsafeAccessorType("TorchSharp.PInvoke.NativeMethods, TorchSharp")] object? natives, string script);
}
