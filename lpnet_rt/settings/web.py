"""Settings of the web page."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Struct

from lpnet_rt.endpoints import is_local
from lpnet_rt.errors import SettingsError

__all__ = ["DEFAULT_ADDRESS", "WebSettings", "refuse_open_web"]

DEFAULT_ADDRESS = "127.0.0.1:8080"
_ADDRESS_PATTERN = r"^(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253}):[0-9]{1,5}\Z"
_REFERENCE_PATTERN = r"^\$\{[^{}]{1,4096}\}\Z"
_NAME_PATTERN = r"^[A-Za-z0-9._-]{1,253}\Z"
_PORT_LIMIT = 65_535

Address = Annotated[
    str,
    msgspec.Meta(pattern=_ADDRESS_PATTERN, description="a host and a port, such as 127.0.0.1:8080 or [::1]:8080"),
]
Reference = Annotated[
    str,
    msgspec.Meta(pattern=_REFERENCE_PATTERN, description="a reference, ${file:PATH} or ${NAME}, not the token itself"),
]
HostName = Annotated[str, msgspec.Meta(pattern=_NAME_PATTERN, description="a host name")]


class WebSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The web page with live pictures, tracks and events, and Prometheus metrics.

    Attributes:
        address: Host and port of the page; None: no page. An address that other machines can reach needs a token.
        token: Where the token is: ``${file:PATH}`` or ``${NAME}``, an environment variable; at least 16 characters.
        edit: Whether viewers may change the threshold and the zones.
        hosts: Names under which browsers reach the page, beside addresses, ``localhost`` and this machine's name.
        certificate: PEM file with the certificate chain, for HTTPS; requires ``key``.
        key: PEM file with the certificate's private key.
    """

    address: Address | None = None
    token: Reference | None = None
    edit: bool = False
    hosts: tuple[HostName, ...] = ()
    certificate: str | None = None
    key: str | None = None


def refuse_open_web(web: WebSettings, origin: str) -> None:
    """Refuse an address that anybody could reach without a token, and half a certificate.

    Args:
        web: Of the right types.
        origin: The file or the flags, for the message.

    Raises:
        SettingsError: The address is not this machine's own and there is no token, the port is out of range, or only
            one of certificate and key is given.
    """
    if (web.certificate is None) != (web.key is None):
        raise SettingsError(f"{origin}: web.certificate and web.key: expected both or neither, found one; give both")
    if web.address is None:
        return
    if int(web.address.rpartition(":")[2]) > _PORT_LIMIT:
        raise SettingsError(f"{origin}: web.address: expected a port up to {_PORT_LIMIT}, found {web.address}")
    if web.token is None and not is_local(f"tcp://{web.address}"):
        raise SettingsError(
            f"{origin}: web.address: {web.address} can be reached from other machines: expected a token, found none; "
            "give --web-token '${file:PATH}' or '${NAME}', or an address of this machine, such as " + DEFAULT_ADDRESS
        )
