using System.Runtime.InteropServices;

namespace Microsoft.ML.NeuralOde.Stepping;

/// <summary>Calls what users wrote: with states that they may change, and with a look at what they return.</summary>
internal sealed class UserFunction
{
    private const string RightHandSideName = "The right-hand side";

    private readonly Func<Tensor, Tensor, Tensor> _function;

    private UserFunction(Func<Tensor, Tensor, Tensor> function) => _function = function;

    /// <summary>
    /// A right-hand side that cannot change the state it is given, and whose result has the state's shape, type and device.
    /// </summary>
    public static Func<Tensor, Tensor, Tensor> RightHandSide(Func<Tensor, Tensor, Tensor> function) =>
        new UserFunction(function).Derivative;

    /// <summary>Calls something of the user's: exceptions of their own pass, native text is said in one line.</summary>
    /// <param name="name">What is called, at the start of a sentence.</param>
    /// <param name="state">The state it is called with.</param>
    /// <param name="call">The call.</param>
    public static T Call<T>(string name, Tensor state, Func<T> call)
    {
        try
        {
            return call();
        }
        catch (ExternalException exception)
        {
            throw Failure(name, state, exception);
        }
    }

    /// <summary>A tensor that a user's function returned.</summary>
    /// <exception cref="InvalidOperationException">It is null or disposed of.</exception>
    public static Tensor Returned(string name, Tensor? result, string expected)
    {
        if (result is null || result.IsInvalid)
            throw new InvalidOperationException(
                $"{name} returned {(result is null ? "null" : "a tensor that is disposed of")}; it must return {expected}.");
        return result;
    }

    /// <summary>What torch says, without its trace.</summary>
    public static string FirstLine(Exception exception) => exception.Message.Split('\n')[0].Trim();

    private Tensor Derivative(Tensor time, Tensor state)
    {
        Tensor result;
        try
        {
            result = _function(time, state.clone());
        }
        catch (ExternalException exception)
        {
            throw Failure(RightHandSideName, state, exception);
        }
        if (result is null || result.IsInvalid)
            Returned(RightHandSideName, result, "dy/dt as a tensor in the shape of the state");
        Stepping.RightHandSide.Check(result!, state);
        return result!;
    }

    private static InvalidOperationException Failure(string name, Tensor state, ExternalException exception) =>
        new($"{name} failed for a state of {Stepping.RightHandSide.Describe(state)}: {FirstLine(exception)}", exception);
}
