"""What holds for every test: one thread for torch and BLAS, laws drawn the same way every time, and no silent skips.

With EDGE_ANP_STRICT_SKIPS=1 (CI) a skipped test fails unless `allowed_skips.txt` lists it with its reason.
"""

from __future__ import annotations

import os
import re
from collections.abc import Generator
from pathlib import Path
from typing import TypeVar

import pytest
import torch
from hypothesis import settings

ALLOWED_SKIPS = Path(__file__).with_name("allowed_skips.txt")
SKIPS = pytest.StashKey[list[re.Pattern[str]]]()
Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

# A profile is chosen with --hypothesis-profile. No deadline: the first example pays for imports. Derandomized: a check
# gives the same verdict twice.
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.register_profile("fast", settings.get_profile("ci"), max_examples=20)
settings.load_profile("fast")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Two workers share two cores, and sums come out in the same order everywhere, in the programs that tests start too."""
    torch.set_num_threads(1)
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")


def allowed_skips(text: str) -> list[re.Pattern[str]]:
    """Read `test id: reason` lines; `*` stands for anything, `#` begins a comment line."""
    patterns = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        test, _, reason = line.partition(": ")
        if not reason.strip():
            raise pytest.UsageError(f"{ALLOWED_SKIPS.name}: {line!r} gives no reason; it must be `test id: reason`")
        patterns.append(re.compile(".*".join(map(re.escape, test.strip().split("*")))))
    return patterns


def pytest_configure(config: pytest.Config) -> None:
    config.stash[SKIPS] = allowed_skips(ALLOWED_SKIPS.read_text())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return without_silent_skip((yield), item.config)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return without_silent_skip((yield), collector.config)


def without_silent_skip(report: Report, config: pytest.Config) -> Report:
    """Turn a skip that is not allowed into a failure, with the reason it gave."""
    if not report.skipped or hasattr(report, "wasxfail") or os.environ.get("EDGE_ANP_STRICT_SKIPS") != "1":
        return report
    if not any(pattern.fullmatch(report.nodeid) for pattern in config.stash[SKIPS]):
        reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} was skipped ({reason}); {ALLOWED_SKIPS.name} does not list it"
    return report
