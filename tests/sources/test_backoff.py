from __future__ import annotations

import random

import pytest

from lpnet_rt.sources.backoff import Backoff


def test_pauses_double_to_a_limit_that_grows_after_ten_minutes() -> None:
    without_jitter = Backoff(chance=random.Random(0))
    without_jitter.chance.random = lambda: 0.0  # type: ignore[method-assign]
    assert [without_jitter.next_s(0.0) for _ in range(5)] == pytest.approx([0.2, 0.4, 0.8, 1.0, 1.0])
    assert without_jitter.next_s(599.0) == 1.0
    assert without_jitter.next_s(600.0) == 10.0
    without_jitter.reset()
    assert without_jitter.next_s(700.0) == 0.2


def test_a_pause_is_shortened_by_up_to_a_half_and_never_for_all_alike() -> None:
    backoff = Backoff(chance=random.Random(1))
    for _ in range(10):
        backoff.next_s(0.0)
    pauses = [backoff.next_s(10.0) for _ in range(200)]
    assert min(pauses) >= 0.5
    assert max(pauses) <= 1.0
    assert max(pauses) - min(pauses) > 0.4


def test_years_of_trying_do_not_overflow() -> None:
    backoff = Backoff()
    for _ in range(5000):
        assert 0 < backoff.next_s(1e9) <= 10.0
