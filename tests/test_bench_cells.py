"""Tables of trainings: what is done is not done again, rates are chosen on validation data, and every row says what it cost."""

import json
from concurrent.futures import Executor, Future
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edge_anp import bench_accuracy, bench_cells, bench_integers, bench_paper, bench_switches, tasks
from edge_anp.bench_cells import Cell, Job, best_rate, collect, measure, run_cells
from edge_anp.learning.feedback import FeedbackANP
from edge_anp.learning.fit import History
from edge_anp.learning.on_integers import OnIntegers
from edge_anp.network import run
from edge_anp.topology import InputContract

CELL = Cell("digits", "recurrent-8", "feedback-anp", "reward", "0", updates=2, batch=8)


def TWO(cell):
    return 1e-3, 1e-2


def test_what_is_done_is_not_done_again(tmp_path, monkeypatch):
    file = tmp_path / "cells.jsonl"
    monkeypatch.setattr(bench_cells, "ProcessPoolExecutor", lambda jobs, context: Here())

    def go():
        run_cells([CELL], TWO, bench_accuracy.build, file, 2)
        return collect([CELL], TWO, file)[0]

    rows = go()
    lines = file.read_text().splitlines()
    assert len(lines) == 2 * 2 + 2
    file.write_text("\n".join(lines[:3]) + '\n{"key": "cut o')  # stopped in the middle of a line
    again = go()
    assert len(file.read_text().splitlines()) == len(lines)
    for a, b in zip(rows, again, strict=True):
        assert {k: v for k, v in a.items() if k != "seconds"} == {k: v for k, v in b.items() if k != "seconds"}
    want = {
        "task",
        "network",
        "rule",
        "signal",
        "look_back",
        "error",
        "seed",
        "accuracy",
        "rate",
        "trials",
        "samples",
        "forward_passes",
        "asked",
        "seconds",
    }
    assert want <= set(rows[0])
    assert (rows[0]["look_back"], rows[0]["trials"], rows[0]["samples"], rows[0]["asked"]) == (
        0,
        4,
        16,
        {"rewards": 16},
    )


class Here(Executor):
    """The same calls in this process, one after the other."""

    def submit(self, fn, /, *arguments, **options):
        future = Future()
        future.set_result(fn(*arguments, **options))
        return future


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_the_best_rate_is_that_of_the_best_validation(accuracies):
    jobs = [Job(CELL, rate, 1, False) for rate in (1.0, 2.0, 3.0)]
    done = {j.key: {"accuracy": a, "stopped": ""} for j, a in zip(jobs, accuracies, strict=True)}
    best = int(best_rate(jobs, done)) - 1
    assert accuracies[best] == max(accuracies)
    done[jobs[best].key]["stopped"] = "the loss explodes"
    others = [a for k, a in enumerate(accuracies) if k != best]
    assert accuracies[int(best_rate(jobs, done)) - 1] == max(others)
    done = {j.key: {"mse": a, "stopped": ""} for j, a in zip(jobs, accuracies, strict=True)}
    assert accuracies[int(best_rate(jobs, done)) - 1] == min(accuracies)


def test_a_diverging_run_is_judged_and_says_so():
    job = Job(
        Cell("digits", "recurrent-8", "np-trace", "score", "", updates=3, batch=8, optimizer="SGD"), 1e30, 1, False
    )
    outcome = measure(job, bench_accuracy.build)
    assert outcome["stopped"]
    assert 0 <= outcome["accuracy"] <= 1


@pytest.mark.parametrize("bench", [bench_accuracy, bench_paper, bench_switches])
def test_every_cell_has_its_rule_and_its_network(bench, monkeypatch):
    small = tasks.load("digits")
    names = [c.name for c in bench.all_cells()]
    assert len(set(names)) == len(names)
    for cell in bench.all_cells():
        rule = bench_cells.rule_of(cell)
        assert rule.signal == cell.signal
        inner = getattr(rule, "rule", rule)
        if cell.rule == "feedback-anp":
            assert isinstance(inner, FeedbackANP)
            assert inner.look_back == (None if cell.look_back == "T" else int(cell.look_back))
        assert len(bench.rates(cell)) == (3 if cell.task == "mnist" else 5)
        if cell.task in ("digits", "mackey_glass", "copying"):
            task = small if cell.task == "digits" else tasks.load(cell.task)
            net = bench.build(cell.network, task, 0)
            raster, _ = task.train.batch(range(2))
            run(net, raster)
            inner.init(net, 0)


def test_a_wider_grid_shares_the_trainings_of_the_other():
    names = {c.name for c in bench_accuracy.all_cells()}
    for cell in bench_accuracy.yardsticks():
        plain = replace(cell, wide=False)
        assert plain.name in names
        assert cell.name not in names
        assert Job(cell, 1e-3, 42, True).key == Job(plain, 1e-3, 42, True).key
        assert set(bench_accuracy.rates(plain)) < set(bench_accuracy.rates(cell))


