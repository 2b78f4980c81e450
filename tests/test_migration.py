"""What a device learned goes on to the next build where it still means the same, and every reset has its reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from edge_anp import integer, journal, migration
from edge_anp.cli import app
from edge_anp.errors import BadFile, Unsupported
from edge_anp.integer import IntegerLayer, IntegerNetwork
from edge_anp.journal import Saved
from edge_anp.migration import Build, migrate
from edge_anp.ondevice_rates import make_plan
from edge_anp.synapses import Dense
from edge_anp.target import compile_to, find
from targets.mcu.learn_workloads import network, rasters

NAMED = ("first", "second", "out")


def named() -> IntegerNetwork:
    """4 -> 6 recurrent LIF -> 24 LIF -> 3."""
    net = network(inputs=4, hidden=6, classes=3, deep=True)
    return replace(net, layers=tuple(replace(x, name=n) for x, n in zip(net.layers, NAMED, strict=True)))


def build(folder: Path, net: IntegerNetwork, learn: str = "all", bits: int = 16) -> Build:
    plan = make_plan(net, learn, rasters(net), bits=bits)
    compile_to(find("mcu"), net, folder, None, [rasters(net)[:, 0]], None, plan)
    return migration.open_build(folder)


def learned(one: Build) -> Saved:
    """Weights that nobody shipped."""
    high = 256 ** (one.layout.bits // 8)
    rng = np.random.default_rng(5)
    masters = [rng.integers(0, high, (m.inputs, m.outputs)) for m in one.layout.matrices]
    return Saved(6, 70, 80, 20_000, 19_000, one.layout.pack(masters))


def change(net: IntegerNetwork, i: int, how: Callable[[IntegerLayer], IntegerLayer]) -> IntegerNetwork:
    return replace(net, layers=tuple(how(x) if k == i else x for k, x in enumerate(net.layers)))


def other_weight(layer: IntegerLayer, connection: int = 0) -> IntegerLayer:
    c = layer.connections[connection]
    weight = np.asarray(c.path[0].weight).copy()
    weight[0, 0] ^= 1
    connections = list(layer.connections)
    connections[connection] = replace(c, path=(Dense(weight),))
    return replace(layer, connections=tuple(connections))


def other_leak(layer: IntegerLayer) -> IntegerLayer:
    neuron = layer.neuron
    return replace(layer, neuron=replace(neuron, leak=replace(neuron.leak, keep=neuron.leak.keep - 1)))


CHANGES: dict[str, tuple[int, Callable[[IntegerLayer], IntegerLayer], set[str], str]] = {
    "nothing": (0, lambda x: x, {"first", "second", "out"}, ""),
    "a readout's weight": (2, other_weight, {"first", "second"}, "shipped with another weight in 1 of 72"),
    "a hidden layer's leak": (1, other_leak, {"first"}, "its neurons' leak changed"),
    "the first layer's bias": (0, lambda x: replace(x, bias=x.bias + 1), set(), "its bias changed"),
    "a readout's leak": (2, other_leak, {"first", "second"}, "its neurons' leak changed"),
    "a name": (1, lambda x: replace(x, name="new"), {"first"}, "the old build has no layer new"),
    "a threshold": (
        1,
        lambda x: replace(x, neuron=replace(x.neuron, vth=np.asarray(x.neuron.vth) + 1)),
        {"first"},
        "neurons' vth changed",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_layers_that_run_as_they_did_keep_what_they_learned(name, tmp_path):
    place, how, kept, why = CHANGES[name]
    old, new = build(tmp_path / "old", named()), build(tmp_path / "new", change(named(), place, how))
    before = learned(old)
    if not kept:
        with pytest.raises(ValueError, match=why):
            migrate(old, new, before)
        return
    after, fates = migrate(old, new, before)
    assert {f.layer for f in fates if f.what == "kept"} == kept
    assert all(f.why for f in fates if f.what == "reset")
    assert why in " ".join(f.why for f in fates)
    shipped = [np.asarray(migration.weight_of(new.net, m.layer, m.connection)).T for m in new.layout.matrices]
    rows = zip(
        new.layout.matrices, old.layout.unpack(before.weights), new.layout.unpack(after.weights), shipped, strict=True
    )
    for m, had, has, ships in rows:
        wanted = had if new.net.layers[m.layer].name in kept else 256 * (ships.astype(int) + 128) + 128
        assert np.array_equal(has, wanted)
    assert (after.trial, after.seed, after.sequence) == (70, 80, 7)
    assert (after.running, after.good) == ((20_000, 19_000) if len(kept) == 3 else (0, 0))


def test_a_new_class_keeps_the_hidden_layers(tmp_path):
    wider = network(inputs=4, hidden=6, classes=4, deep=True)
    wider = replace(wider, layers=(*named().layers[:2], replace(wider.layers[2], name="out")))
    _, fates = migrate(*(pair := (build(tmp_path / "old", named()), build(tmp_path / "new", wider))), learned(pair[0]))
    assert [(f.layer, f.what) for f in fates] == [("first", "kept")] * 2 + [("second", "kept"), ("out", "reset")]
    assert fates[-1].why == "it has shape 4, it had 3"


def test_masters_of_another_width_keep_the_weights_that_run(tmp_path):
    wide, narrow = build(tmp_path / "wide", named()), build(tmp_path / "narrow", named(), bits=8)
    before = learned(wide)
    after, fates = migrate(wide, narrow, before)
    for a, b in zip(wide.layout.unpack(before.weights), narrow.layout.unpack(after.weights), strict=True):
        assert np.array_equal(a >> 8, b)
    assert all(f.why == "fractions of 8 bits are dropped" for f in fates)
    back, _ = migrate(narrow, wide, after)
    for a, b in zip(wide.layout.unpack(back.weights), narrow.layout.unpack(after.weights), strict=True):
        assert np.array_equal(a, 256 * b + 128)


def test_what_no_longer_learns_takes_its_readers_with_it(tmp_path):
    """The readout read what the hidden layers had learned, and they go back to what was shipped."""
    old, new = build(tmp_path / "old", named()), build(tmp_path / "new", named(), "readout")
    with pytest.raises(ValueError, match=r"nothing that was learned can be kept:\n.*out, .*: it reads second"):
        migrate(old, new, learned(old))


def test_what_learns_only_now_starts_as_it_ran(tmp_path):
    old, new = build(tmp_path / "old", named(), "readout"), build(tmp_path / "new", named())
    _, fates = migrate(old, new, learned(old))
    assert [(f.layer, f.what) for f in fates] == [("first", "as shipped")] * 2 + [
        ("second", "as shipped"),
        ("out", "kept"),
    ]


def run(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(w) for w in words])
    return result.exit_code, " ".join(result.output.split())


def test_the_commands_on_files(tmp_path):
    """migrate writes what dump shows and the device would load; it replaces nothing unless it is told to."""
    old = build(tmp_path / "old", named())
    new = build(tmp_path / "new", change(named(), 2, other_weight))
    (tmp_path / "old" / "journal.bin").write_bytes(journal.image(old.layout, [None, learned(old)]))
    code, said = run("migrate", tmp_path / "old", tmp_path / "new", "--json", tmp_path / "fates.json")
    assert code == 0, said
    assert "trial 70, seed 80 go on" in said
    code, said = run("dump", tmp_path / "new", tmp_path / "new" / "journal.bin", "--json", tmp_path / "dump.json")
    assert code == 0, said
    assert "this one" in said
    saved, anchor = migration.read_saved(new, tmp_path / "new" / "journal.bin", 4096)
    assert anchor is None
    assert saved == migrate(old, new, learned(old))[0]
    kept = (tmp_path / "new" / "journal.bin").read_bytes()
    code, said = run("migrate", tmp_path / "old", tmp_path / "new")
    assert code == 2
    assert "is there already" in said
    assert (tmp_path / "new" / "journal.bin").read_bytes() == kept
    assert run("migrate", tmp_path / "old", tmp_path / "new", "--force")[0] == 0
    code, said = run("dump", tmp_path / "old", tmp_path / "new" / "journal.bin")
    assert code == 2
    assert "of another network" in said
    (tmp_path / "torn.bin").write_bytes(kept[:300] + b"\0" + kept[301:])
    code, said = run("dump", tmp_path / "new", tmp_path / "torn.bin")
    assert code == 1
    assert "checksum of its weights is wrong" in said
    assert "shipped weights stay" in said


def test_a_dump_with_another_sector_says_which_it_may_be(tmp_path):
    one = build(tmp_path / "a", named())
    (tmp_path / "flash.bin").write_bytes(journal.image(one.layout, [learned(one), learned(one)], 1024))
    code, said = run("dump", tmp_path / "a", tmp_path / "flash.bin")
    assert "a head lies at byte" in said
    code, said = run("dump", tmp_path / "a", tmp_path / "flash.bin", "--sector", 1024)
    assert code == 0, said


def test_what_cannot_be_migrated_is_named(tmp_path):
    one = build(tmp_path / "a", named())
    (tmp_path / "empty.bin").write_bytes(b"\xff" * 8192)
    with pytest.raises(BadFile, match=r"would load nothing of it \(slot 0: it is erased; slot 1: it is erased\)"):
        migration.read_saved(one, tmp_path / "empty.bin", 4096)
    with pytest.raises(BadFile, match="cannot be read"):
        migration.read_saved(one, tmp_path / "absent.bin", 4096)
    compile_to(find("mcu"), named(), tmp_path / "still", None, [rasters(named())[:, 0]])
    with pytest.raises(Unsupported, match="compiled without --learn"):
        migration.open_build(tmp_path / "still")
    assert integer.load(tmp_path / "a" / "integer.npz").decode == "membrane_mean"
