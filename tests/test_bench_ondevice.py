"""The bench of learning on the device: it goes on where it stopped, its table is arithmetic, its float rule is the device's."""

from __future__ import annotations

import xml.dom.minidom
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from edge_anp import bench_ondevice, bench_ondevice_float, bench_ondevice_plot, bench_ondevice_report, continual, tasks
from edge_anp.bench_ondevice import Cell
from edge_anp.topology import INPUT


def row(cell: Cell, seed: int, after: float, stream: int = 0) -> dict[str, Any]:
    at = {"key": bench_ondevice.key(cell, seed, stream), **asdict(cell), "seed": seed, "stream": stream}
    return {**at, "before": 0.9, "drifted": 0.3, "after": after, "asked": 1.0, "curve": [[0, 0.3], [4000, after]]}


def test_what_is_regained_is_a_share_of_means():
    cell = Cell("digits", "one answer")
    rows = [row(cell, 0, 0.6), row(cell, 1, 0.9), row(cell, 0, 0.3, stream=1), row(cell, 1, 0.6, stream=1)]
    assert bench_ondevice_report.regained(rows[:2]) == pytest.approx(0.75)
    first, all_ = bench_ondevice_report.table(rows).splitlines()[2:]
    assert "| 2 x 1 |" in first
    assert "75%" in first
    assert "| 2 x 2 |" in all_
    assert "50%" in all_


def test_what_is_done_is_kept_in_the_json_and_not_done_again(tmp_path):
    cell = Cell("digits", "label")
    done = {r["key"]: r for r in (row(cell, 0, 0.8), row(cell, 1, 0.8))}
    bench_ondevice_report.write(tmp_path, courses=done)
    assert bench_ondevice_report.done(tmp_path, "courses") == done
    assert bench_ondevice.run([cell], range(2), tmp_path) == list(done.values())
    bench_ondevice_report.write(tmp_path, cost="what it costs\n")
    assert "what it costs" in (tmp_path / "ondevice.md").read_text()
    assert bench_ondevice_report.done(tmp_path, "courses") == done


def test_curves_are_drawn():
    rows = [
        row(Cell(t, w, learn), 0, 0.7)
        for t in ("digits", "braille7")
        for w in bench_ondevice.GUESSES
        for learn in ("all", "readout")
    ]
    found = xml.dom.minidom.parseString(bench_ondevice_plot.svg(rows))
    assert len(found.getElementsByTagName("polyline")) == len(rows)


def test_the_float_rule_moves_the_weights_that_the_device_moves():
    """One trial from the same weights: what the masters moved by, in the units of the float weights, and what the floats did."""
    from edge_anp.integer import quantize_input
    from edge_anp.ondevice import Learner

    task, cell = tasks.load("digits"), Cell("digits", "label")
    network = bench_ondevice.build(task.input.size, task.classes, 0)
    net, plan = bench_ondevice.planned(network, task, cell)
    made = bench_ondevice_float.courses([network], [net], [plan])
    x, label = task.train.rasters[3], int(task.train.targets[3])
    before = (made.w.copy(), made.r.copy(), made.o.copy())
    y, spikes, psi = made.forward(x[None, None])
    e, _ = bench_ondevice_float.answered(made.probabilities(y[:, 0])[0], label, 0, np.random.default_rng(0))
    made.commit(x[None], spikes[:, 0], psi[:, 0], e[None], 1.0)
    one = Learner(net, plan, 0)
    masters = [u.copy() for u in one.weights]
    number = one.begin()
    for step in quantize_input(x, net.input):
        one.step(step)
    one.label(number, label)
    one.commit()
    for s, u0, u1, w0, w1 in zip(plan.synapses, masters, one.weights, before, (made.w, made.r, made.o), strict=True):
        layer = net.layers[s.layer]
        c = layer.connections[s.connection]
        unit = float(layer.unit[0]) * 2.0**c.shift / 256 / (net.input.scale if c.source == INPUT else 1.0)
        device, host = ((u1 - u0) * unit).ravel(), (w1 - w0)[0].ravel()
        assert np.corrcoef(device, host)[0, 1] > 0.8
        assert 0.8 < np.dot(device, host) / np.dot(host, host) < 1.25


def test_every_rule_in_floats_learns_and_reports():
    task = tasks.load("digits")
    network = bench_ondevice.build(task.input.size, task.classes, 0)
    for by in bench_ondevice.FLOATS:
        (found,) = bench_ondevice.measure_floats(
            [network], task, Cell("digits", "one answer", by=by, trials=8), [(0, 0)]
        )
        assert found["key"] == f"digits/one answer/{by}/all/int16/guarded/8/seed 0/stream 0"
        assert [t for t, _ in found["curve"]] == list(range(9))
    assert continual.rewiring(0.4, 8, 0).tolist() != list(range(8))
