"""The C interface: its error codes, hostile tables, two networks in one program, and answers that do not change what was."""

import shutil
import struct
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_anp import reference, target
from edge_anp.conformance_networks import random_network, random_raster
from edge_anp.errors import BadFile, Divergence, OutOfRange, ToolMissing, Unsupported
from edge_anp.integer import IntegerConnection
from edge_anp.kinds import KINDS
from edge_anp.synapses import Dense, MaxPool2d
from edge_anp.verify import verify
from targets.mcu import TARGET, build, link, lower, model, run, tables, workloads
from targets.mcu.session import Session

HERE = Path(__file__).parent
SANITIZED = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
NET = random_network(5)


def program(words, limit_s=300):
    return subprocess.run([str(w) for w in words], capture_output=True, text=True, timeout=limit_s)


@pytest.fixture
def folder(tmp_path):
    """A folder as `compile` leaves it."""
    return target.compile_to(TARGET, NET, tmp_path / "mcu", None, [random_raster(NET, 2, 6)]).folder


def small():
    """A network of every option whose table is small enough to damage bit by bit."""
    return next(n for n in map(random_network, range(200)) if len(tables.write(n).data) < 900 and len(n.layers) > 1)


def test_every_error_code_is_defined(tmp_path):
    lower.lower(small(), tmp_path, "", ("host",))
    sources = [HERE / "errors.c", tmp_path / "edge_anp.c", tmp_path / "model.c"]
    made = build.compile_host(sources, tmp_path / "errors", [tmp_path], SANITIZED)
    done = program([made])
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_the_fuzzers_corpus_is_clean(tmp_path):
    """Every sample that the fuzzer kept, with the sanitizers; tests/targets/mcu/README.md says how to fuzz on."""
    sources = [*build.RUNTIME.glob("*.c"), HERE / "fuzz.c"]
    made = build.compile_host(sources, tmp_path / "replay", [build.RUNTIME], (*SANITIZED, "-DREPLAY"))
    samples = sorted((HERE / "corpus").iterdir())
    done = program([made, *samples])
    assert (done.returncode, done.stdout) == (0, f"{len(samples)} samples\n"), done.stderr
    assert len(samples) >= 40


@pytest.mark.slow
def test_every_field_of_a_table_may_lie(tmp_path):
    """Each word of the records in turn becomes a hostile number, with the checksum made right: nothing is read out of bounds."""
    sources = [*build.RUNTIME.glob("*.c"), HERE / "fuzz.c"]
    made = build.compile_host(sources, tmp_path / "replay", [build.RUNTIME], (*SANITIZED, "-DREPLAY"))
    found = [t for t in map(tables.write, map(random_network, range(120))) if len(t.data) < 1500][:8]
    assert {kernel for t in found for kernel in t.kernels} >= {
        "dense",
        "conv",
        "diagonal",
        "pool",
        "neuron",
        "remember",
        "path",
    }
    samples = []
    for k, table in enumerate(found):
        data = table.data
        records = (
            tables.HEAD
            + tables.LAYER * len(table.layers)
            + tables.CONNECTION * len(table.connections)
            + tables.MAP * len(table.maps)
        )
        for at in range(16, records, 4):
            (old,) = struct.unpack_from("<I", data, at)
            for value in (
                0,
                1,
                old + 4,
                old * 2,
                old - 4,
                len(data) - 4,
                len(data),
                table.state_bytes,
                0x10001,
                0xFFFF,
                0x7FFFFFFF,
                0xFFFFFFFC,
            ):
                changed = bytearray(struct.pack("<I", 7) + data)
                struct.pack_into("<I", changed, 4 + at, value & 0xFFFFFFFF)
                samples.append(tmp_path / f"{k}_{at}_{value}")
                samples[-1].write_bytes(changed)
    for k in range(0, len(samples), 1000):
        done = program([made, *samples[k : k + 1000]])
        assert done.returncode == 0, done.stderr[:2000]


def test_model_c_is_the_table(folder):
    """What a compiler makes of model.c are the bytes that tables.py wrote: a session that sends them gives the same trace."""
    raster = random_raster(NET, 3, 20)
    with TARGET.open(folder, "host") as built, run.open_empty("host", 60) as sent:
        sent.load(NET)
        a, b = built.run(raster), sent.run(raster)
    want = reference.run(NET, raster)
    for trace in (a, b):
        assert all(np.array_equal(x, y) for x, y in zip(trace.spikes, want.spikes, strict=True))


def test_a_changed_weight_is_refused_and_its_line_is_named(folder):
    """The checksum finds it on a device; here the file is compared with what was written."""
    lines = (folder / "model.c").read_text().splitlines(keepends=True)
    line = next(k for k, text in enumerate(lines) if "/* w0_0 */" in text) + 1
    digit = next(k for k, letter in enumerate(lines[line]) if letter.isdigit() and lines[line][k + 1] in ",u")
    lines[line] = lines[line][:digit] + ("1" if lines[line][digit] != "1" else "2") + lines[line][digit + 1 :]
    (folder / "model.c").write_text("".join(lines))
    with pytest.raises(BadFile, match=rf"model.c \(line {line + 1}\): it is not what `compile` wrote; .*EA_BAD_TABLE"):
        TARGET.open(folder, "host")


