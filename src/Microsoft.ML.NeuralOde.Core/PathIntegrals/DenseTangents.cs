using Microsoft.ML.NeuralOde.Dynamics;

namespace Microsoft.ML.NeuralOde.PathIntegrals;

/// <summary>
/// A dense network, the products of its Jacobian with given tangents, and what a path integrates of them, with the derivatives of all that
/// written out, those of second order of the activations included.
/// </summary>
/// <remarks>
/// State and tangents are stacked, shape <c>[1 + tangents, batch, width]</c>, so that a layer is one matrix product:
/// A = X Wᵀ; the state's slice goes on as h = σ(p) with p = A₀ ⊙ g + s, the others as σ′(p) ⊙ A ⊙ g. Backward, with a bar for the
/// derivative of the loss, p̄ = σ′ ⊙ h̄ + σ″ ⊙ Σ (A ⊙ g) ⊙ ū over the tangents u.
/// </remarks>
internal static class DenseTangents
{
    /// <param name="Rate">Packs the results.</param>
    /// <param name="Activation">σ.</param>
    /// <param name="ProbeWeight">The weight of one tangent in the sums.</param>
    internal sealed record Network(DensePathRate Rate, Activation Activation, double ProbeWeight);

    /// <summary>The packed rate of a packed state, in the graph where one is recorded.</summary>
    /// <param name="network">What is evaluated.</param>
    /// <param name="packed">The packed state; its first columns are the network's input.</param>
    /// <param name="tangents">Shape <c>[tangents, batch, features]</c>; null for none.</param>
    /// <param name="weights">W of each layer.</param>
    /// <param name="gates">g of each layer, shape <c>[width]</c> or <c>[batch, width]</c>; null for 1.</param>
    /// <param name="shifts">s of each layer, likewise.</param>
    public static Tensor Apply(Network network, Tensor packed, Tensor? tangents, Tensor[] weights, Tensor?[] gates, Tensor[] shifts)
    {
        bool graph = is_grad_enabled()
            && (packed.requires_grad || Array.Exists(weights, w => w.requires_grad) || Array.Exists(shifts, s => s.requires_grad)
            || Array.Exists(gates, g => g is { requires_grad: true }));
        if (graph)
            return Function.apply([network, packed, tangents!, .. weights, .. gates!, .. shifts]);
        return Evaluate(network, packed, tangents, weights, gates, shifts, null);
    }

    /// <summary>
    /// The packed rate through ordinary operations. <paramref name="saved"/> gets, layer by layer, X, A and, except for the last layer,
    /// σ′(p).
    /// </summary>
    internal static Tensor Evaluate(
        Network network, Tensor packed, Tensor? tangents, Tensor[] weights, Tensor?[] gates, Tensor[] shifts, List<Tensor>? saved)
    {
        long features = network.Rate.Features;
        Tensor x = packed.narrow(1, 0, features).unsqueeze(0);
        if (tangents is not null)
            x = cat([x, tangents], 0);
        for (int i = 0; ; i++)
        {
            Tensor a = nn.functional.linear(x, weights[i]);
            Tensor p = ModulatedLayer.Modulate(a[0], gates[i], shifts[i]);
            saved?.Add(x);
            saved?.Add(a);
            Tensor? products = Products(a, gates[i]);
            if (i == weights.Length - 1)
                return Quantities(network, p, products, tangents);
            Tensor h = network.Activation.Value(p);
            if (products is null)
            {
                x = h.unsqueeze(0);
                saved?.Add(h.new_empty([0]));
                continue;
            }
            Tensor slope = network.Activation.FirstDerivative(p, h);
            saved?.Add(slope);
            x = cat([h.unsqueeze(0), products * slope], 0);
        }
    }

    /// <summary>The tangents' slices of A ⊙ g.</summary>
    private static Tensor? Products(Tensor a, Tensor? gate)
    {
        if (a.shape[0] == 1)
            return null;
        Tensor products = a.narrow(0, 1, a.shape[0] - 1);
        return gate is null ? products : products * gate;
    }

    private static Tensor Quantities(Network network, Tensor f, Tensor? products, Tensor? tangents)
    {
        PathRequest request = network.Rate.Request;
        return network.Rate.Pack(
            f,
            request.Has(PathQuantities.Divergence) ? (products! * tangents!).sum([0, 2]).Times(network.ProbeWeight) : null,
            request.Has(PathQuantities.KineticEnergy) ? f.Squared().sum(1) : null,
            request.Has(PathQuantities.JacobianNorm) ? products!.Squared().sum([0, 2]).Times(network.ProbeWeight) : null);
    }

