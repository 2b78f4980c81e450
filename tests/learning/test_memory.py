"""Memory that is freed is kept: the same tensors again cost no page faults."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import ctypes, resource, sys, torch
from edge_anp.learning.memory import keep_freed_memory
ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)  # PR_SET_THP_DISABLE: pages of one size, whatever the machine's setting
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
    # glibc's own threshold; named, it no longer moves while the process runs
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "131072"}

    def faults(how: str) -> int:
        command = [sys.executable, "-c", SCRIPT, how]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True, env=environment)
        return int(ran.stdout)

    given_back = faults("give back")  # 50 times 3 tensors of 512 pages
    assert given_back > 50 * 512
    assert faults("keep") < given_back / 50  # one tensor may still find a place of its own
