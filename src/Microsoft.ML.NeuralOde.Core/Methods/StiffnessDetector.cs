using Microsoft.ML.NeuralOde.Kernels;
using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Methods;

/// <summary>
/// Notices, lane by lane, when stability and not accuracy limits the steps of an explicit method.
/// </summary>
/// <remarks>
/// Where a stage at the step's end has another input Y than the solution y₁, h ‖f(y₁) − f(Y)‖ / ‖y₁ − Y‖ estimates h|λ| of the dominant
/// eigenvalue (E. Hairer, G. Wanner, Solving Ordinary Differential Equations II, IV.2). See <see cref="StiffnessCount"/>.
/// </remarks>
internal sealed class StiffnessDetector
{
    private readonly ButcherTableau _tableau;
    private readonly StepperContext _context;
    private readonly double[] _difference;
    private StiffnessCount[] _counts;
    private Tensor? _stage;
    private double[] _distance = [];
    private double[] _size = [];
    private bool[]? _mask;

    private StiffnessDetector(ButcherTableau tableau, StepperContext context)
    {
        _tableau = tableau;
        _context = context;
        _difference = StiffnessCount.Difference(tableau);
        _counts = new StiffnessCount[context.Arithmetic.Lanes];
    }

    /// <summary>Whether some lane is stiff.</summary>
    public bool LooksStiff { get; private set; }

    /// <summary>A detector; null for methods without a stage that would show it.</summary>
    public static StiffnessDetector? Create(ButcherTableau tableau, StepperContext context) =>
        tableau.LastStageAtEnd > 0 && context.Options.StepSize is null ? new StiffnessDetector(tableau, context) : null;

    /// <summary>A step is accepted. Takes the stage it needs out of <paramref name="k"/>.</summary>
    public void Accepted(Tensor state, StepAttempt attempt, Span<Tensor> k, bool[]? mask)
    {
        // Elsewhere each look would wait for the device; where methods are to be switched, it is needed.
        if (!StateKernels.Supports(state) && !_context.Options.Method.SwitchesByStiffness)
            return;
        _context.Arithmetic.Release(_stage);
        _distance = _context.Arithmetic.ScaledError(state, attempt.State, attempt.Span, _difference, k, _context.Options);
        _size = attempt.Span.Size;
        _mask = mask;
        _stage = k[_tableau.LastStageAtEnd];
        k[_tableau.LastStageAtEnd] = null!;
    }

    /// <summary>f at the end of the accepted step is known.</summary>
    public void Moved(Tensor state, Tensor derivative)
    {
        if (_stage is null)
            return;
        double[] change = _context.Arithmetic.ScaledError(state, state, null, [1, -1], [derivative, _stage], _context.Options);
        _context.Arithmetic.Release(_stage);
        _stage = null;
        LooksStiff = false;
        for (int lane = 0; lane < change.Length; lane++)
        {
            if (_mask is null || _mask[lane])
                _counts[lane].Add(_tableau, _size[lane], _distance[lane], change[lane]);
            LooksStiff |= _counts[lane].LooksStiff;
        }
        _context.Statistics.IsStiff |= LooksStiff;
    }

    /// <summary>Goes on with these lanes only.</summary>
    public void Keep(int[] lanes)
    {
        DropStage();
        _counts = Array.ConvertAll(lanes, lane => _counts[lane]);
    }

    /// <summary>Starts afresh.</summary>
    public void Forget()
    {
        DropStage();
        Array.Clear(_counts);
        LooksStiff = false;
    }

    private void DropStage()
    {
        _context.Arithmetic.Release(_stage);
        _stage = null;
    }
}
