"""Computes what the models in *.zip say about one row, from the files alone, in double precision. Needs Python 3 only.

    python3 scores.py > scores.json
"""
import glob, json, math, struct, zipfile

FEATURES, CONDITION, STEPS = [0.5, -1.25], [11.5], 2000


def features(count):
    return [FEATURES[i % 2] for i in range(count)]


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
        return x + [sum(tangent[i] for i, tangent in enumerate(tangents) if i < len(tangent))]

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


def second_order(arrays):
    """Positions move with their velocities, velocities with a network of both."""
    acceleration = dense(arrays, "ode.dynamics.acceleration.", 0, fourier=False)

    def rate(t, y):
        half = len(y) // 2
        return y[half:] + acceleration(t, y)[:half] + [0.0]

    return rate


def encoded(description, arrays, x):
    """The state at the end of linear layers and an equation."""
    network = description["Network"]
    layers = len(network["EncoderLayers"])
    for i in range(layers):
        x = plus(times(arrays[f"encoder{i}.weight"], x), arrays[f"encoder{i}.bias"])
        if i < layers - 1:
            x = [max(0.0, v) for v in x]
    if network.get("LearnsAugmentation"):
        x = x + plus(times(arrays["ode.augmentation.weight"], x), arrays["ode.augmentation.bias"])
    rate = second_order(arrays) if network.get("Form") == "SecondOrder" else dense(arrays, "ode.dynamics.", 0, fourier=False)
    return solve(rate, x, network["EndTime"])[0]


def convolve(image, weights, bias, stride, border, kernel):
    """Images are lists of channels of rows; weights are flat, by output, input, row and column."""
    height, width = len(image[0]), len(image[0][0])
    padded = [[[0.0] * (width + 2 * border)] * border + [[0.0] * border + row + [0.0] * border for row in channel]
              + [[0.0] * (width + 2 * border)] * border for channel in image]
    places = [(c, i, j) for c in range(len(image)) for i in range(kernel) for j in range(kernel)]
    return [[[b + sum(weights[o * len(places) + n] * padded[c][y + i][x + j] for n, (c, i, j) in enumerate(places))
              for x in range(0, width + 2 * border - kernel + 1, stride)]
             for y in range(0, height + 2 * border - kernel + 1, stride)] for o, b in enumerate(bias)]


def normalize(image, weights, bias, groups=None):
    """Group normalisation; with as many groups up to 32 as leave two channels in each where the file does not say how many."""
    count = len(image)
    size = count // (groups or max(g for g in range(1, 33) if count % g == 0 and (g == 1 or count // g > 1)))
    result = []
    for c, channel in enumerate(image):
        group = [v for other in image[c // size * size:c // size * size + size] for row in other for v in row]
        mean = sum(group) / len(group)
        deviation = math.sqrt(sum((v - mean) ** 2 for v in group) / len(group) + 1e-5)
        result.append([[(v - mean) / deviation * weights[c] + bias[c] for v in row] for row in channel])
    return result


def relu(image):
    return [[[max(0.0, v) for v in row] for row in channel] for channel in image]


def add(a, b, scale=1.0):
    return [[[v + scale * w for v, w in zip(*rows)] for rows in zip(*channels)] for channels in zip(a, b)]


def image_rate(arrays, groups, t, image):
    """Two convolutions between normalisations; time is one more channel of each where they have weights for it."""
    for i in range(2):
        image = relu(normalize(image, arrays[f"ode.dynamics.norm_weight{i}"], arrays[f"ode.dynamics.norm_bias{i}"], groups))
        result = convolve(image, arrays[f"ode.dynamics.weight{i}"], arrays[f"ode.dynamics.bias{i}"], 1, 1, 3)
        if f"ode.dynamics.time_weight{i}" in arrays:
            times_one = [[[t] * len(image[0][0])] * len(image[0])]
            result = add(result, convolve(times_one, arrays[f"ode.dynamics.time_weight{i}"], [0.0] * len(result), 1, 1, 3))
        image = result
    return normalize(image, arrays["ode.dynamics.norm_weight2"], arrays["ode.dynamics.norm_bias2"], groups)


def convolutional(description, arrays, x):
    """The means of the channels of the state at the end."""
    network = description["Network"]
    shape, groups = network["Image"], network.get("Groups")
    rows = [x[i:i + shape["Width"]] for i in range(0, len(x), shape["Width"])]
    image = [rows[i:i + shape["Height"]] for i in range(0, len(rows), shape["Height"])]
    for i, (stride, border, kernel) in enumerate([(1, 0, 3), (2, 1, 4), (2, 1, 4)]):
        image = convolve(image, arrays[f"encoder{i}.weight"], arrays[f"encoder{i}.bias"], stride, border, kernel)
        if i < 2:
            image = relu(normalize(image, arrays[f"norm{i}.weight"], arrays[f"norm{i}.bias"]))
    if network.get("LearnsAugmentation"):
        weights = [v for row in arrays["augmentation.weight"] for v in row]
        image = image + convolve(image, weights, arrays["augmentation.bias"], 1, 0, 1)
    if network["Block"] == "SharedResidual":
        for _ in range(network["Layers"]):
            image = add(image, image_rate(arrays, groups, 0.0, image))
    else:
        h = network["EndTime"] / STEPS
        for step in range(STEPS):
            t = step * h
            k1 = image_rate(arrays, groups, t, image)
            k2 = image_rate(arrays, groups, t + h / 2, add(image, k1, h / 2))
            k3 = image_rate(arrays, groups, t + h / 2, add(image, k2, h / 2))
            k4 = image_rate(arrays, groups, t + h, add(image, k3, h))
            for k, weight in ((k1, 1), (k2, 2), (k3, 2), (k4, 1)):
                image = add(image, k, h / 6 * weight)
    image = relu(normalize(image, arrays["head_norm.weight"], arrays["head_norm.bias"], groups))
    return [sum(v for row in channel for v in row) / (len(channel) * len(channel[0])) for channel in image]


def predictor(description, arrays):
    network = description["Network"]
    x = features(network["FeatureCount"])
    if "mean" in arrays:
        width = len(arrays["mean"])
        x = [(v - arrays["mean"][i % width]) * arrays["scale"][i % width] for i, v in enumerate(x)]
    x = (convolutional if network.get("Kind") == "convolutional" else encoded)(description, arrays, x)
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