def test_a_wrong_runtime_is_named_with_its_place(folder):
    """A leak that is off by one in the runtime: the step, the layer, the neuron, and the line that somebody changed."""
    text = (folder / "edge_anp.c").read_text()
    right = "(1 << (LEAK_BITS - 1))) >> LEAK_BITS;"
    assert text.count(right) == 1
    (folder / "edge_anp.c").write_text(text.replace(right, right.replace(";", " | 1;")))
    line = text[: text.index(right)].count("\n") + 1
    found = verify(folder, [random_raster(NET, k, 40) for k in range(4)])
    assert found.ran.endswith(f"; edge_anp.c is not as edge-anp writes it, from line {line} on")
    with pytest.raises(
        Divergence, match=r"sample \d+, step \d+, layer \d+.*, neuron \d+: v is -?\d+, the reference has -?\d+"
    ):
        found.check()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda f: (f / "model.c").unlink(), "model.c.*there is no such file"),
        (lambda f: (f / "edge_anp.c").write_text("int x = ;"), "cc refuses it"),
        (lambda f: (f / "model.h").write_text("#define X 1\n"), "it is no model.h"),
    ],
)
def test_a_bad_file_is_one_sentence(folder, damage, words):
    damage(folder)
    with pytest.raises(BadFile, match=words) as error:
        TARGET.open(folder, "host")
    assert "\n" not in str(error.value)


def test_steps_make_a_run_and_reset_is_silence(folder):
    raster = random_raster(NET, 4, 12)
    want = reference.run(NET, raster)
    with TARGET.open(folder, "host") as session:
        assert isinstance(session, target.Session)
        session.run(random_raster(NET, 5, 8))
        session.reset()
        for t, row in enumerate(raster):
            got = session.step(row)
            assert all(np.array_equal(a[t], b) for a, b in zip(want.spikes, got.spikes, strict=True))
            assert all(np.array_equal(a[n][t], b[n]) for a, b in zip(want.states, got.states, strict=True) for n in a)
        assert [s.shape for s in session.run(raster[:0]).spikes] == [(0, layer.size) for layer in NET.layers]
        with pytest.raises(ValueError, match=rf"it must be \[T, {NET.input.size}\]"):
            session.run(np.zeros((3, NET.input.size + 1)))


def test_an_unknown_option_is_answered_with_the_known(tmp_path):
    with pytest.raises(ValueError, match="mcu has no option 'speed'; it has prefix"):
        target.compile_to(TARGET, NET, tmp_path / "x", None, [], {"speed": "1"})


def test_every_reason_comes_at_once(tmp_path):
    net = workloads.dense().net
    far = replace(net.layers[0], connections=(IntegerConnection(-1, net.layers[0].connections[0].path, 0, 70_000),))
    wide = IntegerConnection(-1, (Dense(np.zeros((70_000, 700), np.int8)),))
    big = replace(far, shape=(70_000,), connections=(wide,), bias=np.zeros(70_000), unit=np.ones(70_000))
    with pytest.raises(Unsupported) as error:
        lower.lower(replace(net, layers=(far, replace(big, neuron=net.layers[0].neuron))), tmp_path, "", ("host",))
    assert "70000 steps ago" in str(error.value)
    assert "layer 1 (only) has 70000 neurons" in str(error.value)
    assert not list(tmp_path.iterdir())


def test_a_pool_without_a_value_is_refused(tmp_path):
    net = workloads.convolutional().net
    pool = MaxPool2d((1, 28, 28), (1, 1), (29, 29), (1, 1))
    path = (pool, Dense(np.zeros((1152, pool.out_size), np.int8)))
    with pytest.raises(Unsupported, match="wholly in its padding"):
        lower.lower(
            replace(net, layers=(replace(net.layers[0], connections=(IntegerConnection(-1, path),)), *net.layers[1:])),
            tmp_path,
            "",
            (),
        )


def test_a_board_that_is_too_small_says_so(tmp_path):
    work = workloads.convolutional()
    lower.lower(work.net, tmp_path, "", ("host",))
    with pytest.raises(OutOfRange, match=r"qemu:m0 \(microbit\) has 16384 bytes of RAM; this network needs about"):
        run.open_session(tmp_path, "qemu:m0", work.net, 30)


@pytest.mark.parametrize(
    ("program_", "packages"), [("arm-none-eabi-gcc", "picolibc-arm-none-eabi"), ("qemu-system-arm", "qemu-system-arm")]
)
def test_a_missing_tool_is_named_with_its_packages(program_, packages, folder, monkeypatch):
    found = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name == program_ else found(name))
    with pytest.raises(ToolMissing, match=f"apt-get install .*{packages}"):
        TARGET.open(folder, "qemu:m4")


def test_a_program_that_hangs_is_ended(tmp_path):
    """The limit holds, the process group is gone, and the error says what was waited for."""
    made = link.start(
        [sys.executable, "-c", "import subprocess, sys; subprocess.run(['sleep', '60'])"], tmp_path, 0.5, "a program"
    )
    session = Session(made, (), 1, "", tmp_path)
    assert made.process is not None
    with pytest.raises(BadFile, match=r"it gave 0 of 4 bytes of an answer within 0.5 s"):
        session.begin()
    assert made.process.poll() is not None
    session.close()


def test_a_program_that_dies_is_reported(tmp_path):
    made = link.start([sys.executable, "-c", "import sys; sys.exit('no such board')"], tmp_path, 20, "a program")
    with pytest.raises(BadFile, match=r"no such board|takes no more commands"):
        Session(made, (), 1, "", tmp_path).begin()


def test_golden_vectors_are_the_references(folder):
    numbers, crc = model.golden(NET)
    trace, found = reference.run(NET, numbers), 0
    for t in range(len(numbers)):
        for spikes, states in zip(trace.spikes, trace.states, strict=True):
            found = zlib.crc32(model.pack_bits(spikes[t]), found)
            for name in sorted(states, reverse=True):
                found = zlib.crc32(states[name][t].astype("<i2").tobytes(), found)
    assert found == crc == run.golden_crc(folder)


def test_every_cell_of_the_table_is_yes():
    assert TARGET.supports == dict.fromkeys(KINDS, "")