    private sealed class Function : autograd.SingleTensorFunction<Function>
    {
        private const string Key = "network";

        public override string Name => nameof(DenseTangents);

        public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
        {
            using DisposeScope scope = NewDisposeScope();
            var network = (Network)vars[0];
            var packed = (Tensor)vars[1];
            var tangents = (Tensor?)vars[2];
            int layers = (vars.Length - 3) / 3;
            Tensor[] weights = [.. vars.Skip(3).Take(layers).Cast<Tensor>()];
            Tensor?[] gates = [.. vars.Skip(3 + layers).Take(layers).Cast<Tensor?>()];
            Tensor[] shifts = [.. vars.Skip(3 + 2 * layers).Cast<Tensor>()];
            var saved = new List<Tensor>(3 * layers);
            Tensor result = Evaluate(network, packed, tangents, weights, gates, shifts, saved);
            ctx.set_materialize_grads(false);
            ctx.save_data(Key, new Layout(network, layers, tangents is not null, gates[0] is not null, packed.device_type, vars));
            ctx.save_for_backward(
                [packed, .. tangents is null ? (Tensor[])[] : [tangents], .. weights, .. gates.OfType<Tensor>(), .. shifts, .. saved]);
            foreach (Tensor tensor in saved)
                tensor.MoveToOuterDisposeScope();
            return result.MoveToOuterDisposeScope();
        }

        public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
        {
            var layout = (Layout)ctx.get_data(Key);
            return BackwardFailure.Guard(
                ctx, grad_output, 3 + 3 * layout.Layers, layout.Device, Find, i => BackwardFailure.Undefined(layout.Inputs[i] as Tensor));

            void Find(List<Tensor> result)
            {
                List<Tensor> all = ctx.get_saved_variables();
                Saved saved = layout.Read(all);
                if (is_grad_enabled())
                    DifferentiateTwice(saved, grad_output, result);
                else
                    Differentiate(saved, grad_output, result);
                foreach (Tensor tensor in all)
                    tensor.Dispose();
            }
        }

        /// <summary>Where the derivatives themselves are to be differentiated, autograd makes them.</summary>
        private static void DifferentiateTwice(Saved saved, Tensor gradient, List<Tensor> result)
        {
            using DisposeScope scope = NewDisposeScope();
            Tensor value = Evaluate(saved.Network, saved.Packed, saved.Tangents, saved.Weights, saved.Gates, saved.Shifts, null);
            Tensor?[] places = [null, saved.Packed, null, .. saved.Weights, .. saved.Gates, .. saved.Shifts];
            int[] wanted = [.. Enumerable.Range(0, places.Length).Where(i => places[i] is { requires_grad: true })];
            Tensor?[] gradients = Autograd.Pull(
                "the dynamics", [value], [.. wanted.Select(i => places[i]!)], [gradient], retainGraph: true, createGraph: true);
            for (int i = 0; i < wanted.Length; i++)
                if (gradients[i] is { } found)
                    result[wanted[i]] = found.MoveToOuterDisposeScope();
        }

