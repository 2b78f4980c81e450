"""Following one sample through a module: what feeds each neuron, found by the identity of tensors.

Hooks see the neurons, a TorchFunctionMode sees every torch function between them, whether a module or a line of `forward` calls it.
Each tensor on the way gets a Value, a small expression that says where it came from; what has no exact counterpart in a Network
becomes Unknown and is refused only if it reaches a neuron.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from snntorch import RSynaptic, SpikingNeuron
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from edge_anp.snntorch_functions import outcome
from edge_anp.snntorch_values import Argument, Constant, Parameter, Spikes, State, Value

STATES = ("spk", "syn", "mem")


@dataclass(frozen=True, eq=False)
class Call:
    """One step of one neuron: where its current came from, and what it then did (all [B, *shape])."""

    current: Value
    spikes: Tensor
    fired: Tensor  # the membrane that was compared with the threshold
    membrane: Tensor  # the membrane that is kept: after an immediate reset


class Recorder(TorchFunctionMode):
    """Records the calls of every neuron of `module`, in the order in which the neurons were first called.

    problems: what makes a state something else than the neuron left it, one sentence each.
    arguments: which state of which neuron each extra argument of `forward` became.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.neurons = neurons(module)
        self.calls: dict[str, list[Call]] = {}
        self.arguments: dict[str, tuple[str, str]] = {}
        self.problems: list[str] = []
        self._values: dict[int, Value] = {}
        self._alive: list[Tensor] = []  # an id is only an identity while its tensor lives
        self._where: list[str] = []
        self._inside = 0
        self._fired: Tensor | None = None
        self._pending: dict[str, Value] = {}
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            self.note(tensor, Parameter(name, tensor))

    def note(self, tensor: Tensor, value: Value) -> None:
        """From now on `tensor` is `value`."""
        self._values[id(tensor)] = value
        self._alive.append(tensor)

    def value(self, tensor: Tensor) -> Value:
        """Where a tensor came from; one that nothing else made is a constant."""
        found = self._values.get(id(tensor))
        return Constant(not bool(tensor.any())) if found is None else found

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if not self._inside:
            where = next((w for w in reversed(self._where) if w), "forward")
            for tensor, value in outcome(func, args, kwargs or {}, out, self.value, where):
                self.note(tensor, value)
        return out

    @contextmanager
    def watching(self) -> Iterator[Recorder]:
        """Record whatever the module does inside this block."""
        handles = []
        for name, m in self.module.named_modules():
            neuron = next((n for n, known in self.neurons.items() if known is m), None)
            where = f"{name} ({type(m).__name__})" if name else ""
            enter = partial(self._enter, where) if neuron is None else partial(self._enter_neuron, neuron)
            leave = self._leave if neuron is None else partial(self._leave_neuron, neuron)
            handles.append(m.register_forward_pre_hook(enter, with_kwargs=True))
            handles.append(m.register_forward_hook(leave, with_kwargs=True))
        for neuron in self.neurons.values():
            if isinstance(neuron, SpikingNeuron):
                setattr(neuron, "fire", partial(self._fire, neuron.fire))  # noqa: B010
        try:
            with self:
                yield self
        finally:
            for handle in handles:
                handle.remove()
            for neuron in self.neurons.values():
                neuron.__dict__.pop("fire", None)

    def _fire(self, fire: Callable[[Tensor], Tensor], mem: Tensor) -> Tensor:
        self._fired = mem
        return fire(mem)

    def _enter(self, where: str, _module: nn.Module, _args: tuple, _kwargs: dict) -> None:
        self._where.append(where)

    def _leave(self, _module: nn.Module, _args: tuple, _kwargs: dict, _out: Any) -> None:
        self._where.pop()

    def _enter_neuron(self, name: str, module: nn.Module, args: tuple, kwargs: dict) -> None:
        self._inside += 1
        given = dict(zip(("input_", *state_names(module)), args, strict=False)) | kwargs
        current = self.value(given["input_"]) if isinstance(given.get("input_"), Tensor) else Constant(False)
        self._pending[name] = current
        for state in state_names(module):
            tensor = given.get(state)
            self._check_state(name, state, getattr(module, state) if tensor is None else tensor)

    def _leave_neuron(self, name: str, module: nn.Module, _args: tuple, _kwargs: dict, out: Any) -> None:
        calls = self.calls.setdefault(name, [])
        spikes = out[0] if isinstance(out, tuple) else out
        membrane = getattr(module, "mem", spikes)
        fired = membrane if self._fired is None else self._fired
        for state in state_names(module):
            self.note(getattr(module, state), State(name, len(calls), state))
        self.note(spikes, Spikes(name, len(calls)))
        calls.append(Call(self._pending.pop(name), spikes.clone(), fired.clone(), membrane.clone()))
        self._fired = None
        self._inside -= 1

    def _check_state(self, name: str, state: str, tensor: Tensor) -> None:
        """A neuron must find its state as it left it, and all zero before its first step."""
        step, value = len(self.calls.get(name, ())), self.value(tensor)
        if isinstance(value, Argument):
            self.arguments[value.name] = (name, state)
            if step == 0:
                return
        if step == 0:
            if bool(tensor.any()):
                self._complain(f"{name}: {state} does not start at zero; start every sample from silence")
        elif value != left(name, step - 1, state):
            self._complain(
                f"{name}: {state} is not what the neuron left there one step before; pass its states on unchanged and call it"
                " once a step (a forward that resets its states computes one step only: loop over the steps inside it, or use"
                " init_hidden=True and reset outside)"
            )

    def _complain(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)


def neurons(module: nn.Module) -> dict[str, nn.Module]:
    """The spiking neurons of snnTorch in a module, of any class, by their dotted names."""
    found: dict[str, nn.Module] = {}
    for name, m in module.named_modules():
        spiking = isinstance(m, SpikingNeuron) or type(m).__module__.startswith("snntorch._neurons")
        if spiking and not any(m in set(outer.modules()) for outer in found.values()):
            found[name or type(m).__name__] = m
    return found


def state_names(module: nn.Module) -> tuple[str, ...]:
    """The states of a neuron in the order in which `forward` takes them."""
    return tuple(s for s in STATES if isinstance(getattr(module, s, None), Tensor))


def left(neuron: str, call: int, state: str) -> Value:
    """What a state is that a neuron left in a step."""
    return Spikes(neuron, call) if state == "spk" else State(neuron, call, state)


@contextmanager
def untouched(module: nn.Module) -> Iterator[None]:
    """Evaluation mode, no gradients, silent neurons; afterwards the module is as it was, hidden states included."""
    before = [(m, dict(m.__dict__), dict(m._buffers)) for m in module.modules()]
    try:
        module.eval()
        for m in neurons(module).values():
            for state in state_names(m):
                setattr(m, state, getattr(m, state).new_zeros(0))
            if isinstance(m, RSynaptic):  # without reset delay it is refused, but would not even run: follow the rest
                m.reset_delay = True
        with torch.no_grad():
            yield
    finally:
        for m, attributes, buffers in before:
            m.__dict__.clear()
            m.__dict__.update(attributes)
            m._buffers.clear()
            m._buffers.update(buffers)
