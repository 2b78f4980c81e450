"""cppcheck with its MISRA addon over the runtime: what deviates is listed with its reason, and nothing else does."""

import re
import subprocess
from pathlib import Path

import pytest

from targets.mcu import build

DEVIATIONS = Path(__file__).with_name("misra_deviations.txt")


def deviations() -> dict[str, str]:
    lines = [line for line in DEVIATIONS.read_text().splitlines() if not line.startswith("#")]
    return {rule: reason.strip() for rule, _, reason in (line.partition(": ") for line in lines)}


@pytest.mark.slow
def test_every_deviation_is_listed_with_its_reason():
    words = [
        "cppcheck",
        "--std=c99",
        "--addon=misra",
        "--enable=style,warning,portability",
        "--quiet",
        "--template={file}:{line} [{id}]",
    ]
    done = subprocess.run(
        [*words, "-I", build.RUNTIME, *sorted(build.RUNTIME.glob("*.c"))], capture_output=True, text=True, timeout=300
    )
    found: dict[str, str] = {}
    for place, rule in re.findall(r"^(.*) \[([\w.-]+)\]$", done.stderr, re.MULTILINE):
        found.setdefault(rule, Path(place).name)
    assert "misra-c2012-11.5" in found, f"the addon did not run: {done.stdout} {done.stderr[:500]}"
    assert {rule: place for rule, place in found.items() if rule not in deviations()} == {}
    assert set(deviations()) - set(found) == set()
    assert all(deviations().values())
