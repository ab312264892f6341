"""Settings that change while a run goes on: a real run in a process, with SIGHUP in its middle; and the parts of it."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import av
import msgspec
import numpy as np
import pytest
from managers import Manager, arrive

from lpnet_rt.app import run
from lpnet_rt.errors import SettingsError, SinkError
from lpnet_rt.keys import KeyFolder
from lpnet_rt.messages import DetectionMessage, EndMessage, FrameMessage, decode
from lpnet_rt.reloading import Reloader, changed_keys
from lpnet_rt.settings import (
    DetectorSettings,
    OutputSettings,
    PublishSettings,
    Settings,
    SourceSettings,
    TrackSettings,
)
from lpnet_rt.settings.zones import ZoneSettings
from lpnet_rt.sources.demo import DemoScene
from lpnet_rt.subscriber import Event, Gap, Subscriber

CONFIG = """
[source]
spec = "demo"
realtime = true
frames = 100000
[detector]
threshold = 0.3
threads = 1
[publish]
endpoint = "{endpoint}"
keys = "{keys}"
[output]
quiet = true
jsonl = "{folder}/first.jsonl"
"""
LATER = """
[source]
spec = "another"
realtime = true
frames = 100000
[detector]
threshold = 0.9
threads = 1
[publish]
endpoint = "{endpoint}"
keys = "{keys}"
[output]
quiet = true
jsonl = "{folder}/second.jsonl"
[[zone]]
name = "left"
points = [[-1, -1], [319, -1], [319, 600], [-1, 600]]
"""


@pytest.mark.slow
def test_sighup_in_the_middle_loses_no_frame_and_no_track(tmp_path: Path) -> None:
    """A new threshold, a zone and another file act; the source is named as what cannot change."""
    folder = KeyFolder(tmp_path / "keys")
    folder.create("server")
    key, pair = KeyFolder(tmp_path / "own").create("gate")
    folder.allow("gate", pair.public)
    names = {"endpoint": f"ipc://{tmp_path}/s", "keys": str(folder.path), "folder": str(tmp_path)}
    config, manager = tmp_path / "lpnet.toml", Manager(str(tmp_path / "notify"))
    config.write_text(CONFIG.format(**names))
    command = [sys.executable, "-m", "lpnet_rt", "run", "--config", str(config)]
    environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "2000000"}
    keys = {"key": key.with_suffix(".key_secret"), "server_key": folder.path / "server.key"}
    events: list[Event] = []
    heard: list[str] = []
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        with Subscriber(names["endpoint"], timeout_s=30.0, **keys) as subscriber:
            listening = iter(subscriber)

            def hear(until: Callable[[FrameMessage], bool]) -> None:
                for event in listening:
                    events.append(event)
                    heard.extend(manager.heard())  # its queue holds ten
                    if isinstance(event, EndMessage) or (isinstance(event, FrameMessage) and until(event)):
                        return

            hear(lambda frame: any(d.track is not None and d.track.hits >= 8 for d in frame.detections))
            before = len(events)
            config.write_text(LATER.format(**names))
            process.send_signal(signal.SIGHUP)
            hear(lambda _: (tmp_path / "second.jsonl").exists() and (tmp_path / "second.jsonl").stat().st_size > 0)
            after = len(events)
            last = max(event.seq for event in events if isinstance(event, FrameMessage))
            hear(lambda frame: frame.seq > last + 15)
            config.write_text("[detector]\nthreshold = 7\n")
            process.send_signal(signal.SIGHUP)
            hear(lambda frame: frame.seq > last + 20)
            process.send_signal(signal.SIGINT)
            hear(lambda _: False)
        errors = process.communicate(timeout=30)[1].splitlines()
    finally:
        process.kill()
        process.wait()
        heard += manager.heard()
        manager.socket.close()
    frames = [event for event in events if isinstance(event, FrameMessage)]
    assert not [event for event in events if isinstance(event, Gap)]
    assert [frame.seq for frame in frames] == list(range(frames[0].seq, frames[0].seq + len(frames)))
    old = {d.track.id for event in events[:before] for d in found(event) if d.track.hits >= 8}
    new = {d.track.id for event in events[after:] for d in found(event)}
    assert old & new
    assert any(d.score < 0.9 for event in events[:before] for d in found(event))
    late = [d for event in events[after:] for d in found(event)]
    assert late
    assert all(d.score >= 0.9 and d.cx > 318.5 for d in late)
    written = [
        [decode(None, line).seq for line in (tmp_path / f"{name}.jsonl").read_bytes().splitlines()]
        for name in ("first", "second")
    ]
    assert written[0] + written[1] == list(range(written[1][-1] + 1))
    changed, refused = [line for line in errors if "reload" in line]
    lines = f"output.jsonl = '{tmp_path}/second.jsonl'"
    assert changed == f"reload: detector.threshold = 0.9, {lines}, zone: 1; needs a restart: source.spec"
    assert refused.startswith(f"lpnet-rt: reload: {config}: detector.threshold: expected")
    assert refused.endswith("found 7; nothing was changed")
    assert "WATCHDOG=1" in heard
    words = [line.partition("\n")[0] for line in heard if not line.startswith(("STATUS", "WATCHDOG"))]
    assert words == ["READY=1", "RELOADING=1", "READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]


def found(event: Event) -> tuple[DetectionMessage, ...]:
    return event.detections if isinstance(event, FrameMessage) else ()


def test_changed_keys_are_dotted_and_lists_count_as_a_whole() -> None:
    before = Settings()
    zone = ZoneSettings(points=((0.0, 0.0), (1.0, 0.0), (0.0, 1.0)))
    after = Settings(detector=DetectorSettings(threshold=0.4), output=OutputSettings(jsonl="a"), zone=(zone,))
    assert changed_keys(before, before) == frozenset()
    assert changed_keys(before, after) == {"detector.threshold", "output.jsonl", "zone"}


class Part:
    """A part that can change the threshold, or refuses."""

    keys = frozenset({"detector.threshold"})

    def __init__(self, refuses: bool = False) -> None:
        self.refuses = refuses
        self.threshold: float | None = None

    def prepare(self, settings: Settings) -> Callable[[], None]:
        if self.refuses:
            raise SinkError("no space")

        def change() -> None:
            self.threshold = settings.detector.threshold

        return change


def with_threshold(threshold: float | None, model: str = "lpnet-rt") -> Settings:
    return Settings(detector=DetectorSettings(threshold=threshold, model=model))


def test_what_was_named_once_is_not_named_again_and_what_waits_is(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "lpnet_rt.reloading")
    part, wanted = Part(), [with_threshold(0.4, "other"), with_threshold(0.4, "other"), with_threshold(None)]
    reloader = Reloader(Settings(), lambda: wanted.pop(0), [part], lambda change: change())
    for expected in (0.4, 0.4, None):
        reloader.reload()
        assert part.threshold == expected
    assert caplog.messages == [
        "reload: detector.threshold = 0.4; needs a restart: detector.model",
        "reload: nothing has changed; needs a restart: detector.model",
        "reload: detector.threshold = None",
    ]


def test_a_part_that_refuses_keeps_all_the_others_as_they_are(caplog: pytest.LogCaptureFixture) -> None:
    first, second = Part(), Part(refuses=True)
    Reloader(Settings(), lambda: with_threshold(0.4), [first, second], lambda change: change()).reload()
    assert first.threshold is None
    assert caplog.messages == ["reload: no space; nothing was changed"]


@pytest.mark.parametrize("error", [SettingsError("x.toml: not a TOML file"), RuntimeError("a mistake")])
def test_a_configuration_that_cannot_be_read_changes_nothing(
    caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    def reread() -> Settings:
        raise error

    part = Part()
    Reloader(Settings(), reread, [part], lambda change: change()).reload()
    assert part.threshold is None
    assert "nothing was changed" in caplog.text


def small_video(path: Path, frames: int) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=30)
        stream.height, stream.width, stream.pix_fmt = 96, 128, "gray"
        for index in range(frames):
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(DemoScene(3, (96, 128)).frame(index).astype(np.uint8), "gray"))
            )
        container.mux(stream.encode(None))
    return path


def frames_of(path: str) -> int:
    with av.open(path) as container:
        return sum(1 for _ in container.decode(video=0))


def test_a_run_in_this_process_takes_threshold_zones_and_files(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "lpnet_rt")
    names = [tmp_path / name for name in ("a.jsonl", "b.jsonl")]
    pictures = [f"{tmp_path}/a.mkv", f"{tmp_path}/b.mkv"]
    before = Settings(
        source=SourceSettings(spec=str(small_video(tmp_path / "clip.mkv", 120)), realtime=True),
        detector=DetectorSettings(engine="onnxruntime", threads=1, threshold=0.2),
        publish=PublishSettings(enabled=False),
        output=OutputSettings(jsonl=str(names[0]), save=pictures[0], quiet=True),
    )
    nothing = ZoneSettings(
        name="all", points=((-9.0, -9.0), (200.0, -9.0), (200.0, 200.0), (-9.0, 200.0)), source="clip"
    )
    after = msgspec.structs.replace(
        before,
        detector=msgspec.structs.replace(before.detector, threshold=0.9),
        output=OutputSettings(jsonl=str(names[1]), save=pictures[1], quiet=True),
        zone=(nothing,),
    )

    def signal_later() -> None:
        while not (names[0].exists() and names[0].read_bytes().count(b"\n") >= 10):
            time.sleep(0.01)
        arrive(signal.SIGHUP)

    thread = threading.Thread(target=signal_later)
    thread.start()
    assert run(before, reread=lambda: after) == 0
    thread.join()
    first, second = ([decode(None, line) for line in name.read_bytes().splitlines()] for name in names)
    assert [message.seq for message in first + second] == list(range(len(first) + len(second)))
    assert len(first) >= 10
    assert second
    assert any(message.detections for message in first)
    assert not any(message.detections for message in second)
    drawn = [frames_of(path) for path in pictures]
    assert all(drawn)
    assert sum(drawn) == len(first) + len(second)
    words = f"detector.threshold = 0.9, output.jsonl = '{names[1]}', output.save = '{pictures[1]}', zone: 1"
    assert f"reload: {words}" in caplog.messages


@pytest.mark.parametrize("change", ["to standard output", "a folder that is missing"])
def test_what_cannot_be_changed_keeps_the_run_as_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, change: str
) -> None:
    jsonl = tmp_path / "a.jsonl"
    before = Settings(
        source=SourceSettings(spec=str(small_video(tmp_path / "clip.mkv", 60)), realtime=True),
        detector=DetectorSettings(engine="onnxruntime", threads=1),
        publish=PublishSettings(enabled=False),
        track=TrackSettings(enabled=False),
        output=OutputSettings(jsonl=str(jsonl), quiet=True),
    )
    path = "-" if change == "to standard output" else f"{tmp_path}/missing/b.jsonl"
    after = msgspec.structs.replace(
        before,
        detector=msgspec.structs.replace(before.detector, threshold=0.7),
        output=msgspec.structs.replace(before.output, jsonl=path),
    )

    def signal_later() -> None:
        while not (jsonl.exists() and jsonl.read_bytes().count(b"\n") >= 5):
            time.sleep(0.01)
        arrive(signal.SIGHUP)

    thread = threading.Thread(target=signal_later)
    thread.start()
    assert run(before, reread=lambda: after) == 0
    thread.join()
    assert any(line.startswith("reload: ") and line.endswith("nothing was changed") for line in caplog.messages)
    frames = [decode(None, line).seq for line in jsonl.read_bytes().splitlines()]
    assert frames == list(range(len(frames)))
