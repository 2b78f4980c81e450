"""What the commands share: the words of their options, where they print, how their errors end."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from edge_anp.errors import EdgeAnpError

out, err = Console(), Console(stderr=True)

ModelSpec = Annotated[
    str, typer.Argument(metavar="MODEL", help="file.py:factory, network.npz, integer.npz or a lava-dl .net")
]
TaskName = Annotated[str, typer.Option(help="a task (digits), data.npz, or file.py:function")]
Data = Annotated[Path | None, typer.Option(help="raw folder or file of a named task")]
Json = Annotated[Path | None, typer.Option("--json", help="write what was found out here")]
Shape = Annotated[str | None, typer.Option(help="shape of one time step, e.g. 1,28,28")]
Weights = Annotated[Path | None, typer.Option(help="a state_dict for the factory's module: .safetensors or .pt")]
Decode = Annotated[str | None, typer.Option(help="count, first_spike, membrane_mean or membrane_last")]
RULE_HELP = (
    "feedback-anp, bptt, onestep, readout, eprop-symmetric, eprop-random, reinforce, wp, np, anp, or file.py:rule"
)
Seed = Annotated[int, typer.Option(help="of everything that is random")]

INTERRUPTED = "[yellow]interrupted; files that were complete are kept[/]"


def reported(command: Callable[..., Any]) -> Callable[..., Any]:
    """A command whose errors end in one paragraph and an exit code."""

    @functools.wraps(command)
    def run(*args: Any, **options: Any) -> Any:
        try:
            return command(*args, **options)
        except KeyboardInterrupt:
            err.print(INTERRUPTED)
            raise typer.Exit(130) from None
        except (EdgeAnpError, ValueError) as error:
            if os.environ.get("EDGE_ANP_DEBUG"):
                raise
            err.print(f"[red]{type(error).__name__}[/]: ", end="")
            err.print(str(error), markup=False, highlight=False)
            raise typer.Exit(getattr(error, "exit_code", 2)) from None

    return run


def write_json(path: Path | None, content: Any) -> None:
    """Write a result where --json asks for it."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=1) + "\n")


def parse_shape(text: str | None) -> tuple[int, ...] | None:
    """'1,28,28' -> (1, 28, 28)."""
    if text is None:
        return None
    try:
        return tuple(int(n) for n in text.split(","))
    except ValueError:
        raise ValueError(f"--shape is {text!r}; it must be whole numbers joined by commas, e.g. 1,28,28") from None


def parse_options(texts: list[str] | None) -> dict[str, str]:
    """['prefix=digits'] -> {'prefix': 'digits'}."""
    pairs = [text.partition("=") for text in texts or ()]
    for (name, equals, _), text in zip(pairs, texts or (), strict=True):
        if not name or not equals:
            raise ValueError(f"--option is {text!r}; it must be NAME=VALUE, e.g. prefix=digits")
    return {name: value for name, _, value in pairs}
