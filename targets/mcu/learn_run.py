"""Learners, built and started: on this machine, on an emulated core, or on a board at a serial line."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from edge_anp import journal
from edge_anp.errors import BadFile
from edge_anp.integer import IntegerNetwork
from edge_anp.ondevice_plan import LearningPlan
from targets.mcu import build, learning, link, tables
from targets.mcu.cores import CORES
from targets.mcu.learn_session import LearnSession
from targets.mcu.run import CODE, OWN, emulate, read_model

DATA = 2**24  # bytes of samples that the harness keeps on this machine
SECTOR = journal.SECTOR  # of the flash that the harness keeps in RAM
OF_THE_LEARNER = ("learn.c", "learn.h", "edge_anp_learn.c", "edge_anp_learn.h", "edge_anp_learn_table.h")


def open_learner(
    folder: Path, runner: str, net: IntegerNetwork, plan: LearningPlan, limit_s: float = 600, count: bool = False,
    flags: Sequence[str] = ("-O2",), slots: int = journal.SLOTS,
) -> LearnSession:  # fmt: skip
    """Build and start what `runner` names on what `compile --learn` wrote; it begins once `start` is called.

    slots: of the flash that it keeps in RAM; two, or none, where a board's RAM holds no more.
    """
    prefix, numbers = read_model(folder)
    for name in OF_THE_LEARNER:
        if not (folder / name).is_file():
            raise BadFile(
                folder / name,
                "there is no such file",
                should_be="what `edge-anp compile --target mcu --learn` wrote there",
            )
    learned = learning.write(net, plan, tables.write(net))
    kind, _, port = runner.partition(":")
    if kind == "serial":
        return LearnSession(link.open_serial(port, limit_s), net, plan, learned, f"a board at {port}", folder)
    inputs = learning.input_bytes(net, plan)
    place = Path(tempfile.mkdtemp(prefix="edge_anp_"))
    try:
        (place / "glue.c").write_text(learning.GLUE.format(prefix=prefix))
        sources = (
            *(folder / name for name in ("edge_anp.c", "model.c", "edge_anp_learn.c", "learn.c")),
            *(build.HARNESS / name for name in ("learn.c", "learn_world.c", "port_files.c")),
            place / "glue.c",
        )
        sizes = [f"-DBLOCK_BYTES={learned.block}", f"-DINPUT_BYTES={inputs}"]
        slot = -(-(journal.WEIGHTS_AT + learned.weights[1]) // SECTOR) * SECTOR
        taken = learned.block + inputs + build.STACK + OWN
        rooms = [n for n in (3, 2) if n <= slots and (kind == "host" or CORES[port].ram[1] > taken + n * slot)]
        sizes += [f"-DFLASH_BYTES={rooms[0] * slot}"] if rooms else []
        include = (folder, build.HARNESS)
        if kind == "host":
            sizes += [f"-DDATA_BYTES={DATA}"]
            build.compile_host(sources, place / "program", include, [*flags, *sizes])
            made, ran = link.start([place / "program"], place, limit_s, str(folder)), build.version("cc")
        else:
            core = CORES[port]
            build.check_memory(
                core, numbers["table_bytes"] + 4 * len(learned.words) + CODE, learned.block + inputs + build.STACK + OWN
            )
            build.compile_core(core, sources, place / "program", include, [*flags, *sizes])
            made = link.start_with_files(
                emulate(core, place / "program", count), place, limit_s, f"{runner} on {folder}"
            )
            ran = f"{build.version(core.emulator[0])}, {core.emulator[2]} ({core.name}), {build.version(core.compiler)}"
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
    session = LearnSession(made, net, plan, learned, ran, folder)
    session.close_with = lambda: shutil.rmtree(place, ignore_errors=True)
    return session
