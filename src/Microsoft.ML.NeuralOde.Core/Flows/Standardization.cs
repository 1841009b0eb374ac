using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// Brings each feature to mean 0 and standard deviation 1 by the moments of all data seen so far. They are buffers of the module, saved
/// with it, and change only in <see cref="Observe"/>.
/// </summary>
public sealed class Standardization : Module<Tensor, Tensor>
{
    private const string Count = "count";
    private const string Mean = "mean";
    private const string Squares = "squares";

    /// <summary>Creates a standardization that has seen no data and changes nothing.</summary>
    /// <param name="features">Number of features.</param>
    /// <exception cref="ArgumentOutOfRangeException">The number is not positive.</exception>
    public Standardization(long features)
        : base(nameof(Standardization))
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(features);
        Features = features;
        // Sums over many rows need float64; the results are in the data's own type.
        register_buffer(Count, zeros(1, ScalarType.Float64).DetachFromDisposeScope());
        register_buffer(Mean, zeros(features, ScalarType.Float64).DetachFromDisposeScope());
        register_buffer(Squares, zeros(features, ScalarType.Float64).DetachFromDisposeScope());
    }

    /// <summary>Number of features.</summary>
    public long Features { get; }

    /// <summary>Adds rows to the moments (T. F. Chan, G. H. Golub, R. J. LeVeque, 1979).</summary>
    /// <param name="rows">Data, shape <c>[rows, features]</c>.</param>
    /// <exception cref="ArgumentException">The shape is wrong, or a value is NaN or infinite.</exception>
    public void Observe(Tensor rows)
    {
        Inputs.RequireAlive(rows, nameof(rows), "The tensor of rows");
        if (rows.is_complex())
            throw new ArgumentException($"The rows have type {rows.dtype}; they must be real numbers.", nameof(rows));
        if (rows.dim() != 2 || rows.shape[1] != Features)
            throw new ArgumentException(
                $"The rows have shape [{string.Join(", ", rows.shape)}]; it must be [rows, {Features}].", nameof(rows));
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        long n = rows.shape[0];
        if (n == 0)
            return;
        Tensor count = Moment(Count), mean = Moment(Mean), squares = Moment(Squares);
        Tensor x = rows.detach().to(ScalarType.Float64, mean.device);
        if (!x.isfinite().all().item<bool>())
            throw new ArgumentException(
                "The rows hold values that are NaN or infinite; leave such rows out or replace the values.", nameof(rows));
        Tensor batchMean = x.mean([0L]);
        Tensor total = count.Plus(n);
        Tensor shift = batchMean - mean;
        squares.Add((x - batchMean).Squared().sum(dim: 0L).Plus(shift.Squared() * (count.Times(n) / total)));
        mean.Add(shift.Times(n) / total);
        count.copy_(total);
    }

    /// <summary>(x − mean) / scale.</summary>
    /// <param name="input">Data, shape <c>[batch, features]</c>.</param>
    /// <returns>The standardised data, in the same shape and type.</returns>
    /// <exception cref="ArgumentException">The data have another width.</exception>
    public override Tensor forward(Tensor input)
    {
        RequireWidth(input, nameof(input));
        using DisposeScope scope = NewDisposeScope();
        // Subtracted in float64: large values with small differences keep their digits.
        Tensor x = input.to(ScalarType.Float64);
        return ((x - Moment(Mean)) / Scale()).to(input.dtype).MoveToOuterDisposeScope();
    }

    /// <summary>mean + scale z.</summary>
    /// <param name="standardized">Standardised data, shape <c>[…, features]</c>.</param>
    /// <returns>The data, in the same shape and type.</returns>
    /// <exception cref="ArgumentException">The data have another width.</exception>
    public Tensor Invert(Tensor standardized)
    {
        RequireWidth(standardized, nameof(standardized));
        using DisposeScope scope = NewDisposeScope();
        return (standardized.to(ScalarType.Float64) * Scale()).Plus(Moment(Mean)).to(standardized.dtype).MoveToOuterDisposeScope();
    }

    /// <summary>log |∂(standardised)/∂x| = −Σ log scale.</summary>
    public double LogDeterminant()
    {
        using DisposeScope scope = NewDisposeScope();
        return -Scale().log().sum().ToDouble();
    }

    /// <summary>The features that had one value only in all rows seen: their scale is taken as 1.</summary>
    /// <returns>Their indices; empty before two rows were seen.</returns>
    public IReadOnlyList<int> ConstantFeatures()
    {
        using DisposeScope scope = NewDisposeScope();
        if (Moment(Count).ToDouble() < 2)
            return [];
        bool[] constant = IsConstant().to(CPU).data<bool>().ToArray();
        return [.. Enumerable.Range(0, constant.Length).Where(i => constant[i])];
    }

    /// <summary>The moments stay in float64, whatever type the rest of a model is changed to.</summary>
    protected override nn.Module _to(ScalarType dtype, bool non_blocking) => this;

    /// <inheritdoc cref="_to(ScalarType, bool)"/>
    protected override nn.Module _to(Device device, ScalarType dtype, bool non_blocking) => _to(device.type, device.index, non_blocking);

    private void RequireWidth(Tensor data, string name)
    {
        Inputs.RequireAlive(data, name, "The tensor of rows");
        if (data.dim() == 0 || data.size(-1) != Features || data.is_complex())
            throw new ArgumentException(
                $"The rows have shape [{string.Join(", ", data.shape)}] and type {data.dtype}; "
                + $"they must be real numbers, [batch, {Features}].", name);
    }

    private Tensor Scale()
    {
        Tensor deviation = Deviation();
        return where(IsConstant(), ones_like(deviation), deviation);
    }

    /// <summary>What rounding alone makes of equal values counts as no deviation.</summary>
    private Tensor IsConstant() => Deviation().le(Moment(Mean).abs().Times(1e-12).Plus(double.Epsilon));

    private Tensor Deviation() => (Moment(Squares) / Moment(Count).AtLeast(1)).sqrt();

    private Tensor Moment(string name) => get_buffer(name)!;
}
