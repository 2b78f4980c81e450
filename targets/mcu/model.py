"""A table as C: model.c (constant tables and nothing else) and model.h (what an application must know of the network)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np

from edge_anp import reference
from edge_anp.integer import IntegerNetwork
from targets.mcu.tables import Section, Table

GOLDEN_STEPS, GOLDEN_SEED = 8, 1
WIDTH = 124
KERNELS = {  # in the order of ea_kernels; the first three are its synapses
    "dense": "ea_dense",
    "diagonal": "ea_diagonal",
    "conv": "ea_conv",
    "pool": "ea_pool",
    "lif": "ea_lif",
    "neuron": "ea_neuron",
    "check": "ea_check_windows",
    "remember": "ea_remember",
    "path": "ea_path",
}
SCORES = {"count": "ea_score_spikes", "first_spike": "ea_score_spikes", "membrane_mean": "ea_score_membranes"}


def golden(net: IntegerNetwork) -> tuple[np.ndarray, int]:
    """Numbers [T, I] from a seed, and the checksum of what the reference does on them, as ea_selftest computes it."""
    rng = np.random.default_rng(GOLDEN_SEED)
    shape = (GOLDEN_STEPS, net.input.size)
    graded = np.clip(rng.normal(0, 60, shape), -127, 127)
    numbers = ((graded if net.input.scale != 1 else 1) * (rng.random(shape) < 0.3)).astype(np.int8)
    trace = reference.run(net, numbers)
    crc = 0
    for t in range(GOLDEN_STEPS):
        for spikes, states in zip(trace.spikes, trace.states, strict=True):
            crc = zlib.crc32(pack_bits(spikes[t]), crc)
            crc = zlib.crc32(states["v"][t].astype("<i2").tobytes(), crc)
            if "u" in states:
                crc = zlib.crc32(states["u"][t].astype("<i2").tobytes(), crc)
    return numbers, crc


def pack_bits(spikes: np.ndarray) -> bytes:
    """A bitmap of whole words: neuron n is bit n % 32 of word n / 32."""
    bits = np.pad(np.asarray(spikes, np.uint8), (0, -len(spikes) % 32))
    return np.packbits(bits, bitorder="little").tobytes()


def source(table: Table, net: IntegerNetwork, prefix: str) -> str:
    """model.c."""
    numbers, crc = golden(net)
    members = [
        "    ea_table head;",
        f"    ea_layer layers[{len(table.layers)}];",
        f"    ea_connection connections[{len(table.connections)}];",
        f"    ea_map maps[{len(table.maps)}];",
        *(f"    {s.type} {s.name}[{s.values.size}];" for s in table.sections),
    ]
    values = [
        "    {" + ", ".join(f"0x{n:08X}u" if k in (0, 3) else f"{n}u" for k, n in enumerate(table.head)) + "},",
        "    {" + ",\n     ".join(map(_layer, table.layers)) + "},",
        "    {" + ",\n     ".join("{{{}u, {}u, {}, {}u, {}u}}".format(*row) for row in table.connections) + "},",
        "    {" + ",\n     ".join(map(_map, table.maps)) + "},",
        *(f"    {{ /* {s.name} */\n" + "\n".join(_rows(s)) + "\n    }," for s in table.sections),
    ]
    kernels = [
        name if kind in table.kernels and name else "0"
        for kind, name in {**KERNELS, "score": SCORES.get(net.decode)}.items()
    ]
    kernels = [f"{{{', '.join(kernels[:3])}}}", *kernels[3:]]
    lines = [
        f"/* The tables of the network `{prefix}`, written by edge-anp; edge_anp_table.h says what each number is. */",
        '#include "model.h"',
        "",
        '#include "edge_anp_table.h"',
        "",
        "static const struct {",
        *members,
        f"}} {prefix}_table = {{",
        *values,
        "};",
        "",
        f"typedef char {prefix}_table_has_no_gaps[(sizeof {prefix}_table == {len(table.data)}u) ? 1 : -1];",
        "",
        f"static const ea_kernels {prefix}_kernels = {{{', '.join(kernels)}}};",
        "",
        f"const ea_model {prefix} = {{&{prefix}_table, sizeof {prefix}_table, &{prefix}_kernels}};",
        "",
        f"static const int8_t {prefix}_numbers[{numbers.size}] = {{",
        *_rows(Section("", "int8_t", numbers)),
        "};",
        "",
        f"const ea_golden {prefix}_golden = {{{prefix}_numbers, {len(numbers)}u, 0x{crc:08X}u}};",
    ]
    return "\n".join(lines) + "\n"


def built_in(prefix: str) -> str:
    """The C file that tells the harness which network is linked in."""
    return (
        f'#include "harness.h"\n#include "model.h"\n\nconst ea_model *const ea_built_in = &{prefix};\n'
        f"const ea_golden *const ea_built_in_golden = &{prefix}_golden;\n"
    )


def alias(prefix: str) -> str:
    """PREFIX_model.h: model.h by a name that another network's folder does not have."""
    return '/* model.h by a name of its own, for firmware with several networks. */\n#include "model.h"\n'


