"""The folder that a compiled network is: all that a runner reads, the same for every target.

artifact.json   what it is: written last, so a folder without it is no artifact
integer.npz     the network that every exact runner must reproduce
golden.npz      a few inputs with everything that the reference did on them
network.npz     the float network it came from, where there was one
and the target's own files; artifact.json holds no hash of those, so that a changed weight is found as a Divergence
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_anp import decode, reference, storage
from edge_anp.errors import BadFile
from edge_anp.integer import IntegerNetwork, Trace
from edge_anp.topology import InputContract

VERSION = 1  # of the folder
SEMANTICS = 1  # of reference.py: what the integers mean
NAME = "artifact.json"


@dataclass(frozen=True)
class LayerSummary:
    """One layer, for people who read artifact.json."""

    name: str
    kind: str
    size: int


@dataclass(frozen=True)
class Artifact:
    """A compiled network: where it is, which target runs it, and what a user must know to feed it and to read its answer.

    golden: digest of the golden vectors.
    """

    folder: Path
    target: str
    runners: tuple[str, ...]
    arithmetic: str
    input: InputContract
    decode: str
    golden: str
    layers: tuple[LayerSummary, ...]


@dataclass(frozen=True, eq=False)
class Golden:
    """Rasters [T, I] of integers and, for each, the reference's whole trace."""

    rasters: tuple[np.ndarray, ...]
    traces: tuple[Trace, ...]


def describe(folder: Path, target: str, runners: Sequence[str], net: IntegerNetwork, golden: str) -> Artifact:
    """The Artifact that `net` becomes in `folder`."""
    layers = tuple(
        LayerSummary(layer.name or f"layer {i}", "readout" if layer.neuron.vth is None else "LIF", layer.size)
        for i, layer in enumerate(net.layers)
    )
    return Artifact(folder, target, tuple(runners), net.arithmetic.name, net.input, net.decode, golden, layers)


def write(artifact: Artifact) -> None:
    """Write artifact.json; it appears whole or not at all."""
    content = {"version": VERSION, "semantics": SEMANTICS, **asdict(artifact)}
    del content["folder"]
    partial = artifact.folder / (NAME + ".partial")
    with partial.open("w") as file:
        file.write(json.dumps(content, indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(artifact.folder / NAME)


def read(folder: str | Path) -> Artifact:
    """Read artifact.json; raise BadFile for anything that `write` did not write."""
    folder = Path(folder)
    path = folder / NAME

    def bad(what: str) -> BadFile:
        return BadFile(path, what, should_be=f"an {NAME} of version {VERSION}, as `edge-anp compile` writes it")

    if not path.is_file():
        raise bad("there is no such file")
    try:
        content = json.loads(path.read_text())
        version, semantics = content["version"], content["semantics"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise bad(f"it cannot be read as one ({type(error).__name__})") from error
    if version != VERSION or semantics != SEMANTICS:
        raise bad(f"its version is {version!r} and its integers mean version {semantics!r}, not {SEMANTICS}")
    try:
        return _decode(folder, content)
    except (ValueError, KeyError, TypeError) as error:
        raise bad(f"its content makes no artifact ({type(error).__name__}: {error})") from error


def _decode(folder: Path, content: dict[str, Any]) -> Artifact:
    words = {name: content[name] for name in ("target", "arithmetic", "decode", "golden")}
    runners = tuple(content["runners"])
    if not all(isinstance(word, str) for word in (*words.values(), *runners)):
        raise ValueError("a name is not a text")
    decode.check(words["decode"])
    given = content["input"]
    contract = InputContract(
        tuple(int(n) for n in given["shape"]), given["dt"], float(given["scale"]), int(given.get("high", 127))
    )
    layers = tuple(LayerSummary(str(x["name"]), str(x["kind"]), int(x["size"])) for x in content["layers"])
    return Artifact(folder, runners=runners, input=contract, layers=layers, **words)


def make_golden(net: IntegerNetwork, rasters: Sequence[np.ndarray]) -> Golden:
    """Run the reference on a few rasters [T, I] of integers."""
    return Golden(tuple(np.asarray(r) for r in rasters), tuple(reference.run(net, np.asarray(r)) for r in rasters))


def digest(golden: Golden) -> str:
    """SHA-256 over the values of rasters, spikes and states, in order, as little-endian int32 with their shapes."""
    total = hashlib.sha256()
    for raster, trace in zip(golden.rasters, golden.traces, strict=True):
        states = [v for layer in trace.states for _, v in sorted(layer.items())]
        for array in (raster, *trace.spikes, *states):
            total.update(f"{array.shape}".encode())
            total.update(np.ascontiguousarray(array, "<i4").tobytes())
    return total.hexdigest()


def write_golden(folder: Path, golden: Golden) -> None:
    """Write golden.npz: no pickle, versioned, with a checksum."""
    storage.write(folder / "golden.npz", "golden", VERSION, golden)


def read_golden(artifact: Artifact) -> Golden:
    """Read golden.npz; raise BadFile unless it holds what artifact.json says."""
    path = artifact.folder / "golden.npz"
    golden = storage.read(path, "golden", VERSION, (Golden, Trace))
    try:
        found = digest(golden)
    except Exception as error:  # whatever the tree holds in place of arrays
        raise BadFile(
            path, f"it holds no golden vectors ({error})", should_be="as `edge-anp compile` wrote it"
        ) from error
    if found != artifact.golden:
        raise BadFile(
            path, f"its vectors have digest {found[:12]}", should_be=f"{artifact.golden[:12]}, as {NAME} says"
        )
    return golden
