using Microsoft.ML.NeuralOde.Stepping;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.PathIntegrals;

/// <summary>Path rates of any dynamics: rows of the Jacobian by vector–Jacobian products through autograd.</summary>
internal sealed class AutogradPathRate : PathRate
{
    private readonly Module<Tensor, Tensor, Tensor> _dynamics;

    public AutogradPathRate(Module<Tensor, Tensor, Tensor> dynamics, Tensor initialState, PathRequest request)
        : base(request, initialState, request.Condition) => _dynamics = dynamics;

    protected override IEnumerable<Tensor> DynamicsParameters => _dynamics.parameters();

    public override Tensor Velocity(Tensor time, Tensor packed) => Dynamics(time, State(packed), RowData);

    protected override Tensor Evaluate(Tensor time, Tensor packed, Tensor? probes, Tensor? rowData)
    {
        bool graph = is_grad_enabled();
        using IDisposable? grad = Request.NeedsJacobian ? enable_grad() : null;
        Tensor y = State(packed);
        if (Request.NeedsJacobian)
        {
            if (!graph)
                y = y.detach();
            if (!y.requires_grad)
                y.requires_grad_();
        }
        // The dynamics may change the state that they are given; derivatives are those with respect to this one.
        Tensor f = UserFunction.RightHandSide((t, state) => Dynamics(t, state, rowData))(time, y);
        Tensor flat = f.reshape(-1, Features);
        Tensor? divergence = Request.Has(PathQuantities.Divergence) ? zeros_like(flat.select(1, 0).detach()) : null;
        Tensor? jacobian = Request.Has(PathQuantities.JacobianNorm) ? zeros_like(flat.select(1, 0).detach()) : null;
        if (Request.NeedsJacobian && flat.requires_grad)
        {
            long vectors = probes?.shape[0] ?? Features;
            for (long i = 0; i < vectors; i++)
            {
                // Without a cotangent the sum over rows stands in: rows do not depend on each other.
                Tensor output = probes is null ? flat.select(1, i).sum() : (flat * probes[i]).sum();
                if (Autograd.PullSum(
                    "the dynamics", output, [y], retainGraph: graph || i < vectors - 1, createGraph: graph)[0] is not { } product)
                    continue;
                product = product.reshape(-1, Features);
                if (divergence is not null)
                    divergence = divergence.Plus(probes is null ? product.select(1, i) : (product * probes[i]).sum(1).Times(ProbeWeight));
                if (jacobian is not null)
                    jacobian = jacobian.Plus(product.Squared().sum(1).Times(ProbeWeight));
            }
        }
        Tensor result = Join(flat, divergence, Request.Has(PathQuantities.KineticEnergy) ? flat.Squared().sum(1) : null, jacobian);
        return graph ? result : result.detach();
    }

    private Tensor Dynamics(Tensor time, Tensor y, Tensor? rowData) =>
        rowData is null ? _dynamics.call(time, y) : ((IConditionalDynamics)_dynamics).Evaluate(time, y, rowData);
}
