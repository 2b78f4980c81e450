"""Run an artifact in Lava: `python worker` beside lava.npz checks its golden vectors; edge-anp itself asks sample by sample.

python worker [--runner lava-fixed | lava-runtime]     needs lava-nc 0.10.0 and numpy, on Python 3.10 or newer
python worker --serve lava.npz --runner RUNNER --shm PREFIX --folder FOLDER
    one line a request on stdin, the name of a sample's raster in FOLDER; one line an answer on stdout, {"ran"}, {"done"} or {"error"}
"""

import argparse
import json
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[0] = str(HERE.parent)  # so that this folder is the package `worker`


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runner", choices=("lava-fixed", "lava-runtime"), default="lava-fixed")
    parser.add_argument("--serve", type=Path)
    parser.add_argument("--shm", default="")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.serve is None:
        sys.exit(check_golden(HERE.parent, options.runner))
    serve(options.serve, options.runner, options.shm, options.folder)


def open_machine(path, runner, tell=print):
    """(circuit, machine, what runs, how a sample is run): Lava is imported here. tell: of errors where no exception can come from."""
    import worker.importfix  # noqa: F401  before lava
    from worker import circuit, sample

    description, arrays = circuit.read(path)
    if "learning" in description:
        from worker import learner

        made, run = learner.Chain(description, arrays), learner.run
    else:
        made, run = circuit.build(description, arrays), sample.run
    if runner == "lava-runtime":
        from worker.runtime import Runtime as Machine
    else:
        from worker.stepping import Stepping as Machine
    from importlib.metadata import version

    how = "its own runtime, a process a model" if runner == "lava-runtime" else "stepped in one process"
    python = ".".join(map(str, sys.version_info[:3]))
    ran = f"lava-nc {version('lava-nc')}'s fixed-point simulator on Python {python} ({how}), not silicon"
    return made, Machine(made, tell), ran, run


def check_golden(folder, runner):
    """Run every golden vector and compare all spikes and states; 0 if none differs."""
    made, machine, ran, run = open_machine(folder / "lava.npz", runner)
    with np.load(folder / "golden.npz", allow_pickle=False) as file:
        tree = json.loads(bytes(file["header"]).decode())["tree"]["fields"]
        arrays = {name: file[name] for name in file.files}

    def array(node):
        return arrays[f"a{node['array']}"]

    spikes = states = 0
    for raster, trace in zip(tree["rasters"], tree["traces"], strict=True):
        got = run(made, machine, array(raster).astype(np.int64))
        for i, want in enumerate(trace["fields"]["spikes"]):
            spikes += int((got[f"spikes{i}"] != array(want)).sum())
            for name, value in trace["fields"]["states"][i]["map"]:
                states += int((got[f"{name}{i}"] != array(value)).sum())
    machine.close()
    print(f"{ran}: {len(tree['rasters'])} golden samples, {spikes} spikes and {states} states differ")
    return int(bool(spikes or states))


def serve(path, runner, prefix, folder):
    """Answer requests until stdin ends: whoever asked is gone, so all of this goes too."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Lava prints; the answers have a channel of their own
    lines = os.fdopen(os.dup(0))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    name_segments(prefix)
    requests, ready = [], threading.Semaphore(0)

    def listen():
        for line in lines:
            requests.append(line.strip())
            ready.release()
        end_all(prefix, folder)

    def answer(**content):
        answers.write(json.dumps(content) + "\n")
        answers.flush()

    threading.Thread(target=listen, daemon=True).start()
    try:
        made, machine, ran, run = open_machine(path, runner, lambda what: answer(error=what))
        answer(ran=ran)
        while True:
            ready.acquire()
            name = requests.pop(0)
            began = time.perf_counter()
            if name.startswith("time "):
                machine.step(int(name.split()[1]))
                answer(seconds=time.perf_counter() - began)
                continue
            trace = run(made, machine, load(folder / name))
            np.savez(folder / (name + ".trace.npz"), **trace)
            answer(done=name + ".trace.npz", seconds=time.perf_counter() - began)
    except BaseException as error:
        answer(error=f"{type(error).__name__}: {error}", trace=traceback.format_exc())
        time.sleep(3600)  # until stdin ends: Lava's own exit may hang


def end_all(prefix, folder):
    """End this process group, then remove what it leaves: a child outside of the group is the one that can."""
    group = os.getpgrp()
    if group != os.getpid():  # somebody else's: started by hand
        os._exit(0)
    if os.fork() == 0:
        os.setsid()
        os.killpg(group, signal.SIGKILL)
        for segment in Path("/dev/shm").glob(f"{prefix}*"):
            segment.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(0)


def load(path):
    """A raster from .npy, or several arrays by name from .npz."""
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key].astype(np.int64) for key in file.files}
    return np.load(path, allow_pickle=False).astype(np.int64)


def name_segments(prefix):
    """Shared memory made from here on has names that begin with the prefix, so that whoever started this can remove it."""
    from multiprocessing import shared_memory

    if prefix:
        shared_memory._SHM_NAME_PREFIX = f"/{prefix}"
        shared_memory._SHM_SAFE_NAME_LENGTH = len(prefix) + 1 + 16


if __name__ == "__main__":
    main()
