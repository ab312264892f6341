"""The server: its thread, its event loop, and the bounds on connections."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
import threading

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from lpnet_rt.errors import SinkError
from lpnet_rt.web.guard import Guard
from lpnet_rt.web.hub import Hub
from lpnet_rt.web.viewers import MAX_MESSAGE_BYTES

__all__ = ["MAX_CONNECTIONS", "MAX_CONNECTIONS_PER_ADDRESS", "WebServer"]

_logger = logging.getLogger(__name__)

MAX_CONNECTIONS = 256
MAX_CONNECTIONS_PER_ADDRESS = 128
_HEADER_BYTES = 16 * 1024
_WATCH_S = 5.0
_HANDSHAKE_S = 10.0
_KEEP_ALIVE_S = 5
# So often a connection is taken at most; more wait in the kernel, and cost detection nothing.
_ACCEPTS_PER_S, _ACCEPT_BURST = 100, 100
_START_S = 10.0
_SWITCH_S = 0.0005
_CLOSE_S = 2.0


class _BoundedProtocol(H11Protocol):
    """HTTP that closes a connection on which nothing goes on for five to ten seconds.

    That is one whose request stays unfinished, the first or a later one, or that does not take what it asked for.
    """

    _watching: asyncio.TimerHandle | None = None
    _left_bytes = 0
    _was_stuck = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watching = self.loop.call_later(_WATCH_S, self._watch)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._watching is not None:
            self._watching.cancel()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self.transport.is_closing() or self.transport.get_protocol() is not self:
            return  # it has become a WebSocket
        if self.cycle is None or self.cycle.response_complete:
            # Between requests a timer runs; it stops with the first byte of the next one.
            is_stuck = self.timeout_keep_alive_task is None
        else:
            left_bytes = self.transport.get_write_buffer_size()
            is_stuck = left_bytes > 0 and left_bytes == self._left_bytes
            self._left_bytes = left_bytes
        if is_stuck and self._was_stuck:
            self.transport.abort()
            return
        self._was_stuck = is_stuck
        self._watching = self.loop.call_later(_WATCH_S, self._watch)


class _Server(uvicorn.Server):
    """Takes connections at a bounded rate, and drops those over the limits at once."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to take connections."""
        await self.lifespan.startup()
        self.servers = []
        (listener,) = sockets or []
        self._taking = asyncio.ensure_future(self._take_connections(listener))
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more, and close those that there are."""
        self._taking.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError):
            await self._taking
        await super().shutdown(sockets)

    async def _take_connections(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        allowed, at_s = float(_ACCEPT_BURST), loop.time()
        while True:
            now_s = loop.time()
            allowed, at_s = min(_ACCEPT_BURST, allowed + (now_s - at_s) * _ACCEPTS_PER_S), now_s
            if allowed < 1:
                await asyncio.sleep((1 - allowed) / _ACCEPTS_PER_S)
                continue
            try:
                connection, address = await loop.sock_accept(listener)
            except OSError:  # out of file descriptors, or the peer has gone already
                await asyncio.sleep(0.1)
                continue
            allowed -= 1
            if self._is_full(address[0]):
                connection.close()
                continue
            task = asyncio.ensure_future(self._serve_connection(loop, connection))
            self.server_state.tasks.add(task)
            task.add_done_callback(self.server_state.tasks.discard)

    async def _serve_connection(self, loop: asyncio.AbstractEventLoop, connection: socket.socket) -> None:
        """Hand a connection to its protocol; a failed TLS handshake ends it within ten seconds."""
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        timeout_s = None if self.config.ssl is None else _HANDSHAKE_S
        try:
            await loop.connect_accepted_socket(
                self._make_protocol, connection, ssl=self.config.ssl, ssl_handshake_timeout=timeout_s
            )
        except OSError:
            connection.close()

    def _make_protocol(self) -> asyncio.Protocol:
        state = self.lifespan.state
        return _BoundedProtocol(config=self.config, server_state=self.server_state, app_state=state)

    def _is_full(self, address: str) -> bool:
        connections = self.server_state.connections
        if len(connections) >= MAX_CONNECTIONS:
            return True
        clients = [getattr(connection, "client", None) for connection in connections]
        of_address = [client for client in clients if client is not None and client[0] == address]
        return len(of_address) >= MAX_CONNECTIONS_PER_ADDRESS


class WebServer:
    """The server in its thread."""

    def __init__(
        self,
        listener: socket.socket,
        hub: Hub,
        app: Guard,
        certificate: str | None = None,
        key: str | None = None,
    ) -> None:
        """Start the server.

        Args:
            listener: Bound and listening socket; closed with the server.
            hub: What the viewers share; it runs in the server's thread.
            app: The application.
            certificate: PEM file, for HTTPS, or None.
            key: PEM file of its private key.

        Raises:
            SinkError: It does not start.
        """
        self._listener, self._hub, self._app = listener, hub, app
        self._certificate, self._key = certificate, key
        self._server: _Server | None = None
        self._failure: BaseException | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._work, name="lpnet-web", daemon=True)
        self._thread.start()
        if not self._started.wait(_START_S) or self._failure is not None:
            raise SinkError(f"web: the server does not start: {self._failure or 'no answer'}") from self._failure

    def close(self) -> None:
        """End the server; harmless when called twice."""
        if self._server is not None:
            self._server.should_exit = True
        self._thread.join(_CLOSE_S)
        self._listener.close()

    def _work(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # raised by the constructor, or logged
            self._failure = error
            if self._started.is_set():
                _logger.warning("web: the server has ended: %s: %s", type(error).__name__, error)
            self._started.set()

    async def _serve(self) -> None:
        server = self._server = _Server(_config(self._app, self._certificate, self._key))
        pacing = asyncio.ensure_future(self._hub.run())
        self._listener.setblocking(False)
        # The pipeline gets the interpreter back within half a millisecond, not five.
        sys.setswitchinterval(min(sys.getswitchinterval(), _SWITCH_S))
        self._started.set()
        try:
            await server.serve(sockets=[self._listener])
        finally:
            pacing.cancel()


def _config(app: Guard, certificate: str | None, key: str | None) -> uvicorn.Config:
    config = uvicorn.Config(
        app,
        http=_BoundedProtocol,
        ws="websockets-sansio",
        loop="asyncio",
        lifespan="off",
        interface="asgi3",
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_max_queue=8,
        ws_per_message_deflate=False,
        h11_max_incomplete_event_size=_HEADER_BYTES,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=1,
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )
    config.load()
    # Whatever a stranger sends is no news: no line of the log for each.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    return config
