"""Clips of cameras on the loopback: cut from what was sent, complete soon after, and ended by a loss."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_events import SESSION, Seen, tracked
from peers import Peer

from lpnet_rt.clock import SYSTEM_CLOCK
from lpnet_rt.events import EventNotice, EventRecord
from lpnet_rt.events.archive import EventArchive
from lpnet_rt.events.following import Origin
from lpnet_rt.events.sink import EventSink
from lpnet_rt.frames import Frame, GreyImage
from lpnet_rt.settings import AlarmSettings, EventSettings, SourceSettings
from lpnet_rt.sources import ReconnectingSource, open_source
from lpnet_rt.sources.packets import packet_ring
from lpnet_rt.sources.video import VideoSource

_ON_DISK_S = 2.0


class _Watch:
    """Reads a camera into the output of events, in a thread; frames ``target`` of each connection show a target."""

    def __init__(self, folder: Path, url: str, target: range) -> None:
        wanted = EventSettings(folder=str(folder), before_s=1.0, after_s=1.0)
        packets = packet_ring(wanted, SYSTEM_CLOCK)
        archive = EventArchive(wanted, SYSTEM_CLOCK)
        archive.hub.subscribe(self._note)
        self.frames: list[tuple[float, Frame]] = []
        self.ended: list[tuple[float, EventRecord]] = []
        source = open_source(SourceSettings(spec=url, name="cam"), tap=packets)
        assert isinstance(source, ReconnectingSource)
        self.source = source
        settings = wanted, AlarmSettings()
        self._target = target
        self._sink = EventSink(archive, Origin("cam", SESSION, "m", "e"), settings, packets, True, SYSTEM_CLOCK)
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def of(self, connection: int) -> list[tuple[float, Frame]]:
        """The frames of a connection, and when they came."""
        return [(came_s, frame) for came_s, frame in list(self.frames) if frame.reconnects == connection]

    def wait(self, there: Callable[[], bool]) -> None:
        """Wait until something is true."""
        end_s = time.monotonic() + 40.0
        while not there():
            assert time.monotonic() < end_s, (len(self.frames), self.ended)
            time.sleep(0.02)

    def close(self) -> None:
        """End reading."""
        self.source.close()
        self._thread.join()
        self._sink.close()

    def _read(self) -> None:
        for frame in self.source:
            number = len(self.of(frame.reconnects))
            self.frames.append((time.monotonic(), frame))
            self._sink.write(tracked(frame, [Seen(1 + frame.reconnects)] if number in self._target else []))

    def _note(self, notice: EventNotice) -> None:
        if notice.kind == "ended":
            self.ended.append((time.monotonic(), notice.record))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("camera", "url"), [("rtsp_camera", "rtsp://127.0.0.1:{}/cam"), ("udp_camera", "udp://127.0.0.1:{}")]
)
def test_clips_of_a_camera_that_is_lost_and_comes_back(
    request: pytest.FixtureRequest, tmp_path: Path, camera: str, url: str
) -> None:
    peer: Peer = request.getfixturevalue(camera)
    peer.start()
    watch = _Watch(tmp_path / "events", url.format(peer.port), range(60, 90))
    try:
        watch.wait(lambda: len(watch.of(0)) > 75)
        peer.kill()
        watch.wait(lambda: watch.source.state.state == "lost")
        peer.start()
        watch.wait(lambda: len(watch.ended) == 2)
    finally:
        watch.close()
    (_, lost), (ended_s, whole) = watch.ended
    assert (lost.ended, whole.ended) == ("the source came back", "the track ended")
    came_s = next(came_s for came_s, frame in watch.of(1) if (frame.pts_s or 0.0) >= whole.last.t_s + 1.0)
    assert ended_s - came_s < _ON_DISK_S
    _check(tmp_path, whole, [frame for _, frame in watch.of(1)], 1.0)
    _check(tmp_path, lost, [frame for _, frame in watch.of(0)], 0.0)


def _check(tmp_path: Path, record: EventRecord, frames: list[Frame], after_s: float) -> None:
    """The clip shows the pictures that were seen, at the times that its record says."""
    (path,) = tmp_path.glob(f"events/cam/*/{record.id}/clip.mkv")
    clip = record.clip
    assert clip is not None
    assert (clip.codec, clip.copied, clip.note) == ("h264", True, None)
    assert clip.first_detection_s is not None
    shown = [
        ((frame.pts_s or 0.0) - clip.first_detection_s, frame.image) for frame in VideoSource(path, SourceSettings())
    ]
    seen = [((frame.pts_s or 0.0) - record.first.t_s, frame.image) for frame in frames]
    for offset_s in (0.0, record.duration_s):
        np.testing.assert_array_equal(_at(offset_s, shown), _at(offset_s, seen))
    assert shown[0][0] <= -1.0
    assert shown[-1][0] >= record.duration_s + after_s - 0.1


def _at(offset_s: float, pictures: list[tuple[float, GreyImage]]) -> GreyImage:
    time_s, image = min(pictures, key=lambda picture: abs(picture[0] - offset_s))
    assert abs(time_s - offset_s) < 0.005
    return image
