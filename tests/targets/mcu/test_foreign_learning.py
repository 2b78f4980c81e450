"""Learning through a stranger's compiler: our learn_*.onnx through emx-onnx-cgen, on the host and on an M4, equal to the last bit."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from edge_anp.conformance_learning import STEPS, learning_network, random_plan
from edge_anp.conformance_networks import random_raster
from edge_anp.continual import schedule
from edge_anp.integer import IntegerNetwork
from edge_anp.ondevice import Learner
from edge_anp.ondevice_plan import LearningPlan
from targets.mcu import build, link
from targets.mcu.cores import CORES
from targets.mcu.run import emulate
from targets.onnx import learning
from targets.onnx.learn_models import GRAPHS, Model
from targets.onnx.learn_session import LearnSession

SEED, STACK = 7, 2**19
GLUE = """
#include <stdbool.h>
#include "harness.h"
{declarations}
void {name}({signature});
void run_{name}(void);
void run_{name}(void)
{{
    {reads}
    {name}({arguments});
    {writes}
}}
"""
MAIN = """
#include "harness.h"
{declarations}
int main(void)
{{
    uint32_t graph;
    port_open();
    for (;;) {{
        port_read(&graph, 4);
        {calls}
        port_flush();
    }}
}}
"""
C_TYPES = {"int8": "int8_t", "uint8": "uint8_t", "int32": "int32_t", "uint32": "uint32_t"}


class Foreign:
    """A graph in the program, as an Engine of a session."""

    def __init__(self, program: link.Link, number: int, model: onnx.ModelProto) -> None:
        self.program, self.number = program, number
        self.inputs, self.outputs = arrays(model.graph.input), arrays(model.graph.output)

    def run(self, names: list[str], feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        for name, zero in self.inputs.items():
            assert feeds[name].dtype == zero.dtype
            assert feeds[name].size == zero.size
        sent = b"".join([np.uint32(self.number).tobytes(), *(feeds[name].tobytes() for name in self.inputs)])
        got, made = self.program.exchange(sent, sum(zero.nbytes for zero in self.outputs.values())), {}
        for name, zero in self.outputs.items():
            made[name] = np.frombuffer(got[: zero.nbytes], zero.dtype).reshape(zero.shape)
            got = got[zero.nbytes :]
        return [made[name] for name in names]


def arrays(infos: Any) -> dict[str, np.ndarray]:
    """A zero of the shape and type of each."""
    return {
        i.name: np.zeros(
            [d.dim_value for d in i.type.tensor_type.shape.dim],
            helper.tensor_dtype_to_np_dtype(i.type.tensor_type.elem_type),
        )
        for i in infos
    }


def built(models: dict[str, onnx.ModelProto], place: Path, runner: str) -> link.Link:
    """All graphs in one program: a word says which, its inputs follow, its outputs come back."""
    program = shutil.which("emx-onnx-cgen") or str(Path(sys.executable).with_name("emx-onnx-cgen"))
    sources = [build.HARNESS / "port_files.c", place / "main.c"]
    for name, model in models.items():
        onnx.save(model, place / f"{name}.onnx")
        words = [program, "compile", "--model-name", name, place / f"{name}.onnx", place / f"{name}.c"]
        subprocess.run(words, check=True, timeout=300, capture_output=True)
        text = (place / f"{name}.c").read_text()  # its constants are global, and two graphs have some of the same name
        (place / f"{name}.c").write_text(re.sub(r"\b(weight\d+_)", rf"{name}_\1", text))
        inputs, outputs = arrays(model.graph.input), arrays(model.graph.output)
        size = lambda zero: "".join(f"[{n}]" for n in zero.shape)  # noqa: E731
        values = {**inputs, **outputs}
        text = GLUE.format(
            name=name,
            declarations="\n".join(f"static {C_TYPES[str(z.dtype)]} {n}{size(z)};" for n, z in values.items()),
            signature=", ".join(
                f"{'const ' * (n in inputs)}{C_TYPES[str(z.dtype)]} {n}{size(z)}" for n, z in values.items()
            ),
            reads=" ".join(f"port_read({n}, sizeof {n});" for n in inputs),
            arguments=", ".join(values),
            writes=" ".join(f"port_write({n}, sizeof {n});" for n in outputs),
        )
        (place / f"{name}_glue.c").write_text(text)
        sources += [place / f"{name}.c", place / f"{name}_glue.c"]
    calls = " ".join(f"if (graph == {k}u) {{ run_{name}(); }}" for k, name in enumerate(models))
    declarations = "\n".join(f"void run_{name}(void);" for name in models)
    (place / "main.c").write_text(MAIN.format(declarations=declarations, calls=calls))
    include = (build.RUNTIME, build.HARNESS)
    if runner == "host":
        build.compile_host(
            sources, place / "program", include, ["-O1", "-fsanitize=undefined", "-fno-sanitize-recover"]
        )
        return link.start([place / "program"], place, 60, runner)
    core = CORES[runner]
    build.compile_core(core, sources, place / "program", include, stack=STACK)
    return link.start_with_files(emulate(core, place / "program"), place, 60, runner)


def learned(net: IntegerNetwork, plan: LearningPlan, place: Path, runner: str, trials: int) -> None:
    """Trials in the stranger's C and in the reference: the same answers, the same weights after each of them."""
    models = learning.models(net, plan)
    program = built(models, place, runner)
    try:
        found = {}
        for k, (name, model) in enumerate(models.items()):
            engine = Foreign(program, k, model)
            told = {p.key: p.value for p in model.metadata_props}
            pairs = json.loads(told["edge_anp_states"])
            found[name] = Model(place / name, engine, engine.inputs, tuple(engine.outputs), pairs)
        assert tuple(found) == GRAPHS
        theirs, ours = LearnSession(found, net, plan, "emx-onnx-cgen"), Learner(net, plan, SEED)
        theirs.start(SEED)
        for k in map(int, schedule(8, trials, 1)):
            assert trial(ours, k) == trial(theirs, k)
            assert ours.crc() == theirs.crc()
    finally:
        program.close()


def trial(one: Learner | LearnSession, k: int) -> list[int]:
    """A trial on input k, with its commit; the answers."""
    number = one.begin()
    for x in random_raster(one.net, 2 * k, STEPS):
        one.step(x)
    given = [one.answer() for _ in range(min(one.plan.guesses, one.net.layers[-1].size, k + 1))]
    one.reward(number, 128 * (given[-1] == k % 3))
    one.commit()
    return given


def deep(seed: int, bits: int) -> tuple[IntegerNetwork, LearningPlan]:
    """The next small network from `seed` on that has hidden layers, all of which learn by feedback with masters of those bits."""
    while True:
        net, learn = learning_network(seed)
        small = len(net.layers) > 1 and net.input.size + sum(layer.size for layer in net.layers) < 250
        plan = random_plan(seed, net, learn) if small and learn == "all" else None
        if plan is not None and (plan.learn, plan.rule, plan.bits) == ("all", "feedback", bits):
            one = Learner(net, plan, SEED)
            before = [u.copy() for u in one.weights]
            trial(one, 1)
            if all(np.any(u != v) for u, v in zip(before, one.weights, strict=True)):
                return net, plan
        seed += 1


@pytest.mark.slow
@pytest.mark.parametrize(("runner", "seed", "bits"), [("host", 20, 8), ("m4", 40, 16)])
def test_a_foreign_compiler_learns_the_same(runner, seed, bits, tmp_path):
    learned(*deep(seed, bits), tmp_path, runner, 8)
