"""What is installed, what is missing, and how to get it."""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from edge_anp import target
from edge_anp.errors import EdgeAnpError


@dataclass(frozen=True)
class Finding:
    """One thing that edge-anp may need: `found` is its version, or empty."""

    name: str
    found: str
    needed_for: str
    remedy: str = ""

    @property
    def required(self) -> bool:
        return self.needed_for == "everything"


PACKAGES = {
    "torch": "everything",
    "snntorch": "everything",
    "numpy": "everything",
    "onnx": "everything",
    "onnxruntime": "everything",
    "scikit-learn": "everything",
    "safetensors": "everything",
    "emx-onnx-cgen": "tests: C from the ONNX files",
}
PROGRAMS = {
    "git": "development",
    "cc": "mcu: runner host",
    "arm-none-eabi-gcc": "mcu: runners qemu:m0 to qemu:m55",
    "qemu-system-arm": "mcu: runners qemu:m0 to qemu:m55",
    "riscv64-unknown-elf-gcc": "mcu: runner qemu:rv32",
    "qemu-system-riscv32": "mcu: runner qemu:rv32",
}


def examine() -> Iterator[Finding]:
    """Look at Python, packages, programs and targets, one finding each."""
    yield Finding("python", platform.python_version(), "everything", "install Python 3.11, 3.12 or 3.13")
    for name, use in PACKAGES.items():
        try:
            found = version(name)
        except PackageNotFoundError:
            found = ""
        yield Finding(name, found, use, f"pip install {name}")
    for name, use in PROGRAMS.items():
        yield Finding(
            name,
            _first_line(name),
            use,
            f"install {name} with your system's package manager (for mcu: tools/cross_tools)",
        )
    yield Finding("lava", _lava(), "--target loihi: verify", "tools/lava_env")
    for name in target.available():
        try:
            found = "works: " + ", ".join(target.find(name).runners)
        except Exception as error:  # a target of somebody else's may fail in any way; that is the finding
            found, remedy = "", str(error)
        else:
            remedy = ""
        yield Finding(f"target {name}", found, f"--target {name}", remedy)


def _lava() -> str:
    """Where Lava's Python is, if the loihi target finds one."""
    try:
        return str(target.find("loihi").find_python())  # type: ignore[attr-defined]
    except (EdgeAnpError, ValueError, AttributeError):
        return ""


def _first_line(program: str) -> str:
    if shutil.which(program) is None:
        return ""
    try:
        result = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (result.stdout.splitlines() or [""])[0]
