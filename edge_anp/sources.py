"""What the command line means by MODEL: a factory in a Python file, `network.npz`, `integer.npz`, or a lava-dl `.net`."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from edge_anp import integer, network
from edge_anp.errors import BadFile, Unsupported
from edge_anp.integer import IntegerNetwork
from edge_anp.network import Network

if TYPE_CHECKING:
    from edge_anp.snntorch_model import Reading

STEPS, BATCH = 12, 3  # of the random raster that a module is read with when there are no data


@dataclass(frozen=True)
class Model:
    """What MODEL turned out to be; `module` and `reading` only for a factory of a torch module."""

    network: Network | IntegerNetwork
    module: nn.Module | None = None
    reading: Reading | None = None


def open_model(
    spec: str,
    weights: Path | None = None,
    shape: tuple[int, ...] | None = None,
    raster: torch.Tensor | None = None,
    decode: str | None = None,
) -> Model:
    """Open MODEL. A factory's module is read with `raster` [T, B, prod(shape)], else with random numbers of `shape`; its Network is taken.

    Raise BadFile, Unsupported or ValueError, each with what to do.
    """
    path, factory = split_attribute(spec)
    if factory is None:
        if weights is not None:
            raise ValueError(f"--weights goes with file.py:factory; {path.name} has its weights inside")
        if path.name.endswith("integer.npz"):
            return Model(integer.load(path))
        if path.suffix == ".net":
            from edge_anp import netx

            return Model(netx.read(path))
        if path.suffix == ".npz":
            return Model(network.load(path))
        raise BadFile(
            path, "it is no model", should_be="file.py:factory, a network.npz, an integer.npz or a lava-dl .net"
        )
    made = _make(spec, load_attribute(path, factory))
    if not isinstance(made, nn.Module):
        if weights is not None:
            raise ValueError(f"--weights goes with a torch.nn.Module; what {spec} makes has its weights inside")
        return Model(made)
    if weights is not None:
        load_weights(made, weights)
    from edge_anp.snntorch_model import input_shape_of, read

    shape = shape or input_shape_of(made)
    if shape is None:
        raise Unsupported(
            f"{spec}: the shape of one time step is unknown; give --shape, or set `input_shape` on the module"
        )
    if raster is None:
        size = int(torch.Size(shape).numel())
        raster = torch.rand(STEPS, BATCH, size, generator=torch.Generator().manual_seed(0))
    reading = read(made, raster.reshape(*raster.shape[:2], *shape), decode=decode)
    return Model(reading.network, made, reading)


def _make(spec: str, factory: Any) -> nn.Module | Network | IntegerNetwork:
    """What a factory returns; a module or network that lies in the file itself is taken as it is."""
    kinds = nn.Module | Network | IntegerNetwork
    if isinstance(factory, kinds):
        return factory
    try:
        inspect.signature(factory).bind()
    except TypeError as error:
        raise ValueError(
            f"{spec} cannot be called without arguments ({error}); it must be a function of none"
        ) from None
    made = factory()
    if not isinstance(made, kinds):
        raise ValueError(f"{spec}() returned a {type(made).__name__}; it must return a torch.nn.Module or a Network")
    return made


def split_attribute(spec: str) -> tuple[Path, str | None]:
    """`file.py:name` -> (file.py, name); anything without `.py:` -> (it, None)."""
    head, colon, name = spec.rpartition(":")
    return (Path(head), name) if colon and head.endswith(".py") else (Path(spec), None)


def load_attribute(path: Path, name: str) -> Any:
    """The object `name` of a Python file of the user's own, which is executed for it."""
    if not path.is_file():
        raise BadFile(path, "there is no such file", should_be="a Python file")
    module_spec = importlib.util.spec_from_file_location(path.stem, path)
    assert module_spec is not None
    assert module_spec.loader is not None
    module = importlib.util.module_from_spec(module_spec)
    sys.path.insert(0, str(path.resolve().parent))
    try:
        module_spec.loader.exec_module(module)
    except SyntaxError as error:
        raise BadFile(path, f"it is no Python: {error.msg}", where=f"line {error.lineno}") from error
    finally:
        sys.path.pop(0)
    if not hasattr(module, name):
        found = [n for n in vars(module) if callable(getattr(module, n)) and not n.startswith("_")]
        raise BadFile(path, f"it has no {name!r}", should_be="a file that defines it; it defines " + ", ".join(found))
    return getattr(module, name)


def load_weights(module: nn.Module, path: Path) -> None:
    """Load a state_dict from .safetensors, or from .pt with `weights_only=True`: nothing in the file is executed."""
    should_be = "a state_dict, as .safetensors or as torch.save(module.state_dict(), ...)"
    if not path.is_file():
        raise BadFile(path, "there is no such file", should_be=should_be)
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            weights: Any = load_file(path)
        else:
            weights = torch.load(path, weights_only=True, map_location="cpu")
        weights = dict(weights.get("state_dict", weights))
    except Exception as error:  # torch and safetensors each raise a dozen kinds for a file that is not theirs
        raise BadFile(path, f"it cannot be read ({str(error).splitlines()[0][:160]})", should_be=should_be) from error
    states = {"mem", "spk", "syn", "reset"}  # hidden states that older snnTorch saved: of a batch, not of a model
    weights = {k: v for k, v in weights.items() if k.rsplit(".", 1)[-1] not in states}
    try:
        missing, unexpected = module.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise BadFile(path, " ".join(str(error).split()), should_be="weights of this very model") from error
    missing = [k for k in missing if k.rsplit(".", 1)[-1] not in states]
    if missing or unexpected:
        what = "; ".join(
            f"{head} {', '.join(names)}" for head, names in (("it lacks", missing), ("unknown", unexpected)) if names
        )
        raise BadFile(path, what, should_be="weights of this very model")
