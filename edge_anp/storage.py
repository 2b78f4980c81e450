"""Trees of frozen dataclasses as .npz files: arrays as arrays, the rest as JSON. Nothing in a file is ever executed.

The entry `header` is UTF-8 JSON: {"kind", "version", "tree", "sha256"}; in the tree an array is {"array": k}, an entry `a{k}`, and an
object {"type": name, "fields": {...}}. The checksum covers the tree and every array's dtype, shape and bytes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_anp import npz
from edge_anp.errors import BadFile

LARGEST = 2**30  # bytes, unpacked: thousands of times the networks this is for


def write(path: str | Path, kind: str, version: int, tree: Any) -> None:
    """Write a tree; the file appears whole or not at all."""
    leaves: list[Any] = []
    encoded = _encode(tree, leaves)
    arrays = [_array(x) for x in leaves]
    header = {"kind": kind, "version": version, "tree": encoded, "sha256": _digest(encoded, arrays)}
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    text = np.frombuffer(json.dumps(header).encode(), np.uint8)
    with partial.open("wb") as file:
        entries: dict[str, Any] = {"header": text} | {f"a{k}": a for k, a in enumerate(arrays)}
        np.savez_compressed(file, **entries)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def read(
    path: str | Path, kind: str, version: int, classes: Sequence[type], leaf: Callable[[np.ndarray], Any] = lambda a: a
) -> Any:
    """Read a classes[0] that `write` wrote, building nothing but `classes`; raise BadFile for anything else."""
    path, should_be = Path(path), f"a {kind}.npz of version {version}, written by edge-anp"

    def bad(what: str) -> BadFile:
        return BadFile(path, what, should_be=should_be)

    arrays = npz.read(path, should_be, limit=LARGEST)
    try:
        header = json.loads(bytes(arrays.pop("header")).decode())
        leaves = [arrays[f"a{k}"] for k in range(len(arrays))]
        found = {name: header[name] for name in ("kind", "version", "tree", "sha256")}
    except Exception as error:  # whatever JSON or a stranger's header may be
        raise bad(f"it cannot be read as one ({type(error).__name__}: {' '.join(str(error).split())[:120]})") from error
    if found["kind"] != kind:
        raise bad(f"it is a {found['kind']!r} file")
    if found["version"] != version:
        raise bad(f"its version is {found['version']}")
    try:
        if found["sha256"] != _digest(found["tree"], leaves):
            raise bad("its checksum does not match its content")
        tree = _decode(found["tree"], leaves, {c.__name__: c for c in classes}, leaf)
    except BadFile:
        raise
    except Exception as error:  # a birth check of any class, or a tree nested past Python's stack
        raise bad(f"its content makes no {kind} ({error})") from error
    if not isinstance(tree, classes[0]):
        raise bad(f"its content is a {type(tree).__name__}, not a {classes[0].__name__}")
    return tree


def rebuild(tree: Any, leaf: Callable[[Any], Any]) -> Any:
    """A copy of a tree with every array or tensor replaced by leaf(it)."""
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        return type(tree)(**{f.name: rebuild(getattr(tree, f.name), leaf) for f in dataclasses.fields(tree)})
    if isinstance(tree, tuple | list):
        return type(tree)(rebuild(x, leaf) for x in tree)
    if isinstance(tree, Mapping):
        return {k: rebuild(v, leaf) for k, v in tree.items()}
    return leaf(tree) if hasattr(tree, "__array__") else tree


def tensors(tree: Any) -> list[Any]:
    """Every array or tensor of a tree, in its order."""
    leaves: list[Any] = []
    _encode(tree, leaves)
    return leaves


def digest(tree: Any, without: Iterable[Any] = ()) -> str:
    """SHA-256 of a tree: its structure, its numbers, and the dtype, shape and bytes of every array but those `without`."""
    leaves, left_out = [], {id(x) for x in without}
    encoded = _encode(tree, leaves)
    return _digest(encoded, [_array(x) for x in leaves if id(x) not in left_out])


def _array(leaf: Any) -> np.ndarray:
    array = detach().cpu().numpy() if (detach := getattr(leaf, "detach", None)) else np.asarray(leaf)
    return np.asarray(array, order="C")


def _encode(node: Any, leaves: list[Any]) -> Any:
    """What JSON holds of a tree; its arrays and tensors are added to `leaves`."""
    if dataclasses.is_dataclass(node) and not isinstance(node, type):
        fields = {f.name: _encode(getattr(node, f.name), leaves) for f in dataclasses.fields(node)}
        return {"type": type(node).__name__, "fields": fields}
    if isinstance(node, Mapping):
        return {"map": [[str(k), _encode(v, leaves)] for k, v in node.items()]}
    if isinstance(node, tuple | list):
        return [_encode(x, leaves) for x in node]
    if isinstance(node, np.generic):
        return node.item()
    if hasattr(node, "__array__"):
        leaves.append(node)
        return {"array": len(leaves) - 1}
    if node is None or isinstance(node, bool | int | float | str):
        return node
    raise TypeError(f"cannot store a {type(node).__name__}")


def _decode(node: Any, arrays: list[np.ndarray], classes: Mapping[str, type], leaf: Callable[[np.ndarray], Any]) -> Any:
    if isinstance(node, list):
        return tuple(_decode(x, arrays, classes, leaf) for x in node)
    if not isinstance(node, dict):
        return node
    if "array" in node:
        return leaf(arrays[node["array"]])
    if "map" in node:
        return {k: _decode(v, arrays, classes, leaf) for k, v in node["map"]}
    if node["type"] not in classes:
        raise ValueError(f"unknown type {node['type']!r}")
    fields = {k: _decode(v, arrays, classes, leaf) for k, v in node["fields"].items()}
    return classes[node["type"]](**fields)


def _digest(encoded: Any, arrays: Sequence[np.ndarray]) -> str:
    digest = hashlib.sha256(json.dumps(encoded, sort_keys=True).encode())
    for a in arrays:
        digest.update(f"{a.dtype.str}{a.shape}".encode())
        digest.update(np.ascontiguousarray(a).data)  # its bytes, not copied
    return digest.hexdigest()
