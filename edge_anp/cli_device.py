"""The commands for what comes back from devices: dump, migrate, replay."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from edge_anp.cli import app, err, out, reported, write_json
from edge_anp.cli_options import Json

Build = Annotated[Path, typer.Argument(help="what `compile --learn` wrote")]
Sector = Annotated[int, typer.Option(help="bytes that the device's flash erases at once")]


@app.command(epilog="Example: edge-anp dump build/dev flash.bin --sector 2048")
@reported
def dump(
    build: Build,
    file: Annotated[Path, typer.Argument(help="the device's journal, read out of its flash")],
    sector: Sector = 4096,
    json_file: Json = None,
) -> None:
    """Show what a device has saved: its slots, what is damaged, which one it would load, and what was learned."""
    from edge_anp import report_device
    from edge_anp.migration import open_build

    found = report_device.examine(open_build(build), file, sector)
    for table in report_device.tables(found):
        out.print(table)
    write_json(json_file, report_device.to_json(found))
    if found.damaged:
        raise typer.Exit(1)


@app.command(epilog="Example: edge-anp migrate build/old build/new --journal flash.bin --out flash_new.bin")
@reported
def migrate(
    old: Annotated[Path, typer.Argument(help="the folder that the device was built from")],
    new: Annotated[Path, typer.Argument(help="the folder that it will be built from")],
    journal: Annotated[Path | None, typer.Option(help="its journal; default: journal.bin in OLD")] = None,
    out_file: Annotated[Path | None, typer.Option("--out", help="the new journal; default: journal.bin in NEW")] = None,
    sector: Sector = 4096,
    force: Annotated[bool, typer.Option("--force", help="replace a journal that is there")] = False,
    json_file: Json = None,
) -> None:
    """Keep what a device learned, for the layers that did not change, in a journal that the new build loads."""
    from edge_anp import migration, report_device

    before, after = migration.open_build(old), migration.open_build(new)
    source, to = journal or old / migration.JOURNAL, out_file or new / migration.JOURNAL
    if to.exists() and not force:
        raise ValueError(f"{to} is there already; name another with --out, or replace it with --force")
    saved, fates = migration.migrate(before, after, migration.read_saved(before, source, sector)[0])
    migration.write(to, after, saved, sector, force, migration.slots_of(before, source, sector))
    out.print(report_device.fate_table(fates))
    out.print(f"written to {to}; trial {saved.trial}, seed {saved.seed} go on", markup=False, highlight=False)
    write_json(json_file, migration.to_json(fates))


@app.command(epilog="Example: edge-anp replay build/dev field.log --journal flash.bin")
@reported
def replay(
    build: Build,
    log: Annotated[Path, typer.Argument(help="what the device, or `learn --log`, wrote")],
    journal: Annotated[Path | None, typer.Option(help="what the device had loaded when the log began")] = None,
    runner: Annotated[str | None, typer.Option(help="e.g. host or qemu:m4; default: the reference in numpy")] = None,
    sector: Sector = 4096,
    slots: Annotated[int, typer.Option(help="of the device's journal: 2 or 3")] = 3,
    json_file: Json = None,
) -> None:
    """Replay the trials of a log: the same answers and the same weights, or the first difference. Exit 0 only when all is equal."""
    from edge_anp import replaying

    with Progress(console=err, transient=True) as progress:
        bar = progress.add_task("replaying", total=None)
        found = replaying.replay_file(
            build, log, journal, runner, sector, lambda done, of: progress.update(bar, completed=done, total=of), slots
        )
    out.print(found.sentence(), markup=False, highlight=False)
    write_json(json_file, found.to_json())
