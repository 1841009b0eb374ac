namespace Microsoft.ML.NeuralOde.Tests.Networks;

/// <summary>A convolutional network in double precision and as plain loops, from the definitions of its layers.</summary>
internal sealed class PlainImageNetwork(IReadOnlyDictionary<string, ModelWeights> weights, int groups, int stateGroups)
{
    /// <summary>The probabilities of the classes of one image.</summary>
    public double[] SharedResidual(float[] pixels, ImageShape shape, int layers)
    {
        double mean = weights["mean"].Values[0], scale = weights["scale"].Values[0];
        Image x = new Image(
            shape.Channels, shape.Height, shape.Width).Fill((c, y, k) => (pixels[(c * shape.Height + y) * shape.Width + k] - mean) * scale);
        x = Convolve(x, "encoder0", 1, 0);
        x = Relu(Normalize(x, "norm0.weight", "norm0.bias", groups));
        x = Convolve(x, "encoder1", 2, 1);
        x = Relu(Normalize(x, "norm1.weight", "norm1.bias", groups));
        x = Convolve(x, "encoder2", 2, 1);
        int further = weights["head_norm.weight"].Values.Count - x.Channels;
        if (further > 0)
            x = Augment(x, further);
        for (int layer = 0; layer < layers; layer++)
        {
            Image rate = x;
            for (int i = 0; i < 2; i++)
            {
                rate = Relu(Normalize(rate, $"ode.dynamics.norm_weight{i}", $"ode.dynamics.norm_bias{i}", stateGroups));
                rate = Convolve(rate, $"ode.dynamics.weight{i}", $"ode.dynamics.bias{i}", 1, 1);
            }
            rate = Normalize(rate, "ode.dynamics.norm_weight2", "ode.dynamics.norm_bias2", stateGroups);
            x = new Image(x.Channels, x.Height, x.Width).Fill((c, y, k) => x[c, y, k] + rate[c, y, k]);
        }
        x = Relu(Normalize(x, "head_norm.weight", "head_norm.bias", stateGroups));
        double[] means = [.. Enumerable.Range(0, x.Channels).Select(c => x.Mean(c, c + 1))];
        IReadOnlyList<float> head = [.. weights["head.weight"].Values], bias = [.. weights["head.bias"].Values];
        double[] odds = [.. Enumerable.Range(0, bias.Count)
            .Select(o => Math.Exp(bias[o] + means.Select((value, c) => value * head[o * means.Length + c]).Sum()))];
        return [.. odds.Select(value => value / odds.Sum())];
    }

    private Image Convolve(Image x, string layer, int stride, int border) =>
        Convolve(x, $"{layer}.weight", $"{layer}.bias", stride, border);

    private Image Convolve(Image x, string weight, string bias, int stride, int border)
    {
        float[] w = [.. weights[weight].Values], b = [.. weights[bias].Values];
        int size = (int)Math.Sqrt(w.Length / (b.Length * x.Channels));
        return new Image(
            b.Length, (x.Height + 2 * border - size) / stride + 1, (x.Width + 2 * border - size) / stride + 1).Fill((o, y, k) =>
        {
            double sum = b[o];
            for (int c = 0; c < x.Channels; c++)
                for (int dy = 0; dy < size; dy++)
                    for (int dx = 0; dx < size; dx++)
                        sum += w[((o * x.Channels + c) * size + dy) * size + dx] * x[c, y * stride + dy - border, k * stride + dx - border];
            return sum;
        });
    }

    /// <summary>Channels behind those of the image, zero or linear functions of those at the same place.</summary>
    private Image Augment(Image x, int further)
    {
        float[]? w = null, b = null;
        if (weights.TryGetValue("augmentation.weight", out ModelWeights? learned))
            (w, b) = ([.. learned.Values], [.. weights["augmentation.bias"].Values]);
        return new Image(x.Channels + further, x.Height, x.Width).Fill((c, y, k) =>
        {
            int row = c - x.Channels;
            if (row < 0 || w is null)
                return row < 0 ? x[c, y, k] : 0;
            return b![row] + Enumerable.Range(0, x.Channels).Sum(from => w[row * x.Channels + from] * x[from, y, k]);
        });
    }

    private Image Normalize(Image x, string weight, string bias, int count)
    {
        float[] w = [.. weights[weight].Values], b = [.. weights[bias].Values];
        int size = x.Channels / count;
        var means = new double[count];
        var deviations = new double[count];
        for (int g = 0; g < count; g++)
        {
            double mean = means[g] = x.Mean(g * size, (g + 1) * size);
            Image squares = new Image(x.Channels, x.Height, x.Width).Fill((c, y, k) => Math.Pow(x[c, y, k] - mean, 2));
            deviations[g] = Math.Sqrt(squares.Mean(g * size, (g + 1) * size) + 1e-5);
        }
        return new Image(
            x.Channels, x.Height, x.Width).Fill((c, y, k) => (x[c, y, k] - means[c / size]) / deviations[c / size] * w[c] + b[c]);
    }

    private static Image Relu(Image x) => new Image(x.Channels, x.Height, x.Width).Fill((c, y, k) => Math.Max(0, x[c, y, k]));

    private sealed class Image(int channels, int height, int width)
    {
        private readonly double[,,] _values = new double[channels, height, width];

        public int Channels => channels;

        public int Height => height;

        public int Width => width;

        public double this[int c, int y, int x] => y < 0 || x < 0 || y >= height || x >= width ? 0 : _values[c, y, x];

        public Image Fill(Func<int, int, int, double> value)
        {
            for (int c = 0; c < channels; c++)
                for (int y = 0; y < height; y++)
                    for (int x = 0; x < width; x++)
                        _values[c, y, x] = value(c, y, x);
            return this;
        }

        public double Mean(int first, int end)
        {
            double sum = 0;
            for (int c = first; c < end; c++)
                for (int y = 0; y < height; y++)
                    for (int x = 0; x < width; x++)
                        sum += _values[c, y, x];
            return sum / ((end - first) * height * width);
        }
    }
}
