using Microsoft.ML.Model.OnnxConverter;
using Microsoft.ML.NeuralOde.Export;

namespace Microsoft.ML.NeuralOde.Interop;

/// <summary>The graph that ML.NET's own conversion of a chain to ONNX writes to.</summary>
internal sealed class MLNetGraph : OperatorGraph
{
    private const int FirstOperatorSet = 9;
    private const string Prefix = "NeuralOde.";

    private readonly OnnxContext _context;
    private int _names;

    /// <param name="context">ML.NET's graph.</param>
    /// <param name="step">The step of the chain, for messages.</param>
    public MLNetGraph(OnnxContext context, string step)
    {
        context.CheckOpSetVersion(FirstOperatorSet, step);
        _context = context;
    }

    /// <summary>
    /// ML.NET's nodes take no inner graphs, so that all steps stand in the graph. ONNX Runtime's time for opening a model grows with the
    /// square of their number: measured with Runge–Kutta steps of fourth order, 1 s for 34 steps and 19 s for 100.
    /// </summary>
    public override int MostUnrolledSteps => 64;

    // ML.NET writes operator sets 9 to 12.
    protected override bool AxesAreInputs => false;

    public override string Name(string hint)
    {
        string name = Unused(hint);
        _context.AddIntermediateVariable(null, name, skip: true);
        return Hide(name);
    }

    public override string Constant(string hint, ReadOnlySpan<float> values, params long[] shape)
    {
        string name = Unused(hint);
        if (shape.Length == 0)
            _context.AddInitializer(values[0], name, makeUniqueName: false);
        else
            _context.AddInitializer(values.ToArray(), shape, name, makeUniqueName: false);
        return Hide(name);
    }

    public override string Constant(string hint, double[] values)
    {
        string name = Unused(hint);
        _context.AddInitializer(values, [values.Length], name, makeUniqueName: false);
        return Hide(name);
    }

    public override string Constant(string hint, long value)
    {
        string name = Unused(hint);
        _context.AddInitializer(value, name, makeUniqueName: false);
        return Hide(name);
    }

    public override string Constant(string hint, long[] values)
    {
        string name = Unused(hint);
        _context.AddInitializer(values, [values.Length], name, makeUniqueName: false);
        return Hide(name);
    }

    public override string[] Loop(
        long steps, string[] state, IReadOnlyList<string[]> shapes, Func<OperatorGraph, string, string[], string[]> step) =>
        throw new NotSupportedException(
            $"The solver makes {steps} steps; ML.NET's ConvertToOnnx knows no loops, and at most {MostUnrolledSteps} steps are written "
            + "out. Train with a larger StepSize or ProductionStepSize; "
            + "a predictor by itself is written with a loop by SaveAsOnnx of the package Microsoft.ML.NeuralOde.Onnx.");

    protected override void AddNode(string operation, IEnumerable<string> inputs, string output, OperatorAttribute[] attributes)
    {
        OnnxNode node = _context.CreateNode(operation, inputs, [output], _context.GetNodeName(output), "");
        foreach (OperatorAttribute attribute in attributes)
            switch (attribute.Value)
            {
                case long number:
                    node.AddAttribute(attribute.Name, number);
                    break;
                case float number:
                    node.AddAttribute(attribute.Name, number);
                    break;
                case long[] numbers:
                    node.AddAttribute(attribute.Name, numbers);
                    break;
                case Type type:
                    node.AddAttribute(attribute.Name, type);
                    break;
                default:
                    throw new ArgumentException($"There is no attribute of type {attribute.Value.GetType()}.", nameof(attributes));
            }
    }

    /// <summary>A name that neither a column of the data nor a result has.</summary>
    private string Unused(string hint)
    {
        string name;
        do
            name = $"{Prefix}{hint}_{_names++}";
        while (_context.ContainsColumn(name) || _context.IsVariableDefined(name));
        return name;
    }

    /// <summary>ML.NET takes every result for a column of its name.</summary>
    private string Hide(string name)
    {
        _context.RemoveColumn(name, removeVariable: false);
        return name;
    }
}
