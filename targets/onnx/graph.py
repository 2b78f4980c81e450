"""An ONNX graph while it is built: tensors that know their shape and type, constants as initializers, names that are C identifiers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET, IR_VERSION = (
    13,
    8,
)  # the newest pair that every compiler for microcontrollers took (docs: README.md beside this file)
FLOAT, INT8, INT32, BOOL = (int(t) for t in (TensorProto.FLOAT, TensorProto.INT8, TensorProto.INT32, TensorProto.BOOL))
UINT8, UINT32 = int(TensorProto.UINT8), int(TensorProto.UINT32)
NUMPY: dict[int, Any] = {FLOAT: np.float32, INT8: np.int8, INT32: np.int32, UINT8: np.uint8, UINT32: np.uint32}


@dataclass(frozen=True)
class Tensor:
    """A value of the graph. shape: without the batch axis, which is always 1; a matrix of weights has none (batch False)."""

    name: str
    shape: tuple[int, ...]
    type: int
    batch: bool = True

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def dims(self) -> tuple[int, ...]:
        return (1,) * self.batch + self.shape

    @property
    def flat(self) -> bool:
        return len(self.shape) == 1


class Graph:
    """Nodes in order; `output` gives a tensor its name to the outside."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, np.ndarray] = {}
        self.inputs: list[Tensor] = []
        self.outputs: list[Tensor] = []
        self.renamed: dict[str, str] = {}

    def input(self, name: str, shape: tuple[int, ...], type: int, batch: bool = True) -> Tensor:
        self.inputs.append(Tensor(name, shape, type, batch))
        return self.inputs[-1]

    def output(self, tensor: Tensor, name: str) -> Tensor:
        """Show a tensor to the outside as `name`; one that already has an outside name is copied."""
        if tensor in self.inputs or tensor.name in self.renamed:
            tensor = self.node("Cast", [tensor], tensor.shape, tensor.type, tensor.batch, to=tensor.type)
        self.renamed[tensor.name] = name
        self.outputs.append(replace(tensor, name=name))
        return tensor

    def constant(self, name: str, array: np.ndarray) -> str:
        """An initializer; the same name must mean the same values."""
        known = self.initializers.setdefault(name, array)
        if known is not array and not (known.dtype == array.dtype and np.array_equal(known, array)):
            raise AssertionError(f"constant {name} has two values")
        return name

    def parameter(self, name: str, values: np.ndarray, like: Tensor) -> str:
        """One value per element of `like`, stored once if all are equal."""
        array = np.asarray(values).astype(NUMPY[like.type]).reshape(-1)
        if np.all(array == array[0]):
            return self.constant(name, array[:1])
        return self.constant(name, array.reshape(1, *like.shape))

    def node(
        self,
        op: str,
        inputs: Sequence[Tensor | str],
        shape: tuple[int, ...],
        type: int,
        batch: bool = True,
        **attributes: Any,
    ) -> Tensor:
        name = f"t{len(self.nodes)}"
        names = [x if isinstance(x, str) else x.name for x in inputs]
        self.nodes.append(helper.make_node(op, names, [name], name=f"n{len(self.nodes)}_{op}", **attributes))
        return Tensor(name, shape, type, batch)

    def elementwise(self, op: str, x: Tensor, *others: Tensor | str, **attributes: Any) -> Tensor:
        """A node whose answer has the shape and type of its first input."""
        return self.node(op, [x, *others], x.shape, x.type, x.batch, **attributes)

    def cast(self, x: Tensor, type: int) -> Tensor:
        return x if x.type == type else self.node("Cast", [x], x.shape, type, x.batch, to=type)

    def model(self, name: str, metadata: Mapping[str, str]) -> onnx.ModelProto:
        """The finished model, checked in full."""

        def info(tensors: Sequence[Tensor]) -> list[onnx.ValueInfoProto]:
            return [helper.make_tensor_value_info(t.name, t.type, t.dims) for t in tensors]

        for node in self.nodes:
            for names in (node.input, node.output):
                names[:] = [self.renamed.get(n, n) for n in names]
        initializers = [numpy_helper.from_array(a, n) for n, a in self.initializers.items()]
        graph = helper.make_graph(self.nodes, name, info(self.inputs), info(self.outputs), initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        model.producer_name = "edge_anp"
        helper.set_model_props(model, dict(metadata))
        onnx.checker.check_model(model, full_check=True)
        return model
