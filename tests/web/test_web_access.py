from __future__ import annotations

from typing import Any

import pytest

from lpnet_rt.errors import SettingsError
from lpnet_rt.web.access import Access, Attempts, HostNames

TOKEN = "0123456789abcdef"
HOUR_S = 3600.0


def test_only_the_token_is_the_token(stepped_clock: Any) -> None:
    access = Access(TOKEN, stepped_clock)
    assert access.needs_token
    assert access.is_token(TOKEN)
    assert not any(access.is_token(other) for other in ("", TOKEN[:-1], TOKEN + " ", TOKEN.upper(), "\udcff"))
    assert not Access(None, stepped_clock).is_token("")


def test_a_short_token_is_refused_without_showing_it(stepped_clock: Any) -> None:
    with pytest.raises(SettingsError, match="at least 16 characters") as caught:
        Access("secret-of-mine", stepped_clock)
    assert "secret" not in str(caught.value)


def test_a_session_ends_when_it_is_closed_old_or_one_too_many(stepped_clock: Any) -> None:
    access = Access(TOKEN, stepped_clock)
    first, second = access.open_session(), access.open_session()
    assert access.has_session(first)
    access.close_session(first)
    assert (access.has_session(first), access.has_session(second)) == (False, True)
    for _ in range(256):
        access.open_session()
    assert not access.has_session(second)
    third = access.open_session()
    stepped_clock.sleep(12 * HOUR_S + 1)
    assert not access.has_session(third)


def test_five_wrong_tokens_a_minute_hold_an_address_up_and_no_other(stepped_clock: Any) -> None:
    attempts = Attempts(stepped_clock)
    for _ in range(5):
        assert attempts.wait_s("192.0.2.1") == 0
        attempts.failed("192.0.2.1")
        stepped_clock.sleep(1)
    assert attempts.wait_s("192.0.2.1") == pytest.approx(55)
    assert attempts.wait_s("192.0.2.2") == 0
    stepped_clock.sleep(55)
    assert attempts.wait_s("192.0.2.1") == 0


def test_many_addresses_together_are_held_up_but_not_one_that_had_the_token(stepped_clock: Any) -> None:
    attempts = Attempts(stepped_clock)
    attempts.succeeded("198.51.100.7")
    for number in range(60):
        attempts.failed(f"192.0.2.{number}")
    assert attempts.wait_s("203.0.113.1") == pytest.approx(60)
    assert attempts.wait_s("198.51.100.7") == 0


def test_all_addresses_of_an_ipv6_network_are_one(stepped_clock: Any) -> None:
    attempts = Attempts(stepped_clock)
    for number in range(5):
        attempts.failed(f"2001:db8::{number:x}")
    assert attempts.wait_s("2001:db8::ffff") > 0
    assert attempts.wait_s("2001:db8:0:1::1") == 0


@pytest.mark.parametrize(
    ("host", "is_allowed"),
    [
        ("127.0.0.1:8080", True), ("localhost:9000", True), ("[::1]:8080", True), ("mast.example:8080", True),
        ("evil.example", False), ("evil.example:8080", False), ("192.0.2.1:8080", False), ("", False), (None, False),
        ("localhost.evil.example", False), ("[::1", False), ("localhost@evil.example", False),
    ],
)  # fmt: skip
def test_a_name_of_somebody_else_is_not_answered(host: str | None, is_allowed: bool) -> None:
    assert HostNames(["mast.example"], is_local=True).allows(host) is is_allowed


def test_off_loopback_every_address_is_answered_and_still_no_name() -> None:
    names = HostNames([], is_local=False)
    assert names.allows("192.0.2.1:8080")
    assert not names.allows("evil.example")


@pytest.mark.parametrize(
    ("origin", "scheme", "is_same"),
    [
        ("http://localhost:8080", "http", True), ("http://localhost:8080", "ws", True),
        ("https://localhost:8080", "wss", True), ("https://localhost:8080", "ws", False),
        ("http://localhost", "http", False), ("http://evil.example", "http", False), ("null", "http", False),
        (None, "http", False),
    ],
)  # fmt: skip
def test_the_page_itself_is_its_only_origin(origin: str | None, scheme: str, is_same: bool) -> None:
    headers = {"host": "localhost:8080"} | ({} if origin is None else {"origin": origin})
    assert HostNames([], is_local=True).is_same_origin(headers, scheme) is is_same
