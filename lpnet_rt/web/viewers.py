"""A viewer: one WebSocket. Nothing is queued for it: it gets what is newest once it has taken what it got before."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Literal

import msgspec
from msgspec import Struct
from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from lpnet_rt.web.feed import Second
from lpnet_rt.web.hub import Hub
from lpnet_rt.web.pictures import PictureSize

__all__ = ["MAX_MESSAGE_BYTES", "MAX_VIEWERS", "Viewer", "serve_viewer"]

MAX_VIEWERS = 32
MAX_MESSAGE_BYTES = 4096
_SEND_S = 10.0
# A browser whose tab is hidden answers late; one that answers not at all is gone.
_ACK_S = 60.0
_FIRST_EVENTS = 100
_MAX_EVENTS = 200
_MAX_MESSAGES_PER_S = 120
_TRY_AGAIN_LATER, _POLICY_VIOLATION, _UNSUPPORTED = 1013, 1008, 1003


class _Wish(Struct, frozen=True, forbid_unknown_fields=True):
    """What a viewer says.

    Attributes:
        ack: Number of the message with pictures that it has shown.
        want: Sources whose pictures it wants, and their size.
    """

    ack: int | None = None
    want: dict[str, PictureSize] | None = None


class _Hello(Struct, frozen=True, kw_only=True):
    """The first message."""

    kind: Literal["hello"] = "hello"
    session: str
    model: str
    sources: tuple[str, ...]
    can_edit: bool
    can_save: bool
    needs_token: bool
    threshold: float
    floor: float
    rates: list[tuple[float, float]]
    history: dict[str, list[Second]]


class _Settings(Struct, frozen=True, kw_only=True):
    """Threshold and zones, at the start and after each change."""

    kind: Literal["settings"] = "settings"
    threshold: float
    zones: dict[str, object]


class _Events(Struct, frozen=True, kw_only=True):
    """New and changed events."""

    kind: Literal["events"] = "events"
    rows: list[object]


_DECODER = msgspec.json.Decoder(_Wish)


class Viewer:
    """What one viewer has and wants."""

    def __init__(self, socket: WebSocket, hub: Hub, needs_token: bool, may_see: Callable[[], bool]) -> None:
        self._socket, self._hub, self._needs_token, self._may_see = socket, hub, needs_token, may_see
        self._want: dict[str, PictureSize] = {}
        self._shown: dict[str, tuple[int, PictureSize]] = {}
        self._sent = self._acknowledged = 0
        self._versions = [0, -1, -1]  # of the status, the events and the settings
        self._acked = asyncio.Event()

    async def send_news(self) -> None:
        """Send what is new, as long as the viewer may see it."""
        await self._send_text(msgspec.json.encode(self._hello()))
        while self._may_see():
            await self._send_changes()
            if self._sent == self._acknowledged:
                await self._send_pictures()
            await self._hub.wait()

    async def read_wishes(self) -> None:
        """Read what the viewer says, for ever.

        Raises:
            WebSocketDisconnect: It has gone.
        """
        loop = asyncio.get_running_loop()
        count, since_s = 0, loop.time()
        while True:
            # Whoever shows pictures acknowledges them; whoever wants none may be silent.
            patience_s = _ACK_S if self._sent != self._acknowledged else None
            async with asyncio.timeout(patience_s):
                message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", 1000))
            count += 1
            if loop.time() - since_s >= 1:
                count, since_s = 0, loop.time()
            if count > _MAX_MESSAGES_PER_S:
                await self._socket.close(_POLICY_VIOLATION)
                return
            try:
                self._note(_DECODER.decode(message.get("text") or ""))
            except msgspec.MsgspecError:
                await self._socket.close(_UNSUPPORTED)
                return

    def _note(self, wish: _Wish) -> None:
        if wish.want is not None:
            self._want = {name: size for name, size in wish.want.items() if name in self._hub.feeds}
        if wish.ack is not None and wish.ack == self._sent:
            self._acknowledged = self._sent

    async def _send_changes(self) -> None:
        hub = self._hub
        if hub.controls.version != self._versions[2]:
            self._versions[2] = hub.controls.version
            zones: dict[str, object] = {name: hub.controls.zones(name) for name in hub.feeds}
            await self._send_text(msgspec.json.encode(_Settings(threshold=hub.controls.threshold, zones=zones)))
        if hub.events.version != self._versions[1]:
            rows = self._new_events()
            await self._send_text(msgspec.json.encode(_Events(rows=[*rows])))
        if hub.status_number != self._versions[0]:
            self._versions[0] = hub.status_number
            await self._send_text(hub.status)

    def _new_events(self) -> list[object]:
        is_first, version = self._versions[1] < 0, self._versions[1]
        self._versions[1] = self._hub.events.version
        if is_first:
            return [*reversed(self._hub.events.page(None, _FIRST_EVENTS))]
        return [*self._hub.events.changed_since(version)[-_MAX_EVENTS:]]

    async def _send_pictures(self) -> None:
        """Send the newest frames of the wanted sources, all in one message; the viewer acknowledges it."""
        parts = []
        for name, size in self._want.items():
            newest = self._hub.feeds[name].newest
            if newest is not None and self._shown.get(name) != (newest.number, size):
                parts.append(self._hub.pictures.part(newest, size))
                self._shown[name] = newest.number, size
        if not parts:
            return
        self._sent += 1
        message = b"".join((self._sent.to_bytes(4, "little"), *parts))
        async with asyncio.timeout(_SEND_S):
            await self._socket.send_bytes(message)

    async def _send_text(self, message: bytes) -> None:
        async with asyncio.timeout(_SEND_S):
            await self._socket.send_text(message.decode())

    def _hello(self) -> _Hello:
        hub, controls = self._hub, self._hub.controls
        return _Hello(
            session=hub.session,
            model=hub.model,
            sources=tuple(hub.feeds),
            can_edit=controls.can_edit,
            can_save=controls.config is not None,
            needs_token=self._needs_token,
            threshold=controls.threshold,
            floor=controls.floor,
            rates=controls.rates(),
            history={name: [*feed.history] for name, feed in hub.feeds.items()},
        )


async def serve_viewer(socket: WebSocket, hub: Hub, needs_token: bool, may_see: Callable[[], bool]) -> None:
    """Serve a viewer until it goes, is too slow or says what it must not.

    Args:
        socket: Not accepted yet; the guard has let it pass.
        hub: What all viewers share.
        needs_token: Whether the page has a log-out.
        may_see: Returns whether its session is still open.
    """
    if hub.viewers >= MAX_VIEWERS:
        await socket.send_denial_response(PlainTextResponse("too many viewers\n", 503))
        return
    hub.viewers += 1
    try:
        await socket.accept()
        await _serve(socket, Viewer(socket, hub, needs_token, may_see))
    finally:
        hub.viewers -= 1


async def _serve(socket: WebSocket, viewer: Viewer) -> None:
    tasks = [asyncio.ensure_future(viewer.send_news()), asyncio.ensure_future(viewer.read_wishes())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(RuntimeError, OSError):
            await asyncio.wait_for(socket.close(_TRY_AGAIN_LATER), 1.0)
