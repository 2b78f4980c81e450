"""Lava beside `simulate`: every spike and state of random networks, and how long a step of a sample takes."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from edge_anp import conformance, reference, simulate, target
from edge_anp.bench_loihi_digits import SAMPLES, drifted_digits, table
from edge_anp.conformance_networks import random_network, random_raster
from edge_anp.integer import LOIHI2, IntegerConnection, IntegerLayer, IntegerNetwork, IntegerNeuron, Leak
from edge_anp.synapses import Dense
from edge_anp.topology import INPUT, InputContract

SIZE, BATCH = 512, 64
STEPS = {"lava": 50, "simulate": 20}  # a stretch; Lava pays a few milliseconds for the start of one
REPEATS = {"lava": 10, "simulate": 60}  # of which the fastest counts: other programs may be running
NETWORKS = 40  # random ones, a seed


def recurrent_network(size: int = SIZE) -> IntegerNetwork:
    """size inputs, size recurrent neurons, 10 outputs: all of them the stock LIF."""
    rng = np.random.default_rng(0)

    def layer(n: int, sources: tuple[tuple[int, int, int], ...], vth: int) -> IntegerLayer:
        ways = [
            IntegerConnection(s, (Dense((2 * rng.integers(-40, 50, (n, m))).astype(np.int16)),), 6, d)
            for s, m, d in sources
        ]
        neuron = IntegerNeuron(Leak(np.full(n, 3686), 12), None, np.full(n, vth * 64), "zero", False)
        return IntegerLayer((n,), tuple(ways), np.zeros(n, np.int64), neuron, np.ones(n))

    layers = (layer(size, ((INPUT, size, 0), (0, size, 1)), 2500), layer(10, ((0, size, 0),), 2500))
    return IntegerNetwork(LOIHI2, layers, InputContract((size,), high=1))


def measure_speed() -> dict[str, float]:
    """Seconds a step and sample, all in one run: Lava's runtime, Lava stepped in one process, simulate."""
    net, machine = recurrent_network(), target.find("loihi")
    raster = (np.random.default_rng(1).random((STEPS["simulate"], BATCH, SIZE)) < 0.1).astype(np.int8)
    seconds = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "out"
        target.compile_to(machine, net, folder, None, [raster[:5, 0]])
        for runner in ("lava-runtime", "lava-fixed"):
            with machine.open(folder, runner) as session:
                steps = getattr(session, "time")  # noqa: B009  of this target's sessions alone
                stretch = STEPS["lava"]
                seconds[runner] = min(steps(stretch) for _ in range(REPEATS["lava"])) / stretch
    best = np.inf
    with threadpool_limits(1):  # a core each, for Lava's processes too
        for _ in range(REPEATS["simulate"]):
            began = time.perf_counter()
            simulate.run(net, raster)
            best = min(best, time.perf_counter() - began)
    return {**seconds, "simulate": best / (len(raster) * BATCH)}


def check_networks(seeds: int) -> tuple[int, int]:
    """(networks, neuron-steps) that Lava ran as the reference did. Raise AssertionError at the first difference."""
    machine, done, steps = target.find("loihi"), 0, 0
    for seed in range(NETWORKS * seeds):
        net = random_network(seed, LOIHI2)
        rasters = [random_raster(net, 2 * seed + k, 60) for k in range(2)]
        with tempfile.TemporaryDirectory() as place:
            try:
                target.compile_to(machine, net, Path(place) / "out", None, rasters[:1])
            except target.Unsupported:  # max pooling, and loops that are faster than Lava's synapses
                continue
            with machine.open(Path(place) / "out", "lava-fixed") as session:
                for x in rasters:
                    want = reference.run(net, x)
                    difference = conformance.first_difference(want, session.run(x))
                    assert difference is None, f"seed {seed}: {difference}"
                    steps += sum(s.size for s in want.spikes)
        done += 1
    return done, steps


def bench_loihi(out: Path, seeds: int) -> None:
    """Print them and write docs/results/loihi.md."""
    seconds = measure_speed()
    networks, neuron_steps = check_networks(seeds)
    rows = [f"| {name} | {s * 1e6:,.1f} | {seconds['lava-runtime'] / s:,.1f} |" for name, s in seconds.items()]
    lines = [
        "# Loihi through Lava",
        "",
        f"{networks} random networks, {neuron_steps:,} neuron-steps in lava-nc 0.10.0's fixed-point simulator, not silicon: every spike",
        "and every state equals the reference. Written by `edge-anp bench loihi`.",
        "",
        f"A step of {SIZE} inputs, {SIZE} recurrent neurons and 10 outputs; `simulate` takes {BATCH} samples at once, Lava one:",
        "",
        "| | microseconds a step and sample | times as fast as Lava's runtime |",
        *("|---|---|---|", *rows),
        "",
        f"Digits by rows, the demo's network trained from the reward alone; accuracy on the test set, {SAMPLES} samples of it in Lava:",
        "",
        *table(),
        "",
        *target.find("loihi").bench_learning(drifted_digits()),  # type: ignore[attr-defined]
    ]
    out.mkdir(parents=True, exist_ok=True)
    (out / "loihi.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
