"""The learner in C is ondevice.py, bit for bit, on the host and on every emulated core; what it saved survives power cuts."""

from __future__ import annotations

import struct
import subprocess
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_anp import simulate
from edge_anp.conformance_networks import random_network, random_raster
from edge_anp.errors import Unsupported
from edge_anp.integer import LOIHI2, IntegerNetwork
from edge_anp.ondevice import Learner
from edge_anp.ondevice_guard import ANCHOR, KEEP, NEWEST, ROLL_BACK, SAVE, Guard, Kept
from edge_anp.ondevice_rates import make_plan
from edge_anp.target import compile_to, find
from targets.mcu import build, learn_cores
from targets.mcu.cores import CORES
from targets.mcu.learn_run import open_learner
from targets.mcu.learn_workloads import T, by_hand, compiled, network, rasters

SEED = 11
SANITIZED = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


CASES: dict[str, tuple[IntegerNetwork, dict[str, Any], int]] = {
    "two answers": (network(), {"guesses": 2, "budget": 40}, 2),
    "label, readout": (network(), {"learn": "readout"}, 0),
    "input and readout, one step in four": (network(), {"learn": "input,readout", "every": 2}, 1),
    "eight bits": (network(), {"bits": 8, "every": 1}, 2),
    "graded input, last membrane": (network(decode="membrane_last"), {}, 2),
    "spike counts": (network(decode="count"), {}, 2),
    "two hidden layers, feedback shipped": (network(deep=True), {}, 2),
    "readout in flash": (network(deep=True), {"learn": "input,readout", "guesses": 8}, 4),
}


@pytest.mark.parametrize("name", CASES)
def test_the_host_learns_what_the_reference_learns(name, tmp_path):
    net, options, guesses = CASES[name]
    plan = compiled(tmp_path / "a", net, **options)
    reference, some = Learner(net, plan, SEED), rasters(net)
    with open_learner(tmp_path / "a", "host", net, plan, 60, flags=SANITIZED) as session:
        session.start(SEED)
        assert session.crc() == reference.crc()
        for k in range(40):
            by_hand(reference, some[:, k % 16], k % 4, guesses)
            by_hand(session, some[:, k % 16], k % 4, guesses, rows=k % 7)
        assert session.crc() == reference.crc()
        for mine, theirs in zip(reference.weights, session.weights(), strict=True):
            assert np.array_equal(mine, theirs)
    assert reference.crc() != Learner(net, plan, SEED).crc()


def test_perturbation_is_the_same_on_the_host(tmp_path):
    net = network()
    plan = compiled(tmp_path / "a", net, rule="perturbation")
    reference, some = Learner(net, plan, SEED), rasters(net)
    with open_learner(tmp_path / "a", "host", net, plan, 60, flags=SANITIZED) as session:
        session.start(SEED)
        for k in range(10):
            for one in (reference, session):
                for mirrored in (False, True):
                    number = one.begin(mirrored) or number
                    for x in some[:, k]:
                        one.step(x)
                    one.reward(number, 128 if one.answer() == k % 4 else 0)
                one.commit()
        assert session.crc() == reference.crc() != Learner(net, plan, SEED).crc()
        session.start(SEED)
        before = session.answers([some[:, k] for k in range(16)])
        session.trials([some[:, k] for k in range(10)], [k % 4 for k in range(10)], 1)
        assert session.crc() == reference.crc()
        clean = simulate.run(net, some).states[-1]["v"].sum(0).argmax(1)
        assert before.tolist() == clean.tolist(), "looking is done without a perturbation"


@pytest.mark.parametrize("core", CORES)
def test_every_core_learns_the_same(core, tmp_path):
    net = network()
    plan = compiled(tmp_path / "a", net)
    assert learn_cores.found(tmp_path / "a", f"qemu:{core}", net, plan, 60)[0] == learn_cores.wanted(net, plan, 60)


