"""Programs around the runtime, built and started: on this machine, on an emulated core, or on a board at a serial line."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_anp.errors import BadFile
from edge_anp.integer import IntegerNetwork
from targets.mcu import build, link, model
from targets.mcu.changes import changes
from targets.mcu.cores import CORES, Core
from targets.mcu.session import Session, layer_sizes

SIZES = ("state_bytes", "table_bytes", "inputs")


def read_model(folder: Path) -> tuple[str, dict[str, int]]:
    """The prefix of model.h, and its sizes."""
    path = folder / "model.h"
    missing = [
        name
        for name in ("model.c", "model.h", "edge_anp.c", "edge_anp.h", "edge_anp_table.h")
        if not (folder / name).is_file()
    ]
    if missing:
        raise BadFile(
            folder / missing[0], "there is no such file", should_be="what `edge-anp compile --target mcu` wrote there"
        )
    text = path.read_text(errors="replace")
    prefix = re.search(r"extern const ea_model (\w+);", text)
    sizes = {key.lower(): int(n) for key, n in re.findall(r"#define \w+?_(STATE_BYTES|TABLE_BYTES|INPUTS) (\d+)", text)}
    if prefix is None or set(sizes) != set(SIZES):
        raise BadFile(path, "it is no model.h", should_be="what `edge-anp compile --target mcu` wrote there")
    return prefix.group(1), sizes


def golden_crc(folder: Path) -> int:
    """The checksum of the golden vectors in model.c."""
    found = re.search(r"_golden = \{\w+, \d+u, (0x[0-9A-F]+)u\};", (folder / "model.c").read_text())
    if found is None:
        raise BadFile(
            folder / "model.c", "it has no golden vectors", should_be="what `edge-anp compile --target mcu` wrote there"
        )
    return int(found.group(1), 16)


@dataclass(frozen=True)
class Program:
    """What is built around the harness: C sources, where their headers are, and the memory that the harness takes (bytes)."""

    sources: tuple[Path, ...]
    include: tuple[Path, ...]
    state: int
    input: int
    table: int = 4
    flash: int = 0

    @property
    def flags(self) -> list[str]:
        return [f"-DSTATE_BYTES={self.state}", f"-DINPUT_BYTES={self.input}", f"-DTABLE_BYTES={self.table}"]


HARNESS = (build.HARNESS / "harness.c", build.HARNESS / "port_files.c")


def open_session(folder: Path, runner: str, net: IntegerNetwork, limit_s: float, **options: Any) -> Session:
    """Build and start what `runner` names, with the folder's network linked in, and begin with it.

    A file that was changed since it was written is named: in what the session says it `ran`, and where the runtime refuses to begin.
    """
    prefix, numbers = read_model(folder)
    changed = list(changes(folder, net, prefix))
    kind, _, port = runner.partition(":")
    if kind == "serial":
        session = Session(
            link.open_serial(port, limit_s), layer_sizes(net), net.input.size, f"a board at {port}", folder
        )
    else:
        files = (folder / "edge_anp.c", folder / "model.c", *HARNESS)
        program = Program(
            files,
            (folder, build.HARNESS),
            numbers["state_bytes"],
            _words(2 * net.input.size),
            4,
            numbers["table_bytes"],
        )
        session = start(program, runner, limit_s, model.built_in(prefix), folder / "model.c", **options)
        session.sizes, session.inputs = layer_sizes(net), net.input.size
    session.ran += "".join(f"; {name} is not as edge-anp writes it, from line {line} on" for name, line in changed)
    try:
        session.begin()
    except BadFile as error:
        session.close()
        if not changed:
            raise
        name, line = changed[0]
        raise BadFile(folder / name, f"it is not what `compile` wrote; {error.what}", f"line {line}") from error
    except BaseException:
        session.close()
        raise
    return session


def open_empty(
    runner: str, limit_s: float, table: int = 2**17, state: int = 2**17, input: int = 2**13, **options: Any
) -> Session:
    """A program without a network, with memory for one that is sent (`Session.load`)."""
    files = (*sorted(build.RUNTIME.glob("*.c")), *HARNESS)
    program = Program(files, (build.RUNTIME, build.HARNESS), state, input, table)
    return start(program, runner, limit_s, EMPTY, build.RUNTIME, **options)


EMPTY = (
    '#include "harness.h"\n\nconst ea_model *const ea_built_in = 0;\nconst ea_golden *const ea_built_in_golden = 0;\n'
)


def start(
    program: Program,
    runner: str,
    limit_s: float,
    glue: str,
    where: Path,
    flags: Sequence[str] = ("-O2",),
    count: bool = False,
) -> Session:
    """Build a program and start it. count: its instructions, on an emulated core."""
    place = Path(tempfile.mkdtemp(prefix="edge_anp_"))
    try:
        (place / "glue.c").write_text(glue)
        sources, flags = (*program.sources, place / "glue.c"), [*flags, *program.flags]
        if runner == "host":
            build.compile_host(sources, place / "program", program.include, flags)
            made, ran = link.start([place / "program"], place, limit_s, str(where)), build.version("cc")
        else:
            core = CORES[runner.partition(":")[2]]
            build.check_memory(
                core, program.flash + CODE, program.table + program.state + program.input + build.STACK + OWN
            )
            build.compile_core(core, sources, place / "program", program.include, flags)
            made = link.start_with_files(
                emulate(core, place / "program", count), place, limit_s, f"{runner} on {where}"
            )
            ran = f"{build.version(core.emulator[0])}, {core.emulator[2]} ({core.name}), {build.version(core.compiler)}"
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
    session = Session(made, (), 0, ran, where)
    session.close_with = lambda: shutil.rmtree(place, ignore_errors=True)
    return session


CODE, OWN = 24 * 1024, 1024  # bytes of flash and of RAM that the harness and picolibc take at most


def _words(size: int) -> int:
    return -(-max(4, size) // 4) * 4


def emulate(core: Core, program: Path, count: bool = False) -> list[str]:
    """The command that runs a program on an emulated core. count: instructions at a fixed pace, so that its timer counts them."""
    words = [build.require(core.emulator[0]), *core.emulator[1:], "-nographic", "-monitor", "none", "-serial", "none"]
    words += ["-semihosting-config", "enable=on,target=native", "-kernel", str(program)]
    return words + (["-icount", f"shift={core.icount}"] if count else [])
