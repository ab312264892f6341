"""Webhooks: one HTTP POST per event, signed, tried again until the server takes it.

Redirects are not followed and proxies of the environment are not used: nothing reaches another host than the one in
the settings.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import ssl
from urllib.parse import urlsplit

import msgspec

from lpnet_rt import __version__
from lpnet_rt.clock import Clock
from lpnet_rt.credentials import expand_secrets, read_secret
from lpnet_rt.errors import SettingsError
from lpnet_rt.messages import EventMessage
from lpnet_rt.outputs.connections import tls_context, warn_of_open_secret
from lpnet_rt.outputs.items import EventItem, Item
from lpnet_rt.outputs.peer import ItemRefusedError, PeerAwayError
from lpnet_rt.settings.outputs import WebhookSettings

__all__ = ["WebhookLink", "signature"]

_ANSWER_BYTES = 65_536
_RETRIED = (408, 429)
_MAX_WISH_S = 300.0
_IDLE_NS = 2_000_000_000  # many servers close connections that are idle for 5 s; ours is closed first


class WebhookLink:
    """The connection to one server; it is kept open between events that follow each other closely."""

    def __init__(self, settings: WebhookSettings, clock: Clock) -> None:
        """Read secrets and certificates; nothing is connected yet.

        Args:
            settings: Where to post, and how.
            clock: Clock of the run.

        Raises:
            SettingsError: The URL, a secret or a certificate cannot be used.
        """
        url = urlsplit(expand_secrets(settings.url, "webhook.url"))
        try:
            host, port = url.hostname, url.port
        except ValueError:
            host, port = None, None
        if not host or url.username or url.password:
            raise SettingsError(
                "webhook.url: expected https://HOST[:PORT]/PATH without a user; put a password into webhook.token"
            )
        self._settings, self._clock = settings, clock
        self._host, self._port, self._is_tls = host, port, url.scheme == "https"
        self._path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        if not (self._path.isascii() and self._path.isprintable()):
            raise SettingsError("webhook.url: expected printable ASCII, found other characters; percent-encode them")
        self._secret = None if settings.secret is None else read_secret(settings.secret, "webhook.secret").encode()
        self._token = None if settings.token is None else read_secret(settings.token, "webhook.token")
        if self._token is not None and not (self._token.isascii() and self._token.isprintable()):
            raise SettingsError("webhook.token: expected printable ASCII, found other characters")
        if self._token is not None or "${" in settings.url:
            warn_of_open_secret("webhook", "token", host, self._is_tls)
        self._tls: ssl.SSLContext | None = tls_context("webhook", settings.ca_file) if self._is_tls else None
        self._connection: http.client.HTTPConnection | None = None
        self._used_ns = 0

    @property
    def name(self) -> str:
        """Output and address; a URL's path may be a secret."""
        return f"webhook {self._host}" + (f":{self._port}" if self._port else "")

    def open(self) -> None:
        """Connect, so that a server that is away is known before there is an event."""
        timeout_s = self._settings.timeout_s
        if self._tls is not None:
            self._connection = http.client.HTTPSConnection(self._host, self._port, timeout=timeout_s, context=self._tls)
        else:
            self._connection = http.client.HTTPConnection(self._host, self._port, timeout=timeout_s)
        self._connection.connect()
        self._used_ns = self._clock.monotonic_ns()

    def send(self, item: Item) -> None:
        """Post an event."""
        if not isinstance(item, EventItem):
            return
        message = item.message if self._settings.chips else msgspec.structs.replace(item.message, chip=None)
        body = msgspec.json.encode(message)
        connection = self._connection
        assert connection is not None
        try:
            # Connects again by itself where the server has closed an idle connection.
            connection.request("POST", self._path, body, self._headers(message, body))
            answer = connection.getresponse()
            answer.read(_ANSWER_BYTES)
        except http.client.HTTPException as error:
            raise PeerAwayError(f"{type(error).__name__} in place of an answer") from None
        if answer.length != 0 or answer.will_close:
            connection.close()  # the rest of a long answer is not read
        self._used_ns = self._clock.monotonic_ns()
        _judge(answer)

    def idle(self) -> None:
        """Close a connection that has been idle for long."""
        if self._connection is not None and self._clock.monotonic_ns() - self._used_ns > _IDLE_NS:
            self._connection.close()

    def close(self, is_orderly: bool) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _headers(self, message: EventMessage, body: bytes) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"lpnet-rt/{__version__}",
            # The same at every attempt: a server that has taken the event can recognise it.
            "Idempotency-Key": f"{message.session}-{message.source}-{message.event_seq}",
        }
        if self._secret is not None:
            headers["X-Hub-Signature-256"] = signature(self._secret, body)
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        return headers


def signature(secret: bytes, body: bytes) -> str:
    """The header ``X-Hub-Signature-256``: HMAC-SHA256 (RFC 2104) of the body, as GitHub and others sign theirs."""
    return "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()


def _judge(answer: http.client.HTTPResponse) -> None:
    """Accept 2xx; 5xx, 408 and 429 are tried again; anything else is this event's end."""
    status = answer.status
    if 200 <= status < 300:
        return
    if status >= 500 or status in _RETRIED:
        wish = answer.getheader("Retry-After", "")
        retry_s = min(float(wish), _MAX_WISH_S) if wish.isascii() and wish.isdecimal() and wish != "0" else None
        raise PeerAwayError(f"HTTP status {status}", retry_s)
    raise ItemRefusedError(f"HTTP status {status}" + (", redirects are not followed" if 300 <= status < 400 else ""))
