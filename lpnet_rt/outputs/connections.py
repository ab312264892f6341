"""What links share: TLS contexts, addresses, and the warning about secrets that go unencrypted."""

from __future__ import annotations

import ipaddress
import logging
import ssl
from pathlib import Path

from lpnet_rt.errors import SettingsError, reason

__all__ = ["is_loopback", "tls_context", "warn_of_open_secret"]

_logger = logging.getLogger(__name__)


def tls_context(
    key: str, ca_file: str | None, certificate: str | None = None, key_file: str | None = None, password: str = ""
) -> ssl.SSLContext:
    """A context that checks the peer's certificate and name; TLS 1.2 or newer.

    Args:
        key: Table of the settings, for messages.
        ca_file: Certificates (PEM) to trust in place of the system's.
        certificate: Own certificate (PEM).
        key_file: Its private key (PEM).
        password: Password of the private key.

    Raises:
        SettingsError: A file cannot be read.
    """
    named = {"ca_file": ca_file, "certificate": certificate, "key": key_file}
    for name, path in named.items():
        if path is not None and not Path(path).is_file():
            raise SettingsError(f"{key}.{name}: expected a PEM file, found none at {path}")
    try:
        context = ssl.create_default_context(cafile=ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if certificate is not None:
            # A function: OpenSSL would ask the terminal for a password that is missing.
            context.load_cert_chain(certificate, key_file, lambda: password)
    except (OSError, ValueError) as error:
        shown = reason(error).replace(password, "...") if password else reason(error)
        raise SettingsError(f"{key}: the certificates or the key cannot be used: {shown}") from None
    return context


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its name or address; nothing is looked up."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def warn_of_open_secret(key: str, what: str, host: str, is_encrypted: bool) -> None:
    """Log a warning if a secret would cross the network in the clear."""
    if not is_encrypted and not is_loopback(host):
        _logger.warning("warning: %s: the %s goes to %s unencrypted; use TLS", key, what, host)