def header(table: Table, net: IntegerNetwork, prefix: str) -> str:
    """model.h."""
    big, contract = prefix.upper(), net.input
    shape = " x ".join(map(str, contract.shape))
    answers = {
        "count": "the neuron with the most spikes",
        "first_spike": "the neuron that spiked first",
        "membrane_mean": "the neuron with the largest mean membrane",
        "membrane_last": "the neuron with the largest membrane in the last step",
    }
    step = "" if contract.dt is None else f", {contract.dt:g} s each"
    lines = [
        f"/* The network `{prefix}`, written by edge-anp.",
        " *",
        f" * input    {shape} = {contract.size} values a step, channels first{step}",
        f" *          a value x goes in as the number clip(floor(x / {contract.scale:.9g} + 1/2), -127, 127)",
        f" * answer   of {net.layers[-1].size}: {answers[net.decode]}",
        f" * memory   {table.state_bytes} bytes of RAM, aligned to 4; {len(table.data)} bytes of tables",
        " */",
        f"#ifndef {big}_MODEL_H",
        f"#define {big}_MODEL_H",
        "",
        '#include "edge_anp.h"',
        "",
        "#ifdef __cplusplus",
        'extern "C" {',
        "#endif",
        "",
        f"#define {big}_STATE_BYTES {table.state_bytes}",
        f"#define {big}_TABLE_BYTES {len(table.data)}",
        f"#define {big}_INPUTS {contract.size}",
        f"#define {big}_INPUT_SCALE {contract.scale:.9g} /* input units of one number */",
        f"#define {big}_OUTPUTS {net.layers[-1].size}",
        f"#define {big}_LAYERS {len(net.layers)}",
        "",
        f"extern const ea_model {prefix};",
        f"extern const ea_golden {prefix}_golden;",
        "",
        "#ifdef __cplusplus",
        "}",
        "#endif",
        "",
        "#endif",
    ]
    return "\n".join(lines) + "\n"


def _layer(row: tuple[int, ...]) -> str:
    """size, neuron, connections, first, bias, vth, leak, current_leak, v, u, spikes, slots, rest."""
    n = [f"{x}u" for x in row]
    leaks = [f"{{{', '.join(n[a : a + 2])}}}" for a in (6, 8)]
    return "{" + ", ".join([*n[:6], *leaks, *n[10:]]) + "}"


def _map(row: tuple[int, ...]) -> str:
    """kind, groups, in, out_shape, kernel, stride, padding, weights, each, out."""
    n = [f"{x}u" for x in row]
    arrays = [f"{{{', '.join(n[a:b])}}}" for a, b in ((2, 5), (5, 8), (8, 10), (10, 12), (12, 14))]
    return "{" + ", ".join([*n[:2], *arrays, *n[14:]]) + "}"


def _rows(section: Section) -> Iterator[str]:
    """An array's values, as many lines as it takes."""
    for row in section.values:
        texts = [f"0x{n:08X}u" if section.type == "uint32_t" else str(int(n)) for n in row]
        each = max(1, (WIDTH - 8) // (max(map(len, texts)) + 2))
        for k in range(0, len(texts), each):
            yield "        " + ", ".join(texts[k : k + each]) + ","
