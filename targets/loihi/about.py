"""What an artifact says of itself: report.json for `edge-anp report`, README.md for whoever finds the folder."""

from __future__ import annotations

import json
from pathlib import Path

from edge_anp.integer import IntegerNetwork
from targets.loihi import lower, mapper, schedule, stock

SENTENCE = (
    "The network was quantized to the number formats of Loihi 2 and run in the fixed-point simulation of lava-nc 0.10.0, where all its "
    "spikes and states equal the integer reference; it was not run on Loihi hardware."
)
ONCE_VERIFIED = "once `edge-anp verify` has found no difference"
UNTRIED = "could run: by Lava's documentation; Intel's backend for chips is closed, and nothing was tried there"


def write(net: IntegerNetwork, folder: Path, with_netx: str) -> None:
    """Write both. with_netx: "" if there is a network.net, else why there is none."""
    uses, plan = mapper.measure(net), schedule.plan(net.layers)
    rows, said, broken = [], [], []
    for i, (layer, use) in enumerate(zip(net.layers, uses, strict=True)):
        name, why, count = layer.name or f"layer {i}", lower.obstacles(net, i), len(lower.populations(net, i))
        kind = "own process" if why else "stock LIF" + (f" x {count}" if count > 1 else "")
        rows.append([name, kind, layer.size, use.cores, use.axons_in, use.axons_out, f"{use.memory / 1024:.1f}"])
        said.append(f"{name}: {stock.describe(count, why)}")
        late = max(plan.late(i, c) for c in layer.connections)
        if late:
            said.append(
                f"{name}: spikes up to {late} steps late, in simulation by a process of ours; a chip's synapses can delay them"
            )
        broken += [f"{name}: {what}" for what in use.broken]
    cores = sum(use.cores for use in uses)
    broken += mapper.past(mapper.CORES, cores, "fewer or smaller layers, or several chips")
    columns = ["layer", "process", "neurons", "cores", "axons in", "axons out", "synapses, KiB"]
    fit = broken or [
        f"{cores} of {mapper.CORES.value} cores; no limit is passed (an estimate: Intel's mapper is not public)"
    ]
    limits = [[x.name, x.value, x.source] for x in mapper.LIMITS]
    tables = [
        {"title": "on a Loihi 2 chip", "columns": columns, "rows": rows, "notes": [*fit, *said, UNTRIED]},
        {
            "title": "limits",
            "columns": ["limit", "value", "source"],
            "rows": limits,
            "notes": [f"{ONCE_VERIFIED}: {SENTENCE}"],
        },
    ]
    (folder / "report.json").write_text(json.dumps({"tables": tables}, indent=1) + "\n")
    (folder / "README.md").write_text(_readme(net, said, fit, with_netx))


def _readme(net: IntegerNetwork, said: list[str], fit: list[str], with_netx: str) -> str:
    bits = ", input_message_bits=8" if net.input.high > 1 else ""
    netx = f"not written: {with_netx}" if with_netx else f'for lava-dl 0.6.0: `netx.hdf5.Network("network.net"{bits})`'
    return f"""# A network for Loihi, through Lava

Written by `edge-anp compile --target loihi`. Lava runs it in lava-nc 0.10.0's fixed-point simulator: that is not silicon.

    python worker                            # needs numpy and lava-nc 0.10.0 alone: runs golden.npz, says what differs
    python worker --runner lava-runtime      # the same in Lava's own multiprocess runtime
    edge-anp verify . --task TASK            # every spike and state of your data against the reference

| file | what |
|---|---|
| `integer.npz` | the network in integers, what every runner must reproduce |
| `golden.npz` | inputs, and everything that the reference did on them |
| `lava.npz` | the Lava processes and their numbers; `worker/circuit.py` builds them |
| `worker/` | the runner: our processes, Lava stepped in one process, Lava's runtime |
| `network.net` | {netx} |
| `report.json` | cores, axons, synaptic memory: `edge-anp report .` |

What each layer is:

{chr(10).join("- " + line for line in said)}

On a chip: {"; ".join(fit)}. ({UNTRIED[0].upper()}{UNTRIED[1:]}.)

What a paper may say, {ONCE_VERIFIED}: "{SENTENCE}"
"""