def test_the_table_sets_a_yardstick_of_the_wider_grid_beside_the_other():
    def row(rule, signal, look_back, seed, accuracy, rate):
        return {
            "task": "digits", "network": "n", "rule": rule, "signal": signal, "look_back": look_back, "error": "end", "seed": seed,
            "accuracy": accuracy, "rate": rate, "asked": {}, "stopped": "", "seconds": 1.0, "forward_passes": 1, "trials": 10,
            "of_seeds": 2,
        }  # fmt: skip

    rows = [row("readout", "label", 0, s, 0.7, 0.016) for s in (1, 2)]
    rows += [row("feedback-anp", "reward", 0, s, 0.9, 0.004) for s in (1, 2)]
    wide = [row("readout", "label", 0, s, 0.8, 0.064) for s in (1, 2)]
    assert "| digits, n | readout | 0.016, 0.064 | 0.7000, 0.8000 | - | - | +10.00 ± 0.00 |" in bench_accuracy.tables(
        rows, (), wide
    )
    assert "wider" not in bench_accuracy.tables(rows)


def test_a_turned_switch_is_the_only_thing_that_differs():
    shipped, *turned = (bench_cells.rule_of(c) for c in bench_switches.all_cells() if c.rule == "np-trace")
    switches = dict(bench_switches.TURNED)[bench_switches.NODES]
    assert turned == [replace(shipped, **t) for t in switches]


def test_where_the_validation_part_judges_the_test_part_stays_out(monkeypatch):
    task = tasks.load("digits")
    parts = []
    monkeypatch.setattr(
        bench_cells, "train", lambda net, task, *_, **__: parts.append(task.train) or History(net, [], {})
    )
    monkeypatch.setattr(bench_cells, "evaluate", lambda net, part: parts.append(part) or 0.5)
    for judged in ("validation", "test"):
        cell = replace(bench_switches.REWARD, judged=judged)
        measure(Job(cell, 4e-3, 42, True), bench_accuracy.build)
    sizes = [len(task.train), len(task.validation), len(task.train) + len(task.validation), len(task.test)]
    assert [len(p) for p in parts] == sizes


def test_differences_of_switches_are_to_the_rule_as_it_ships():
    def row(variant, seed, accuracy):
        return {
            "rule": "np-trace", "signal": "score", "look_back": 0, "variant": variant, "decorrelate": 0.0, "seed": seed,
            "accuracy": accuracy, "rate": 0.004, "of_seeds": 2, "seconds": 3.0,
        }  # fmt: skip

    text = bench_switches.table([row("", 1, 0.5), row("", 2, 0.6), row("draws 4", 1, 0.6), row("draws 4", 2, 0.7)])
    assert "| np-trace | score | 0 | draws 4 | 0.004 | 2 | 0.6500 ± 0.0707 | +10.00 ± 0.00 | 3 |" in text


def test_hidden_layers_of_every_network_spike():
    task = tasks.load("digits")
    raster, _ = task.train.batch(range(50))
    for name in ("recurrent-128", "two-layers", "convolution"):
        net = bench_accuracy.build(name, task, 42)
        for spikes in run(net, raster).spikes[:-1]:
            assert 0.01 < float(spikes.detach().mean()) < 0.6


def test_differences_are_paired_by_seed():
    rows = [{"seed": s, "accuracy": a} for s, a in ((1, 0.9), (2, 0.8), (3, 0.7))]
    assert bench_accuracy.difference(rows, {1: 0.91, 2: 0.81, 3: 0.71}) == "-1.00 ± 0.00"
    assert bench_accuracy.difference(rows, {1: 0.91}) == "-"


def test_anchors_of_what_is_computed():
    found = bench_paper.anchors(tasks.load("mackey_glass"))
    assert (
        found["line through 16"] < 0.15 * found["line through 1"]
    )  # a recall of 15 steps ago: wrong in the first 15 of 250 alone
    assert found["line through 1"] < found["zero"]


def test_tables_hold_every_rule(tmp_path, monkeypatch):
    monkeypatch.setattr(bench_cells, "ProcessPoolExecutor", lambda jobs, context: Here())
    monkeypatch.setattr(bench_accuracy, "all_cells", lambda own=None: [CELL])
    monkeypatch.setattr(bench_accuracy, "RATES", (1e-3,))
    rows = bench_accuracy.bench_accuracy(tmp_path, None, None, 1, 2)
    assert json.loads((tmp_path / "accuracy.json").read_text()) == json.loads(json.dumps(rows))
    table = (tmp_path / "accuracy.md").read_text()
    assert "| feedback-anp | reward | 0 | end | 0.001 | 2 of 10 |" in table
    assert "- digits, recurrent-8: feedback-anp reward D=0 (8 of 10 seeds)" in table
    with pytest.raises(ValueError, match="no cell holds 'nothing'"):
        bench_accuracy.bench_accuracy(tmp_path, None, "nothing", 1, 2)


