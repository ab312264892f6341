"""What a service manager hears: readiness, status, watchdog, reloading and stopping (systemd's sd_notify).

Without ``NOTIFY_SOCKET`` in the environment nothing is sent.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping

from lpnet_rt.text import one_line, printable

__all__ = ["Notifier"]


class Notifier:
    """Sends datagrams to the socket that the service manager names; never waits, and a failure is ignored.

    Attributes:
        watchdog_s: Time after which a silent service is restarted, seconds; None: the manager has no watchdog.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        """Read the environment.

        Args:
            environment: ``NOTIFY_SOCKET``: a path, or ``@NAME`` for an abstract socket; ``WATCHDOG_USEC``, which holds
                only for the process of ``WATCHDOG_PID``.
        """
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        microseconds = environment.get("WATCHDOG_USEC", "")
        is_ours = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        has_watchdog = bool(self._address) and is_ours and microseconds.isdecimal() and int(microseconds) > 0
        self.watchdog_s = int(microseconds) / 1e6 if has_watchdog else None

    def ready(self) -> None:
        """Say that the service works, after its start or after reloading."""
        self._send("READY=1")

    def reloading(self) -> None:
        """Say that settings are re-read; :meth:`ready` ends it."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """Say that the service ends."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """Say how the service is, in one line."""
        self._send(f"STATUS={printable(one_line(text))}")

    def feed_watchdog(self) -> None:
        """Say that the service is healthy."""
        self._send("WATCHDOG=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto(text.encode(), self._address)
