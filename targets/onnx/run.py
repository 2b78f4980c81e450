"""Step an ONNX file in onnxruntime, feeding its states back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import onnxruntime

from edge_anp.errors import BadFile
from edge_anp.integer import Trace

TYPES = {
    "tensor(float)": np.float32,
    "tensor(int8)": np.int8,
    "tensor(int32)": np.int32,
    "tensor(uint8)": np.uint8,
    "tensor(uint32)": np.uint32,
}
RAN = f"onnxruntime {onnxruntime.__version__} (cpu, 1 thread)"


class Engine(Protocol):
    """What runs a graph: onnxruntime.InferenceSession, or onnx.reference.ReferenceEvaluator."""

    def run(self, output_names: Any, feeds: Any, /) -> Any: ...


class Session:
    """One network, stepping. Spikes and states come in the graph's own number types, so that nothing is rounded away."""

    def __init__(
        self, path: Path, engine: Engine, inputs: Mapping[str, np.ndarray], metadata: Mapping[str, str], ran: str
    ):
        """inputs: a zero of each input's shape and type."""
        self.path, self.engine, self.zeros, self.ran = path, engine, dict(inputs), ran
        self.layers = json.loads(metadata["edge_anp_layers"])
        states = json.loads(metadata["edge_anp_states"])
        if set(states) != set(inputs) - {"x"} or "x" not in inputs:
            raise ValueError(f"its inputs are {', '.join(inputs)}; they must be x, {', '.join(states)}")
        wanted = [name for layer in self.layers for name in (layer["spikes"], *layer["states"].values()) if name]
        self.outputs = list(dict.fromkeys([*wanted, *states.values()]))
        self.feedback = [(state, self.outputs.index(name)) for state, name in states.items()]
        self.shown = [self.outputs.index(name) for name in wanted]
        self.reset()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def reset(self) -> None:
        """Silence."""
        self.feeds = {name: zero.copy() for name, zero in self.zeros.items()}

    def step(self, x: np.ndarray) -> Trace:
        """Advance by one step: x [I] -> spikes and states [N]."""
        trace = self._advance(np.asarray(x)[None])
        return Trace(tuple(s[0] for s in trace.spikes), tuple({n: v[0] for n, v in s.items()} for s in trace.states))

    def run(self, raster: np.ndarray) -> Trace:
        """Run from silence: raster [T, I] -> spikes and states [T, N]."""
        self.reset()
        return self._advance(np.asarray(raster))

    def _advance(self, raster: np.ndarray) -> Trace:
        zero, steps = self.zeros["x"], len(raster)
        if raster.shape[1:] != (zero.size,):
            raise ValueError(f"the input has shape {raster.shape}; it must be [T, {zero.size}]")
        rows = raster.astype(zero.dtype).reshape(steps, *zero.shape)
        made: dict[int, np.ndarray] = {}
        feeds, run, outputs = self.feeds, self.engine.run, self.outputs
        try:
            for t in range(steps):
                feeds["x"] = rows[t]
                answer = run(outputs, feeds)
                for state, k in self.feedback:
                    feeds[state] = answer[k]
                for k in self.shown:
                    if not t:
                        made[k] = np.empty((steps, answer[k].size), answer[k].dtype)
                    made[k][t] = answer[k].reshape(-1)
        except Exception as error:  # onnxruntime's own kinds of exceptions share no base
            raise bad(self.path, f"it stops while it runs ({first_line(error)})") from error
        return self._trace(made, steps)

    def _trace(self, made: Mapping[int, np.ndarray], steps: int) -> Trace:
        def find(name: str | None, size: int) -> np.ndarray:
            k = self.outputs.index(name) if name else -1
            return made[k] if k in made else np.zeros((steps, size), np.uint8)

        return Trace(
            tuple(find(layer["spikes"], layer["size"]) for layer in self.layers),
            tuple({n: find(out, layer["size"]) for n, out in layer["states"].items()} for layer in self.layers),
        )


def open_session(folder: Path, runner: str) -> Session:
    """Open `runner` in onnxruntime, on one thread. Raise BadFile unless the file is one that `lower` writes."""
    path = Path(folder) / f"{runner}.onnx"
    engine = open_engine(path)
    try:
        inputs = {i.name: np.zeros(i.shape, TYPES[i.type]) for i in engine.get_inputs()}
        metadata = engine.get_modelmeta().custom_metadata_map
        return Session(path, engine, inputs, metadata, RAN)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise bad(path, f"it is another model ({first_line(error)})") from error


def open_engine(path: Path) -> onnxruntime.InferenceSession:
    """A file in onnxruntime, on one thread."""
    if not path.is_file():
        raise bad(path, "there is no such file")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what onnxruntime has to say comes as an exception
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise bad(path, f"onnxruntime refuses it ({first_line(error)})") from error


def bad(path: Path, what: str) -> BadFile:
    return BadFile(path, what, should_be="the file that `edge-anp compile --target onnx` wrote there")


def first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