@pytest.mark.slow
def test_a_large_network_learns_the_same_on_all_cores_that_hold_it(tmp_path):
    """64-128-10; the M0+ is the M0's own instruction set on a larger board. tools/learn_cores runs a thousand trials."""
    net = network(64, 128, 10)
    plan = compiled(tmp_path / "a", net)
    found = {
        runner: learn_cores.found(tmp_path / "a", runner, net, plan, 30)[0]
        for runner in ("host", *(f"qemu:{core}" for core in CORES if core != "m0"))
    }
    assert set(found.values()) == {learn_cores.wanted(net, plan, 30)}, found


def test_looking_at_answers_changes_nothing_that_is_learned(tmp_path):
    net = network()
    plan, some = compiled(tmp_path / "a", net, budget=20), list(rasters(net).transpose(1, 0, 2))
    found = []
    for look in (False, True):
        with open_learner(tmp_path / "a", "host", net, plan, 60) as session:
            session.start(SEED)
            for k in range(4):
                session.trials(some[:8], [k % 4] * 8, 2)
                if look:
                    session.answers(some)
            found.append(session.crc())
    assert found[0] == found[1]


def test_calls_out_of_order_and_stale_rewards_are_codes(tmp_path):
    net = network()
    plan = compiled(tmp_path / "a", net)
    with open_learner(tmp_path / "a", "host", net, plan, 60, flags=SANITIZED) as session:
        session.start(SEED)
        with pytest.raises(ValueError, match="EA_ORDER"):
            session.answer()
        old = session.begin()
        session.step(rasters(net)[0, 0])
        session.answer()
        session.begin()
        with pytest.raises(ValueError, match="EA_STALE"):
            session.reward(old, 128)
        for _ in range(T):
            session.step(rasters(net)[0, 0])
        with pytest.raises(ValueError, match="EA_ORDER"):
            session.step(rasters(net)[0, 0])
        session.answer()
        session.answer()
        with pytest.raises(ValueError, match="EA_NO_GUESS"):
            session.answer()


def test_saved_weights_come_back_with_their_counter_and_replay(tmp_path):
    net = network()
    plan = compiled(tmp_path / "a", net)
    some = rasters(net)
    with open_learner(tmp_path / "a", "host", net, plan, 60, flags=SANITIZED) as session:
        session.start(SEED)
        for k in range(5):
            by_hand(session, some[:, k], k % 4, 2)
        session.save()
        kept = session.crc()
        for k in range(5):
            by_hand(session, some[:, k], k % 4, 2)
        went_on = session.crc()
        session.start(SEED + 1)
        session.load()
        assert session.crc() == kept
        for k in range(5):
            by_hand(session, some[:, k], k % 4, 2)
        assert session.crc() == went_on
        session.roll_back()
        assert session.crc() == kept
        session.freeze(True)
        by_hand(session, some[:, 0], 0, 2)
        assert session.crc() == kept


def test_the_guard_gives_the_same_advice_as_its_equations(tmp_path):
    """Through good, meaningless and bad rewards, advice followed: a window of 4 trials, so that all of it comes to pass."""
    net = network(inputs=4, hidden=5, classes=3)
    made = make_plan(net, "readout", rasters(net), guesses=1)
    plan = replace(made, window=2)
    compile_to(find("mcu"), net, tmp_path / "a", None, [rasters(net)[:, 0]], None, plan)
    rng, guard, kept, seen, tried = np.random.default_rng(1), Guard(), Kept[int](), [], set()
    chances = np.repeat([0.9, 0.5, 0.2, 0.95, 0.1], 300)
    with open_learner(tmp_path / "a", "host", net, plan, 60, flags=SANITIZED) as session:
        session.start(SEED)
        for right in rng.random(len(chances)) < chances:
            number = session.begin()
            session.step(rasters(net)[0, 0])
            session.answer()
            session.reward(number, 128 * int(right))
            session.commit()
            guard = guard.judge(plan, 128 * int(right))
            seen.append(guard.health(plan))
            assert session.advice() == seen[-1]
            if seen[-1] == SAVE:
                session.save()
                kept, guard = kept.save(session.crc(), guard, plan)
            if seen[-1] == ROLL_BACK:
                session.roll_back()
                crc, guard = kept.roll_back(guard)
                assert session.crc() == crc
                tried.add((guard.trying, guard.anchored))
    assert min(map(seen.count, (KEEP, SAVE, ROLL_BACK))) > 5
    assert {(ANCHOR, True), (NEWEST, True), (NEWEST, False)} <= tried


