"""What each torch function means on the way to a neuron: a map of `synapses`, a sum, a concatenation, or nothing at all.

Vectors are flat in row-major order, so a reshape that keeps the batch axis first is no operation. Everything without an exact
counterpart is Unknown, with the sentence that refuses it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod
from typing import Any

import torch
from torch import Tensor

from edge_anp.snntorch_values import Applied, At, Concat, Constant, Norm, Parameter, Stack, Sum, Unknown, Value, timed
from edge_anp.synapses import AvgPool2d, Conv1d, Conv2d, Dense, Map, MaxPool2d

ALIASES = frozenset(
    ("detach", "detach_", "clone", "contiguous", "float", "to", "requires_grad_", "alias", "type_as", "cpu", "data")
)
RESHAPES = frozenset(("view", "reshape", "flatten", "squeeze", "unsqueeze", "view_as", "reshape_as", "unflatten"))
SHAPED = frozenset(("zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full"))  # take a shape alone
QUIET = frozenset(("linear", "conv1d", "conv2d", "max_pool2d", "avg_pool2d", "add", "cat"))  # followed from silence too
ADDITIONS = frozenset(("add", "add_", "__add__", "__radd__", "__iadd__"))
SIGNATURES = {
    "linear": "input weight bias",
    "conv1d": "input weight bias stride padding dilation groups",
    "conv2d": "input weight bias stride padding dilation groups",
    "max_pool2d": "input kernel_size stride padding dilation ceil_mode return_indices",
    "avg_pool2d": "input kernel_size stride padding ceil_mode count_include_pad divisor_override",
    "batch_norm": "input running_mean running_var weight bias training momentum eps",
    "dropout": "input p training inplace",
}
SHARED = (
    "Linear, Conv1d, Conv2d, AvgPool2d, MaxPool2d, Flatten, Dropout, BatchNorm1d, BatchNorm2d, Identity,"
    " additions and concatenations"
)


def outcome(
    func: Callable, args: tuple, kwargs: dict, out: Any, value: Callable[[Tensor], Value], where: str
) -> Iterator[tuple[Tensor, Value]]:
    """The tensors that a call made or changed, each with its Value; constants stay unnamed."""
    name = func.__name__
    if name == "__get__":
        name = getattr(getattr(func, "__self__", None), "__name__", name)
    if name in SHAPED:
        return
    given = [t for t in _tensors((args, kwargs)) if not isinstance(value(t), Constant | Parameter)]
    if not given and (name not in QUIET or not any(value(t) == Constant(True) for t in _tensors((args, kwargs)))):
        return
    if name == "__setitem__":
        yield (
            args[0],
            _unknown(f"{where} writes into a tensor in place; build it with cat or stack", name, given, value),
        )
        return
    if name == "unbind" and timed(value(args[0])) and _axis(args, kwargs, 1, 0) == 0:
        yield from ((t, At(value(args[0]), k)) for k, t in enumerate(out))
        return
    for tensor in _tensors(out):
        try:
            result = _meaning(name, args, kwargs, tensor, value, where)
        except ValueError as problem:
            result = _unknown(f"{where}: {problem}", name, given, value)
        if result is None:
            remedy = f"a network holds {SHARED} between neurons"
            result = _unknown(f"{where} computes {name} on the way to a neuron; {remedy}", name, given, value)
        yield tensor, result


def _meaning(name: str, args: tuple[Any, ...], kwargs: dict, out: Tensor, value: Callable, where: str) -> Value | None:
    """The Value of `out`, None if the function has no counterpart; ValueError says why this use of it has none."""
    if name in SIGNATURES:
        named = dict(zip(SIGNATURES[name].split(), args, strict=False)) | kwargs
        x = value(named["input"])
        if name == "dropout":
            if named.get("training", True) and named.get("p", 0.5) > 0:
                raise ValueError("dropout stays on in evaluation mode; pass training=self.training")
            return x
        shape = named["input"].shape[2 if timed(x) else 1 :]
        return Applied(find_map(name, named, tuple(shape), value), x, where)
    first = args[0] if args and isinstance(args[0], Tensor) else None
    if first is not None and name in ALIASES:
        return value(first)
    if first is not None and name in RESHAPES:
        lead = 2 if timed(value(first)) else 1
        if out.shape[:lead] == first.shape[:lead]:
            return value(first)
        raise ValueError(f"{name} moves the batch axis; keep [B, ...] (time before it in a raster) first")
    if first is not None and name in ("__getitem__", "select"):
        return _indexed(name, args, kwargs, first, value)
    if name in ADDITIONS and kwargs.get("alpha", 1) == 1 and len(args) > 1:
        return _added(args[:2], out, value)
    if name in ("cat", "concat", "concatenate"):
        return _concatenated(args, kwargs, value)
    if name == "stack" and _axis(args, kwargs, 1, 0) == 0:
        return Stack(tuple(value(t) for t in _tensors(args[:1])))
    if name in ("mul", "div", "__mul__", "__rmul__", "__truediv__"):
        raise ValueError("multiplies on the way to a neuron; put the factor into the weights")
    return None


def _indexed(name: str, args: tuple, kwargs: dict, x: Tensor, value: Callable) -> Value | None:
    if name == "select":
        axis, index = (*args[1:], *kwargs.values())[:2]
        index = (index,) if axis == 0 else None
    else:
        index = args[1] if isinstance(args[1], tuple) else (args[1],)
    source = value(x)
    whole = index is not None and all(i is Ellipsis or i == slice(None) for i in index[1:])
    step = index[0] if index else None
    if isinstance(step, Tensor) and step.ndim == 0 and not step.is_floating_point():
        step = int(step)
    if whole and isinstance(step, int) and not isinstance(step, bool) and timed(source):
        return At(source, step % len(x))
    raise ValueError("takes a part of a tensor; only one step of a raster can be picked (time first: x[step])")


def _added(pair: tuple, out: Tensor, value: Callable) -> Value:
    terms = []
    for term in pair:
        if isinstance(term, Tensor):
            if isinstance(value(term), Parameter):
                raise ValueError(f"adds {value(term).name} by hand; give it to the Linear or Conv as its bias")
            if isinstance(value(term), Constant) and value(term).zero and term.shape != out.shape:
                continue
            if term.shape != out.shape:
                raise ValueError(f"adds shapes {tuple(pair[0].shape)} and {tuple(pair[1].shape)}; they must be equal")
            terms.append(value(term))
        elif term != 0:
            raise ValueError(f"adds the number {term}; give it to the Linear or Conv as its bias")
    return terms[0] if len(terms) == 1 else Sum(tuple(terms))


def _concatenated(args: tuple[Any, ...], kwargs: dict, value: Callable) -> Value:
    tensors = args[0] if args else kwargs["tensors"]
    values, axis = tuple(value(t) for t in tensors), _axis(args, kwargs, 1, 0)
    lead = 2 if any(timed(v) for v in values) else 1
    if axis % tensors[0].ndim != lead:
        raise ValueError(f"concatenates along axis {axis}; it must be the first axis after the batch")
    return Concat(values, tuple(prod(t.shape[lead:]) for t in tensors))


def find_map(name: str, a: dict[str, Any], shape: tuple[int, ...], value: Callable) -> Map | Norm:
    """The map of `synapses` that a function is; ValueError where there is none."""
    if name == "batch_norm":
        if a.get("training") or a.get("running_mean") is None:
            raise ValueError("batch normalization by the statistics of the batch; use track_running_stats=True")
        running = a["running_mean"], a["running_var"]
        return Norm(shape, *running, a.get("weight"), a.get("bias"), float(a.get("eps", 1e-5)))
    for part in ("weight", "bias"):
        if a.get(part) is not None and not isinstance(value(a[part]), Parameter):
            raise ValueError(
                f"the {part} is computed in the forward pass; make it a parameter (prune.remove, remove_parametrizations)"
            )
    if name == "linear":
        if len(shape) != 1:
            raise ValueError(
                f"Linear on {shape} per sample, which shares weights; it must be one axis (flatten before it)"
            )
        return Dense(a["weight"], a.get("bias"))
    axes = 1 if name == "conv1d" else 2
    if len(shape) != axes + 1:
        raise ValueError(
            f"{name} on {shape} per sample; it must be {axes + 1} axes, channels first, with a batch before"
        )
    if name.startswith("conv"):
        if many(a.get("dilation", 1), axes) != (1,) * axes:
            raise ValueError(f"dilation is {a['dilation']}; it must be 1")
        kernel, stride = tuple(a["weight"].shape[2:]), many(a.get("stride", 1), axes)
        padding = _padding(a.get("padding", 0), kernel)
        kind = Conv1d if axes == 1 else Conv2d
        return kind(shape, kernel, stride, padding, a["weight"], a.get("bias"), a.get("groups", 1))
    if a.get("ceil_mode"):
        raise ValueError("ceil_mode is True; it must be False")
    kernel = many(a["kernel_size"], 2)
    stride = many(a.get("stride") or kernel, 2)
    padding = many(a.get("padding", 0), 2)
    if name == "max_pool2d":
        if many(a.get("dilation", 1), 2) != (1, 1):
            raise ValueError(f"dilation is {a['dilation']}; it must be 1")
        return MaxPool2d(shape, kernel, stride, padding)
    if a.get("divisor_override") is not None or not a.get("count_include_pad", True):
        raise ValueError("AvgPool2d must divide by its window (count_include_pad=True, divisor_override=None)")
    return AvgPool2d(shape, kernel, stride, padding)


def _padding(padding: Any, kernel: tuple[int, ...]) -> tuple[int, ...]:
    if padding == "valid":
        return (0,) * len(kernel)
    if padding == "same":
        if any(k % 2 == 0 for k in kernel):
            raise ValueError(f"padding 'same' of an even kernel {kernel} is lopsided; use an odd kernel or a number")
        return tuple(k // 2 for k in kernel)
    return many(padding, len(kernel))


def many(size: Any, axes: int) -> tuple[int, ...]:
    sizes = tuple(size) if isinstance(size, tuple | list | torch.Size) else (size,)
    return tuple(int(s) for s in (sizes * axes if len(sizes) == 1 else sizes))


def _axis(args: tuple, kwargs: dict, position: int, default: int) -> int:
    return kwargs.get("dim", kwargs.get("axis", args[position] if len(args) > position else default))


def _unknown(problem: str, name: str, given: list[Tensor], value: Callable[[Tensor], Value]) -> Unknown:
    return Unknown(problem, name, tuple(value(t) for t in given))


def _tensors(nested: Any) -> list[Tensor]:
    if isinstance(nested, Tensor):
        return [nested]
    if isinstance(nested, dict):
        nested = tuple(nested.values())
    return [t for part in nested for t in _tensors(part)] if isinstance(nested, tuple | list) else []
