"""A stranger's compiler as a second opinion: our ONNX steps through emx-onnx-cgen, run on an M4 beside ours, every bit equal."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from edge_anp import reference, target
from edge_anp.verify import Comparison, compare
from targets.mcu import build, lower, run, workloads
from targets.mcu.cores import CORES
from targets.mcu.session import layer_sizes

WORK = workloads.recurrent()
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


def glue(model: onnx.ModelProto, source: str) -> str:
    """The functions that the harness calls, around the stranger's `model(...)`: states fed back as our metadata says."""
    told = {p.key: json.loads(p.value) for p in model.metadata_props}
    found = re.search(r"^void model\((.*)\) \{", source, re.MULTILINE)
    assert found is not None
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


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    """Instructions of our own step on the M4."""
    folder = tmp_path_factory.mktemp("ours")
    lower.lower(WORK.net, folder, "", ("host",))
    with run.open_session(folder, "qemu:m4", WORK.net, 60, count=True) as session:
        session.form = "bits"
        session.run(WORK.raster)
        return session.ticks[2:].mean() / CORES["m4"].ticks


@pytest.mark.slow
@pytest.mark.parametrize("flavor", ["step_i32", "step_q"])
def test_a_foreign_compiler_agrees_and_is_slower(flavor, ours, tmp_path):
    target.find("onnx").lower(WORK.net, tmp_path)
    program = shutil.which("emx-onnx-cgen") or str(Path(sys.executable).with_name("emx-onnx-cgen"))
    subprocess.run(
        [program, "compile", "--model-name", "model", tmp_path / f"{flavor}.onnx", tmp_path / "foreign.c"],
        check=True,
        timeout=120,
    )
    text = glue(onnx.load(tmp_path / f"{flavor}.onnx"), (tmp_path / "foreign.c").read_text())
    files = (tmp_path / "foreign.c", build.HARNESS / "harness.c", build.HARNESS / "port_files.c")
    stripped = (build.HARNESS / "harness.c").read_text().replace("&ea_all_kernels", "0")
    (tmp_path / "harness.c").write_text(stripped)
    made = run.Program((files[0], tmp_path / "harness.c", files[2]), (build.RUNTIME, build.HARNESS), 64, 128)
    with run.start(made, "qemu:m4", 60, text, tmp_path, count=True) as session:
        session.sizes, session.inputs, session.form = layer_sizes(WORK.net), WORK.net.input.size, "bytes"
        session.begin()
        got = session.run(WORK.raster)
        theirs = session.ticks[2:].mean() / CORES["m4"].ticks
    found = compare(Comparison(0, 0, 0, 0, None, True), WORK.net, 0, reference.run(WORK.net, WORK.raster), got)
    assert (found.spike_mismatches, found.state_mismatches) == (0, 0), found.first
    print(f"{flavor}: ours {ours:.0f}, theirs {theirs:.0f} instructions a step: {theirs / ours:.1f} times")
    assert ours * 6 <= theirs
