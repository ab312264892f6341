"""The one door of the page: every request passes it before anything else is looked at."""

from __future__ import annotations

import math
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lpnet_rt.web.access import Access, HostNames

__all__ = ["COOKIE", "Guard", "cookie_of"]

COOKIE = "lpnet_session"
# What a login page needs; it shows nothing of any source.
_OPEN_PATHS = ("/login", "/static/style.css", "/static/login.js", "/static/icon.svg")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # With no-referrer, a browser would say that a form of the page itself comes from nowhere.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
_SAFE_METHODS = ("GET", "HEAD")
_POLICY_VIOLATION = 1008
_MAX_HEADER_BYTES = 16 * 1024


class Guard:
    """Checks host, origin and token, and adds the security headers to every answer."""

    def __init__(self, app: ASGIApp, access: Access, hosts: HostNames) -> None:
        """Stand before an application.

        Args:
            app: Sees only what passes.
            access: The token and the sessions.
            hosts: The names of this machine.
        """
        self._app, self._access, self._hosts = app, access, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request or a WebSocket on, or refuse it."""
        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send if scope["type"] == "websocket" else _with_headers(send))
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
        else:
            await refusal(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope) -> Response | None:
        """Return why a request is refused, or None."""
        headers = Headers(scope=scope)
        if sum(len(name) + len(value) for name, value in headers.raw) > _MAX_HEADER_BYTES:
            return PlainTextResponse("expected shorter headers\n", 431)
        if not self._hosts.allows(headers.get("host")):
            return PlainTextResponse("expected a name of this machine as Host; see web.hosts\n", 421)
        has_bearer = headers.get("authorization", "").startswith("Bearer ")
        is_websocket = scope["type"] == "websocket"
        changes = is_websocket or scope["method"] not in _SAFE_METHODS
        # A browser adds no Bearer by itself, so that a request with one is nobody else's.
        if changes and not has_bearer and not self._hosts.is_same_origin(headers, scope["scheme"]):
            return PlainTextResponse("expected a request from the page itself\n", 403)
        if not self._access.needs_token or (not is_websocket and scope["path"] in _OPEN_PATHS):
            return None
        if has_bearer:
            return self._judge_bearer(headers, scope)
        if self._access.has_session(cookie_of(headers)):
            return None
        if scope["path"] == "/" and not is_websocket:
            return RedirectResponse("/login", 303)
        return PlainTextResponse("expected a token: Authorization: Bearer TOKEN, or log in\n", 401)

    def _judge_bearer(self, headers: Headers, scope: Scope) -> Response | None:
        address = scope["client"][0] if scope.get("client") else ""
        wait_s = self._access.attempts.wait_s(address)
        if wait_s > 0:
            return too_many(wait_s)
        if self._access.is_token(headers["authorization"].removeprefix("Bearer ").strip()):
            self._access.attempts.succeeded(address)
            return None
        self._access.attempts.failed(address)
        return PlainTextResponse("expected the right token, found another\n", 401)


def too_many(wait_s: float) -> Response:
    """Return the answer to one token too many."""
    headers = {"retry-after": str(math.ceil(wait_s))}
    return PlainTextResponse("too many wrong tokens; wait a minute\n", 429, headers)


def cookie_of(headers: Headers) -> str:
    """Return the secret of a browser's session, or an empty text."""
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return "" if morsel is None else morsel.value


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
        await send(message)

    return send_with_headers
