from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lpnet_rt.sources.naming import natural_key, source_name, url_scheme
from lpnet_rt.text import redact_url


@given(st.text(max_size=200))
def test_every_text_gives_a_name_fit_for_a_topic(text: str) -> None:
    name = source_name(text)
    assert 1 <= len(name) <= 64
    assert all(char.isascii() and (char.isalnum() or char in "-_") for char in name)


def test_a_plain_name_stays() -> None:
    assert source_name("IR_DRONE-046") == "IR_DRONE-046"
    assert source_name("my clip (2)") == "my-clip-2"
    assert source_name("***") == "source"


def test_natural_order_of_numbers() -> None:
    names = ["f10.png", "f2.png", "f1.png", "F3.png", "f2b.png"]
    assert [str(p) for p in sorted(map(Path, names), key=natural_key)] == [
        "f1.png",
        "f2.png",
        "f2b.png",
        "F3.png",
        "f10.png",
    ]


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://admin:s3cret@10.0.0.5:554/stream1",
        "rtsp://admin:s3cret/with/slash@10.0.0.5/stream1",
        "rtsp://admin:s3cret#?x@10.0.0.5/stream1?token=s3cret#s3cret",
        "http://s3cret@10.0.0.5/video",
        "rtsp://10.0.0.5/user=admin_password=s3cret_channel=1",
        "rtsp://10.0.0.5/live&pwd=s3cret",
        "rtsp://[s3cret:s3cret@10.0.0.5",
    ],
)
def test_a_shown_url_holds_no_secret(url: str) -> None:
    shown = redact_url(url)
    assert "s3cret" not in shown
    assert "admin" not in shown
    assert "10.0.0.5" in shown


def test_a_url_without_secrets_is_shown_whole() -> None:
    assert redact_url("rtsp://10.0.0.5:554/stream1") == "rtsp://10.0.0.5:554/stream1"


def test_only_a_url_has_a_scheme() -> None:
    assert url_scheme("RTSP://host/x") == "rtsp"
    assert url_scheme("C:/clips/x.mp4") is None
    assert url_scheme("a/b.mp4") is None
