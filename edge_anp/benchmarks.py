"""The benchmarks by name; each prints its table and writes it where `--out` says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def _digits(out: Path, seeds: int, jobs: int, neuron_steps: int) -> None:
    from edge_anp.bench_digits import bench_digits

    bench_digits(seeds=seeds, jobs=jobs, out=out)


def _conformance(out: Path, seeds: int, jobs: int, neuron_steps: int) -> None:
    from edge_anp.conformance import run_bench

    run_bench(neuron_steps, out)


def _loihi(out: Path, seeds: int, jobs: int, neuron_steps: int) -> None:
    from edge_anp.bench_loihi import bench_loihi

    bench_loihi(out, seeds)


BENCHMARKS: dict[str, Callable[[Path, int, int, int], None]] = {
    "digits": _digits,
    "conformance": _conformance,
    "loihi": _loihi,
}
