using System.Runtime.InteropServices;

namespace Microsoft.ML.NeuralOde.Torch;

/// <summary>Vector–Jacobian products through the autograd graph. Errors of the engine become exceptions that explain them.</summary>
/// <remarks>
/// TorchSharp's <c>autograd.grad</c> has no guard: an error inside it ends the process. Its <c>backward</c> has one, but adds to the
/// gradients of parameters, as other threads may be doing. The interpreter of TorchScript calls the same engine, is guarded and returns the
/// derivatives.
/// </remarks>
internal static class Autograd
{
    private static readonly Lazy<jit.CompilationUnit> Script = new(() => jit.compile(
        """
        def pull(outputs: List[Tensor], inputs: List[Tensor], cotangents: List[Tensor], retain: bool, create: bool):
            given: List[Optional[Tensor]] = []
            for cotangent in cotangents:
                given.append(cotangent)
            return torch.grad(outputs, inputs, given, retain, create, True)

        """.ReplaceLineEndings("\n")));

    /// <summary>Σ λᵀ ∂output/∂input for each input; null where no output depends on it.</summary>
    /// <param name="what">What is differentiated, for messages: “the right-hand side”.</param>
    /// <param name="outputs">The outputs; those without a graph contribute nothing.</param>
    /// <param name="inputs">The inputs; all require gradients.</param>
    /// <param name="cotangents">λ of each output, in its shape.</param>
    /// <param name="retainGraph">Whether the graph is walked again.</param>
    /// <param name="createGraph">Whether the derivatives are to be differentiated.</param>
    /// <exception cref="InvalidOperationException">The engine cannot differentiate what it was given; the message says why.</exception>
    public static Tensor?[] Pull(
        string what, IReadOnlyList<Tensor> outputs, IReadOnlyList<Tensor> inputs, IReadOnlyList<Tensor> cotangents,
        bool retainGraph = false, bool createGraph = false)
    {
        var found = new Tensor?[inputs.Count];
        Tensor[] from = [.. outputs];
        Tensor[] given = [.. cotangents];
        if (!Array.TrueForAll(from, output => output.requires_grad))
        {
            int[] places = [.. Enumerable.Range(0, from.Length).Where(i => from[i].requires_grad)];
            from = Array.ConvertAll(places, i => outputs[i]);
            given = Array.ConvertAll(places, i => cotangents[i]);
        }
        if (from.Length == 0 || found.Length == 0)
            return found;
        Tensor[] to = [.. inputs];
        jit.CompilationUnit script = Script.Value;
        object result;
        using var watch = new BackwardFailure.Watch();
        try
        {
            result = script.invoke("pull", [from, to, given, retainGraph, createGraph]);
        }
        catch (ExternalException exception)
        {
            if (watch.Failure is { } inner)
                BackwardFailure.Throw(inner);
            throw new InvalidOperationException(Explain(what, exception.Message), exception);
        }
        // The native call knows the tensors by their handles alone.
        GC.KeepAlive(from);
        GC.KeepAlive(to);
        GC.KeepAlive(given);
        // A list of tensors, or of objects where one is null.
        var derivatives = (object?[])result;
        for (int i = 0; i < found.Length; i++)
            found[i] = derivatives[i] is Tensor { IsInvalid: false } derivative ? derivative : null;
        if (watch.Failure is { } failure)
        {
            foreach (Tensor? derivative in found)
                derivative?.Dispose();
            BackwardFailure.Throw(failure);
        }
        return found;
    }

    /// <summary>The same of the sum of a tensor's elements.</summary>
    public static Tensor?[] PullSum(
        string what, Tensor output, IReadOnlyList<Tensor> inputs, bool retainGraph = false, bool createGraph = false)
    {
        if (!output.requires_grad)
            return new Tensor?[inputs.Count];
        using Tensor ones = ones_like(output);
        return Pull(what, [output], inputs, [ones], retainGraph, createGraph);
    }

    private static string Explain(string what, string message)
    {
        const string Marker = "RuntimeError: ";
        int start = message.LastIndexOf(Marker, StringComparison.Ordinal);
        string reason = start < 0 ? message : message[(start + Marker.Length)..];
        int hint = reason.IndexOf(" Hint: ", StringComparison.Ordinal);
        reason = (hint < 0 ? reason : reason[..hint]).Trim().TrimEnd('.');
        string why = reason.Contains("inplace operation", StringComparison.Ordinal)
            ? "it changes a tensor in place that its derivatives need (mul_, add_, index_put_ and the like). Use operations that return new tensors."
            : reason.Contains("second time", StringComparison.Ordinal)
                ? "it uses tensors whose graph was freed by an earlier backward pass. Compute them anew inside it, or detach them."
                : "the autograd engine refused.";
        return $"The derivatives of {what} cannot be computed: {why} The engine's words: {reason}.";
    }
}
