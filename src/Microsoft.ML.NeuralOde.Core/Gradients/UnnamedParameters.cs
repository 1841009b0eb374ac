using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using Microsoft.ML.NeuralOde.Solving;
using Microsoft.ML.NeuralOde.Stepping;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Gradients;

/// <summary>
/// Finds tensors that a right-hand side depends on and that would get no gradient, because the gradient method was not told of them.
/// </summary>
/// <remarks>
/// Where none of the tensors that are known requires a gradient, an evaluation of f at a state that requires none tells at once. Where some
/// do, the result requires a gradient anyway: then tensors that f can reach are asked whether the result depends on them. What was found
/// sound is not looked at again as long as the tensors stay the same: modules with their parameters, functions with the tensors that they
/// can reach. Built-in dynamics are never looked at. The evaluation is not counted, and leaves random numbers and buffers as they were.
/// </remarks>
internal static class UnnamedParameters
{
    private const int MostRemembered = 4096;

    private static readonly ConditionalWeakTable<Module, StrongBox<long>> SoundModules = [];
    private static readonly ConcurrentDictionary<long, bool> SoundFunctions = [];

    /// <exception cref="ArgumentException">There are such tensors; the message names them and the remedy.</exception>
    public static void Check(OdeProblem problem)
    {
        VectorField equation = problem.Equation;
        if (!equation.MayHideParameters)
            return;
        Tensor[] named = [.. problem.Parameters.Where(parameter => parameter.requires_grad)];
        // Arguments of rows come as views, which are others in each solve.
        long signature = equation.Module is null ? 0 : Signature([.. named.Where(parameter => parameter.is_leaf), named.Length]);
        if (equation.Module is { } module && SoundModules.TryGetValue(module, out StrongBox<long>? sound) && sound.Value == signature)
            return;
        (Tensor Tensor, string Path)[] candidates =
            [.. equation.Reach.Tensors.Where(found => !named.Contains(found.Tensor, ReferenceEqualityComparer.Instance))];
        if (equation.Module is null && named.Length > 0)
        {
            if (candidates.Length == 0)
                return;
            signature = Signature([.. candidates.Select(candidate => candidate.Tensor), named.Length, .. equation.Reach.Functions]);
            if (SoundFunctions.ContainsKey(signature))
                return;
        }
        if (named.Length == 0 || candidates.Length > 0)
            Check(problem, named, candidates);
        if (equation.Module is { } passed)
        {
            SoundModules.AddOrUpdate(passed, new StrongBox<long>(signature));
        }
        else if (named.Length > 0)
        {
            if (SoundFunctions.Count >= MostRemembered)
                SoundFunctions.Clear();
            SoundFunctions[signature] = true;
        }
    }

    /// <summary>Whether there are such tensors, where none of those that are known requires a gradient.</summary>
    public static bool Exist(OdeProblem problem)
    {
        if (!problem.Equation.MayHideParameters)
            return false;
        using DisposeScope scope = NewDisposeScope();
        using var undisturbed = new Undisturbed(problem.Equation);
        return Evaluate(problem) is not null;
    }

    private static void Check(OdeProblem problem, Tensor[] named, (Tensor Tensor, string Path)[] candidates)
    {
        using DisposeScope scope = NewDisposeScope();
        using var undisturbed = new Undisturbed(problem.Equation);
        if (Evaluate(problem) is not { } value)
            return;
        (Tensor Tensor, string Path)[] forgotten =
            [.. candidates.Where(candidate => DependsOn([value], candidate.Tensor) && !IsExplained(candidate.Tensor, named))];
        if (forgotten.Length > 0 || named.Length == 0)
            throw Forgotten(problem, forgotten);
    }

    /// <summary>f at a state without a graph; null where it does not require a gradient.</summary>
    private static Tensor? Evaluate(OdeProblem problem)
    {
        using IDisposable grad = enable_grad();
        return problem.EvaluateAside(problem.Grid.Start, problem.InitialState) is { requires_grad: true } value ? value : null;
    }

    /// <summary>Whether a tensor is one of those that are named, or is what one of them was made of, or was made of one.</summary>
    private static bool IsExplained(Tensor tensor, Tensor[] named)
    {
        if (named.Length == 0)
            return false;
        return DependsOn(Array.ConvertAll(named, known => known.alias()), tensor)
            || (!tensor.is_leaf && Array.Exists(named, known => DependsOn([tensor], known)));
    }

    private static bool DependsOn(Tensor[] values, Tensor tensor)
    {
        Tensor?[] derivatives = Autograd.Pull(
            "the right-hand side", values, [tensor], [.. values.Select(value => zeros_like(value))], retainGraph: true);
        return derivatives[0] is not null;
    }

    private static ArgumentException Forgotten(OdeProblem problem, (Tensor Tensor, string Path)[] forgotten)
    {
        string which = forgotten.Length == 0
            ? ""
            : $": {string.Join(", ", forgotten.Take(10).Select(Describe))}{(forgotten.Length > 10 ? ", …" : "")}";
        return problem.Equation.Module is { } module
            ? new ArgumentException(
                $"{module.GetType().Name} uses tensors that require gradients and that are not among its parameters(){which}. "
                + $"GradientMethod '{problem.Gradient.Name}' would give them none. Call RegisterComponents() at the end of its "
                + "constructor; keep layers in a ModuleList or Sequential, not in a List or an array; register single tensors by "
                + "register_parameter. Where none is wanted, set requires_grad to false, or solve under torch.no_grad(). "
                + "GradientMethod.Direct() reaches all of them.")
            : new ArgumentException(
                $"The right-hand side uses tensors that require gradients and that are not among its parameters{which}. GradientMethod "
                + $"'{problem.Gradient.Name}' would give them none. Name all of them in 'parameters' "
                + "(a module's are [.. module.parameters()]), detach() those that are not to be trained, or take GradientMethod.Direct(). "
                + "An empty list says that no gradients are wanted.");

        static string Describe((Tensor Tensor, string Path) found) =>
            $"{(found.Path.Length == 0 ? "one" : $"'{found.Path}'")} of shape [{string.Join(", ", found.Tensor.shape)}]";
    }

    /// <summary>Tells objects of a list from others.</summary>
    private static long Signature(IEnumerable<object> objects)
    {
        HashCode first = default, second = default;
        second.Add(1);
        foreach (object item in objects)
        {
            int hash = item is int or System.Reflection.MethodInfo ? item.GetHashCode() : RuntimeHelpers.GetHashCode(item);
            first.Add(hash);
            second.Add(hash);
        }
        return ((long)first.ToHashCode() << 32) | (uint)second.ToHashCode();
    }
}