def built_with_warnings(folder: Path, program: Path, source: Path, sanitized: bool = True) -> Path:
    files = [folder / name for name in ("edge_anp.c", "model.c", "edge_anp_learn.c", "learn.c")]
    return build.compile_host([*files, source], program, [folder], SANITIZED if sanitized else ["-O2"])


PAGES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


@pytest.mark.parametrize("bits", [16, 8])
@pytest.mark.parametrize("saves", [3, pytest.param(200, marks=pytest.mark.slow)])
def test_power_may_fail_at_any_byte_of_a_save(saves, bits, tmp_path):
    """Pages of 1 to 256 bytes, two slots and three, of one sector and of several: always the old or the new weights, and the anchor; every
    flipped bit is found; a factory reset works on anything."""
    net = network(inputs=4, hidden=5, classes=3)
    compiled(tmp_path / "a", net, bits=bits)
    program = built_with_warnings(
        tmp_path / "a", tmp_path / "cut", Path(__file__).with_name("power_cut.c"), saves < 200
    )
    for k, page in enumerate(PAGES):
        words = [program, str(saves), str(page), str((256, 512)[k % 2]), str((2, 3, 3)[k % 3])]
        done = subprocess.run(words, capture_output=True, text=True, timeout=500, check=False)
        where = f"line {done.returncode} (modulo 128) of power_cut.c, pages of {page}"
        assert done.returncode == 0, f"{where}: {done.stderr[:500]}"
        assert int(done.stdout) > saves * 100


def test_the_learner_compiles_without_a_warning(tmp_path):
    compiled(tmp_path / "a", network())
    for name in ("edge_anp_learn.c", "learn.c"):
        build.run([build.require("cc"), *build.WARNINGS, "-O2", "-c", name, "-o", "x.o"], tmp_path / "a")


def test_a_damaged_table_is_refused(tmp_path):
    """Every word of the learner's table, changed with its checksum made right: init refuses it, or nothing goes wrong under sanitizers."""
    net = network()
    plan = compiled(tmp_path / "a", net)
    text = (tmp_path / "a" / "learn.c").read_text()
    words = [int(w[:-1], 16) for w in text.replace(",", " ").split() if w.startswith("0x")]
    body = list(words)
    body[20] ^= 1
    data = struct.pack(f"<{len(body) - 4}I", *body[4:])
    assert zlib.crc32(struct.pack(f"<{len(words) - 4}I", *words[4:])) == words[3]
    assert zlib.crc32(data) != words[3]
    (tmp_path / "a" / "learn.c").write_text(text.replace(f"0x{words[20]:08X}u", f"0x{words[20] ^ 1:08X}u", 1))
    with (
        open_learner(tmp_path / "a", "host", net, plan, 60, flags=SANITIZED) as session,
        pytest.raises(Exception, match="EA_BAD_TABLE"),
    ):
        session.start(SEED)


def test_a_target_that_cannot_learn_says_so(tmp_path):
    plan, net = make_plan(network(), "all", rasters(network())), random_network(0, LOIHI2)
    with pytest.raises(Unsupported, match="does not learn"):
        compile_to(find("loihi"), net, tmp_path / "a", None, [random_raster(net, 0, 4)], None, plan)


def test_the_firmware_example_builds_and_stays_short(tmp_path):
    compiled(tmp_path / "a", network())
    example = Path(__file__).parents[3] / "examples/board/main.c"
    assert len(example.read_text().splitlines()) < 40
    words = [
        build.require("cc"),
        *build.WARNINGS,
        "-O2",
        f"-I{tmp_path / 'a'}",
        "-c",
        example,
        "-o",
        tmp_path / "main.o",
    ]
    build.run(words, tmp_path)
