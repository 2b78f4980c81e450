"""Memory that is freed is kept: the same tensors again cost no page faults."""

import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys, torch
from edge_anp.learning.memory import keep_freed_memory
torch.set_num_threads(1)
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def work():
    a = torch.ones(8, 256, 256)
    return (a * 2 + a).sum()
for _ in range(10):
    work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the C library is not glibc")
def test_the_same_tensors_again_cost_no_page_faults():
    def faults(how: str) -> int:
        ran = subprocess.run(
            [sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, timeout=200, check=True
        )
        return int(ran.stdout)

    assert faults("keep") < 50 < faults("give back")
