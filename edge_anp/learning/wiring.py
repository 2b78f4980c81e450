"""A connection seen from learning: what its synapse receives, how it answers a change, how an error goes back along it.

A path is maps without weights, one weighted synapse W, maps without weights:  y = post(W pre(s)). Pools are wiring, not weights: an error
returns through them by their own routing. Only W has to be known to send an error back, and `weight` says which W: the synapse's own
(symmetric feedback), or one that was learned or drawn, of the same shape.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import grad

from edge_anp.network import Connection, apply, follow
from edge_anp.synapses import AvgPool2d, Conv2d, Convolution, Dense, Diagonal, Map, MaxPool2d

Path = tuple[Map, ...]


def parts(connection: Connection) -> tuple[Path, Map | None, Path]:
    """pre, the weighted synapse if there is one, post."""
    path = connection.path
    for k, op in enumerate(path):
        if op.weighted:
            return path[:k], op, path[k + 1 :]
    return path, None, ()


def respond(op: Map, change: Float[Tensor, "M I"]) -> Float[Tensor, "M J"]:
    """How the outputs of a synapse change with its inputs: a forward pass, its bias taken off."""
    return apply(op, change) - apply(op, torch.zeros_like(change[:1]))


def pull(
    connection: Connection, weight: Tensor | None, error: Float[Tensor, "M J"], source: Float[Tensor, "M N"] | None
) -> Float[Tensor, "M N"]:
    """The error at a connection's source, from that at its currents; `source` is what was sent, which max pools ask for."""
    pre, op, post = parts(connection)
    arrived = source if source is None or not pre else follow(pre, source)
    if post:
        assert op is not None
        error = _unpool(post, None if arrived is None else apply(op, arrived), error)
    if op is not None:
        assert weight is not None
        error = transpose(op, weight, error)
    return _unpool(pre, source, error) if pre else error


def transpose(op: Map, weight: Tensor, error: Float[Tensor, "M J"]) -> Float[Tensor, "M I"]:
    """W' error."""
    if isinstance(op, Dense):
        return error @ weight
    if isinstance(op, Diagonal):
        return error * weight
    assert isinstance(op, Convolution)
    back = grad.conv2d_input if isinstance(op, Conv2d) else grad.conv1d_input
    size = (len(error), *op.in_shape)
    image = error.reshape(len(error), *op.out_shape)
    return back(size, weight, image, op.stride, op.padding, 1, op.groups).reshape(len(error), -1)  # type: ignore[arg-type]


def correlate(op: Map, error: Float[Tensor, "M J"], arrived: Float[Tensor, "M I"]) -> Tensor:
    """dLoss/dW, shaped as W:  sum error arrived', over the places a kernel visits; the numbers of one to one synapses are not mixed."""
    if isinstance(op, Dense):
        return error.T @ arrived
    if isinstance(op, Diagonal):
        each = (error * arrived).sum(0)
        return each if op.weight.numel() > 1 else each.sum().reshape(op.weight.shape)
    assert isinstance(op, Convolution)
    back = grad.conv2d_weight if isinstance(op, Conv2d) else grad.conv1d_weight
    seen, image = arrived.reshape(len(arrived), *op.in_shape), error.reshape(len(error), *op.out_shape)
    return back(seen, op.weight.shape, image, op.stride, op.padding, 1, op.groups)  # type: ignore[arg-type]


def weight_gradients(
    connection: Connection, credit: Float[Tensor, "M J"], source: Float[Tensor, "M N"]
) -> list[tuple[Tensor, Tensor]]:
    """(tensor, gradient) of a connection's weight and bias, from dLoss/dcurrent and what the source sent, a row a trial and step."""
    pre, op, post = parts(connection)
    if op is None:
        return []
    arrived = follow(pre, source)
    if post:
        credit = _unpool(post, apply(op, arrived), credit)
    found = [(op.weight, correlate(op, credit, arrived))]
    if getattr(op, "bias", None) is not None:
        channels = op.channels if isinstance(op, Convolution) else op.out_size
        found.append((op.bias, credit.reshape(len(credit), channels, -1).sum((0, 2))))
    return found


def _unpool(maps: Path, arrived: Tensor | None, error: Tensor) -> Tensor:
    """Back through maps without weights, the last first; arrived is what reached the first of them."""
    inputs: list[Tensor | None] = []
    for op in maps:
        inputs.append(arrived)
        arrived = None if arrived is None else apply(op, arrived)
    for op, x in zip(reversed(maps), reversed(inputs), strict=True):
        above = error.reshape(len(error), *op.out_shape)
        if isinstance(op, MaxPool2d):
            assert x is not None
            image = x.reshape(len(x), *op.in_shape)
            window = (op.kernel, op.stride, op.padding, (1, 1), False)
            index = torch.ops.aten.max_pool2d_with_indices(image, *window)[1]
            error = torch.ops.aten.max_pool2d_with_indices_backward(above, image, *window, index)
        else:
            assert isinstance(op, AvgPool2d)
            image = above.new_zeros(len(above), *op.in_shape)
            error = torch.ops.aten.avg_pool2d_backward(
                above, image, op.kernel, op.stride, op.padding, False, True, None
            )
        error = error.reshape(len(error), -1)
    return error
