"""Limits on the peers of a publishing socket.

A subscriber sends little: a greeting, its subscriptions and occasional heartbeats. libzmq stores every subscription
while the peer is connected, and processes subscriptions and disconnections in the publishing thread: a peer that sends
endless subscriptions exhausts the memory and stalls the publisher. libzmq has no limit on this, so a separate thread
monitors the connections and cuts those over the limits.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
import time
from collections import deque
from dataclasses import dataclass

import zmq
from zmq.utils.monitor import recv_monitor_message

__all__ = ["MAX_PEERS", "MAX_REQUEST_BYTES", "PeerGuard"]

MAX_PEERS = 100
"""Simultaneous connections; further ones are closed."""

MAX_REQUEST_BYTES = 512
"""Largest message that a peer may send. Topics need 100 bytes, the longest greeting some 350."""

_BURST_BYTES = 4096
_BYTES_PER_SECOND = 64
_BURST_CONNECTIONS = 20
_CONNECTIONS_PER_SECOND = 10
_SWEEP_S = 0.02
_EVENTS = zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED | zmq.EVENT_CLOSED | zmq.EVENT_MONITOR_STOPPED
_JOIN_S = 2.0
# Offset in Linux's struct tcp_info: 8 single bytes, 24 words of 4 bytes, then pacing rates and bytes acknowledged.
_TCP_INFO = getattr(socket, "TCP_INFO", None)
_RECEIVED = struct.Struct("=Q")
_RECEIVED_AT = 128


@dataclass(frozen=True, slots=True)
class _Peer:
    """A connection: a duplicate of its handle, so that its file number is not reused, and its start."""

    handle: socket.socket
    accepted_s: float


class PeerGuard:
    """Monitors the TCP connections of a socket in a separate thread and cuts those over the limits.

    A peer may send 4 KiB at once, which is about 45 subscriptions of the longest topic, then 64 bytes per second. 20
    peers may connect at once, then 10 per second; libzmq's subscribers retry automatically. Data from peers of a Unix
    socket (``ipc://``) is not limited: file permissions decide who may connect.
    """

    def __init__(self, publisher: zmq.Socket[bytes], max_peers: int = MAX_PEERS) -> None:
        """Start monitoring; call it before the socket is bound, so that no connection is missed.

        Args:
            publisher: Socket that peers connect to; used in the calling thread only.
            max_peers: Simultaneous connections.
        """
        self._publisher = publisher
        self._max_peers = max_peers
        self._peers: dict[int, _Peer] = {}
        self._condemned: deque[int] = deque()
        self._admitted, self._admitted_s = 0.0, time.monotonic()
        address = f"inproc://peers-{id(self)}"
        publisher.monitor(address, _EVENTS)
        self._monitor = publisher.context.socket(zmq.PAIR)
        self._monitor.connect(address)
        self._thread = threading.Thread(target=self._watch, name="peers", daemon=True)
        self._thread.start()

    def cut(self, number: int) -> None:
        """Cut a peer within about 20 ms; may be called from any thread.

        Args:
            number: File descriptor of its connection.
        """
        self._condemned.append(number)

    def close(self) -> None:
        """Stop monitoring; call it in the socket's thread, before the socket is closed."""
        self._publisher.disable_monitor()
        self._thread.join(_JOIN_S)

    def _watch(self) -> None:
        swept_s = time.monotonic()
        try:
            while True:
                if self._monitor.poll(_SWEEP_S * 1000 if self._peers else None):
                    event = recv_monitor_message(self._monitor)
                    if event["event"] == zmq.EVENT_MONITOR_STOPPED:
                        return
                    self._note(event["event"], int(event["value"]))
                now_s = time.monotonic()
                if now_s - swept_s >= _SWEEP_S:
                    swept_s = now_s
                    self._sweep(now_s)
        finally:
            for handle in list(self._peers):
                self._forget(handle)
            self._monitor.close(linger=0)

    def _note(self, event: int, number: int) -> None:
        self._forget(number)
        if event != zmq.EVENT_ACCEPTED:
            return
        try:
            handle = socket.socket(fileno=os.dup(number))
        except OSError:
            return  # already gone
        self._peers[number] = _Peer(handle, time.monotonic())
        if len(self._peers) > self._max_peers or not self._is_admitted():
            self._cut(number)

    def _is_admitted(self) -> bool:
        """Count a new connection; False if there were too many recently."""
        now_s = time.monotonic()
        self._admitted = max(0.0, self._admitted - _CONNECTIONS_PER_SECOND * (now_s - self._admitted_s))
        self._admitted_s = now_s
        if self._admitted >= _BURST_CONNECTIONS:
            return False
        self._admitted += 1
        return True

    def _sweep(self, now_s: float) -> None:
        while self._condemned:
            self._cut(self._condemned.popleft())
        for number, peer in list(self._peers.items()):
            if _received_bytes(peer.handle) > _BURST_BYTES + _BYTES_PER_SECOND * (now_s - peer.accepted_s):
                self._cut(number)

    def _cut(self, number: int) -> None:
        """Shut down a connection; libzmq then treats it as closed by the peer and frees its state."""
        peer = self._peers.get(number)
        if peer is not None:
            with contextlib.suppress(OSError):  # already gone
                peer.handle.shutdown(socket.SHUT_RDWR)
        self._forget(number)

    def _forget(self, number: int) -> None:
        peer = self._peers.pop(number, None)
        if peer is not None:
            peer.handle.close()


def _received_bytes(handle: socket.socket) -> int:
    """Return the bytes received over a TCP connection so far; 0 if unknown."""
    if _TCP_INFO is None or handle.family not in (socket.AF_INET, socket.AF_INET6):
        return 0
    try:
        facts = handle.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _RECEIVED_AT + _RECEIVED.size)
    except OSError:
        return 0
    return int(_RECEIVED.unpack_from(facts, _RECEIVED_AT)[0]) if len(facts) >= _RECEIVED_AT + _RECEIVED.size else 0
