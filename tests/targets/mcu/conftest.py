"""The tests of the microcontroller target need compilers and emulators, which tools/cross_tools installs."""

import shutil

import pytest

PROGRAMS = (
    "cc",
    "cmake",
    "clang",
    "cppcheck",
    "arm-none-eabi-gcc",
    "riscv64-unknown-elf-gcc",
    "qemu-system-arm",
    "qemu-system-riscv32",
)


@pytest.fixture(scope="session", autouse=True)
def cross_tools():
    """Skip, with what is missing, where it is; in CI a skip is a failure."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} missing; tools/cross_tools installs what the mcu target's tests need")
