"""From C to a program: the host's compiler, or a cross-compiler with picolibc, always with a time limit."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from edge_anp.errors import BadFile, OutOfRange, ToolMissing
from targets.mcu.cores import PACKAGES, Core

ROOM = Path(__file__).parent
RUNTIME, HARNESS = ROOM / "runtime", ROOM / "harness"
PARTS = ("noise", "trial", "answer", "guard", "credit", "rows", "commit", "weights", "slots", "save")
LEARNER = tuple(f"learn_{part}" for part in PARTS)
WARNINGS = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror")
LIMIT_S = 120  # for one compiler run
STACK = 2048
HEAD = """/* The runtime of edge-anp, its parts joined into one file; edge_anp.h says how to call it. */
#if defined(__GNUC__) && !defined(__clang__)
#define EA_GCC
#pragma GCC optimize("no-tree-loop-distribute-patterns") /* else GCC makes calls of memset out of loops */
#endif

#include "edge_anp_table.h"
"""
SMALL = """#if defined(EA_GCC)
#pragma GCC push_options
#pragma GCC optimize("Os")
#endif

{}

#if defined(EA_GCC)
#pragma GCC pop_options
#endif
"""


def amalgamate() -> str:
    """The runtime as one file, edge_anp.c: small code for what runs once a step or less, the compiler's choice for the kernels."""
    parts = [HEAD]
    for names, small in (
        ("check init input step path score answer events", True),
        ("dense products diagonal windows neuron", False),
    ):
        lines = [line for name in names.split() for line in (RUNTIME / f"{name}.c").read_text().splitlines()]
        text = "\n".join(line for line in lines if line != '#include "edge_anp_table.h"')
        parts.append(SMALL.format(text) if small else text)
    return "\n".join(parts) + "\n"


def amalgamate_learner() -> str:
    """The learner as one file, edge_anp_learn.c: it goes beside edge_anp.c."""
    lines = [line for name in LEARNER for line in (RUNTIME / f"{name}.c").read_text().splitlines()]
    includes = {'#include "edge_anp_learn_table.h"', '#include "edge_anp_save.h"'}
    text = "\n".join(line for line in lines if line not in includes)
    head = HEAD.replace("The runtime", "The learner").replace(
        "edge_anp.h says", "edge_anp_learn.h and edge_anp_save.h say"
    )
    return head.replace('"edge_anp_table.h"', '"edge_anp_learn_table.h"\n#include "edge_anp_save.h"') + text + "\n"


def require(program: str) -> str:
    """The path of a program, or ToolMissing with the packages that bring it."""
    found = shutil.which(program)
    if found is None:
        raise ToolMissing(
            program,
            f"on Debian and Ubuntu: apt-get install {PACKAGES.get(program, program)} (tools/cross_tools does it)",
        )
    return found


def run(words: Sequence[str | Path], folder: Path, limit_s: float = LIMIT_S, of: Path | None = None) -> str:
    """Run a compiler in `folder`; what it has to say, where it refuses, is one BadFile of the folder that the sources are `of`."""
    try:
        done = subprocess.run(
            [str(w) for w in words], cwd=folder, capture_output=True, text=True, timeout=limit_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise BadFile(of or folder, f"{words[0]} was not done after {limit_s:.0f} s") from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "ld returned" not in line]
        first = next((x for x in lines if re.search("error|overflow|undefined reference", x)), done.stderr[:300])
        raise BadFile(
            of or folder,
            f"{Path(str(words[0])).name} refuses it ({first.strip()})",
            should_be="the files that `edge-anp compile` wrote",
        )
    return done.stdout


def compile_host(sources: Sequence[Path], out: Path, include: Sequence[Path], flags: Sequence[str] = ("-O2",)) -> Path:
    """A program for this machine."""
    includes = [f"-I{folder.resolve()}" for folder in include]
    run(
        [
            require("cc"),
            "-std=c99",
            "-D_DEFAULT_SOURCE",
            *flags,
            *includes,
            *(p.resolve() for p in sources),
            "-o",
            out.resolve(),
        ],
        out.parent,
        of=sources[0].parent,
    )
    return out


def compile_core(
    core: Core,
    sources: Sequence[Path],
    out: Path,
    include: Sequence[Path],
    flags: Sequence[str] = ("-O2",),
    stack: int = STACK,
) -> Path:
    """A program for an emulated core, with picolibc around it."""
    includes = [f"-I{folder.resolve()}" for folder in include]
    memory = {"flash": core.flash, "ram": core.ram}
    places = [
        f"-Wl,--defsym=__{name}{part}={value:#x}"
        for name, pair in memory.items()
        for part, value in zip(("", "_size"), pair, strict=True)
    ]
    library = [
        "--specs=picolibc.specs",
        "--oslib=semihost",
        "--crt0=hosted",
        "-Tpicolibc.ld",
        f"-Wl,--defsym=__stack_size={stack:#x}",
    ]
    sections = ["-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections"]
    words = [
        require(core.compiler),
        "-std=gnu99",
        *core.flags,
        *flags,
        *sections,
        *includes,
        *(p.resolve() for p in sources),
    ]
    run([*words, *library, *places, "-lm", "-o", out.resolve()], out.parent, of=sources[0].parent)
    return out


def check_memory(core: Core, flash: int, ram: int) -> None:
    """Raise OutOfRange where a network is too large for the board that a core is emulated on."""
    for name, need, there in (("flash", flash, core.flash[1]), ("RAM", ram, core.ram[1])):
        if need > there:
            raise OutOfRange(
                f"qemu:{core.name} ({core.emulator[2]}) has {there} bytes of {name}; this network needs about {need}"
            )


@functools.cache
def version(program: str) -> str:
    """The first line of what a program says of itself."""
    done = subprocess.run([require(program), "--version"], capture_output=True, text=True, timeout=20, check=False)
    return (done.stdout.splitlines() or [program])[0]
