"""The benchmarks by name; each prints its table and writes it where `--out` says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """What the command line says: where tables go, how many seeds, how many processes, how many neuron-steps, whose rule, which cells."""

    out: Path
    seeds: int | None
    jobs: int
    neuron_steps: int
    rule: str | None = None
    only: str | None = None


def _digits(options: Options) -> None:
    from edge_anp.bench_digits import bench_digits

    bench_digits(seeds=options.seeds or 3, jobs=options.jobs, out=options.out)


def _conformance(options: Options) -> None:
    from edge_anp.conformance import run_bench

    run_bench(options.neuron_steps, options.out / "conformance.md")


def _speed(options: Options) -> None:
    from edge_anp.bench_speed import run_bench

    run_bench(options.out)


def _ondevice(options: Options) -> None:
    from edge_anp.bench_ondevice import bench

    bench(options.seeds or 10, options.out)


def _soak(options: Options) -> None:
    from edge_anp.bench_soak import bench

    bench(options.out)


def _loihi(options: Options) -> None:
    from edge_anp.bench_loihi import bench_loihi

    bench_loihi(options.out, options.seeds or 3)


def _learning(options: Options) -> None:
    from edge_anp.bench_learning import bench_learning

    bench_learning(options.out)


def _accuracy(options: Options) -> None:
    from edge_anp.bench_accuracy import bench_accuracy

    bench_accuracy(options.out, options.rule, options.only, options.jobs, options.seeds or 10)


def _paper(options: Options) -> None:
    from edge_anp.bench_paper import bench_paper

    bench_paper(options.out, options.rule, options.only, options.jobs, options.seeds or 5)


def _integers(options: Options) -> None:
    from edge_anp.bench_integers import bench_integers

    bench_integers(options.out, options.only, options.jobs, options.seeds or 5)


def _switches(options: Options) -> None:
    from edge_anp.bench_switches import bench_switches

    bench_switches(options.out, options.only, options.jobs, options.seeds or 5)


BENCHMARKS: dict[str, Callable[[Options], None]] = {
    "digits": _digits,
    "conformance": _conformance,
    "speed": _speed,
    "ondevice": _ondevice,
    "soak": _soak,
    "loihi": _loihi,
    "learning": _learning,
    "accuracy": _accuracy,
    "paper": _paper,
    "integers": _integers,
    "switches": _switches,
}
