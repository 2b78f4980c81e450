"""The cores that are emulated: how to compile for each, which board QEMU runs it on, and how its instructions are counted.

Memory maps are those of QEMU 7.2's boards; M0+ code runs on the board of an M3, whose instructions contain its own.
"""

from __future__ import annotations

from dataclasses import dataclass

ARM, RISCV = "arm-none-eabi-gcc", "riscv64-unknown-elf-gcc"
PACKAGES = {
    ARM: "gcc-arm-none-eabi picolibc-arm-none-eabi",
    RISCV: "gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf",
    "qemu-system-arm": "qemu-system-arm",
    "qemu-system-riscv32": "qemu-system-misc",
    "cc": "gcc",
}


@dataclass(frozen=True)
class Core:
    """flash, ram: (origin, bytes). ticks: of the counter per instruction, when QEMU counts 2^icount ns an instruction."""

    name: str
    compiler: str
    flags: tuple[str, ...]
    emulator: tuple[str, ...]
    flash: tuple[int, int]
    ram: tuple[int, int]
    icount: int
    ticks: float
    uart: int = 0


def _arm(
    name: str, flags: str, machine: str, flash: tuple[int, int], ram: tuple[int, int], mhz: float, uart: int = 0
) -> Core:
    """SysTick counts the core clock: 2^6 ns an instruction are 0.064 mhz ticks."""
    emulator = ("qemu-system-arm", "-M", machine)
    return Core(name, ARM, ("-mthumb", *flags.split()), emulator, flash, ram, 6, 0.064 * mhz, uart)


M = 2**20
MPS2 = ((0, 4 * M), (0x20000000, 4 * M), 25, 0x40004000)
HARD = "-mfloat-abi=hard"
CORES = {
    core.name: core
    for core in (
        _arm("m0", "-mcpu=cortex-m0", "microbit", (0, M // 4), (0x20000000, 16 * 1024), 16),
        _arm("m0plus", "-mcpu=cortex-m0plus", "mps2-an385", *MPS2),
        _arm("m3", "-mcpu=cortex-m3", "mps2-an385", *MPS2),
        _arm("m4", f"-mcpu=cortex-m4 {HARD} -mfpu=fpv4-sp-d16", "mps2-an386", *MPS2),
        _arm("m7", f"-mcpu=cortex-m7 {HARD} -mfpu=fpv5-d16", "mps2-an500", (0, 4 * M), (0x20000000, 4 * M), 25),
        _arm("m33", f"-mcpu=cortex-m33 {HARD} -mfpu=fpv5-sp-d16", "mps2-an505", (0x10000000, 4 * M), (0x38000000, M), 20),
        _arm("m55", f"-mcpu=cortex-m55 {HARD}", "mps3-an547", (0, M // 2), (0x20000000, M // 2), 32),
        Core(
            "rv32", RISCV, ("-march=rv32imac", "-mabi=ilp32", "-mcmodel=medany"),
            ("qemu-system-riscv32", "-M", "virt", "-bios", "none"), (0x80000000, 2 * M), (0x80200000, 4 * M), 0, 1.0,
        ),
    )
}  # fmt: skip
