using Microsoft.ML.NeuralOde.Persistence;
using Microsoft.ML.NeuralOde.Training;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Networks;

/// <summary>
/// What all networks that predict a label have in common: statistics that their input and their labels are normalised with, a device, and
/// a form as named arrays.
/// </summary>
/// <typeparam name="TRows">The rows that go in.</typeparam>
internal abstract class SupervisedNetwork<TRows>(string name) : Module<TRows, Tensor>(name), ITrainedNetwork, ILabelScale
{
    private Affine? _input;
    private Affine? _output;

    public Device Device { get; private set; } = CPU;

    /// <summary>The numbers of statistics that the input may have.</summary>
    protected abstract IReadOnlyList<int> InputWidths { get; }

    /// <summary>The numbers of statistics that the labels may have.</summary>
    protected abstract int OutputWidth { get; }

    /// <summary>What the input is normalised with, for a scorer without tensors; null for nothing.</summary>
    protected (Tensor? Mean, Tensor? Scale) Normalization => (_input?.Mean, _input?.Scale);

    /// <summary>Sets what the input is normalised with: (x − mean) · scale.</summary>
    public void NormalizeInput((float[] Mean, float[] Scale) statistics) => Replace(ref _input, statistics);

    /// <inheritdoc/>
    public void NormalizeOutput((float[] Mean, float[] Scale) statistics) => Replace(ref _output, statistics);

    /// <inheritdoc/>
    public Tensor ToOutputs(Tensor labels) => _output is null ? labels : _output.Apply(labels);

    /// <inheritdoc/>
    public Tensor FromOutputs(Tensor outputs) => _output is null ? outputs : _output.Invert(outputs);

    /// <summary>What the input is normalised with, as numbers; null for nothing.</summary>
    public (float[] Mean, float[] Scale)? InputStatistics() => _input?.ToNumbers();

    /// <summary>What turns outputs into units of the label, as numbers; null where they are already.</summary>
    public (float[] Mean, float[] Scale)? OutputStatistics() => _output?.ToNumbers();

    /// <summary>Moves weights and statistics to a device.</summary>
    public void MoveTo(Device device)
    {
        if (device.type == Device.type && device.index == Device.index)
            return;
        Device = device;
        this.to(device);
        KeepState();
        _input?.MoveTo(device);
        _output?.MoveTo(device);
    }

    /// <summary>Every weight and statistic by name.</summary>
    public virtual IReadOnlyList<NamedArray> ToArrays() => NamedTensors.ToArrays(Named());

    /// <summary>Takes over the weights and statistics of another network of the same structure.</summary>
    public void CopyFrom(SupervisedNetwork<TRows> other) => FromArrays(other.ToArrays());

    /// <exception cref="InvalidDataException">The arrays are not those of this network.</exception>
    public virtual void FromArrays(IReadOnlyList<NamedArray> arrays)
    {
        Dictionary<string, NamedArray> byName = arrays.ToDictionary(array => array.Name);
        if (Statistics("mean", "scale", InputWidths) is { } input)
            NormalizeInput(input);
        if (Statistics("output_mean", "output_scale", [OutputWidth]) is { } output)
            NormalizeOutput(output);
        if (FindDefect() is { } defect)
            throw PayloadReader.Damaged(defect);
        NamedTensors.Fill(Named(), byName, Misfit);
        HashSet<string> known = [.. Named().Select(pair => pair.Name)];
        if (arrays.FirstOrDefault(array => !known.Contains(array.Name)) is { } left)
            throw Misfit(left.Name, "belong to no part of it");

        (float[] Mean, float[] Scale)? Statistics(string meanName, string scaleName, IReadOnlyList<int> lengths)
        {
            if (!byName.TryGetValue(meanName, out NamedArray? mean) || !byName.TryGetValue(scaleName, out NamedArray? scale))
                return null;
            if (!lengths.Contains(mean.Values.Length) || mean.Values.Length != scale.Values.Length)
                throw PayloadReader.Damaged($"'{meanName}' and '{scaleName}' have {mean.Values.Length} and {scale.Values.Length} numbers");
            return (mean.Values, scale.Values);
        }
    }

    /// <summary>The input normalised.</summary>
    protected Tensor Normalized(Tensor input) => _input is null ? input : _input.Apply(input);

    /// <summary>What makes no sense in statistics that were read, as a clause; null for nothing.</summary>
    protected virtual string? FindDefect() => null;

    /// <summary>Says what is wrong with the array of a name, given as the rest of a sentence.</summary>
    protected virtual InvalidDataException Misfit(string array, string what) => PayloadReader.Damaged($"the weights '{array}' {what}");

    /// <summary>Keeps weights and buffers from the dispose scope that they were made in.</summary>
    protected void KeepState()
    {
        foreach ((string _, Tensor tensor) in NamedTensors.Of(this))
            tensor.DetachFromDisposeScope();
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _input?.Dispose();
            _output?.Dispose();
        }
        base.Dispose(disposing);
    }

    private IEnumerable<(string Name, Tensor Tensor)> Named()
    {
        foreach ((string name, Tensor tensor) in NamedTensors.Of(this))
            yield return (name, tensor);
        if (_input is not null)
        {
            yield return ("mean", _input.Mean);
            yield return ("scale", _input.Scale);
        }
        if (_output is not null)
        {
            yield return ("output_mean", _output.Mean);
            yield return ("output_scale", _output.Scale);
        }
    }

    private static void Replace(ref Affine? target, (float[] Mean, float[] Scale) statistics)
    {
        target?.Dispose();
        target = new Affine(statistics);
    }
}
