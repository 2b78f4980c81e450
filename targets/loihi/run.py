"""A session in Lava: a worker process in Lava's environment, fed with files, that can neither hang nor leave anything behind.

The worker leads a process group of its own, and all shared memory that it makes carries a prefix of ours. However a session ends (an
answer too late, an error, Ctrl-C, a killed child), the group is killed and what carries the prefix is removed, and so is the folder of its
files. If this process itself is killed, the worker's stdin ends, and the worker does the same.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any, Self

import numpy as np

from edge_anp.errors import BadFile, Divergence, ToolMissing
from edge_anp.integer import Trace
from targets.loihi import about, lower

ROOT = Path(__file__).resolve().parents[2]
WORKER = Path(__file__).with_name("worker")
SHARED_MEMORY = Path("/dev/shm")
VARIABLE = "EDGE_ANP_LAVA"
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
REMEDY = (
    f"make its environment with `tools/lava_env` in a checkout of edge-anp, or name a Python that imports lava-nc 0.10.0: {VARIABLE}="
    "/path/to/python (`pip install lava-nc==0.10.0` on Python 3.10; on a newer one the same with `--no-deps --ignore-requires-python`, "
    'and "numpy<2.4" scipy networkx asteval)'
)


def find_python() -> Path:
    """The Python that Lava is in: EDGE_ANP_LAVA's, or .venv-lava's here or in edge-anp's checkout. Raise ToolMissing if there is none."""
    named = os.environ.get(VARIABLE)
    places = [Path(named)] if named else [folder / ".venv-lava/bin/python" for folder in (Path.cwd(), ROOT)]
    for place in places:
        if place.is_file():
            return place.absolute()  # not resolved: what a link of an environment leads to is another environment
    raise ToolMissing(f"Lava ({named or 'no .venv-lava'})", REMEDY)


class Session:
    """One artifact in one worker. limit_s: for one answer; the first includes Lava's start."""

    statement = about.SENTENCE

    def __init__(self, folder: Path, runner: str, limit_s: float, python: Path | None = None, worker: Path = WORKER):
        self.path, self.limit_s = Path(folder) / "lava.npz", limit_s
        self.layers = read_description(self.path)["layers"]
        self.history: list[np.ndarray] = []
        self.count = 0
        self.prefix = f"edge_anp_{uuid.uuid4().hex[:12]}_"
        interpreter = python or find_python()
        self.place = tempfile.TemporaryDirectory(prefix="edge_anp_lava_")
        command = [str(interpreter), str(worker), "--serve", str(self.path.resolve()), "--runner", runner]
        self.log = Path(self.place.name) / "log"
        try:
            with self.log.open("wb") as log:
                self.process = subprocess.Popen(
                    [*command, "--shm", self.prefix, "--folder", self.place.name],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    start_new_session=True,
                    env=os.environ | ENVIRONMENT,
                )
        except OSError as error:
            self.place.cleanup()
            raise ToolMissing(f"Lava ({interpreter} cannot be run: {error.strerror})", REMEDY) from error
        try:
            self.ran = str(self._answer()["ran"])
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End every process of the worker's group and remove its shared memory."""
        for _ in range(2):  # a child may be born while the group is killed
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                break
            self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue
        for segment in SHARED_MEMORY.glob(f"{self.prefix}*"):
            segment.unlink(missing_ok=True)
        self.place.cleanup()

    def reset(self) -> None:
        """Silence."""
        self.history = []

    def step(self, x: np.ndarray) -> Trace:
        """Advance by one step. Lava's layers lag behind the input, so the sample is run again from its start: O(T) a step."""
        self.history.append(np.asarray(x))
        trace = self.run(np.stack(self.history))
        return Trace(tuple(s[-1] for s in trace.spikes), tuple({n: v[-1] for n, v in s.items()} for s in trace.states))

    def run(self, raster: np.ndarray) -> Trace:
        """Run from silence: raster [T, I] -> spikes and states [T, N]."""
        found = self.exchange(np.asarray(raster).astype(np.int64))
        return Trace(
            tuple(found[f"spikes{i}"] for i in range(len(self.layers))),
            tuple({n: found[f"{n}{i}"] for n in layer["states"]} for i, layer in enumerate(self.layers)),
        )

    def exchange(self, content: np.ndarray | dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Give the worker a raster, or arrays by name, and take the arrays that it answers with."""
        self.count += 1
        folder = Path(self.place.name)
        if isinstance(content, dict):
            name = f"asked{self.count}.npz"
            entries: dict[str, Any] = dict(content)
            np.savez(folder / name, **entries)
        else:
            name = f"raster{self.count}.npy"
            np.save(folder / name, content)
        answer = self._ask(name)
        self.seconds = float(answer["seconds"])
        with np.load(folder / answer["done"], allow_pickle=False) as file:
            found = {key: file[key] for key in file.files}
        for used in (name, answer["done"]):
            (folder / used).unlink()
        return found

    def time(self, steps: int) -> float:
        """The seconds that so many steps take, with nothing read in between."""
        return float(self._ask(f"time {steps}")["seconds"])

    def _ask(self, request: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(f"{request}\n".encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            raise self._stopped("its process ended") from None
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        """The worker's next line, within the limit."""
        assert self.process.stdout is not None
        line, deadline = b"", time.monotonic() + self.limit_s
        while not line.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0:
                raise self._stopped(f"there is no answer after {self.limit_s:g} s")
            if not select.select([self.process.stdout], [], [], min(left, 0.5))[0]:
                if self.process.poll() is not None:  # its children may keep the pipe open
                    raise self._stopped("its process ended")
                continue
            part = os.read(self.process.stdout.fileno(), 65536)
            if not part:
                raise self._stopped("its process ended")
            line += part
        answer = json.loads(line)
        if "error" not in answer:
            return answer
        if answer["error"].startswith(("ModuleNotFoundError", "ImportError")):
            raise ToolMissing(f"Lava in {find_python()} ({answer['error']})", REMEDY)
        raise self._stopped(answer["error"])

    def _stopped(self, what: str) -> Divergence:
        said = [line for line in self.log.read_text(errors="replace").splitlines() if "Error" in line]
        more = f"; it said: {said[-1].strip()[:300]}" if said and said[-1].strip() not in what else ""
        self.close()
        return Divergence(f"Lava stopped while it ran {self.path}: {what}{more}; all its processes have been ended")


def read_description(path: Path) -> dict[str, Any]:
    """The header of lava.npz. Raise BadFile unless it is one that `lower` writes."""
    if not path.is_file():
        raise bad(path, "there is no such file")
    try:
        with np.load(path, allow_pickle=False) as file:
            description = json.loads(bytes(file["header"]).decode())
        if description["version"] != lower.VERSION or not all("states" in layer for layer in description["layers"]):
            raise ValueError(f"its version is {description['version']}")
    except Exception as error:  # numpy and the zip decoder have a dozen kinds for a file that is not theirs
        raise bad(path, f"it cannot be read ({type(error).__name__}: {str(error)[:100]})") from error
    return description


def bad(path: Path, what: str) -> BadFile:
    return BadFile(path, what, should_be="the file that `edge-anp compile --target loihi` wrote there")
