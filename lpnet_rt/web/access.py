"""Who may see the page: the token, sessions of browsers, limits on guessing, and the names of this machine."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import socket
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from lpnet_rt.clock import Clock
from lpnet_rt.errors import SettingsError

__all__ = ["MIN_TOKEN_CHARACTERS", "Access", "Attempts", "HostNames"]

MIN_TOKEN_CHARACTERS = 16
_SESSION_NS = 12 * 3600 * 1_000_000_000
_MAX_SESSIONS = 256
_WINDOW_NS = 60 * 1_000_000_000
_MAX_FAILURES, _MAX_FAILURES_OF_ALL = 5, 60
_MAX_ADDRESSES = 4096


class Attempts:
    """Limits wrong tokens: five a minute from one address, sixty from all.

    An address that once had the right token is not held up by what others do.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, deque[int]] = OrderedDict()
        self._all: deque[int] = deque(maxlen=_MAX_FAILURES_OF_ALL)
        self._known: OrderedDict[str, None] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """Return the seconds until a token from this address is looked at again; 0: now."""
        now_ns = self._clock.monotonic_ns()
        of_address = self._failures.get(_network(address), deque())
        waits = [_wait_ns(of_address, _MAX_FAILURES, now_ns)]
        if _network(address) not in self._known:
            waits.append(_wait_ns(self._all, _MAX_FAILURES_OF_ALL, now_ns))
        return max(waits) / 1e9

    def failed(self, address: str) -> None:
        """Count a wrong token."""
        now_ns = self._clock.monotonic_ns()
        self._all.append(now_ns)
        times = self._failures.setdefault(_network(address), deque(maxlen=_MAX_FAILURES))
        times.append(now_ns)
        self._failures.move_to_end(_network(address))
        _bound(self._failures)

    def succeeded(self, address: str) -> None:
        """Remember an address that had the right token."""
        self._known[_network(address)] = None
        self._known.move_to_end(_network(address))
        _bound(self._known)


class Access:
    """The token and the sessions that it opened.

    Attributes:
        attempts: Limits wrong tokens.
        needs_token: Whether anything is shown only with the token.
    """

    def __init__(self, token: str | None, clock: Clock) -> None:
        """Take the token, of which only a digest is kept.

        Args:
            token: At least 16 characters, or None: everybody who reaches the page may see it.
            clock: Clock of limits and sessions.

        Raises:
            SettingsError: The token is too short.
        """
        if token is not None and len(token) < MIN_TOKEN_CHARACTERS:
            raise SettingsError(
                f"web.token: expected a token of at least {MIN_TOKEN_CHARACTERS} characters, found a shorter one; "
                "make one with: openssl rand -hex 24"
            )
        self.attempts = Attempts(clock)
        self.needs_token = token is not None
        self._clock = clock
        self._digest = None if token is None else _digest(token)
        self._sessions: OrderedDict[bytes, int] = OrderedDict()

    def is_token(self, given: str) -> bool:
        """Compare a token in constant time."""
        return self._digest is not None and hmac.compare_digest(self._digest, _digest(given))

    def open_session(self) -> str:
        """Return the secret of a new session, which lasts twelve hours; the oldest of over 256 ends."""
        secret = secrets.token_urlsafe(32)
        self._sessions[_digest(secret)] = self._clock.monotonic_ns() + _SESSION_NS
        while len(self._sessions) > _MAX_SESSIONS:
            self._sessions.popitem(last=False)
        return secret

    def has_session(self, secret: str) -> bool:
        """Return whether a session is open; only digests are compared, so that timing says nothing of the secret."""
        ends_ns = self._sessions.get(_digest(secret))
        return ends_ns is not None and self._clock.monotonic_ns() < ends_ns

    def close_session(self, secret: str) -> None:
        """End a session, if it is one."""
        self._sessions.pop(_digest(secret), None)


class HostNames:
    """The names under which a browser may reach the page.

    A page of somebody else can point its own name at this machine (DNS rebinding); the browser then sends that name. So
    only addresses, ``localhost``, this machine's name and listed names are answered.
    """

    def __init__(self, listed: Iterable[str], is_local: bool) -> None:
        """Take the names.

        Args:
            listed: Further names.
            is_local: Whether the page is served on a loopback address; then addresses other than loopback are refused.
        """
        own = socket.gethostname().lower()
        self._names = {"localhost", own, f"{own}.local", *(name.lower() for name in listed)}
        self._is_local = is_local

    def allows(self, host: str | None) -> bool:
        """Return whether a request with this Host header is answered."""
        name = _name_of(f"//{host or ''}")
        if name is None:
            return False
        try:
            return ipaddress.ip_address(name).is_loopback or not self._is_local
        except ValueError:
            return name in self._names

    def is_same_origin(self, headers: Mapping[str, str], scheme: str) -> bool:
        """Return whether the request's Origin is the page itself."""
        origin, host = headers.get("origin"), headers.get("host")
        wanted = {"http": "http", "https": "https", "ws": "http", "wss": "https"}.get(scheme, scheme)
        return origin is not None and host is not None and origin.lower() == f"{wanted}://{host}".lower()


def _name_of(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def _network(address: str) -> str:
    """Return the address, or the /64 network of an IPv6 one: whoever has one such address has all of them."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


def _wait_ns(times: deque[int], limit: int, now_ns: int) -> int:
    """Return how long ago's oldest of ``limit`` failures still counts; 0 if there were fewer in a minute."""
    if len(times) < limit:
        return 0
    return max(0, times[-limit] + _WINDOW_NS - now_ns)


def _bound(table: OrderedDict[str, deque[int]] | OrderedDict[str, None]) -> None:
    while len(table) > _MAX_ADDRESSES:
        table.popitem(last=False)
