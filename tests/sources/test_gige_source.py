"""A GigE Vision camera on loopback: Aravis's own simulated one, a process that can be killed."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lpnet_rt.errors import DependencyError, LostError, SourceError
from lpnet_rt.settings import SourceSettings
from lpnet_rt.sources import open_source
from lpnet_rt.sources.gige import GigeSource

ADDRESS = "127.0.0.1"
PROGRAM = shutil.which("arv-fake-gv-camera-0.8")


def _is_missing() -> bool:
    try:
        import gi

        gi.require_version("Aravis", "0.8")
    except (ImportError, ValueError):
        return True
    return PROGRAM is None


needs_aravis = [
    pytest.mark.skipif(_is_missing(), reason="needs PyGObject, gir1.2-aravis-0.8 and aravis-tools"),
    pytest.mark.slow,
    # Two simulated cameras cannot share the port of GigE Vision.
    pytest.mark.xdist_group("gige"),
]


@contextmanager
def fake_camera() -> Iterator[subprocess.Popen[bytes]]:
    assert PROGRAM is not None
    process = subprocess.Popen([PROGRAM, "-i", ADDRESS, "-s", "TEST"])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def opened(**settings: object) -> GigeSource:
    """A source that is connected; the camera may still be starting."""
    for _ in range(50):
        source = GigeSource(ADDRESS, SourceSettings(spec=f"gige://{ADDRESS}", reconnect="never", **settings))
        try:
            source.connect()
        except SourceError:
            time.sleep(0.1)
        else:
            return source
    raise AssertionError("the simulated camera does not answer")


class TestWithACamera:
    pytestmark = needs_aravis

    def test_frames_come_in_16_bits(self) -> None:
        with fake_camera():
            source = opened()
            frames = list(itertools.islice(source, 5))
            source.close()
        assert source.name == "gige-127-0-0-1"
        assert source.live
        assert source.rate_hz == pytest.approx(25)
        assert {(frame.size_hw, frame.image.dtype.name, frame.bit_depth) for frame in frames} == {
            ((512, 512), "uint16", 16)
        }
        assert [frame.index for frame in frames] == [number + frames[0].index for number in range(5)]
        assert frames[0].image.max() > frames[0].image.min()

    def test_a_camera_that_dies_is_lost(self) -> None:
        with fake_camera() as process:
            source = opened(open_timeout_s=2.0)
            frames = iter(source)
            next(frames)
            process.kill()
            with pytest.raises(LostError, match=r"gige 127\.0\.0\.1: no frame came for 2 s"):
                list(frames)

    def test_a_camera_that_comes_back_is_connected_again(self) -> None:
        states: list[str] = []
        with fake_camera():
            settings = SourceSettings(spec=f"gige://{ADDRESS}", frozen_after_s=0.5, open_timeout_s=5.0)
            source = open_source(settings, on_state=lambda state: states.append(state.state))
            frames = iter(source)
            next(frames)
        with fake_camera():
            reconnected = next(frame for frame in frames if frame.reconnects)
        source.close()
        assert reconnected.size_hw == (512, 512)
        assert "lost" in states


@pytest.mark.skipif(_is_missing(), reason="needs PyGObject and gir1.2-aravis-0.8")
@pytest.mark.slow
def test_an_absent_camera_is_one_line() -> None:
    source = GigeSource("127.0.0.99", SourceSettings(spec="gige://127.0.0.99", reconnect="never"))
    with pytest.raises(SourceError, match=r"^gige 127\.0\.0\.99: cannot be opened: .*; check its address and cable$"):
        source.connect()


def test_without_aravis_the_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gi", None)
    with pytest.raises(DependencyError, match=r"needs Aravis and PyGObject; apt install gir1\.2-aravis-0\.8"):
        open_source(SourceSettings(spec=f"gige://{ADDRESS}", reconnect="never"))
