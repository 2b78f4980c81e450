"""The user's own data: a `.npz`, or a Python function that yields samples. Nothing in a `.npz` is ever executed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from edge_anp import npz
from edge_anp.errors import BadFile
from edge_anp.tasks.samples import Samples, Task, assemble, split_evenly
from edge_anp.topology import InputContract

NPZ = "a .npz with x [S,T,I] or [S,T,C,H,W], y int [S] or [S,T] or float [S,T,K], and perhaps split [S] of 0, 1, 2"
PAIRS = "pairs (raster [T, ...], target), all steps of one shape"


def open_npz(path: str | Path) -> Task:
    """A task from x, y and perhaps split (0 train, 1 validation, 2 test); raise BadFile for anything else."""
    path, entries = Path(path), npz.read(path, NPZ, ("x", "y"), ("split",))
    return _task(path, path.stem, entries["x"], entries["y"], entries.get("split"))


def draw(path: str | Path, name: str) -> Task:
    """A task from the function `name` of a Python file of the user's own, which is executed.

    It yields (raster [T, ...], target) and is read once, sample by sample. Lengths may differ: shorter rasters end in silence (zeros),
    so that an answer does not depend on which samples share a batch.
    """
    from edge_anp import sources

    path = Path(path)
    function: Callable[[], Iterable[Any]] = sources.load_attribute(path, name)
    rasters: list[np.ndarray] = []
    targets: list[np.ndarray] = []
    for k, pair in enumerate(function()):
        where = f"sample {k} of {name}()"
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise BadFile(path, f"it yields a {type(pair).__name__}", where, PAIRS)
        raster, target = _array(pair[0]), _array(pair[1])
        if raster.ndim < 2 or raster.dtype == object or target.dtype == object:
            raise BadFile(
                path, f"its raster is {raster.dtype} {list(raster.shape)}, its target {target.dtype}", where, PAIRS
            )
        if rasters and (raster.shape[1:] != rasters[0].shape[1:] or target.ndim != targets[0].ndim):
            raise BadFile(path, f"a step has the shape {raster.shape[1:]}, before {rasters[0].shape[1:]}", where, PAIRS)
        rasters.append(raster.astype(np.float32))
        targets.append(target)
    if not rasters:
        raise BadFile(path, f"{name}() yields nothing", should_be=PAIRS)
    steps = max(len(r) for r in rasters)
    x = np.zeros((len(rasters), steps, *rasters[0].shape[1:]), np.float32)
    for sample, raster in zip(x, rasters, strict=True):
        sample[: len(raster)] = raster
    if len({t.shape for t in targets}) > 1:
        shapes = ", ".join(sorted({str(t.shape) for t in targets})[:4])
        raise BadFile(path, f"its targets have the shapes {shapes}", f"{name}()", "targets of one shape")
    return _task(path, name, x, np.stack(targets), None)


def _task(path: Path, name: str, x: np.ndarray, y: np.ndarray, split: np.ndarray | None) -> Task:
    """A task from arrays, checked: every reason at once."""
    count, wrong = len(x) if x.ndim else 0, []
    if x.ndim not in (3, 5) or x.dtype.kind not in "buif" or not x.size:
        wrong.append(f"x is {x.dtype} {list(x.shape)}")
    elif not np.isfinite(x).all():
        wrong.append("x has numbers that are not finite")
    if y.dtype.kind in "iu":
        if y.ndim not in (1, 2) or (y.ndim == 2 and y.shape[1] != x.shape[1]):
            wrong.append(f"y is {y.dtype} {list(y.shape)} beside x {list(x.shape)}")
        elif y.size and int(y.min()) < 0:
            wrong.append(f"y has the label {int(y.min())}; labels start at 0")
    elif y.dtype.kind != "f" or y.ndim != 3 or x.ndim < 2 or y.shape[1] != x.shape[1]:
        wrong.append(f"y is {y.dtype} {list(y.shape)} beside x {list(x.shape)}")
    elif not np.isfinite(y).all():
        wrong.append("y has numbers that are not finite")
    if not y.ndim or len(y) != count:
        wrong.append(f"there are {count} samples in x and {len(y) if y.ndim else 0} in y")
    if split is None:
        split = split_evenly(count)
    elif split.dtype.kind not in "iu" or split.shape != (count,) or not np.isin(split, (0, 1, 2)).all():
        wrong.append(f"split is {split.dtype} {list(split.shape)}, with the values {np.unique(split)[:5].tolist()}")
    if not wrong and not (split == 0).any():
        wrong.append("no sample is for training")
    if wrong:
        raise BadFile(path, "; ".join(wrong), should_be=NPZ)
    rasters = np.ascontiguousarray(x.reshape(count, x.shape[1], -1), np.float32)
    targets = y.astype(np.int64 if y.dtype.kind in "iu" else np.float32)
    return assemble(
        name, InputContract(tuple(map(int, x.shape[2:]))), Samples(rasters, targets), split.astype(np.int64)
    )


def _array(value: Any) -> np.ndarray:
    """A tensor of torch, an array or a list, as an array."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    try:
        return np.asarray(value)
    except ValueError:  # rows of different lengths
        return np.empty((), object)
