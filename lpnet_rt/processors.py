"""Processors: how many this process may use."""

from __future__ import annotations

import os

__all__ = ["processor_count"]


def processor_count() -> int:
    """Return how many processors this process may use; at least 1.

    Linux can bind a process to some of them; macOS and Windows have no such call and count all.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    if affinity is not None:
        return len(affinity(0))
    return os.cpu_count() or 1
