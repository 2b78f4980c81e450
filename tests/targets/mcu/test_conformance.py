"""Every spike and every state of random networks: on the host under sanitizers, and on every emulated core, with every kernel."""

import subprocess

import numpy as np
import pytest

from edge_anp import conformance, demo_net, reference, tasks
from edge_anp.compilation import compile_network
from edge_anp.conformance_networks import random_network
from edge_anp.integer import MCU16, IntegerConnection, IntegerLayer, IntegerNetwork, IntegerNeuron, Leak
from edge_anp.snntorch_model import read
from edge_anp.synapses import Dense
from edge_anp.topology import INPUT, InputContract
from edge_anp.verify import verify
from targets.mcu import QEMU, run, tables
from targets.mcu.cores import CORES
from targets.mcu.session import Session

SANITIZED = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
NETWORKS = 208  # 26 a core


def executor(session: Session) -> conformance.Run:
    """Binary rasters go in all three forms in turn, numbers as bytes."""

    def execute(net, rasters):
        session.load(net)
        return [session.run(raster) for raster in rasters]

    return execute


@pytest.mark.slow
@pytest.mark.parametrize("half", [0, 1])
def test_ten_million_neuron_steps_under_sanitizers(half, tmp_path):
    """Five million in each half of the networks, every branch in each."""
    with run.open_empty("host", 120, 2**20, 2**20, flags=SANITIZED) as session:
        report = conformance.check(executor(session), range(half, NETWORKS, 2), steps=210)
    assert report.first is None
    rows = [f"| mcu host | {NETWORKS // 2} | {report.neuron_steps} | |"]
    conformance.write_coverage(tmp_path / "mcu.md", report.coverage, rows)
    assert report.neuron_steps >= 5 * 10**6


def test_every_branch_occurs_under_sanitizers():
    with run.open_empty("host", 120, 2**20, 2**20, flags=SANITIZED) as session:
        report = conformance.check(executor(session), range(60), steps=20)
    assert report.first is None
    assert [b for b in conformance.BRANCHES if not report.coverage[b]] == []


def fits(seed: int, table: int, state: int) -> bool:
    made = tables.write(random_network(seed))
    return len(made.data) <= table and made.state_bytes <= state


@pytest.mark.slow
@pytest.mark.parametrize("core", CORES)
def test_networks_on_a_core(core):
    """Each core has its share of the networks that the host runs; the microbit (m0) those that fit into its 16 KiB."""
    place, room = list(CORES).index(core), (6 * 1024, 3 * 1024, 2048) if core == "m0" else (2**17, 2**16, 2**13)
    seeds = [s for s in range(place, NETWORKS, len(CORES)) if fits(s, *room[:2])]
    assert len(seeds) >= 3
    with run.open_empty(f"qemu:{core}", 120, *room) as session:
        report = conformance.check(executor(session), seeds, steps=30)
    assert report.first is None


@pytest.mark.slow
@pytest.mark.parametrize("core", ["m4", "m33", "m55"])
def test_the_portable_kernels_are_the_same_functions(core):
    """DSP and MVE are chosen by the compiler's macros; EA_PORTABLE forbids them, and the answers stay."""
    with run.open_empty(f"qemu:{core}", 120, 2**17, 2**16, flags=["-O2", "-DEA_PORTABLE"]) as session:
        report = conformance.check(executor(session), range(1, NETWORKS, 16), steps=20)
    assert report.first is None


FAST = {"m4": {"dense": "uxtab16", "products": "smlabb"}, "m55": {"dense": "vadd.i16", "products": "vmla.s32"}}


@pytest.mark.parametrize("core", FAST)
@pytest.mark.parametrize("file", ["dense", "products"])
def test_the_fast_kernels_are_there(core, file):
    """What the equality above compares: the core's own instructions, in the rows of spikes and the products of numbers."""
    for flags, there in (([], True), (["-DEA_PORTABLE"], False)):
        words = [
            CORES[core].compiler,
            *CORES[core].flags,
            "-O2",
            *flags,
            "-S",
            "-o",
            "-",
            run.build.RUNTIME / f"{file}.c",
        ]
        text = subprocess.run(words, capture_output=True, text=True, timeout=300, check=True).stdout
        assert (FAST[core][file] in text) is there


def numbers_only(size: int, inputs: int) -> IntegerNetwork:
    """One layer that never spikes, so that its membranes are the rounded sums of its input themselves."""
    rng = np.random.default_rng([size, inputs])
    weight = rng.choice(np.array([-128, -127, -1, 0, 1, 127], np.int8), (size, inputs))
    neuron = IntegerNeuron(Leak(np.zeros(size, np.int64), 8))
    connection = IntegerConnection(INPUT, (Dense(weight),), -int(rng.integers(1, 9)))
    layer = IntegerLayer((size,), (connection,), np.zeros(size, np.int64), neuron, np.ones(size), "sums")
    return IntegerNetwork(MCU16, (layer,), InputContract((inputs,), scale=0.5), "membrane_last")


@pytest.mark.parametrize("runner", ["host", *QEMU])
def test_products_of_any_count_and_width(runner):
    """1 to 130 numbers, odd and even counts of them not zero, past a full list of events; 1 to 33 columns; the largest of both signs."""
    with run.open_empty(
        runner, 60, *((6 * 1024, 3 * 1024, 2048) if runner == "qemu:m0" else (2**16, 2**14, 2**12))
    ) as session:
        for size, inputs in ((1, 1), (3, 2), (4, 7), (5, 64), (17, 65), (33, 130)):
            net, rng = numbers_only(size, inputs), np.random.default_rng(inputs)
            raster = rng.choice(np.array([-127, -1, 0, 0, 1, 127], np.int64), (12, inputs))
            raster[0], raster[1], raster[2] = 127, -127, np.arange(inputs) == inputs - 1
            want, got = reference.run(net, raster), executor(session)(net, [raster])[0]
            assert np.array_equal(want.states[0]["v"], got.states[0]["v"]), (size, inputs)


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """The demo's network, untrained, in integers, as a folder."""
    task = tasks.load("digits")
    raster, _ = task.train.batch(range(4))
    network = read(demo_net.build(0), raster.reshape(*raster.shape[:2], *task.input.shape)).network
    folder = tmp_path_factory.mktemp("build") / "mcu"
    compile_network(network, "mcu", folder, task.train, options={"prefix": "digits"})
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("runner", ["host", *QEMU])
def test_digits_on_every_core(digits, runner):
    samples = list(tasks.load("digits").test.rasters[:120])
    found = verify(digits, samples, runner).to_json()["runners"][runner]
    assert (found["spike_mismatches"], found["state_mismatches"]) == (0, 0)
    assert found["neuron_steps"] == 120 * 16 * 138


def test_verify_runs_the_host_by_default(digits):
    found = verify(digits, list(tasks.load("digits").test.rasters[:3]))
    assert list(found.runners) == ["host"]


def test_the_runtime_answers_and_tests_itself(digits):
    """ea_answer is the argmax that decode.py names, and ea_selftest finds the golden checksum."""
    from edge_anp import decode, integer
    from targets.mcu import TARGET

    net = integer.load(digits / "integer.npz")
    with TARGET.open(digits, "host") as session:
        for raster in tasks.load("digits").test.rasters[:20]:
            row = integer.quantize_input(raster, net.input)
            session.run(row)
            want = reference.run(net, row)
            scores = decode.scores(
                net.decode, want.spikes[-1][:, None].astype(int), want.states[-1]["v"][:, None].astype(int)
            )
            assert session.answer() == int(np.argmax(scores[0]))
        assert session.selftest() == run.golden_crc(digits)
