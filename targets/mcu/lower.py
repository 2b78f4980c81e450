"""Write the folder that goes into a firmware project, and refuse what the runtime's tables cannot hold, all reasons at once."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from math import prod
from pathlib import Path

from edge_anp.artifact import Artifact, describe
from edge_anp.errors import Unsupported
from edge_anp.integer import IntegerNetwork
from edge_anp.ondevice_plan import LearningPlan
from edge_anp.synapses import Convolution, Window
from edge_anp.topology import INPUT
from targets.mcu import build, learn_folder, learning, model, tables
from targets.mcu.folder import files as folder_files

NAME = "mcu"
LARGEST_SIZE, LARGEST_BYTES = 65535, 2**24  # of a layer or the input; of a table or a block (check.c)
PREFIX = re.compile(r"[a-z][a-z0-9_]{0,31}")
TAKEN = re.compile(  # in C, in C++, by GNU compilers, and by the folder's own programs
    "auto|break|case|char|const|continue|default|do|double|else|enum|extern|float|for|goto|if|inline|int|long|register|restrict|return"
    "|short|signed|sizeof|static|struct|switch|typedef|union|unsigned|void|volatile|while"
    "|and|and_eq|asm|bitand|bitor|bool|catch|class|compl|concept|const_cast|consteval|constexpr|constinit|co_await|co_return|co_yield"
    "|decltype|delete|dynamic_cast|explicit|export|false|friend|mutable|namespace|new|noexcept|not|not_eq|nullptr|operator|or|or_eq"
    "|private|protected|public|reinterpret_cast|requires|static_assert|static_cast|template|this|thread_local|throw|true|try|typeid"
    "|typename|typeof|using|virtual|xor|xor_eq|linux|unix|main|state|printf|scanf|.*_t|ea_.*"
)


def lower(
    net: IntegerNetwork,
    folder: Path,
    golden: str,
    runners: tuple[str, ...],
    prefix: str = "network",
    plan: LearningPlan | None = None,
) -> Artifact:
    """Write the runtime, the network's tables and what build systems want. Raise Unsupported before any file is written."""
    if not PREFIX.fullmatch(prefix) or TAKEN.fullmatch(prefix):
        raise ValueError(
            f"prefix is {prefix!r}; it must be a C name in lower case, at most 32 letters, that C, C++ and this runtime leave free"
        )
    reasons = list(refusals(net))
    if reasons:
        raise Unsupported(dict.fromkeys(reasons), NAME)
    table = tables.write(net)
    if max(len(table.data), table.state_bytes) >= LARGEST_BYTES:
        sizes = f"{len(table.data)} bytes of tables and {table.state_bytes} of RAM"
        raise Unsupported(f"it needs {sizes}; the limit of either is {LARGEST_BYTES - 1}", NAME)
    (folder / "edge_anp.c").write_text(build.amalgamate())
    for name in ("edge_anp.h", "edge_anp_table.h"):
        shutil.copyfile(build.RUNTIME / name, folder / name)
    (folder / "model.c").write_text(model.source(table, net, prefix))
    (folder / "model.h").write_text(model.header(table, net, prefix))
    (folder / f"{prefix}_model.h").write_text(model.alias(prefix))
    (folder / "harness").mkdir(exist_ok=True)
    for name in ("harness.c", "harness.h", "port_uart.c"):
        shutil.copyfile(build.HARNESS / name, folder / "harness" / name)
    (folder / "harness" / "built_in.c").write_text(model.built_in(prefix))
    for name, text in folder_files(table, net, prefix):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    if plan is not None:
        learned = learning.write(net, plan, table)
        (folder / "edge_anp_learn.c").write_text(build.amalgamate_learner())
        for name in ("edge_anp_learn.h", "edge_anp_learn_table.h", "edge_anp_save.h", "edge_anp_log.h"):
            shutil.copyfile(build.RUNTIME / name, folder / name)
        (folder / "learn.c").write_text(learning.source(learned, prefix))
        (folder / "learn.h").write_text(learning.header(learned, plan, prefix))
        learn_folder.write_harness(folder / "harness_learn", learned, net, plan, prefix)
        with (folder / "README.md").open("a") as page:
            page.write(learn_folder.readme(learned, net, plan, prefix, table.state_bytes))
    return describe(folder, NAME, runners, net, golden)


def refusals(net: IntegerNetwork) -> Iterator[str]:
    """What the records of a table have no room for."""
    if net.input.size > LARGEST_SIZE:
        yield f"the input has {net.input.size} values; the limit is {LARGEST_SIZE}"
    for i, layer in enumerate(net.layers):
        who = f"layer {i}" + (f" ({layer.name})" if layer.name else "")
        if layer.size > LARGEST_SIZE:
            yield f"{who} has {layer.size} neurons; the limit is {LARGEST_SIZE}"
        for c in layer.connections:
            source = "the input" if c.source == INPUT else f"layer {c.source}"
            if c.delay >= LARGEST_SIZE:
                yield f"{who} reads {source} {c.delay} steps ago; the limit is {LARGEST_SIZE - 1}"
            for op in c.path:
                if (
                    max(prod(op.in_shape[1:]), prod(op.out_shape[1:]), *op.in_shape, *op.out_shape) > LARGEST_SIZE
                    or op.out_size > 2**20
                ):
                    yield f"{who}: {op.describe()} is too large; a plane has at most {LARGEST_SIZE} values, all of it {2**20}"
                if isinstance(op, Window) and max(*op.kernel, *op.stride, *op.padding) > 255:
                    yield f"{who}: {op.describe()} has a window, a stride or a padding past 255"
                if (
                    isinstance(op, Window)
                    and not isinstance(op, Convolution)
                    and any(p >= k for p, k in zip(op.padding, op.kernel, strict=True))
                ):
                    yield f"{who}: {op.describe()} has windows that lie wholly in its padding"
