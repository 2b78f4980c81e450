"""A stranger's compiler as a second opinion: emx-onnx-cgen's C from our ONNX steps, in our harness on an emulated core."""

from __future__ import annotations

import json
import re
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

from edge_anp import target
from edge_anp.errors import BadFile, ToolMissing
from edge_anp.integer import IntegerNetwork, Trace
from targets.mcu import build, run
from targets.mcu.cores import CORES
from targets.mcu.session import layer_sizes

FLAVORS = ("step_i32", "step_q")
GLUE = """
#include <stdbool.h>
#include "harness.h"
{declarations}
void model({signature});
static uint32_t bits[{layers}][64];
static int16_t membranes[{layers}][2048];
int32_t ea_reset(const ea_model *m, void *s) {{ (void)m; (void)s; {zeros} return 0; }}
int32_t ea_init(const ea_model *m, void *s, uint32_t n) {{ (void)n; return ea_reset(m, s); }}
int32_t ea_step_bytes(const ea_model *m, void *s, const int8_t *numbers)
{{
    int i;
    (void)m; (void)s;
    for (i = 0; i < {inputs}; i++) x[0][i] = numbers[i];
    model({arguments});
    {feedback}
    {shown}
    return 0;
}}
int32_t ea_step_bits(const ea_model *m, void *s, const uint32_t *b) {{ (void)m; (void)s; (void)b; return -7; }}
int32_t ea_step_events(const ea_model *m, void *s, const uint16_t *e, uint32_t n) {{ (void)m; (void)s; (void)e; (void)n; return -7; }}
int32_t ea_answer(const ea_model *m, const void *s) {{ (void)m; (void)s; return -7; }}
int32_t ea_selftest(const ea_model *m, void *s, const ea_golden *g, uint32_t *c) {{ (void)m; (void)s; (void)g; *c = 0; return -7; }}
const uint32_t *ea_spikes(const ea_model *m, const void *s, uint32_t k) {{ (void)m; (void)s; return bits[k]; }}
const int16_t *ea_membrane(const ea_model *m, const void *s, uint32_t k) {{ (void)m; (void)s; return membranes[k]; }}
const int16_t *ea_current(const ea_model *m, const void *s, uint32_t k) {{ (void)m; (void)s; (void)k; return 0; }}
int32_t ea_layer_size(const ea_model *m, uint32_t k)
{{
    static const int32_t sizes[] = {{{sizes}}};
    (void)m;
    return (k < {layers}) ? sizes[k] : -8;
}}
const ea_kernels *none;
const ea_model *const ea_built_in = (const ea_model *)&none;
const ea_golden *const ea_built_in_golden = 0;
"""


def measure(net: IntegerNetwork, raster: np.ndarray, flavor: str, core: str = "m4") -> tuple[Trace, float]:
    """What emx-onnx-cgen's program gives on `raster` [T, I], and its instructions of a step; the first two do not count."""
    import onnx

    program = shutil.which("emx-onnx-cgen") or shutil.which("emx-onnx-cgen", path=str(Path(sys.executable).parent))
    if program is None:
        raise ToolMissing("emx-onnx-cgen", "pip install emx-onnx-cgen")
    with tempfile.TemporaryDirectory(prefix="edge_anp_") as name:
        place = Path(name)
        target.find("onnx").lower(net, place)
        build.run([program, "compile", "--model-name", "model", f"{flavor}.onnx", "foreign.c"], place)
        text = glue(onnx.load(place / f"{flavor}.onnx"), (place / "foreign.c").read_text())
        harness = (build.HARNESS / "harness.c").read_text().replace("&ea_all_kernels", "0")
        (place / "harness.c").write_text(harness)
        sources = (place / "foreign.c", place / "harness.c", build.HARNESS / "port_files.c")
        made = run.Program(sources, (build.RUNTIME, build.HARNESS), 64, -(-net.input.size // 4) * 4)
        with run.start(made, f"qemu:{core}", 60, text, place, count=True) as session:
            session.sizes, session.inputs, session.form = layer_sizes(net), net.input.size, "bytes"
            session.begin()
            trace = session.run(raster)
            return trace, float(session.ticks[2:].mean()) / CORES[core].ticks


def glue(model: object, source: str) -> str:
    """The functions that the harness calls, around the stranger's `model(...)`: states fed back as our metadata says."""
    told = {p.key: json.loads(p.value) for p in model.metadata_props}  # type: ignore[attr-defined]
    found = re.search(r"^void model\((.*)\) \{", source, re.MULTILINE)
    if found is None:
        raise BadFile("foreign.c", "it has no function `model`", should_be="emx-onnx-cgen's C")
    signature = found.group(1)
    values = re.findall(r"(\w+) (\w+)\[restrict 1\]\[(\d+)\]", signature)
    states, layers = told["edge_anp_states"], told["edge_anp_layers"]
    loop = "for (i = 0; i < {n}; i++) "
    size = {name: int(n) for _, name, n in values}
    shown = []
    for k, layer in enumerate(layers):
        n, spikes, v = layer["size"], layer["spikes"], layer["states"]["v"]
        shown.append(f"for (i = 0; i < {-(-n // 32)}; i++) bits[{k}][i] = 0;")
        shown.append(loop.format(n=n) + f"bits[{k}][i / 32] |= (uint32_t)({spikes}[0][i] != 0) << (i % 32);")
        shown.append(loop.format(n=n) + f"membranes[{k}][i] = (int16_t){v}[0][i];")
    return GLUE.format(
        declarations="\n".join(f"static {type_} {name}[1][{n}];" for type_, name, n in values),
        signature=signature,
        layers=len(layers),
        inputs=size["x"],
        zeros="int i; " + " ".join(loop.format(n=size[s]) + f"{s}[0][i] = 0;" for s in states),
        arguments=", ".join(name for _, name, _ in values),
        feedback=" ".join(loop.format(n=size[s]) + f"{s}[0][i] = {out}[0][i];" for s, out in states.items()),
        shown=" ".join(shown),
        sizes=", ".join(str(layer["size"]) for layer in layers),
    )
