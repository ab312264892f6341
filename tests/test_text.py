from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lpnet_rt.text import one_line, printable, redact


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain.mp4", "plain.mp4"),
        ("caf\u00e9", "caf\u00e9"),
        ("a\x1b[31mred", "a\\x1b[31mred"),
        ("\u009b31m", "\\x9b31m"),
        ("gpj\u202e.exe", "gpj\\u202e.exe"),
        ("two\nlines", "two\\x0alines"),
        ("\udcff", "\\udcff"),
    ],
)
def test_what_would_act_on_a_terminal_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_printable_text_stays_on_its_line_and_can_be_encoded(text: str) -> None:
    shown = printable(text)
    assert len(shown.splitlines()) <= 1
    shown.encode("utf-8")
    assert printable(shown) == shown


@given(st.text())
def test_one_line_is_one_line(text: str) -> None:
    assert len(one_line(text).splitlines()) <= 1
    assert len(one_line(text)) <= 500


@pytest.mark.parametrize(
    "text",
    [
        "invalid choice: 'rtsp://admin:geheim@10.0.0.5/live' (choose from run)",
        "rtsp:/admin:geheim@10.0.0.5/live: no such file",
        " rtsp://admin:geheim@10.0.0.5/live",
        "found ['rtsp://admin:geheim@10.0.0.5/a', 'rtsp://admin:geheim@10.0.0.5/b']",
        "http://10.0.0.5/video?user=admin&password=geheim",
        "rtsp://10.0.0.5/user=admin_password=geheim_stream=0.sdp",
    ],
)
def test_passwords_are_taken_out_wherever_the_url_stands(text: str) -> None:
    assert "geheim" not in redact(text)
    assert "10.0.0.5" in redact(text)
