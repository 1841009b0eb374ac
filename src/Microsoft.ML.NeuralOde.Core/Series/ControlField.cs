using Microsoft.ML.NeuralOde.Dynamics;
using TorchSharp.Modules;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Series;

/// <summary>F(z), a matrix of a column for each channel: linear layers with an activation between them, and tanh behind the last.</summary>
internal sealed class ControlField
{
    private readonly Module _owner;
    private readonly int _layers;
    private readonly long _channels;

    /// <exception cref="ArgumentException">A size is not positive, or there is no such activation.</exception>
    public ControlField(Module owner, long channels, long width, IReadOnlyList<long>? hidden, Activation activation)
    {
        Hidden = hidden is null ? [width] : [.. hidden];
        foreach (long size in Hidden)
            ArgumentOutOfRangeException.ThrowIfNegativeOrZero(size, nameof(hidden));
        if (!Enum.IsDefined(activation))
            throw new ArgumentOutOfRangeException(nameof(activation), activation, "There is no such activation.");
        long[] sizes = [width, .. Hidden, width * channels];
        _owner = owner;
        _layers = sizes.Length - 1;
        for (int i = 0; i < _layers; i++)
        {
            double bound = 1 / Math.Sqrt(sizes[i]);
            owner.OwnUniform($"weight{i}", [sizes[i + 1], sizes[i]], bound);
            owner.OwnUniform($"bias{i}", [sizes[i + 1]], bound);
        }
        (Activation, _channels) = (activation, channels);
    }

    /// <summary>Sizes of the hidden layers.</summary>
    public IReadOnlyList<long> Hidden { get; }

    /// <summary>The non-linearity after each hidden layer.</summary>
    public Activation Activation { get; }

    /// <summary>F(z) dX, shape <c>[batch, width]</c>.</summary>
    /// <param name="z">Shape <c>[batch, width]</c>.</param>
    /// <param name="control">dX, <c>[batch, channels]</c>.</param>
    public Tensor Along(Tensor z, Tensor control) => Columns(Layers(z, null), z).matmul(control.unsqueeze(2)).squeeze(2);

    /// <summary>
    /// F(z) dX and, of each pair of channels, the Lie bracket along its area: Σᵢⱼ Lᵢⱼ DFⱼ(z) Fᵢ(z), shape <c>[batch, width]</c>.
    /// </summary>
    /// <param name="z">Shape <c>[batch, width]</c>.</param>
    /// <param name="control">dX, <c>[batch, channels]</c>.</param>
    /// <param name="areas">L, antisymmetric, <c>[batch, channels · channels]</c>.</param>
    public Tensor AlongWithBrackets(Tensor z, Tensor control, Tensor areas)
    {
        var slopes = new List<Tensor>();
        Tensor value = Layers(z, slopes);
        Tensor columns = Columns(value, z);
        // The direction in which column j is differentiated: Σᵢ Lᵢⱼ Fᵢ. Shape [batch, channels, width].
        Tensor tangents = columns.matmul(areas.reshape(z.size(0), _channels, _channels)).transpose(1, 2);
        for (int i = 0; i < _layers - 1; i++)
            tangents = tangents.matmul(Weight(i).t()) * slopes[i].unsqueeze(1);
        // Of the last layer column j alone: [channels, batch, width].
        Tensor last = Weight(_layers - 1).reshape(z.size(1), _channels, -1).permute(1, 2, 0);
        Tensor moved = tangents.transpose(0, 1).matmul(last).permute(1, 2, 0);
        Tensor brackets = (moved * Columns(value.Squared().From(1), z)).sum(-1);
        return columns.matmul(control.unsqueeze(2)).squeeze(2).Plus(brackets);
    }

    // Asked for by name: a module that is moved has other parameters.
    private Parameter Weight(int layer) => _owner.get_parameter($"weight{layer}")!;

    private Parameter Bias(int layer) => _owner.get_parameter($"bias{layer}")!;

    private Tensor Columns(Tensor flat, Tensor z) => flat.reshape(z.size(0), z.size(1), _channels);

    /// <summary>What comes out of the last layer; the derivatives of the activations are added to the list.</summary>
    private Tensor Layers(Tensor z, List<Tensor>? slopes)
    {
        Tensor x = z;
        for (int i = 0; i < _layers - 1; i++)
        {
            Tensor before = functional.linear(x, Weight(i), Bias(i));
            x = Activation.Value(before);
            slopes?.Add(Activation.FirstDerivative(before, x));
        }
        return functional.linear(x, Weight(_layers - 1), Bias(_layers - 1)).tanh();
    }
}
