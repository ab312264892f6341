"""Addresses to listen on: which are local to this machine, which need protection, and which need IPv6."""

from __future__ import annotations

import ipaddress
import logging

from lpnet_rt.errors import SettingsError

__all__ = ["is_ipv6", "is_local", "needs_protection", "refuse_unprotected"]

_logger = logging.getLogger(__name__)

_LOCAL_TRANSPORTS = ("ipc", "inproc")
_LOCAL_NAMES = ("localhost", "lo")


def is_ipv6(endpoint: str) -> bool:
    """Return whether the endpoint's host is an IPv6 address in brackets, such as ``tcp://[::1]:5556``."""
    return endpoint.partition("://")[2].startswith("[")


def is_local(endpoint: str) -> bool:
    """Return whether only programs of this machine can reach the endpoint once it is bound."""
    transport, _, address = endpoint.partition("://")
    if transport in _LOCAL_TRANSPORTS:
        return True
    return not needs_protection(address.rpartition(":")[0].strip("[]"))


def needs_protection(host: str) -> bool:
    """Return whether other machines could reach what is bound to a host.

    Args:
        host: Address, interface or name without port and brackets; ``*``, an empty one and unknown names count as
            reachable.
    """
    try:
        return not ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host not in _LOCAL_NAMES


def refuse_unprotected(what: str, *, insecure: bool, remedy: str) -> None:
    """Refuse to listen where others can reach it without keys or a token, or warn where that is wanted.

    Args:
        what: The address with its flag or key, such as ``publish: tcp://0.0.0.0:5556``; it holds no secret.
        insecure: Whether ``--insecure`` was given.
        remedy: What to do, such as ``give --keys DIR``.

    Raises:
        SettingsError: It is not wanted.
    """
    if not insecure:
        raise SettingsError(
            f"{what} can be reached from other machines, and nothing protects it: {remedy}, bind it to 127.0.0.1, "
            "or give --insecure to let anyone read it who can reach the port"
        )
    _logger.warning("warning: INSECURE: %s can be read by anyone who can reach it, and nothing is encrypted", what)
