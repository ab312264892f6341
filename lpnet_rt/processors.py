"""The number of CPUs available to this process."""

from __future__ import annotations

import os

__all__ = ["processor_count"]


def processor_count() -> int:
    """Return the number of CPUs available to this process; at least 1.

    Respects CPU affinity on Linux; macOS and Windows count all CPUs.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    if affinity is not None:
        return len(affinity(0))
    return os.cpu_count() or 1
