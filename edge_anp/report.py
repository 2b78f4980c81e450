"""Results as tables for people and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from edge_anp.doctor import Finding
from edge_anp.errors import BadFile
from edge_anp.integer import IntegerNetwork
from edge_anp.network import Network
from edge_anp.neurons import LIF, CubaLIF, Tanh
from edge_anp.quantization_loss import QuantizationLoss
from edge_anp.topology import INPUT
from edge_anp.verify import Verification


def layer_table(network: Network | IntegerNetwork) -> Table:
    """What was read: one row a layer."""
    table = Table("layer", "shape", "neuron", "fed by", title="what was read")
    for i, layer in enumerate(network.layers):
        feeds = []
        for c in layer.connections:
            source = "input" if c.source == INPUT else network.layers[c.source].name or f"layer {c.source}"
            path = ", ".join(op.describe() for op in c.path)
            feeds.append(f"{source}: {path}" + (f", {c.delay} step{'s' * (c.delay > 1)} ago" if c.delay else ""))
        shape = "x".join(map(str, layer.shape))
        table.add_row(layer.name or str(i), shape, _describe(layer.neuron), "\n".join(feeds))
    table.caption = f"input {'x'.join(map(str, network.input.shape))} a step; answer: {network.decode}"
    return table


def _describe(neuron: Any) -> str:
    if isinstance(neuron, Tanh):
        return "tanh"
    if isinstance(neuron, LIF):
        kind, reset = ("CubaLIF" if isinstance(neuron, CubaLIF) else "LIF"), neuron.reset
    else:
        kind = "readout" if getattr(neuron, "vth", None) is None else "LIF"
        reset = getattr(neuron, "reset", "none")
        if kind == "readout":
            return kind
    return f"{kind}, reset {reset}" + ("" if neuron.reset_delay or reset == "none" else " at once")


def target_table(reasons: Mapping[str, Sequence[str]], sizes: Mapping[str, Mapping[str, int]] | None = None) -> Table:
    """Which targets can run it, and why not; what it will need there, in bytes, where a target can say."""
    table = Table("target", "can run it", "why not", "needs at most", title="targets")
    for name, why in reasons.items():
        needs = ", ".join(f"{n:,} bytes of {kind}" for kind, n in (sizes or {}).get(name, {}).items())
        table.add_row(name, "no" if why else "yes", "\n".join(why), needs)
    return table


def loss_table(net: IntegerNetwork, loss: QuantizationLoss) -> Table:
    """What quantization cost, layer by layer."""
    table = Table("layer", "spike agreement", "answers changed by this layer alone", "shifts", title="quantization")
    for layer, agreement, cost in zip(net.layers, loss.agreement, loss.layers, strict=True):
        shifts = " ".join(str(c.shift) for c in layer.connections)
        table.add_row(
            cost.name, "-" if agreement is None else f"{agreement:.3f}", f"{cost.answers_changed:.2%}", shifts
        )
    accuracy = ""
    if loss.float_accuracy is not None and loss.integer_accuracy is not None:
        accuracy = f"; accuracy {loss.float_accuracy:.3f} -> {loss.integer_accuracy:.3f} (calibration samples)"
    table.caption = (
        f"{loss.answers_changed:.2%} of answers changed, {loss.saturated:.4%} of states saturated, "
        f"costliest: {loss.costliest.name}{accuracy}" + "".join(f"\n{note}" for note in loss.notes)
    )
    return table


def loss_json(loss: QuantizationLoss) -> dict[str, Any]:
    """The same for programs."""
    return {
        "spike_agreement": list(loss.agreement),
        "saturated": loss.saturated,
        "answers_changed": loss.answers_changed,
        "costliest": loss.costliest.name,
        "layers": {c.name: c.answers_changed for c in loss.layers},
        "float_accuracy": loss.float_accuracy,
        "integer_accuracy": loss.integer_accuracy,
        "notes": list(loss.notes),
    }


def file_table(folder: Path) -> Table:
    """The files of a folder, with their sizes in bytes."""
    table = Table("file", "bytes", title=str(folder))
    for name, size in file_sizes(folder).items():
        table.add_row(name, f"{size:,}")
    return table


def file_sizes(folder: Path) -> dict[str, int]:
    """Every file below a folder, by its path there."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): p.stat().st_size for p in files}


def verification_table(result: Verification) -> Table:
    """Runner by runner: what was compared and what differed."""
    table = Table("runner", "samples", "neuron-steps", "spikes differ", "states differ", title="verification")
    for name, r in result.to_json()["runners"].items():
        states = r.get("state_mismatches")
        row = (r["samples"], r["neuron_steps"], r["spike_mismatches"], "-" if states is None else states)
        table.add_row(name, *(f"{x:,}" if isinstance(x, int) else x for x in row))
    table.caption = f"ran: {result.ran}"
    return table


def artifact_tables(folder: Path) -> list[Table]:
    """What a target says of an artifact in its report.json: titled tables with notes below."""
    path = folder / "report.json"
    should_be = "what a target with a report writes when it compiles"
    if not path.is_file():
        raise BadFile(path, "there is no such file", should_be=should_be)
    try:
        found = []
        for content in json.loads(path.read_text())["tables"]:
            table = Table(*map(str, content["columns"]), title=str(content["title"]), caption_justify="left")
            for row in content["rows"]:
                table.add_row(*(f"{x:,}" if isinstance(x, int) else str(x) for x in row))
            table.caption = "\n".join(map(str, content["notes"]))
            found.append(table)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadFile(path, f"it cannot be read as one ({type(error).__name__})", should_be=should_be) from error
    return found


def doctor_table(findings: Sequence[Finding]) -> Table:
    """What is here and what is not."""
    table = Table("what", "found", "needed for", "how to get it", title="doctor")
    for f in findings:
        table.add_row(f.name, f.found or "[red]missing[/]", f.needed_for, "" if f.found else f.remedy)
    return table
