"""The benchmarks by name; each prints its table and writes it where `--out` says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """What the command line says: where tables go, how many seeds, how many processes, how many neuron-steps."""

    out: Path
    seeds: int
    jobs: int
    neuron_steps: int


def _digits(options: Options) -> None:
    from edge_anp.bench_digits import bench_digits

    bench_digits(seeds=options.seeds, jobs=options.jobs, out=options.out)


def _conformance(options: Options) -> None:
    from edge_anp.conformance import run_bench

    run_bench(options.neuron_steps, options.out / "conformance.md")


def _speed(options: Options) -> None:
    from edge_anp.bench_speed import run_bench

    run_bench(options.out)


def _ondevice(options: Options) -> None:
    from edge_anp.bench_ondevice import bench

    bench(options.seeds, options.out)


BENCHMARKS: dict[str, Callable[[Options], None]] = {
    "digits": _digits,
    "conformance": _conformance,
    "speed": _speed,
    "ondevice": _ondevice,
}
