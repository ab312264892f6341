"""A TCP or TLS connection of a peer, read without waiting and written with a time limit."""

from __future__ import annotations

import socket
import ssl

from lpnet_rt.outputs.peer import PeerAwayError

__all__ = ["Stream"]

_CONNECT_S = 5.0
_SEND_S = 5.0
_KEEPALIVE_IDLE_S = 10
_KEEPALIVE_TRIES = 3
_READ_BYTES = 65_536


class Stream:
    """An open connection; used from one thread."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None = None, server_name: str | None = None) -> None:
        """Connect.

        Args:
            host: Name or address.
            port: Its port.
            tls: Encrypt with this context.
            server_name: Name in the server's certificate; None: the host.

        Raises:
            OSError: It cannot be reached, or its certificate is not trusted.
        """
        raw = socket.create_connection((host, port), _CONNECT_S)
        try:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # A peer whose cable is pulled is noticed within a minute, even if nothing is sent.
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in (("TCP_KEEPIDLE", _KEEPALIVE_IDLE_S), ("TCP_KEEPINTVL", _KEEPALIVE_IDLE_S),
                                ("TCP_KEEPCNT", _KEEPALIVE_TRIES)):  # fmt: skip
                if hasattr(socket, name):
                    raw.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
            self._socket = raw if tls is None else tls.wrap_socket(raw, server_hostname=server_name or host)
        except BaseException:
            raw.close()
            raise

    def write(self, payload: bytes) -> None:
        """Write all of it; a peer that takes nothing for five seconds counts as away.

        Raises:
            OSError: The connection is broken.
        """
        self._socket.settimeout(_SEND_S)
        self._socket.sendall(payload)

    def read(self, wait_s: float = 0.0) -> bytes:
        """What the peer has sent; empty if nothing has come within a time.

        Raises:
            PeerAwayError: It has closed the connection.
            OSError: The connection is broken.
        """
        self._socket.settimeout(wait_s)
        try:
            payload = self._socket.recv(_READ_BYTES)
        except (TimeoutError, BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return b""
        if not payload:
            raise PeerAwayError("it has closed the connection")
        return payload

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()
