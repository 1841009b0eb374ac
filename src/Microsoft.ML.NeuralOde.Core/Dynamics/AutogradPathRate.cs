using Microsoft.ML.NeuralOde.Solving;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Dynamics;

/// <summary>Path rates of any dynamics: rows of the Jacobian by vector–Jacobian products through autograd.</summary>
internal sealed class AutogradPathRate : PathRate
{
    private readonly Module<Tensor, Tensor, Tensor> _dynamics;

    public AutogradPathRate(Module<Tensor, Tensor, Tensor> dynamics, Tensor initialState, PathRequest request)
        : base(request, initialState, request.Condition) => _dynamics = dynamics;

    protected override IEnumerable<Tensor> DynamicsParameters => _dynamics.parameters();

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
        Tensor f = UserFunction.RightHandSide((t, state) => rowData is null ? _dynamics.call(t, state) : ((IConditionalDynamics)_dynamics).Evaluate(t, state, rowData))(time, y);
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
                Tensor? product = autograd.grad([output], [y], null, retain_graph: graph || i < vectors - 1, create_graph: graph, allow_unused: true)[0];
                if (product is null || product.IsInvalid)
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
}
