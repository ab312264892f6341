"""Limits on what the peers of a publishing socket may do to it.

A subscriber sends next to nothing: a greeting, its subscriptions and, now and then, a heartbeat. libzmq keeps every
subscription for as long as the peer is connected, files it in the thread that publishes, and searches all of them there
when a peer goes: peers that send them without end take the memory and stop the publishing. libzmq has no limit for
this, so a thread of our own watches the connections and cuts those that go too far.
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
"""Connections at a time; further ones are closed."""

MAX_REQUEST_BYTES = 512
"""Largest message that a peer may send. Topics need 100 bytes, the longest greeting some 350."""

_BURST_BYTES = 4096
_BYTES_A_SECOND = 64
_BURST_CONNECTIONS = 20
_CONNECTIONS_A_SECOND = 10
_SWEEP_S = 0.02
_EVENTS = zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED | zmq.EVENT_CLOSED | zmq.EVENT_MONITOR_STOPPED
_JOIN_S = 2.0
# Linux: eight single bytes and 24 words of four bytes come first, then the pacing rates and the bytes acknowledged.
_TCP_INFO = getattr(socket, "TCP_INFO", None)
_RECEIVED = struct.Struct("=Q")
_RECEIVED_AT = 128


@dataclass(frozen=True, slots=True)
class _Peer:
    """A connection: a duplicate of its handle, so that the number cannot come to mean another file, and its start."""

    handle: socket.socket
    accepted_s: float


class PeerGuard:
    """Watches the TCP connections of a socket and cuts those over the limits, in a thread of its own.

    A peer may send 4 KiB at once, which is some 45 subscriptions of the longest topic, and 64 bytes a second after
    that. 20 peers may connect at once and 10 a second after that; libzmq's subscribers try again by themselves. What
    the peers of a Unix socket (``ipc://``) send is not counted: its file says who may connect.
    """

    def __init__(self, publisher: zmq.Socket[bytes], max_peers: int = MAX_PEERS) -> None:
        """Start watching; call it before the socket is bound, so that no connection is missed.

        Args:
            publisher: Socket that peers connect to; used in the calling thread only.
            max_peers: Connections at a time.
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
        """Have a peer cut within some 20 milliseconds; may be called from any thread.

        Args:
            number: The file number of its connection.
        """
        self._condemned.append(number)

    def close(self) -> None:
        """Stop watching; call it in the socket's thread, before the socket is closed."""
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
            return  # gone already
        self._peers[number] = _Peer(handle, time.monotonic())
        if len(self._peers) > self._max_peers or not self._is_admitted():
            self._cut(number)

    def _is_admitted(self) -> bool:
        """Count a new connection; False if too many came lately."""
        now_s = time.monotonic()
        self._admitted = max(0.0, self._admitted - _CONNECTIONS_A_SECOND * (now_s - self._admitted_s))
        self._admitted_s = now_s
        if self._admitted >= _BURST_CONNECTIONS:
            return False
        self._admitted += 1
        return True

    def _sweep(self, now_s: float) -> None:
        while self._condemned:
            self._cut(self._condemned.popleft())
        for number, peer in list(self._peers.items()):
            if _received_bytes(peer.handle) > _BURST_BYTES + _BYTES_A_SECOND * (now_s - peer.accepted_s):
                self._cut(number)

    def _cut(self, number: int) -> None:
        """End a connection; libzmq then finds it closed by the peer, and drops what it keeps for it."""
        peer = self._peers.get(number)
        if peer is not None:
            with contextlib.suppress(OSError):  # gone already
                peer.handle.shutdown(socket.SHUT_RDWR)
        self._forget(number)

    def _forget(self, number: int) -> None:
        peer = self._peers.pop(number, None)
        if peer is not None:
            peer.handle.close()


def _received_bytes(handle: socket.socket) -> int:
    """Bytes that came over a TCP connection so far; 0 where the system does not say."""
    if _TCP_INFO is None or handle.family not in (socket.AF_INET, socket.AF_INET6):
        return 0
    try:
        facts = handle.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _RECEIVED_AT + _RECEIVED.size)
    except OSError:
        return 0
    return int(_RECEIVED.unpack_from(facts, _RECEIVED_AT)[0]) if len(facts) >= _RECEIVED_AT + _RECEIVED.size else 0