        private static void Differentiate(Saved saved, Tensor gradient, List<Tensor> result)
        {
            using DisposeScope scope = NewDisposeScope();
            PathRequest request = saved.Network.Rate.Request;
            long features = saved.Network.Rate.Features;
            int layers = saved.Weights.Length, last = layers - 1;
            Tensor?[] columns = [.. new[] { PathQuantities.Divergence, PathQuantities.KineticEnergy, PathQuantities.JacobianNorm }
                .Select(quantity => saved.Network.Rate.Integral(gradient, quantity)?.unsqueeze(1))];

            // p̄ of the last layer, and the derivative with respect to its tangents' slices of A ⊙ g.
            Tensor p = gradient.narrow(1, 0, features);
            if (columns[1] is { } energy)
                p = p.Plus(energy.Times(2) * saved.Argument(last));
            Tensor? v = null;
            if (columns[0] is { } divergence)
                v = saved.Tangents! * divergence.Times(saved.Network.ProbeWeight);
            if (columns[2] is { } jacobian)
            {
                Tensor part = Products(saved.A(last), saved.Gates[last])! * jacobian.Times(2 * saved.Network.ProbeWeight);
                v = v is null ? part : v.Plus(part);
            }
            for (int i = last; i >= 0; i--)
            {
                Tensor a = saved.A(i);
                if (saved.Gates[i] is { } g)
                {
                    Tensor sum = p * a[0];
                    if (v is not null)
                        sum = sum.Plus((v * a.narrow(0, 1, a.shape[0] - 1)).sum(dim: 0L));
                    result[3 + layers + i] = Reduce(sum, g);
                }
                result[3 + 2 * layers + i] = Reduce(p, saved.Shifts[i]);
                Tensor bar = v is null ? p.unsqueeze(0) : cat([p.unsqueeze(0), v], 0);
                if (saved.Gates[i] is not null)
                    bar = bar * saved.Gates[i]!;
                Tensor x = saved.X(i);
                result[3 + i] = bar.reshape(-1, bar.shape[2]).t().mm(x.reshape(-1, x.shape[2])).MoveToOuterDisposeScope();
                if (i == 0)
                {
                    // The integrals and row numbers themselves do not enter the rate.
                    Tensor state = bar[0].mm(saved.Weights[0]);
                    long rest = saved.Packed.shape[1] - features;
                    result[1] = (rest == 0 ? state : nn.functional.pad(state, [0, rest])).MoveToOuterDisposeScope();
                    break;
                }
                Tensor back = matmul(bar, saved.Weights[i]);
                (p, v) = Activate(saved, i - 1, back, v is not null);
            }
        }

        /// <summary>Carries (h̄, ū) over an activation and its derivative.</summary>
        private static (Tensor P, Tensor? V) Activate(Saved saved, int layer, Tensor back, bool hasTangents)
        {
            Activation activation = saved.Network.Activation;
            Tensor h = saved.X(layer + 1)[0];
            // σ′ was kept where tangents needed it; the argument itself only silu asks for.
            Tensor? argument = activation == Activation.Silu || (!hasTangents && activation != Activation.Tanh)
                ? saved.Argument(layer) : null;
            Tensor slope = saved.Slope(layer) is { } kept && kept.numel() > 0 ? kept : activation.FirstDerivative(argument ?? h, h);
            Tensor p = back[0] * slope;
            if (!hasTangents)
                return (p, null);
            Tensor u = back.narrow(0, 1, back.shape[0] - 1);
            if (activation.SecondDerivative(argument ?? h, h, slope) is { } curvature)
                p = ModulatedLayer.AddProduct(p, curvature, (Products(saved.A(layer), saved.Gates[layer])! * u).sum(dim: 0L));
            return (p, u * slope);
        }

        /// <summary>Sums over the batch where all rows share a vector.</summary>
        private static Tensor Reduce(Tensor derivative, Tensor like) =>
            (like.dim() == 1 ? derivative.sum(dim: 0L) : derivative.alias()).MoveToOuterDisposeScope();
    }

    private sealed record Layout(Network Network, int Layers, bool HasTangents, bool HasGates, DeviceType Device, object[] Inputs)
    {
        public Saved Read(List<Tensor> all)
        {
            int place = 0;
            Tensor packed = all[place++];
            Tensor? tangents = HasTangents ? all[place++] : null;
            Tensor[] weights = Take(Layers);
            Tensor?[] gates = HasGates ? Take(Layers) : new Tensor?[Layers];
            Tensor[] shifts = Take(Layers);
            return new Saved(Network, packed, tangents, weights, gates, shifts, Take(all.Count - place));

            Tensor[] Take(int count)
            {
                place += count;
                return [.. all.GetRange(place - count, count)];
            }
        }
    }

    private sealed record Saved(
        Network Network, Tensor Packed, Tensor? Tangents, Tensor[] Weights, Tensor?[] Gates, Tensor[] Shifts, Tensor[] Intermediates)
    {
        public Tensor X(int layer) => Intermediates[3 * layer];

        public Tensor A(int layer) => Intermediates[3 * layer + 1];

        /// <summary>p.</summary>
        public Tensor Argument(int layer) => ModulatedLayer.Modulate(A(layer)[0], Gates[layer], Shifts[layer]);

        public Tensor Slope(int layer) => Intermediates[3 * layer + 2];
    }
}
