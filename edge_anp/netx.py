"""lava-dl's .net files, which its netx reads: read into an IntegerNetwork, without loss or not at all (targets/loihi writes them).

An HDF5 file: layer/0, layer/1, ..., each {type: input | dense | dense_rec | conv | flatten, shape, weight, weight_rec, bias, stride,
padding, dilation, groups} with a CUBA neuron, which is Lava's stock LIF (lava-dl 0.6.0, lava/lib/dl/netx/hdf5.py):

    iDecay = 4096 - keep of the current,  vDecay = 4096 - keep of the membrane,  threshold vThMant 2^6,  bias 2^6, into the membrane

Of our own: attributes high, scale and dt of an input layer, decode of `layer`. A file without them takes spikes, and counts them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from edge_anp import decode
from edge_anp.errors import BadFile, OutOfRange, ToolMissing, Unsupported
from edge_anp.integer import LOIHI2, IntegerConnection, IntegerLayer, IntegerNetwork, IntegerNeuron, Leak
from edge_anp.netx_weights import is_held
from edge_anp.synapses import Conv2d, Dense, Map
from edge_anp.topology import INPUT, InputContract

SHIFT = 6
LARGEST = 2**28  # entries of one weight
SHOULD_BE = "a .net file as lava-dl's netx reads it"


@dataclass
class _Reader:
    """What a file has said so far. said: of the input; refused: by name, everything that it may say and we do not know."""

    path: Path
    shape: tuple[int, ...] | None = None
    said: dict[str, Any] = field(default_factory=dict)
    layers: list[IntegerLayer] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    contract: InputContract | None = None


def read(path: str | Path) -> IntegerNetwork:
    """Read a .net file. Raise BadFile for what is none, Unsupported for what we do not know, by name."""
    h5py = import_h5py()
    reader = _Reader(Path(path))
    if not reader.path.is_file():
        raise BadFile(path, "there is no such file", should_be=SHOULD_BE)
    try:
        with h5py.File(reader.path, "r") as file:
            groups = [file["layer"][str(k)] for k in range(len(file["layer"]))]
            decode.check(answer := str(file["layer"].attrs.get("decode", "count")))
            for k, group in enumerate(groups):
                _read_layer(reader, k, group)
    except (OSError, KeyError, ValueError, TypeError, AttributeError, IndexError, RuntimeError) as error:
        raise BadFile(path, f"it cannot be read ({type(error).__name__}: {error})", should_be=SHOULD_BE) from error
    if reader.refused:
        raise Unsupported(reader.refused, f"reading {reader.path.name}: edge-anp")
    if not reader.layers or reader.contract is None:
        raise BadFile(path, "it has no layer with weights", should_be=SHOULD_BE)
    try:
        return IntegerNetwork(LOIHI2, tuple(reader.layers), reader.contract, answer)
    except OutOfRange as error:
        raise OutOfRange(f"{path}: {error}") from error


def import_h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise ToolMissing("h5py, which reads and writes .net files,", "pip install h5py") from error
    return h5py


def _read_layer(reader: _Reader, k: int, group: Any) -> None:
    if "type" not in group:
        reader.refused.append(f"layer {k} has no type: it is empty")
        return
    kind = _text(group["type"][()])
    if kind == "input":
        reader.shape = tuple(int(n) for n in np.atleast_1d(group["shape"][()]))
        kinds = {"high": int, "scale": float, "dt": float}
        reader.said = {name: kind(group.attrs[name]) for name, kind in kinds.items() if name in group.attrs}
        if "neuron" in group:
            reader.refused.append(f"layer {k}: an input layer with neurons of its own; feed the spikes that it makes")
        return
    if kind == "flatten":
        return  # our layers are flat, channels first, already
    if kind not in ("dense", "dense_rec", "conv"):
        reader.refused.append(f"layer {k}: {kind}; it must be dense, dense_rec, conv, flatten or input")
        return
    reader.refused += _refused_options(k, kind, group)
    neuron = group["neuron"]
    if reader.refused:
        return
    source = INPUT if not reader.layers else len(reader.layers) - 1
    if kind == "conv":
        op = _conv(reader, group)
        maps, shape = [(source, op, 0)], op.out_shape
    else:
        shape = (int(prod(np.atleast_1d(group["shape"][()]))),)
        maps = [(source, Dense(_weight(group["weight"], (shape[0], -1))), 0)]
        if kind == "dense_rec":
            maps.append((len(reader.layers), Dense(_weight(group["weight_rec"], (shape[0], -1))), 1))
        if not is_held(*(op.weight.astype(np.int64) for _, op, _ in maps)):
            reader.refused.append(f"layer {k}: weights that netx changes as it loads them: all zero, or too large")
            return
    if reader.contract is None:
        given = reader.shape if reader.shape and prod(reader.shape) == maps[0][1].in_size else (maps[0][1].in_size,)
        reader.contract = InputContract(given, **{"high": 1} | reader.said)
    connections = tuple(
        IntegerConnection(s, (part,), SHIFT, delay) for s, op, delay in maps for part in _one_signed(op)
    )
    reader.layers.append(_layer(k, group, neuron, shape, connections))
    reader.shape = shape


def _refused_options(k: int, kind: str, group: Any) -> Iterator[str]:
    neuron = group.get("neuron", {})
    name = _text(neuron["type"][()]) if "type" in neuron else "none"
    if name not in ("CUBA", "LOIHI"):
        yield f"layer {k}: a neuron {name}; it must be CUBA"
    if "delay" in group and np.any(group["delay"][()]):
        yield f"layer {k}: delays of single synapses; a connection of ours has one delay"
    if "weight/imag" in group:
        yield f"layer {k}: complex weights"
    if "gradedSpike" in neuron and bool(np.any(neuron["gradedSpike"][()])):
        yield f"layer {k}: graded spikes between layers"
    if kind == "conv" and np.any(np.atleast_1d(group["dilation"][()] if "dilation" in group else 1) != 1):
        yield f"layer {k}: a dilated convolution"
    if "wgtExp" in neuron and int(neuron["wgtExp"][()]) != 0:
        yield f"layer {k}: a weight exponent, which netx ignores"


def _conv(reader: _Reader, group: Any) -> Conv2d:
    if reader.shape is None or len(reader.shape) != 3:
        raise ValueError("a convolution needs an input of shape (C, H, W), in an input layer before it")
    weight = _weight(group["weight"], None)
    weight = weight.reshape(weight.shape[:4])
    pair = {n: tuple(int(x) for x in np.broadcast_to(group[n][()], (2,))) for n in ("stride", "padding")}
    groups = int(np.max(group["groups"][()])) if "groups" in group else 1
    return Conv2d(reader.shape, weight.shape[2:], pair["stride"], pair["padding"], weight, None, groups)


def _weight(dataset: Any, shape: tuple[int, ...] | None) -> np.ndarray:
    if dataset.size > LARGEST:
        raise ValueError(f"a weight has {dataset.size} entries, the limit is {LARGEST}")
    weight = np.asarray(dataset[()], np.float64)
    if not np.array_equal(weight, np.rint(weight)) or np.abs(weight).max(initial=0) > 2**15 - 1:
        raise ValueError("its weights are no integers of 8 bits and a sign")
    whole = weight.astype(np.int16)
    return whole if shape is None else whole.reshape(shape)


def _one_signed(op: Map) -> list[Map]:
    """The same synapse as one, or, where its weights have both signs and are odd, as an excitatory and an inhibitory one."""
    weight = op.weight
    if not (weight.min(initial=0) < 0 < weight.max(initial=0) and np.any(weight % LOIHI2.mixed_step)):
        return [op]
    parts = [np.maximum(weight, 0), np.minimum(weight, 0)]
    if isinstance(op, Conv2d):
        return [Conv2d(op.in_shape, op.kernel, op.stride, op.padding, w, None, op.groups) for w in parts]
    return [Dense(w) for w in parts]


def _layer(k: int, group: Any, neuron: Any, shape: tuple[int, ...], connections: tuple[Any, ...]) -> IntegerLayer:
    size = prod(shape)
    bias = np.zeros(size, np.int64)
    if "bias" in group:
        given = np.asarray(group["bias"][()], np.float64).astype(np.int64)  # netx truncates
        if given.ndim == 3:
            given = given.transpose(2, 1, 0)  # (W, H, C)
        bias = np.broadcast_to(given.reshape(-1, 1) if given.size == shape[0] else given.reshape(shape[0], -1),
                               (shape[0], size // shape[0])).reshape(-1) << SHIFT  # fmt: skip

    def leak(decay: Any) -> Leak:
        return Leak(np.full(size, 4096 - int(decay[()])), 12)

    current = leak(neuron["iDecay"])
    kept = current if current.keep[0] else None
    vth = np.full(size, int(neuron["vThMant"][()]) << SHIFT)
    cell = IntegerNeuron(leak(neuron["vDecay"]), kept, vth, "zero", False)
    return IntegerLayer(shape, connections, bias, cell, np.ones(size), f"layer {k}", "membrane")


def _text(value: Any) -> str:
    first = np.atleast_1d(value)[0]
    return first.decode() if isinstance(first, bytes) else str(first)
