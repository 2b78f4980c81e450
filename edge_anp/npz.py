"""The arrays of a `.npz`. Nothing in it is ever executed, and every way to be broken is one BadFile."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from math import prod
from pathlib import Path

import numpy as np

from edge_anp.errors import BadFile


def read(
    path: str | Path,
    should_be: str,
    names: Iterable[str] | None = None,
    perhaps: Iterable[str] = (),
    limit: int | None = None,
) -> dict[str, np.ndarray]:
    """The arrays `names`, and those of `perhaps` that are there; without names, all that there are.

    limit: bytes that all arrays may take, looked up before anything is unpacked. Raise BadFile for anything that is not as it should be.
    """
    path = Path(path)

    def bad(what: str) -> BadFile:
        return BadFile(path, what, should_be=should_be)

    if not path.is_file():
        raise bad("there is no such file")
    if not zipfile.is_zipfile(path):
        raise bad("it is no .npz, or only a part of one")
    try:
        if limit is not None:
            _check_sizes(path, limit)
        with np.load(path, allow_pickle=False) as file:
            wanted = file.files if names is None else [*names, *(name for name in perhaps if name in file.files)]
            missing = [name for name in wanted if name not in file.files]
            if missing:
                raise bad(f"it has no {', '.join(missing)}")
            arrays = {name: file[name] for name in wanted}
    except BadFile:
        raise
    except Exception as error:  # numpy, zipfile and zlib raise a dozen kinds
        if "allow_pickle" in str(error):
            raise bad("it holds Python objects, which are never built") from error
        raise bad(f"it is damaged ({type(error).__name__}: {' '.join(str(error).split())[:120]})") from error
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):  # numpy gives the bytes of whatever else lies in the archive
            raise bad(f"its {name} is no array")
    return arrays


def _check_sizes(path: Path, limit: int) -> None:
    """Raise ValueError before anything is allocated, unless each array is as large as its entry and all are within the limit."""
    with zipfile.ZipFile(path) as file:
        total = sum(entry.file_size for entry in file.infolist())
        if total > limit:
            raise ValueError(f"it unpacks to {total} bytes, the limit is {limit}")
        for entry in file.infolist():
            with file.open(entry) as stream:
                major, _ = np.lib.format.read_magic(stream)
                header = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
                shape, _, dtype = header(stream)
                declared, there = prod(shape) * dtype.itemsize, entry.file_size - stream.tell()
                if not dtype.hasobject and declared != there:
                    raise ValueError(f"{entry.filename} declares {declared} bytes and holds {there}")


__all__ = ["read"]
