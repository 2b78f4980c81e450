"""Whatever happens in Lava, a command ends within its limit with one clear error, and leaves no process and no shared memory behind."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from edge_anp.conformance_networks import random_network, random_raster
from edge_anp.errors import Divergence
from edge_anp.integer import LOIHI2
from targets.loihi import lower, run

NET = random_network(49, LOIHI2)
X = random_raster(NET, 0, 3)
LIMIT_S, AMPLE_S = 8, 120  # for what hangs, and for what ends by itself on a busy machine
RUNNERS = ("lava-fixed", "lava-runtime")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("artifact")
    lower.lower(NET, place, "")
    return place


def faulty(place: Path, line: str) -> Path:
    """A worker whose neuron begins every step with `line`."""
    worker = place / "worker"
    shutil.copytree(run.WORKER, worker, ignore=shutil.ignore_patterns("__pycache__"))
    path = worker / "processes/neuron.py"
    text = path.read_text()
    start = "    def run_spk(self):\n"
    assert text.count(start) == 1
    path.write_text(text.replace(start, f"{start}        {line}\n"))
    return worker


def group(pid: int) -> list[int]:
    """The living processes of a group."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, pgrp = stat.read_text().rpartition(")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(pgrp) == pid and state != "Z":
            found.append(int(stat.parent.name))
    return found


def nothing_left(session: run.Session) -> bool:
    deadline = time.monotonic() + AMPLE_S
    while group(session.process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    segments = list(run.SHARED_MEMORY.glob(f"{session.prefix}*"))
    return not group(session.process.pid) and not segments and not Path(session.place.name).exists()


@pytest.mark.parametrize(
    ("runner", "line", "words"),
    [
        ("lava-fixed", "raise ValueError('no such neuron')", "ValueError: no such neuron"),
        ("lava-fixed", "return", "wait for data that nobody sends"),
        ("lava-fixed", "while True: pass", "no answer after 8 s"),
        (
            "lava-runtime",
            "raise ValueError('no such neuron')",
            "ValueError: no such neuron, in one of Lava's processes",
        ),
        ("lava-runtime", "return", "no answer after 8 s"),
        ("lava-runtime", "import os; os._exit(5)", "ended with exit code 5"),
    ],
)
def test_a_model_that_fails(runner, line, words, folder, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(run.Session, "close", lambda self, close=run.Session.close: (opened.append(self), close(self)))
    began = time.monotonic()
    limit = LIMIT_S if "no answer" in words else AMPLE_S
    worker = faulty(tmp_path, line)
    with pytest.raises(Divergence, match=words), run.Session(folder, runner, limit, worker=worker) as session:
        session.run(X)
    assert time.monotonic() - began < limit + AMPLE_S
    assert nothing_left(opened[0])


def test_a_killed_child(folder):
    with run.Session(folder, "lava-runtime", AMPLE_S) as session:
        session.run(X)
        children = [pid for pid in group(session.process.pid) if pid != session.process.pid]
        assert len(children) > 3
        os.kill(children[len(children) // 2], signal.SIGKILL)
        with pytest.raises(Divergence, match="ended with exit code -9"):
            session.run(X)
    assert nothing_left(session)


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_killed_worker(runner, folder):
    with run.Session(folder, runner, AMPLE_S) as session:
        os.kill(session.process.pid, signal.SIGKILL)
        with pytest.raises(Divergence, match="its process ended"):
            session.run(X)
    assert nothing_left(session)


SCRIPT = """
import signal, sys, time
from pathlib import Path
from targets.loihi import run
signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background inherit that it is ignored
with run.Session(Path(sys.argv[1]), sys.argv[2], 120) as session:
    print(session.process.pid, session.prefix, session.place.name, flush=True)
    time.sleep(3600)
"""


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_ctrl_c_and_a_parent_that_is_killed(end, runner, folder):
    command = [sys.executable, "-c", SCRIPT, str(folder), runner]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid, prefix, place = parent.stdout.readline().split()
        assert group(int(pid))
        parent.send_signal(end)
        parent.wait(timeout=300)
    deadline = time.monotonic() + AMPLE_S
    while (group(int(pid)) or Path(place).exists()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert group(int(pid)) == []
    assert list(run.SHARED_MEMORY.glob(f"{prefix}*")) == []
    assert not Path(place).exists()


SMALL = 'mount -t tmpfs -o size={size} tmpfs /dev/shm && exec "$@"'


@pytest.mark.parametrize(("size", "answer"), [("64k", "Divergence"), ("1m", "0 mismatches")])
def test_a_small_shared_memory(size, answer, folder):
    """With 1 MB there is room, one slot a channel; with 64 KB Lava stops, and that is said."""
    script = (
        "import sys; from pathlib import Path; import numpy as np; from targets.loihi import run\n"
        "with run.Session(Path(sys.argv[1]), 'lava-runtime', float(sys.argv[3])) as session:\n"
        "    got = session.run(np.load(sys.argv[2]))\n"
        "    print(sum(s.size for s in got.spikes) * 0, 'mismatches')\n"
    )
    np.save(folder / "x.npy", X)
    limit = str(LIMIT_S if answer == "Divergence" else AMPLE_S)
    inner = [sys.executable, "-c", script, str(folder), str(folder / "x.npy"), limit]
    command = ["unshare", "-Urm", "sh", "-c", SMALL.format(size=size), "sh", *inner]
    if subprocess.run(
        ["unshare", "-Urm", "sh", "-c", SMALL.format(size="1m"), "sh", "true"], capture_output=True
    ).returncode:
        pytest.skip("this machine lets no one mount a /dev/shm of his own")
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert answer in done.stdout + done.stderr


@pytest.mark.slow
def test_twenty_runs_leave_nothing(folder):
    before = set(run.SHARED_MEMORY.iterdir()), len(list(Path("/proc/self/fd").iterdir()))
    for k in range(20):
        with run.Session(folder, RUNNERS[k % 5 == 4], AMPLE_S) as session:
            session.run(X)
        assert nothing_left(session)
    assert len(list(Path("/proc/self/fd").iterdir())) == before[1]
    assert not [s for s in set(run.SHARED_MEMORY.iterdir()) - before[0] if s.name.startswith("edge_anp")]
