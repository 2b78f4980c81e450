"""LearningPlan -> the learner's table and block: the records of runtime/edge_anp_learn_table.h, and where everything lies."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from edge_anp.integer import IntegerNetwork
from edge_anp.ondevice_answer import narrowing
from edge_anp.ondevice_plan import Credit, LearningPlan, Synapse, plain, weight_of
from edge_anp.topology import INPUT
from targets.mcu.tables import CONNECTION, LAYER, MAP, Table

MAGIC, VERSION = 0x314C4145, 1
TABLE_WORDS, SYNAPSE_WORDS, CREDIT_WORDS, SHOWN_WORDS = 34, 17, 6, 3
HEAD_BYTES = 140  # of ea_learn_head
KINDS = {"error": 0, "learned": 1, "model": 2, "shipped": 3}
OVERREAD = 16  # a row of weights may be read that far past its end

GLUE = (
    '#include "learn.h"\n\nextern const ea_learner *const ea_built_in_learner;\n'
    "const ea_learner *const ea_built_in_learner = &{prefix}_learner;\n"
)


@dataclass
class _Block:
    """RAM handed out from the front, in words."""

    used: int = HEAD_BYTES
    places: dict[tuple[object, ...], int] = field(default_factory=dict)

    def take(self, *name: object, size: int) -> int:
        """The place of `size` bytes; one name has one place."""
        if name not in self.places:
            self.places[name] = self.used
            self.used += -(-size // 4) * 4
        return self.places[name]


@dataclass(frozen=True, eq=False)
class LearnTable:
    """words: the table. block: bytes of RAM. places: (high, stride, low) of each synapse; weights: (place, bytes) of what is saved."""

    words: np.ndarray
    block: int
    places: tuple[tuple[int, int, int], ...]
    weights: tuple[int, int]


def write(net: IntegerNetwork, plan: LearningPlan, table: Table) -> LearnTable:
    """The learner's table for a network's table."""
    block, classes = _Block(), net.layers[-1].size
    v, e = block.take("v", size=2 * classes), block.take("e", size=2 * classes)
    g = block.take("g", size=2 * plan.steps)
    for c in plan.credits:
        block.take("h", c.layer, size=2 * net.layers[c.layer].size)
    sources = [net.layers[s.layer].connections[s.connection] for s in plan.synapses]
    traced = [plan.rule == "perturbation" or net.layers[s.layer].neuron.vth is not None for s in plan.synapses]
    for k, s in enumerate(plan.synapses):
        if traced[k]:
            block.take("trace", k, size=2 * len(weight_of(net, s.layer, s.connection).T))
    shown = list(_shown(net, plan, block))
    kept = any(c.source == INPUT for c in sources)
    input_bytes = _bitmap(net.input.size) if plan.binary else -(-net.input.size // 4) * 4
    input_ = block.take("input", size=plan.steps * input_bytes) if kept else 0
    state = block.take("state", size=table.state_bytes)
    first = block.used
    shapes = [weight_of(net, s.layer, s.connection).T.shape for s in plan.synapses]
    high = [block.take("high", k, size=i * _stride(n)) for k, (i, n) in enumerate(shapes)]
    low = [block.take("low", k, size=i * n) if plan.bits == 16 else 0 for k, (i, n) in enumerate(shapes)]
    weight_bytes = block.used - first
    block.take("overread", size=OVERREAD)

    places = [4 * TABLE_WORDS]
    for count in (SYNAPSE_WORDS * len(plan.synapses), CREDIT_WORDS * len(plan.credits), SHOWN_WORDS * len(shown)):
        places.append(places[-1] + 4 * count)
    rows: list[int] = []
    for k, s in enumerate(plan.synapses):
        rows += _synapse(net, plan, block, k, s, high[k], low[k], input_bytes, traced[k])
    matrices: list[bytes] = []
    for c in plan.credits:
        rows += _credit(net, plan, block, c, table, high, places[3] + sum(map(len, matrices)), matrices)
    rows += [n for row in shown for n in row]
    head = [
        *(table.crc, len(plan.synapses), places[0], len(plan.credits), places[1], len(shown), places[2]),
        *(
            plan.bits,
            int(plan.rule == "perturbation"),
            plan.sigma,
            plan.every,
            plan.steps,
            plan.temperature,
            plan.horizon,
        ),
        *(plan.budget, plan.guesses, plan.drop, plan.gain, plan.window, narrowing(classes)),
        *(block.used, state, v, e, g, input_, input_bytes, int(plan.binary), first, weight_bytes),
    ]
    body = np.array([n & 0xFFFFFFFF for n in (*head, *rows)], "<u4").tobytes() + b"".join(matrices)
    whole = struct.pack("<4I", MAGIC, VERSION, 16 + len(body), zlib.crc32(body)) + body
    made = tuple((h, _stride(n), lo) for h, lo, (_, n) in zip(high, low, shapes, strict=True))
    return LearnTable(np.frombuffer(whole, "<u4"), block.used, made, (first, weight_bytes))


def _bitmap(size: int) -> int:
    return -(-size // 32) * 4


def _stride(columns: int) -> int:
    return -(-columns // 4) * 4


def _shown(net: IntegerNetwork, plan: LearningPlan, block: _Block) -> Iterator[tuple[int, int, int]]:
    """(layer, spikes, psi) of the layers that a learner must remember."""
    sources = {net.layers[s.layer].connections[s.connection].source for s in plan.synapses} - {INPUT}
    learning = {
        s.layer for s in plan.synapses if net.layers[s.layer].neuron.vth is not None and plan.rule == "feedback"
    }
    for i in sorted(sources | learning):
        size = plan.steps * _bitmap(net.layers[i].size)
        spikes = block.take("spikes", i, size=size) if i in sources else 0
        yield i, spikes, block.take("psi", i, size=size) if i in learning else 0


def _synapse(
    net: IntegerNetwork, plan: LearningPlan, block: _Block, k: int, s: Synapse, high: int, low: int, input_bytes: int, traced: bool
) -> list[int]:  # fmt: skip
    c = net.layers[s.layer].connections[s.connection]
    inputs, outputs = weight_of(net, s.layer, s.connection).T.shape
    from_input = c.source == INPUT
    past = block.places[("input",)] if from_input else block.places[("spikes", c.source)]
    past_bytes = input_bytes if from_input else _bitmap(net.layers[c.source].size)
    return [
        *(s.layer, s.connection, inputs, outputs, s.rate, s.gain, s.limit, high, _stride(outputs), low),
        *(block.places[("trace", k)] if traced else 0, past, past_bytes, int(from_input and not plan.binary), c.delay),
        *(block.places.get(("psi", s.layer), 0), block.places.get(("h", s.layer), 0)),
    ]


def _credit(
    net: IntegerNetwork, plan: LearningPlan, block: _Block, c: Credit, table: Table, high: list[int], end: int, matrices: list[bytes]
) -> list[int]:  # fmt: skip
    last, size, h = len(net.layers) - 1, net.layers[c.layer].size, block.places[("h", c.layer)]
    if c.kind == "error":
        return [c.layer, size, KINDS["error"], 0, 0, h]
    if c.kind == "shipped":
        rows = np.pad(c.matrix.astype(np.int64) + 128, ((0, 0), (0, -c.matrix.shape[1] % 4))).astype(np.uint8)
        matrices.append(rows.tobytes())
        return [c.layer, size, KINDS["shipped"], end, rows.shape[1], h]
    stride = _stride(net.layers[-1].size)
    for k, s in enumerate(plan.synapses):
        if (s.layer, s.connection) == (last, c.source):
            return [c.layer, size, KINDS["learned"], high[k], stride, h]
    return [c.layer, size, KINDS["model"], flash_place(net, table, last, c.source), stride, h]


def flash_place(net: IntegerNetwork, table: Table, layer: int, connection: int) -> int:
    """Where the weights of a plain connection lie in the network's table."""
    assert plain(net.layers[layer].connections[connection])
    first = 13 * 4 + LAYER * len(net.layers)
    before = sum(len(x.connections) for x in net.layers[:layer]) + connection
    connections = sum(len(x.connections) for x in net.layers)
    row = table.connections[before]
    return table.maps[(row[4] - first - CONNECTION * connections) // MAP][14]


def input_bytes(net: IntegerNetwork, plan: LearningPlan) -> int:
    """What the harness keeps of a command: a whole trial's input, and three words."""
    return 12 + plan.steps * (_bitmap(net.input.size) if plan.binary else -(-net.input.size // 4) * 4)


def source(learned: LearnTable, prefix: str) -> str:
    """learn.c."""
    words = [f"0x{n:08X}u" for n in learned.words.tolist()]
    lines = ["    " + ", ".join(words[k : k + 10]) + "," for k in range(0, len(words), 10)]
    return "\n".join(
        [
            f"/* What of the network `{prefix}` learns, written by edge-anp; edge_anp_learn_table.h says what each word is. */",
            '#include "learn.h"',
            "",
            f"static const uint32_t {prefix}_learn_table[{len(words)}] = {{",
            *lines,
            "};",
            "",
            f"const ea_learner {prefix}_learner = {{&{prefix}, {prefix}_learn_table, sizeof {prefix}_learn_table}};",
            "",
        ]
    )


def header(learned: LearnTable, plan: LearningPlan, prefix: str) -> str:
    """learn.h."""
    big = prefix.upper()
    return "\n".join(
        [
            f"/* How the network `{prefix}` learns, written by edge-anp.",
            " *",
            f" * learns   {plan.learn}, masters of {plan.bits} bits",
            f" * trial    at most {plan.steps} steps, at most {plan.guesses} answers",
            f" * memory   {learned.block} bytes of RAM, aligned to 4, the network's own {prefix.upper()}_STATE_BYTES included",
            " */",
            f"#ifndef {big}_LEARN_H",
            f"#define {big}_LEARN_H",
            "",
            '#include "edge_anp_learn.h"',
            '#include "model.h"',
            "",
            f"#define {big}_LEARN_BYTES {learned.block}",
            f"#define {big}_LEARN_WEIGHTS {learned.weights[1]} /* bytes of weights: what a save takes, and 256 more */",
            f"#define {big}_LEARN_STEPS {plan.steps}",
            "",
            f"extern const ea_learner {prefix}_learner;",
            "",
            "#endif",
            "",
        ]
    )


def unpack(learned: LearnTable, plan: LearningPlan, net: IntegerNetwork, data: bytes) -> list[np.ndarray]:
    """Masters U [I, N] of each synapse, from the weights of a block (from place learned.weights[0] on)."""
    found, bytes_ = [], np.frombuffer(data, np.uint8).astype(np.int64)
    for s, (high, stride, low) in zip(plan.synapses, learned.places, strict=True):
        i, n = weight_of(net, s.layer, s.connection).T.shape
        at = high - learned.weights[0]
        u = bytes_[at : at + i * stride].reshape(i, stride)[:, :n]
        if plan.bits == 16:
            at = low - learned.weights[0]
            u = 256 * u + bytes_[at : at + i * n].reshape(i, n)
        found.append(u)
    return found
