"""The end of the process."""

from __future__ import annotations

import os
import sys
import threading

__all__ = ["leave"]


def leave(code: int) -> int:
    """Return the exit code, or end the process with it if a thread is stuck in a native call.

    Python tears down modules at exit; a thread that returns from a library at that time aborts the process.
    """
    if any(thread.name.startswith("lpnet-") for thread in threading.enumerate()):
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                continue
        os._exit(code)
    return code
