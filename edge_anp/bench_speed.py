"""How much faster simulate is than the reference, as a ratio in one process: the same recurrent network, time a sample."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from threadpoolctl import threadpool_limits

from edge_anp import reference, simulate
from edge_anp.integer import MCU16, IntegerConnection, IntegerLayer, IntegerNetwork, IntegerNeuron, Leak
from edge_anp.synapses import Dense
from edge_anp.topology import INPUT, InputContract

ROUNDS = 21


def run_bench(out: Path, batch: int = 64, steps: int = 50) -> float:
    """Print the median ratio over alternating rounds and write speed.json into `out`."""
    ratios = measure(batch, steps)
    middle = float(np.median(ratios))
    spread = f"{min(ratios):.0f} to {max(ratios):.0f} in {len(ratios)} rounds"
    Console().print(f"simulate at batch {batch} is {middle:.0f} times as fast per sample as reference ({spread})")
    out.mkdir(parents=True, exist_ok=True)
    content = {"network": "40-64-10, recurrent", "batch": batch, "steps": steps, "ratios": ratios, "median": middle}
    (out / "speed.json").write_text(json.dumps(content, indent=1) + "\n")
    return middle


def measure(batch: int, steps: int) -> list[float]:
    """Seconds a sample of the reference over those of simulate, on a recurrent 40-64-10 network, once a round, on one thread."""
    rng = np.random.default_rng(0)

    def layer(i: int, size: int, sources: Sequence[tuple[int, int]], vth: int) -> IntegerLayer:
        ways = [(s, Dense(rng.integers(-40, 60, (size, n)).astype(np.int8)), int(s == i)) for s, n in sources]
        connections = tuple(IntegerConnection(s, (op,), 0, delay) for s, op, delay in ways)
        neuron = IntegerNeuron(Leak(np.full(size, 230), 8), None, np.full(size, vth), "subtract")
        return IntegerLayer((size,), connections, np.zeros(size, np.int64), neuron, np.ones(size))

    layers = (layer(0, 64, [(INPUT, 40), (0, 64)], 600), layer(1, 10, [(0, 64)], 900))
    net = IntegerNetwork(MCU16, layers, InputContract((40,)))
    raster = (rng.random((steps, batch, 40)) < 0.3).astype(np.int8)
    simulate.run(net, raster)
    ratios = []
    with threadpool_limits(1):
        for _ in range(ROUNDS):
            slow = _seconds(lambda: reference.run(net, raster[:, 0]))
            ratios.append(slow * batch / _seconds(lambda: simulate.run(net, raster)))
    return ratios


def _seconds(work: Callable[[], object]) -> float:
    """Processor time, which a busy machine does not lengthen."""
    began = time.process_time()
    work()
    return time.process_time() - began
