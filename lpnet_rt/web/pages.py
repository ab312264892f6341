"""What the page can be asked for; whoever asks has passed the guard."""

from __future__ import annotations

import asyncio
from importlib import resources
from typing import Annotated, TypeVar
from urllib.parse import parse_qs

import msgspec
from msgspec import Meta, Struct
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from lpnet_rt.errors import LpnetError, SinkError, SourceError
from lpnet_rt.settings.zones import ZoneSettings
from lpnet_rt.web.access import Access, HostNames
from lpnet_rt.web.browser_video import mp4_of
from lpnet_rt.web.guard import COOKIE, Guard, cookie_of, too_many
from lpnet_rt.web.hub import Hub
from lpnet_rt.web.metrics import Metrics
from lpnet_rt.web.viewers import serve_viewer

__all__ = ["make_app"]

_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_BODY_BYTES = 64 * 1024
_BODY_S = 10.0
_MAX_PAGE = 200

_Kind = TypeVar("_Kind")


class _Threshold(Struct, frozen=True, forbid_unknown_fields=True):
    threshold: Annotated[float, Meta(gt=0, le=1)]


class _Zones(Struct, frozen=True, forbid_unknown_fields=True):
    zones: tuple[ZoneSettings, ...]


class _Refused(Exception):  # noqa: N818 - an answer, not an error
    """A request is answered with this status and text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


def make_app(hub: Hub, access: Access, hosts: HostNames, metrics: Metrics) -> Guard:
    """Return the application of the page, behind its guard.

    Args:
        hub: What the viewers share.
        access: The token and the sessions.
        hosts: The names of this machine.
        metrics: For Prometheus.
    """
    pages = _Pages(hub, access, metrics)
    routes: list[BaseRoute] = [
        Route("/", pages.index),
        Route("/login", pages.login, methods=["GET", "POST"]),
        Route("/logout", pages.logout, methods=["POST"]),
        Route("/static/{name}", pages.static),
        Route("/metrics", pages.metrics),
        Route("/api/events", pages.events),
        Route("/api/events/{number:int}/chip.png", pages.chip),
        Route("/api/events/{number:int}/clip", pages.clip),
        Route("/api/timeline", pages.timeline),
        Route("/api/minute", pages.minute),
        Route("/api/threshold", pages.threshold, methods=["PUT"]),
        Route("/api/zones/{source}", pages.zones, methods=["PUT"]),
        WebSocketRoute("/ws", pages.socket),
    ]
    handlers = {_Refused: _answer_refused}
    return Guard(Starlette(routes=routes, exception_handlers=handlers), access, hosts)


class _Pages:
    def __init__(self, hub: Hub, access: Access, metrics: Metrics) -> None:
        self._hub, self._access, self._metrics = hub, access, metrics
        self._converting = asyncio.Semaphore(1)  # one clip at a time: it takes a processor and memory
        folder = resources.files("lpnet_rt.web") / "static"
        # Read once: no path of a request ever reaches the file system.
        self._files = {file.name: file.read_bytes() for file in folder.iterdir() if _suffix(file.name) in _KINDS}

    async def index(self, _: Request) -> Response:
        return self._file("index.html")

    async def static(self, request: Request) -> Response:
        return self._file(request.path_params["name"])

    async def login(self, request: Request) -> Response:
        if request.method != "POST":
            return self._file("login.html")
        address = request.client.host if request.client else ""
        wait_s = self._access.attempts.wait_s(address)
        if wait_s > 0:
            return too_many(wait_s)
        form = parse_qs((await _body(request)).decode("utf-8", "replace"), max_num_fields=8)
        if not self._access.is_token(form.get("token", [""])[0].strip()):
            self._access.attempts.failed(address)
            return RedirectResponse("/login?wrong", 303)
        self._access.attempts.succeeded(address)
        answer = RedirectResponse("/", 303)
        is_https = request.url.scheme == "https"
        secret = self._access.open_session()
        answer.set_cookie(COOKIE, secret, path="/", secure=is_https, httponly=True, samesite="strict")
        return answer

    async def logout(self, request: Request) -> Response:
        self._access.close_session(cookie_of(request.headers))
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
        return answer

    async def metrics(self, _: Request) -> Response:
        return Response(self._metrics.text(), media_type=self._metrics.media_type)

    async def events(self, request: Request) -> Response:
        before_id = _whole(request, "before")
        limit = min(max(_whole(request, "limit") or 50, 1), _MAX_PAGE)
        return _json(self._hub.events.page(before_id, limit))

    async def chip(self, request: Request) -> Response:
        picture = self._hub.events.chip_png(request.path_params["number"])
        if picture is None:
            raise _Refused(404, "there is no picture of this event")
        return Response(picture, media_type="image/png")

    async def clip(self, request: Request) -> Response:
        path = self._hub.events.clip(request.path_params["number"])
        if path is None or not path.is_file():
            raise _Refused(404, "there is no clip of this event")
        try:
            async with self._converting:
                return Response(await asyncio.to_thread(mp4_of, path), media_type="video/mp4")
        except SourceError as error:
            raise _Refused(404, str(error)) from error

    async def timeline(self, _: Request) -> Response:
        rows = self._hub.events.page(None, 10_000)
        return _json([(row.id, row.source, row.began_us, row.ended_us, row.probability) for row in rows])

    async def minute(self, _: Request) -> Response:
        return _json({name: feed.minute() for name, feed in self._hub.feeds.items()})

    async def threshold(self, request: Request) -> Response:
        wanted = await self._change(request, _Threshold)
        self._hub.controls.set_threshold(wanted.threshold)
        self._hub.wake()
        return _json({"threshold": wanted.threshold})

    async def zones(self, request: Request) -> Response:
        wanted = await self._change(request, _Zones)
        source = request.path_params["source"]
        try:
            is_saved = await asyncio.to_thread(self._hub.controls.set_zones, source, wanted.zones)
        except SinkError as error:
            raise _Refused(507, f"the zones are in use, but not saved: {error}") from error
        except LpnetError as error:
            raise _Refused(400, str(error)) from error
        finally:
            self._hub.wake()
        return _json({"saved": is_saved})

    async def socket(self, socket: WebSocket) -> None:
        secret = cookie_of(socket.headers)
        # A socket that a session opened ends with it; the guard has seen the token of any other.
        has_token = not self._access.needs_token or socket.headers.get("authorization", "").startswith("Bearer ")
        await serve_viewer(
            socket, self._hub, self._access.needs_token, lambda: has_token or self._access.has_session(secret)
        )

    async def _change(self, request: Request, kind: type[_Kind]) -> _Kind:
        """Read the body of a change.

        Raises:
            _Refused: Changes are not allowed, or it is not of this kind.
        """
        if not self._hub.controls.can_edit:
            raise _Refused(403, "changes need --web-edit (or web.edit = true)")
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            raise _Refused(415, "expected application/json")
        try:
            return msgspec.json.decode(await _body(request), type=kind)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise _Refused(400, str(error)) from error

    def _file(self, name: str) -> Response:
        content = self._files.get(name)
        if content is None:
            raise _Refused(404, "there is no such file")
        return Response(content, media_type=_KINDS[_suffix(name)])


async def _body(request: Request) -> bytes:
    """Read a body within 64 KiB and ten seconds.

    Raises:
        _Refused: It is larger or slower, or its sender has gone.
    """

    async def read() -> bytes:
        content = b""
        async for chunk in request.stream():
            content += chunk
            if len(content) > _BODY_BYTES:
                raise _Refused(413, f"expected at most {_BODY_BYTES} bytes")
        return content

    try:
        return await asyncio.wait_for(read(), _BODY_S)
    except TimeoutError:
        raise _Refused(408, "the request came too slowly") from None
    except ClientDisconnect:
        raise _Refused(400, "the sender has gone") from None


def _whole(request: Request, name: str) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise _Refused(400, f"{name}: expected a whole number")
    return int(text)


async def _answer_refused(_: Request, refused: Exception) -> Response:
    assert isinstance(refused, _Refused)
    # What is left of a body is not read.
    headers = {"connection": "close"} if refused.status in (408, 413) else None
    return PlainTextResponse(f"{refused.text}\n", refused.status, headers)


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


def _suffix(name: str) -> str:
    return "." + name.rpartition(".")[2]
