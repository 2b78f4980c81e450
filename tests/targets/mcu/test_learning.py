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

from edge_anp.continual import schedule
from edge_anp.errors import Unsupported
from edge_anp.integer import MCU16, IntegerConnection, IntegerLayer, IntegerNetwork, IntegerNeuron, Leak
from edge_anp.ondevice import Learner
from edge_anp.ondevice_guard import KEEP, ROLL_BACK, SAVE, Guard
from edge_anp.ondevice_plan import LearningPlan
from edge_anp.ondevice_rates import make_plan
from edge_anp.synapses import Dense
from edge_anp.target import compile_to, find
from edge_anp.topology import INPUT, InputContract
from targets.mcu import build
from targets.mcu.cores import CORES
from targets.mcu.learn_run import open_learner
from targets.mcu.learn_session import LearnSession

T, SEED = 10, 11
SANITIZED = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def network(
    inputs: int = 16, hidden: int = 32, classes: int = 4, decode: str = "membrane_mean", deep: bool = False
) -> IntegerNetwork:
    """Inputs -> recurrent LIF (-> LIF) -> readout, or LIF where spikes are counted."""
    rng = np.random.default_rng(3)

    def weights(n: int, i: int, scale: int) -> tuple[Dense, ...]:
        return (Dense(np.clip(rng.normal(0, scale, (n, i)), -127, 127).astype(np.int8)),)

    def layer(n: int, connections: tuple[IntegerConnection, ...], keep: int, vth: int | None) -> IntegerLayer:
        limits = None if vth is None else np.full(n, vth)
        neuron = IntegerNeuron(Leak(np.full(n, keep), 8), None, limits, "none" if vth is None else "subtract")
        return IntegerLayer((n,), connections, np.full(n, 5), neuron, np.full(n, 1 / 500))

    one = IntegerConnection(INPUT, weights(hidden, inputs, 40), 3)
    back = IntegerConnection(0, weights(hidden, hidden, 30), 1, 1)
    layers = [layer(hidden, (one, back), 230, 500)]
    if deep:
        layers.append(layer(24, (IntegerConnection(0, weights(24, hidden, 40), 3),), 220, 400))
    source = len(layers) - 1
    out = IntegerConnection(source, weights(classes, layers[-1].size, 40), 2, int(deep))
    layers.append(layer(classes, (out,), 243, 300 if decode == "count" else None))
    return IntegerNetwork(
        MCU16, tuple(layers), InputContract((inputs,), None, 0.5 if decode == "membrane_last" else 1.0), decode
    )


def rasters(net: IntegerNetwork, count: int = 16) -> np.ndarray:
    """[T, S, I]: spikes, or numbers where the input is graded."""
    rng = np.random.default_rng(4)
    spikes = rng.random((T, count, net.input.size)) < 0.25
    return (spikes * (rng.integers(-60, 60, spikes.shape) if net.input.scale != 1 else 1)).astype(np.int8)


def compiled(folder: Path, net: IntegerNetwork, **options: Any) -> LearningPlan:
    """A folder of C, and its plan."""
    plan = make_plan(net, options.pop("learn", "all"), rasters(net), **options)
    compile_to(find("mcu"), net, folder, None, [rasters(net)[:, 0]], None, plan)
    return plan


def by_hand(one: Learner | LearnSession, raster: np.ndarray, label: int, guesses: int, rows: int = 0) -> None:
    """A trial through single calls, the same for the reference and for C."""
    number = one.begin()
    for x in raster:
        one.step(x)
    if guesses == 0:
        one.label(number, label)
    for _ in range(guesses):
        answer = one.answer()
        one.reward(number, 128 if answer == label else 32)
        if answer == label:
            break
    if isinstance(one, Learner):
        one.commit()
    else:
        while not one.commit(rows):
            pass


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


def after(session: LearnSession, net: IntegerNetwork, trials: int) -> int:
    """The checksum after whole trials in the program's own world."""
    chosen, some = schedule(16, trials, 1), rasters(net)
    session.start(SEED)
    session.trials([some[:, k] for k in chosen], chosen % 4, 2)
    return session.crc()


def wanted(net: IntegerNetwork, plan: LearningPlan, trials: int) -> int:
    reference, some = Learner(net, plan, SEED), rasters(net)
    for k in map(int, schedule(16, trials, 1)):
        number = reference.begin()
        for x in some[:, k]:
            reference.step(x)
        for _ in range(2):
            right = reference.answer() == k % 4
            reference.reward(number, 128 * right)
            if right:
                break
        reference.commit()
    return reference.crc()


@pytest.mark.parametrize("core", CORES)
def test_every_core_learns_the_same(core, tmp_path):
    net = network()
    plan = compiled(tmp_path / "a", net)
    with open_learner(tmp_path / "a", f"qemu:{core}", net, plan, 120) as session:
        assert after(session, net, 60) == wanted(net, plan, 60)


@pytest.mark.slow
def test_a_thousand_trials_end_in_one_checksum_everywhere(tmp_path):
    net = network()
    plan = compiled(tmp_path / "a", net)
    found = {}
    for runner in ("host", *(f"qemu:{core}" for core in CORES)):
        with open_learner(
            tmp_path / "a", runner, net, plan, 200, flags=SANITIZED if runner == "host" else ("-O2",)
        ) as session:
            found[runner] = after(session, net, 1000)
    assert set(found.values()) == {wanted(net, plan, 1000)}


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
    rng, guard, seen = np.random.default_rng(1), Guard(), []
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
                guard = guard.saved()
            if seen[-1] == ROLL_BACK:
                session.roll_back()
                guard = guard.rolled_back()
    assert min(map(seen.count, (KEEP, SAVE, ROLL_BACK))) > 5


def built_with_warnings(folder: Path, program: Path, source: Path, sanitized: bool = True) -> Path:
    files = [folder / name for name in ("edge_anp.c", "model.c", "edge_anp_learn.c", "learn.c")]
    return build.compile_host([*files, source], program, [folder], SANITIZED if sanitized else ["-O2"])


PAGES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


@pytest.mark.parametrize("bits", [16, 8])
@pytest.mark.parametrize("saves", [3, pytest.param(200, marks=pytest.mark.slow)])
def test_power_may_fail_at_any_byte_of_a_save(saves, bits, tmp_path):
    """Pages of 1 to 256 bytes, slots of one sector and of several: always the old or the new weights; every flipped bit is found; a
    factory reset works on anything."""
    net = network(inputs=4, hidden=5, classes=3)
    compiled(tmp_path / "a", net, bits=bits)
    program = built_with_warnings(tmp_path / "a", tmp_path / "cut", Path(__file__).with_name("power_cut.c"), saves < 200)
    for k, page in enumerate(PAGES):
        words = [program, str(saves), str(page), str((256, 512)[k % 2])]
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
    net = network()
    plan = make_plan(net, "all", rasters(net))
    with pytest.raises(Unsupported, match="does not learn"):
        compile_to(find("onnx"), net, tmp_path / "a", None, [rasters(net)[:, 0]], None, plan)


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
