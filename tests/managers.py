"""The service manager's end of sd_notify, and its signals, for tests."""

from __future__ import annotations

import signal
import socket


class Manager:
    """The service manager's end: a bound datagram socket."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.setblocking(False)

    def heard(self) -> list[str]:
        """Everything since the last call."""
        found = []
        try:
            while True:
                found.append(self.socket.recv(4096).decode())
        except BlockingIOError:
            return found


def arrive(number: signal.Signals) -> None:
    """Call the handler of a signal.

    OpenVINO replaces the alternate stack of the thread that loads an engine, here pytest's own; a real signal that
    comes after other tests may find that stack gone.
    """
    handler = signal.getsignal(number)
    assert callable(handler)
    handler(number, None)
