"""Which addresses others can reach, and the one rule for those without protection."""

from __future__ import annotations

import logging

import pytest

from lpnet_rt.endpoints import is_local, needs_protection, refuse_unprotected
from lpnet_rt.errors import SettingsError


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "localhost", "lo"])
def test_loopback_needs_nothing(host: str) -> None:
    assert not needs_protection(host)


@pytest.mark.parametrize(
    "host",
    ["", "*", "0.0.0.0", "::", "192.168.1.20", "fe80::1%eth0", "eth0", "mast.example", "127.0.0.1.example", "[::1]"],
)
def test_whatever_is_not_known_to_be_loopback_does(host: str) -> None:
    assert needs_protection(host)


def test_an_endpoint_is_judged_by_its_host() -> None:
    assert is_local("tcp://[::1]:5556")
    assert is_local("ipc:///run/lpnet-rt/s")
    assert not is_local("tcp://*:5556")
    assert not is_local("tcp://127.0.0.1@10.0.0.1:5556")


def test_it_is_refused_with_a_remedy_or_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(SettingsError, match="protects it: give --token-file"):
        refuse_unprotected("web: 0.0.0.0:8080", insecure=False, remedy="give --token-file")
    assert not caplog.messages
    refuse_unprotected("web: 0.0.0.0:8080", insecure=True, remedy="give --token-file")
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "INSECURE" in record.message
