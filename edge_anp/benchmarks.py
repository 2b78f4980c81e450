"""The benchmarks by name; each prints its table and writes it where `--out` says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def _digits(out: Path, seeds: int | None, jobs: int, neuron_steps: int) -> None:
    from edge_anp.bench_digits import bench_digits

    bench_digits(seeds=seeds or 3, jobs=jobs, out=out)


def _conformance(out: Path, seeds: int | None, jobs: int, neuron_steps: int) -> None:
    from edge_anp.conformance import run_bench

    run_bench(neuron_steps, out)


BENCHMARKS: dict[str, Callable[[Path, int | None, int, int], None]] = {"digits": _digits, "conformance": _conformance}


def _learning(out: Path, rule: str | None, only: str | None, jobs: int, seeds: int | None) -> None:
    from edge_anp.bench_learning import bench_learning

    bench_learning(out)


def _accuracy(out: Path, rule: str | None, only: str | None, jobs: int, seeds: int | None) -> None:
    from edge_anp.bench_accuracy import bench_accuracy

    bench_accuracy(out, rule, only, jobs, seeds or 10)


def _paper(out: Path, rule: str | None, only: str | None, jobs: int, seeds: int | None) -> None:
    from edge_anp.bench_paper import bench_paper

    bench_paper(out, rule, only, jobs, seeds or 5)


LEARNING: dict[str, Callable[[Path, str | None, str | None, int, int | None], None]] = {
    "learning": _learning, "accuracy": _accuracy, "paper": _paper,
}  # fmt: skip
