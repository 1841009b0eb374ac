"""Computes what the models in *.zip say about one row, from the files alone, in double precision. Needs Python 3 only.

    python3 scores.py > scores.json
"""
import glob, json, math, struct, zipfile

FEATURES, CONDITION, STEPS = [0.5, -1.25], [11.5], 2000


def read(file):
    """The description and the arrays of the model in an archive."""
    with zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            data = archive.read(name)
            start = data.find(b"NODE\x01\0\0\0")
            if start >= 0:
                break
    at = start + 8

    def take(form):
        nonlocal at
        values = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize("<" + form)
        return values

    length, = take("i")
    description = json.loads(data[at:at + length])
    at += length
    arrays = {}
    for _ in range(*take("i")):
        size, = take("B")  # names are shorter than 128 bytes
        name = take(f"{size}s")[0].decode()
        shape = take("q" * take("i")[0])
        arrays[name] = matrix(shape, take("f" * math.prod(shape)))
    return description, arrays


def matrix(shape, values):
    return [list(values[i * shape[1]:(i + 1) * shape[1]]) for i in range(shape[0])] if len(shape) == 2 else list(values)


def times(weights, x):
    return [sum(w * v for w, v in zip(row, x)) for row in weights]


def plus(a, b):
    return [x + y for x, y in zip(a, b)]


ACTIVATIONS = [
    (math.tanh, lambda x: 1 - math.tanh(x) ** 2),
    (lambda x: math.log1p(math.exp(x)), lambda x: 1 / (1 + math.exp(-x))),
    (lambda x: max(0.0, x), lambda x: float(x > 0)),
    (lambda x: x / (1 + math.exp(-x)), lambda x: (1 + math.exp(-x) + x * math.exp(-x)) / (1 + math.exp(-x)) ** 2),
]


def dense(arrays, prefix, activation, fourier, condition=None):
    """f(t, y) and the trace of its derivative, by carrying the unit vectors along."""
    value, slope = ACTIVATIONS[activation]
    layers = sum(name.startswith(prefix + "weight") for name in arrays)

    def rate(t, y):
        x, tangents = y, [[float(i == j) for j in range(len(y))] for i in range(len(y))]
        for i in range(layers):
            weights = arrays[f"{prefix}weight{i}"]
            tangents = [times(weights, tangent) for tangent in tangents]
            x = plus(times(weights, x), arrays[f"{prefix}bias{i}"])
            if i == 0 and condition:
                x = plus(x, times(arrays[prefix + "condition_weight"], condition))
            if fourier:
                waves = [t] + [math.sin(k * math.pi * t) for k in range(1, 5)] + [math.cos(k * math.pi * t) for k in range(1, 5)]
                x = plus(x, times(arrays[f"{prefix}time_weight{i}"], waves))
            elif i == layers - 1:
                x = plus(x, [t * w for w in arrays[prefix + "time_weight"]])
            if i < layers - 1:
                tangents = [[v * slope(a) for v, a in zip(tangent, x)] for tangent in tangents]
                x = [value(a) for a in x]
        return x + [sum(tangent[i] for i, tangent in enumerate(tangents))]

    return rate


def solve(rate, y, end):
    """The state at the end and the integral of the trace, by the classical Runge-Kutta method."""
    h, state = end / STEPS, y + [0.0]
    for step in range(STEPS):
        t = step * h
        f = lambda t, s: rate(t, s[:-1])
        k1 = f(t, state)
        k2 = f(t + h / 2, [s + h / 2 * k for s, k in zip(state, k1)])
        k3 = f(t + h / 2, [s + h / 2 * k for s, k in zip(state, k2)])
        k4 = f(t + h, [s + h * k for s, k in zip(state, k3)])
        state = [s + h / 6 * (a + 2 * b + 2 * c + d) for s, a, b, c, d in zip(state, k1, k2, k3, k4)]
    return state[:-1], state[-1]


def predictor(description, arrays):
    x = FEATURES
    if "mean" in arrays:
        width = len(arrays["mean"])
        x = [(v - arrays["mean"][i % width]) * arrays["scale"][i % width] for i, v in enumerate(x)]
    layers = len(description["Network"]["EncoderLayers"])
    for i in range(layers):
        x = plus(times(arrays[f"encoder{i}.weight"], x), arrays[f"encoder{i}.bias"])
        if i < layers - 1:
            x = [max(0.0, v) for v in x]
    x, _ = solve(dense(arrays, "ode.dynamics.", 0, fourier=False), x, description["Network"]["EndTime"])
    x = plus(times(arrays["head.weight"], x), arrays["head.bias"])
    if "output_scale" in arrays:
        x = [v / s + m for v, s, m in zip(x, arrays["output_scale"], arrays["output_mean"])]
    if description["Columns"]["Probability"]:
        return {"Score": x, "Probability": [1 / (1 + math.exp(-x[0]))]}
    if description["Classes"]:
        total = sum(math.exp(v - max(x)) for v in x)
        return {"Score": [math.exp(v - max(x)) / total for v in x]}
    return {"Score": x}


def flow(description, arrays):
    network, output = description["Network"], description["Output"]
    u = [(v - m) * s for v, m, s in zip(FEATURES, arrays["mean"], arrays["scale"])]
    log_scale = sum(math.log(s) for s in arrays["scale"])
    condition = [(v - m) * s for v, m, s in zip(CONDITION, arrays.get("condition_mean", []), arrays.get("condition_scale", []))]
    latents, densities = [], []
    for member in range(network["Members"]):
        z, density = u, 0.0
        for block in range(network["Blocks"]):
            z, trace = solve(dense(arrays, f"flow{member}.blocks.{block}.", network["Activation"], True, condition), z, 1.0)
            density += trace
        densities.append(density - sum(v * v for v in z) / 2 - len(z) / 2 * math.log(2 * math.pi) + log_scale)
        latents.append(z)
    if "Threshold" not in output:
        (density,), (latent,) = densities, latents
        return {"LogDensity": [density], "Latent": latent, "BitsPerDimension": [-density / math.log(2) / len(latent)]}
    surprise = -sum(densities) / len(densities)
    energy = sum(v * v for z in latents for v in z) / 2 / len(latents)
    standard = lambda value, scale: (value - scale["Median"]) / scale["Spread"]
    return {"Score": [max(standard(surprise, output["Scale"]["Density"]), standard(energy, output["Scale"]["Latent"]) - 0.5)]}


if __name__ == "__main__":
    models = {file: read(file) for file in sorted(glob.glob("*.zip"))}
    print(json.dumps({file: (flow if "Output" in model[0] else predictor)(*model) for file, model in models.items()}, indent=2))
