from __future__ import annotations

import os
from pathlib import Path

import pytest

from lpnet_rt.credentials import expand_secrets
from lpnet_rt.errors import SettingsError


def test_variables_and_files_are_put_in_percent_encoded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CAM_USER", "night watch")
    (tmp_path / "password").write_text("p@ss/w:rd#é\nsecond line\n")
    url = f"rtsp://${{CAM_USER}}:${{file:{tmp_path}/password}}@camera/stream?x=$1"
    assert expand_secrets(url) == "rtsp://night%20watch:p%40ss%2Fw%3Ard%23%C3%A9@camera/stream?x=$1"


def test_a_value_is_not_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAM_PASSWORD", "${HOME}")
    assert expand_secrets("rtsp://u:${CAM_PASSWORD}@h") == "rtsp://u:%24%7BHOME%7D@h"


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("${LPNET_NO_SUCH}", "the environment variable LPNET_NO_SUCH, found none"),
        ("${LPNET_EMPTY}", "the environment variable LPNET_EMPTY, found an empty one"),
        ("${}", "no name"),
        ("${CAM", "without its }"),
        ("${file:/no/where}", "/no/where: expected a file with a password"),
        ("${file:{folder}}", "found ${ without its }"),
    ],
)
def test_what_cannot_be_had_is_named(monkeypatch: pytest.MonkeyPatch, reference: str, words: str) -> None:
    monkeypatch.setenv("LPNET_EMPTY", "")
    with pytest.raises(SettingsError) as caught:
        expand_secrets(f"rtsp://user:{reference}@camera")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe\n", b"x" * 5000])
def test_files_that_hold_no_password(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "password"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match="password"):
        expand_secrets(f"rtsp://user:${{file:{path}}}@camera")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SettingsError, match="found a device, a pipe or a folder"):
        expand_secrets(f"rtsp://user:${{file:{tmp_path}/pipe}}@camera")