def test_tables_show_what_is_done_and_name_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(bench_cells, "ProcessPoolExecutor", lambda jobs, context: Here())
    cells = [replace(CELL, look_back=d, seeds=2) for d in ("0", "2", "T")]
    monkeypatch.setattr(bench_accuracy, "all_cells", lambda own=None: cells)
    monkeypatch.setattr(bench_accuracy, "RATES", (1e-3,))
    bench_accuracy.bench_accuracy(tmp_path, None, "D=0", 1, 2)
    rows = bench_accuracy.bench_accuracy(tmp_path, None, "D=2", 1, 1)  # the table goes on showing what it showed
    assert [(r["look_back"], r["seed"]) for r in rows] == [(0, 42), (0, 101), (2, 42)]
    missing = (tmp_path / "accuracy.md").read_text().split("## Missing")[1]
    assert "D=0" not in missing
    assert "- digits, recurrent-8: feedback-anp reward D=2 (1 of 2 seeds), feedback-anp reward D=T\n" in missing


@pytest.mark.parametrize(
    ("rule", "given", "shown"),
    [("bptt", "", "T"), ("onestep", "", 0), ("readout", "", 0), ("reinforce", "", 0), ("np-trace", "", 0), ("feedback-anp", "8", 8),
     ("feedback-anp", "T", "T")],
)  # fmt: skip
def test_a_row_says_how_far_its_rule_looks_back(rule, given, shown):
    cell = replace(CELL, rule=rule, look_back=given, signal="label")
    assert bench_cells._row(Job(cell, 1.0, 1, True), {"key": "k", "accuracy": 1.0}, 10)["look_back"] == shown


@pytest.mark.parametrize("on", ["quantized", "integer"])
def test_integers_are_judged_as_integers(on, monkeypatch):
    judged = []
    monkeypatch.setattr(bench_cells, "evaluate", lambda net, samples: judged.append(net) or 0.5)
    measure(Job(replace(CELL, on=on), 1e-3, 1, True), bench_accuracy.build)
    assert isinstance(judged[0], OnIntegers)
    assert f"on={on}" in replace(CELL, on=on).name


def test_both_ways_to_integers_stand_in_one_table():
    rows = [
        bench_cells._row(Job(cell, 4e-3, seed, True), {"accuracy": 0.9 - 0.01 * k, "seconds": 1.0}, 10)
        for k, cell in enumerate(bench_integers.all_cells()[:2])
        for seed in (42, 101)
    ]
    text = bench_integers.table(rows)
    assert "| quantized afterwards | reward | 0 | 0.004 | 2 of 5 | 0.9000 ± 0.0000 |  |" in text
    assert "| trained on integers | reward | 0 | 0.004 | 2 of 5 | 0.8900 ± 0.0000 | -1.00 ± 0.00 |" in text


def test_the_network_of_differences_starts_by_saying_that_nothing_changes():
    x = np.random.default_rng(0).random((4, 6, 9), np.float32)
    samples = tasks.Samples(x, x[:, :, :1])
    task = tasks.Task("weather", InputContract((9,)), samples, samples, samples, 0)
    raster, _ = samples.batch(range(4))
    out = run(bench_paper.build("rate-7-difference", task, 3), raster).states[-1]["mem"]
    assert torch.equal(out[:, :, 0], raster[:, :, bench_paper.TEMPERATURE])


def test_the_claims_come_from_what_is_measured():
    def row(rule, mse, decorrelate=0.0):
        return {"task": "weather", "network": "n", "rule": rule, "mse": mse, "look_back": 0, "decorrelate": decorrelate}

    assert bench_paper.claims([row("bptt", 1.0)]) == "ANP is not measured yet."
    said = bench_paper.claims(
        [row("bptt", 1.0), row("anp", 4.0), row("anp", 2.0), row("anp", 1.5, 1e-3), row("np", 1.6), row("wp", 9.0)]
    )
    assert "weather, n: ANP's error is 1.50 times that of bptt;" in said
    assert "beside np (1.07 times its error) it is similar" in said
    assert "beside wp (6.00 times its error) it is strongly better" in said
    assert said.endswith(
        "In sum, of 1: similar to BPTT (or better) 0, to one step of it 0; strongly better than np 0 and better 0, "
        "strongly better than wp 1 and better 1."
    )
