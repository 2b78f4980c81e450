"""Memory that is freed is kept for the next update, where the C library is glibc.

An update makes and frees tensors of megabytes, the same ones every time. By default glibc gives each back to the kernel at once, which
then has to hand out, and clear, the same pages again: up to a fifth of the time of an update. A training run keeps its peak instead.
"""

from __future__ import annotations

import ctypes
import sys

TRIM_THRESHOLD, MMAP_MAX = -1, -4  # of mallopt, in malloc.h


def keep_freed_memory() -> bool:
    """Tell the allocator of this process; whether it could be told."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    return mallopt is not None and bool(mallopt(TRIM_THRESHOLD, 2**31 - 1)) and bool(mallopt(MMAP_MAX, 0))
