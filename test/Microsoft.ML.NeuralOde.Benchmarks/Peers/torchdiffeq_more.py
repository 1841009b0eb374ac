"""The peer's side of workloads that the script given to `compare` does not have.

Run:   python3 torchdiffeq_more.py MODE [ARGUMENT ...] --torchdiffeq DIR [--threads N]
Modes: memory GRADIENT STEPS   growth of resident memory in MB over one solve in forced steps and its gradient; GRADIENT: adjoint or direct
       exact_flow D            milliseconds of a training step of a flow in D dimensions with the exact trace, batch 512
       odenet_error            how far gradients of the ODE-Net by the adjoint lie from those of solves to 1e-5, in percent of their length
Prints one JSON object a measurement.
"""
import argparse
import gzip
import json
import statistics
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("mode", choices=["memory", "exact_flow", "odenet_error"])
parser.add_argument("arguments", nargs="*")
parser.add_argument("--torchdiffeq", required=True)
parser.add_argument("--mnist")
parser.add_argument("--threads", type=int, default=1)
options = parser.parse_args()
sys.path.insert(0, options.torchdiffeq)

import torch
from torch import nn
from torchdiffeq import odeint, odeint_adjoint

torch.set_num_threads(options.threads)
torch.manual_seed(0)
SOLVERS = {"adjoint": odeint_adjoint, "direct": odeint}


def resident(field):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field))


def memory(gradient, steps, rows=2048, width=64):
    first, second = nn.Linear(width, width), nn.Linear(width, width)

    class Rate(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(first, nn.Tanh(), second)

        def forward(self, t, y):
            return self.layers(y)

    rate = Rate()

    def run(count):
        rate.zero_grad()
        start = torch.randn(rows, width, requires_grad=True)
        size = 1.0 / count
        # Tolerances that any step meets: the largest size allowed is the one taken.
        end = SOLVERS[gradient](
            rate, start, torch.tensor([0.0, 1.0]), method="dopri5", rtol=1e3, atol=1e3, options={"first_step": size, "max_step": size})[1]
        end.square().sum().backward()

    run(2)
    run(2)
    before = resident("VmRSS")
    run(int(steps))
    print(json.dumps({"gradient": gradient, "steps": int(steps), "growth_mb": (resident("VmHWM") - before) / 1e6}))


def exact_flow(dimension, rows=512, width=64, warmup=3, steps=15):
    dimension = int(dimension)

    class Rate(nn.Module):
        def __init__(self):
            super().__init__()
            sizes = [dimension, width, width, width]
            self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:]))
            self.moves = nn.ModuleList(nn.Linear(1, width) for _ in range(3))
            self.out = nn.Linear(width, dimension)
            self.count = 0

        def forward(self, t, state):
            self.count += 1
            z = state[0]
            with torch.enable_grad():
                if not z.requires_grad:
                    z.requires_grad_(True)
                x = z
                for layer, move in zip(self.hidden, self.moves):
                    x = torch.tanh(layer(x) + move(t.reshape(1, 1)))
                rate = self.out(x)
                trace = sum(torch.autograd.grad(rate[:, i].sum(), z, create_graph=True)[0][:, i] for i in range(dimension))
            return rate, -trace.unsqueeze(1)

    for gradient, solve in SOLVERS.items():
        torch.manual_seed(0)
        rate = Rate()
        optimizer = torch.optim.Adam(rate.parameters(), 1e-3)
        mix = torch.randn(dimension, dimension) / dimension ** 0.5
        milliseconds, forward, backward = [], [], []
        for step in range(warmup + steps):
            x = torch.randn(rows, dimension) @ mix + 2 * torch.sign(torch.randn(rows, 1))
            rate.count = 0
            started = time.perf_counter()
            optimizer.zero_grad()
            z, change = solve(rate, (x, torch.zeros(rows, 1)), torch.tensor([1.0, 0.0]), rtol=1e-5, atol=1e-5, method="dopri5")
            loss = (z[-1].square().sum(1) / 2 + change[-1].reshape(-1)).mean()
            evaluations = rate.count
            loss.backward()
            optimizer.step()
            if step >= warmup:
                milliseconds.append((time.perf_counter() - started) * 1e3)
                forward.append(evaluations)
                backward.append(rate.count - evaluations)
        print(json.dumps({
            "gradient": gradient, "dimension": dimension, "ms_per_step": statistics.median(milliseconds),
            "nfe_forward": statistics.mean(forward), "nfe_backward": statistics.mean(backward), "loss": loss.item()}))


def digits(kind, size):
    with gzip.open(f"{options.mnist}/train-{kind}.gz") as file:
        data = bytearray(file.read())
    return torch.frombuffer(data, dtype=torch.uint8, offset=len(data) - 60000 * size)


def odenet_error(channels=64, batch=128, batches=21, every=5):
    def norm():
        return nn.GroupNorm(min(32, channels), channels)

    class Rate(nn.Module):
        def __init__(self):
            super().__init__()
            self.norms = nn.ModuleList(norm() for _ in range(3))
            self.layers = nn.ModuleList(nn.Conv2d(channels + 1, channels, 3, padding=1) for _ in range(2))
            self.count = 0

        def forward(self, t, y):
            self.count += 1
            for before, layer in zip(self.norms, self.layers):
                y = before(y).relu()
                y = layer(torch.cat([t.expand(len(y), 1, *y.shape[2:]), y], 1))
            return self.norms[2](y)

    down = nn.Sequential(
        nn.Conv2d(1, channels, 3), norm(), nn.ReLU(), nn.Conv2d(channels, channels, 4, 2, 1), norm(), nn.ReLU(),
        nn.Conv2d(channels, channels, 4, 2, 1))
    rate = Rate()
    head = nn.Sequential(norm(), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))
    carried = [*down.parameters(), *rate.parameters()]
    optimizer = torch.optim.SGD([*carried, *head.parameters()], lr=0.1, momentum=0.9)
    images = digits("images-idx3-ubyte", 784).reshape(-1, 1, 28, 28)
    labels = digits("labels-idx1-ubyte", 1).long()
    order = torch.randperm(len(images))

    def differentiate(rows, solve, tolerance):
        optimizer.zero_grad()
        rate.count = 0
        y = solve(rate, down(images[rows] / 255), torch.tensor([0.0, 1.0]), rtol=tolerance, atol=tolerance)[1]
        loss = nn.functional.cross_entropy(head(y), labels[rows])
        evaluations = rate.count
        loss.backward()
        return torch.cat([p.grad.reshape(-1) for p in carried]), evaluations, rate.count - evaluations

    errors, forward, backward = [], [], []
    for b in range(batches):
        rows = order[b * batch:(b + 1) * batch]
        if b % every == 0 and b > 0:
            exact, _, _ = differentiate(rows, odeint, 1e-5)
            found, there, back = differentiate(rows, odeint_adjoint, 1e-3)
            errors.append(((found - exact).norm() / exact.norm()).item())
            forward.append(there)
            backward.append(back)
        differentiate(rows, odeint, 1e-3)
        optimizer.step()
    print(json.dumps({
        "percent": 100 * statistics.mean(errors), "nfe_forward": statistics.mean(forward), "nfe_backward": statistics.mean(backward)}))


{"memory": memory, "exact_flow": exact_flow, "odenet_error": odenet_error}[options.mode](*options.arguments)
