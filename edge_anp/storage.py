"""Trees of frozen dataclasses as .npz files: arrays as arrays, the rest as JSON. Nothing in a file is ever executed.

The entry `header` is UTF-8 JSON: {"kind", "version", "tree", "sha256"}; in the tree an array is {"array": k}, an entry `a{k}`, and an
object {"type": name, "fields": {...}}. The checksum covers the tree and every array's dtype, shape and bytes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from edge_anp.errors import BadFile

LARGEST = 2**30  # bytes, unpacked: thousands of times the networks this is for


def write(path: str | Path, kind: str, version: int, tree: Any) -> None:
    """Write a tree; the file appears whole or not at all."""
    arrays: list[np.ndarray] = []
    encoded = _encode(tree, arrays)
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
    path = Path(path)

    def bad(what: str) -> BadFile:
        return BadFile(path, what, should_be=f"a {kind}.npz of version {version}, written by edge-anp")

    if not path.is_file():
        raise bad("there is no such file")
    try:
        _check_sizes(path)
        with np.load(path, allow_pickle=False) as file:
            header = json.loads(bytes(file["header"]).decode())
            count = len([name for name in file.files if name != "header"])
            arrays = [file[f"a{k}"] for k in range(count)]
        found = {name: header[name] for name in ("kind", "version", "tree", "sha256")}
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, NotImplementedError) as error:
        raise bad(f"it cannot be read as one ({type(error).__name__}: {' '.join(str(error).split())[:120]})") from error
    except Exception as error:  # zlib.error and friends: numpy lets the decompressor's own errors through
        raise bad(f"it is damaged ({type(error).__name__})") from error
    if found["kind"] != kind:
        raise bad(f"it is a {found['kind']!r} file")
    if found["version"] != version:
        raise bad(f"its version is {found['version']}")
    try:
        if found["sha256"] != _digest(found["tree"], arrays):
            raise bad("its checksum does not match its content")
        tree = _decode(found["tree"], arrays, {c.__name__: c for c in classes}, leaf)
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


def _check_sizes(path: Path) -> None:
    """Raise ValueError before anything is allocated, unless each array is as large as its entry and all are below LARGEST."""
    with zipfile.ZipFile(path) as file:
        total = sum(entry.file_size for entry in file.infolist())
        if total > LARGEST:
            raise ValueError(f"it unpacks to {total} bytes, the limit is {LARGEST}")
        for entry in file.infolist():
            with file.open(entry) as stream:
                major, _ = np.lib.format.read_magic(stream)
                header = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
                shape, _, dtype = header(stream)
                declared, there = prod(shape) * dtype.itemsize, entry.file_size - stream.tell()
                if not dtype.hasobject and declared != there:
                    raise ValueError(f"{entry.filename} declares {declared} bytes and holds {there}")


def _encode(node: Any, arrays: list[np.ndarray]) -> Any:
    if dataclasses.is_dataclass(node) and not isinstance(node, type):
        fields = {f.name: _encode(getattr(node, f.name), arrays) for f in dataclasses.fields(node)}
        return {"type": type(node).__name__, "fields": fields}
    if isinstance(node, Mapping):
        return {"map": [[str(k), _encode(v, arrays)] for k, v in node.items()]}
    if isinstance(node, tuple | list):
        return [_encode(x, arrays) for x in node]
    if isinstance(node, np.generic):
        return node.item()
    if hasattr(node, "__array__"):
        array = detach().cpu().numpy() if (detach := getattr(node, "detach", None)) else np.asarray(node)
        arrays.append(np.array(array, order="C"))
        return {"array": len(arrays) - 1}
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
        digest.update(np.ascontiguousarray(a).tobytes())
    return digest.hexdigest()
