using Microsoft.ML.NeuralOde.Kernels;
using Microsoft.ML.NeuralOde.Methods;

namespace Microsoft.ML.NeuralOde.Native;

/// <summary>Where the Newton iteration for coupled stages starts: see <see cref="StagePredictor"/>.</summary>
internal sealed unsafe class NativePredictor
{
    private readonly ImplicitTableau _tableau;
    private readonly int _size;
    private readonly double* _slopes;

    /// <summary>The size of the last accepted step; 0 where there is none.</summary>
    private double _step;

    public NativePredictor(ImplicitTableau tableau, NativeSystem system)
    {
        _tableau = tableau;
        _size = system.Size;
        _slopes = system.Take(tableau.Stages * _size);
    }

    /// <summary>A step was accepted.</summary>
    public void Remember(double step, double** k)
    {
        for (int j = 0; j < _tableau.Stages; j++)
            NativeSystem.Copy(k[j], _slopes + j * _size, _size);
        _step = step;
    }

    /// <summary>Starts afresh.</summary>
    public void Forget() => _step = 0;

    /// <summary>Writes the stages' states.</summary>
    public void Predict(in NativeSpan span, double* state, double* tangent, double* stages)
    {
        int count = _tableau.Stages;
        Span<double> weights = stackalloc double[count];
        double** inputs = stackalloc double*[count];
        for (int j = 0; j < count; j++)
            inputs[j] = _slopes + j * _size;
        for (int i = 0; i < count; i++)
        {
            double ahead = _tableau.C[i] * span.Size;
            if (_step == 0)
            {
                StateKernels.Combine(stages + i * _size, state, 1, [ahead], &tangent, _size);
                continue;
            }
            _tableau.ExtrapolationWeights(ahead / _step, weights);
            StateKernels.Combine(stages + i * _size, state, _step, weights, inputs, _size);
        }
    }
}
