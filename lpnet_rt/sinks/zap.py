"""Who may connect: the authentication handler of a CURVE socket (ZeroMQ's ZAP, RFC 27).

libzmq asks the handler about every connection before it lets anything through. The socket enforces its ZAP domain, so
that without a handler, or with one that does not answer, nobody gets in.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from types import MappingProxyType

import zmq
from zmq.utils import z85

from lpnet_rt.errors import SettingsError
from lpnet_rt.keys import KeyFolder, KeyPair

__all__ = ["Authenticator"]

_logger = logging.getLogger(__name__)

_ADDRESS = "inproc://zeromq.zap.01"
_DOMAIN = b"lpnet"
_VERSION = b"1.0"
_POLL_MS = 100
_REREAD_S = 0.5
_REFUSED_LINE_S = 10.0
_HANDSHAKE_MS = 5_000
_JOIN_S = 2.0


class Authenticator:
    """Answers libzmq's questions from the allow-list, in a thread; re-reads the list within half a second of a change.

    A list that cannot be read allows nobody.

    Attributes:
        allowed: Public keys (Z85) and names of the clients that may connect; replaced as a whole when it changes.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], keys: KeyFolder, own: KeyPair) -> None:
        """Start answering; do it before any socket of the context is bound.

        Args:
            context: Of the sockets to protect; it may have one handler only.
            keys: Folder with the allow-list.
            own: The publisher's pair.
        """
        self._keys, self._own = keys, own
        self.allowed: Mapping[str, str] = MappingProxyType({})
        self._seen: object = None
        self._checked_s = self._refused_s = time.monotonic() - _REFUSED_LINE_S
        self._reread()
        self._refused = 0
        self._closed = threading.Event()
        self._socket = context.socket(zmq.REP)
        self._socket.linger = 0
        self._socket.bind(_ADDRESS)
        self._thread = threading.Thread(target=self._answer_all, name="zap", daemon=True)
        self._thread.start()

    def protect(self, socket: zmq.Socket[bytes]) -> None:
        """Turn CURVE on for a socket that is not bound yet."""
        socket.setsockopt(zmq.ZAP_DOMAIN, _DOMAIN)
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
        socket.setsockopt(zmq.HANDSHAKE_IVL, _HANDSHAKE_MS)
        socket.curve_secretkey = self._own.secret.encode()
        socket.curve_server = True

    def close(self) -> None:
        """Stop answering: nobody gets in from now on; harmless when called twice."""
        self._closed.set()
        self._thread.join(_JOIN_S)

    def _answer_all(self) -> None:
        try:
            while not self._closed.is_set():
                self._reread()
                if self._socket.poll(_POLL_MS):
                    self._socket.send_multipart(self._answer(self._socket.recv_multipart()))
        except zmq.ContextTerminated:
            pass
        except Exception:
            _logger.exception("publish: the check of keys has failed; nobody can connect until a restart")
        finally:
            self._socket.close(linger=0)

    def _answer(self, request: list[bytes]) -> list[bytes]:
        """Answer one request: version, number, domain, address, identity, mechanism, and for CURVE the public key."""
        number = request[1] if len(request) > 1 else b""
        key = self._key_of(request)
        if key and key not in self.allowed:
            self._reread(after_s=0.0)  # it may have been allowed a moment ago
        if key in self.allowed:
            return [_VERSION, number, b"200", b"OK", key.encode("ascii"), b""]
        address = request[3].decode("ascii", "replace") if len(request) > 3 else "?"
        self._note_refusal(address)
        return [_VERSION, number, b"400", b"the key is not allowed", b"", b""]

    def _key_of(self, request: list[bytes]) -> str:
        """Return the public key of a well-formed CURVE request; empty for any other."""
        if len(request) != 7 or request[0] != _VERSION or request[2] != _DOMAIN or request[5] != b"CURVE":
            return ""
        return z85.encode(request[6]).decode("ascii") if len(request[6]) == 32 else ""

    def _note_refusal(self, address: str) -> None:
        """Log refusals, at most one line per ten seconds."""
        self._refused += 1
        now_s = time.monotonic()
        if now_s - self._refused_s >= _REFUSED_LINE_S:
            times = "a subscriber" if self._refused == 1 else f"{self._refused} connections, the last one"
            _logger.warning("publish: refused %s from %s: its key is not allowed", times, address or "this machine")
            self._refused, self._refused_s = 0, now_s

    def _reread(self, after_s: float = _REREAD_S) -> None:
        """Re-read the allow-list if its files have changed; look at most every ``after_s`` seconds."""
        now_s = time.monotonic()
        if now_s - self._checked_s < after_s:
            return
        self._checked_s = now_s
        seen = self._keys.fingerprint()
        if seen == self._seen:
            return
        is_first, self._seen = self._seen is None, seen
        try:
            clients = self._keys.clients()
        except SettingsError as error:
            _logger.error("%s; nobody is allowed until this is mended", error)
            clients = {}
        if is_first or clients != self.allowed:
            self.allowed = MappingProxyType(clients)
            names = ", ".join(sorted(clients.values())) or "nobody; see lpnet-rt keys allow"
            _logger.info("publish: encrypted; allowed: %s", names)
