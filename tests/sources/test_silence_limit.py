from __future__ import annotations

import pytest

from lpnet_rt.settings import SourceSettings
from lpnet_rt.sources.pacing import silence_limit_s


@pytest.mark.parametrize(
    ("settings", "rate_hz", "seconds"),
    [
        ({}, 25.0, 2.5),
        ({}, None, 2.5),
        ({}, 0.5, 6.0),
        ({}, 0.1, 10.0),
        ({"open_timeout_s": 1.0}, 25.0, 1.0),
        ({"frozen_after_s": 4.0}, 25.0, 4.0),
        ({"reconnect": "never"}, 25.0, 10.0),
    ],
)
def test_how_long_a_camera_may_be_silent(settings: dict[str, object], rate_hz: float | None, seconds: float) -> None:
    assert silence_limit_s(SourceSettings(**settings), rate_hz) == pytest.approx(seconds)  # type: ignore[arg-type]
