namespace Microsoft.ML.NeuralOde.Export;

/// <summary>An attribute of an operator: a whole number, a number, whole numbers, or the type of a tensor's numbers.</summary>
internal readonly record struct OperatorAttribute(string Name, object Value);

/// <summary>
/// A graph of ONNX operators, built node by node, whatever it is written to in the end. Results are names; a name is given once. Operators
/// are those that all operator sets from 9 on have in common, or are written here in the way of the set at hand.
/// </summary>
internal abstract class OperatorGraph
{
    private readonly Dictionary<string, string> _axes = [];

    /// <summary>Whether axes are an input of the operators that have them, as from operator set 13 on, and not an attribute.</summary>
    protected abstract bool AxesAreInputs { get; }

    /// <summary>The most steps of a solver that may stand in the graph one after the other; more of them need a loop.</summary>
    public abstract int MostUnrolledSteps { get; }

    /// <summary>A name that no other result has.</summary>
    public abstract string Name(string hint);

    /// <summary>Adds a node with one result.</summary>
    public string Add(string operation, IEnumerable<string> inputs, string? output = null, params OperatorAttribute[] attributes)
    {
        string result = output ?? Name(operation.ToLowerInvariant());
        AddNode(operation, inputs, result, attributes);
        return result;
    }

    public abstract string Constant(string hint, ReadOnlySpan<float> values, params long[] shape);

    /// <summary>A list of numbers in double precision.</summary>
    public abstract string Constant(string hint, double[] values);

    public abstract string Constant(string hint, long value);

    /// <summary>A list of whole numbers, such as a shape or axes.</summary>
    public abstract string Constant(string hint, long[] values);

    public string Scalar(string hint, float value) => Constant(hint, [value]);

    /// <summary>Does the same some times, from results to results of the same shapes.</summary>
    /// <param name="steps">How many times.</param>
    /// <param name="state">What it begins with.</param>
    /// <param name="shapes">The shapes of the state's parts.</param>
    /// <param name="step">Given the graph inside, the number of the step and the state, returns the next state.</param>
    /// <exception cref="NotSupportedException">There are no loops where this graph is written to.</exception>
    public abstract string[] Loop(
        long steps, string[] state, IReadOnlyList<string[]> shapes, Func<OperatorGraph, string, string[], string[]> step);

    public string Cast(string x, Type type, string? output = null) => Add("Cast", [x], output, Attribute("to", type));

    /// <summary>Adds a dimension of size 1.</summary>
    public string Unsqueeze(string x, long axis) =>
        AxesAreInputs ? Add("Unsqueeze", [x, Axes([axis])]) : Add("Unsqueeze", [x], null, new OperatorAttribute("axes", new[] { axis }));

    /// <summary>Sums over dimensions.</summary>
    public string Sum(string x, long[] axes, bool keepDimensions)
    {
        OperatorAttribute keep = Attribute("keepdims", keepDimensions ? 1 : 0);
        return AxesAreInputs
            ? Add("ReduceSum", [x, Axes(axes)], null, keep) : Add("ReduceSum", [x], null, new OperatorAttribute("axes", axes), keep);
    }

    public static OperatorAttribute Attribute(string name, long value) => new(name, value);

    public static OperatorAttribute Attribute(string name, float value) => new(name, value);

    public static OperatorAttribute Attribute(string name, Type value) => new(name, value);

    public static OperatorAttribute Attribute(string name, long first, params long[] others) => new(name, (long[])[first, .. others]);

    private string Axes(long[] axes)
    {
        string key = string.Join(',', axes);
        if (!_axes.TryGetValue(key, out string? name))
            _axes[key] = name = Constant("axes", axes);
        return name;
    }

    protected abstract void AddNode(string operation, IEnumerable<string> inputs, string output, OperatorAttribute[] attributes);
}
