"""A real page on the loopback, whose sources are fed by the test."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import made_reports
import pytest
from stepped_clock import SteppedClock

from lpnet_rt.clock import SYSTEM_CLOCK
from lpnet_rt.detector import Detector
from lpnet_rt.pipeline.guard import PictureGuard
from lpnet_rt.pipeline.track_stage import TrackStage
from lpnet_rt.pipeline.zone_stage import ZoneStage
from lpnet_rt.settings import DetectorSettings, SourceSettings, WebSettings
from lpnet_rt.sinks.base import SinkRunner
from lpnet_rt.sources.demo import DemoSource
from lpnet_rt.sources.states import StateLog
from lpnet_rt.tracking import Tracker, TrackerSettings, packaged_profile
from lpnet_rt.web.opening import Run, WebPage, open_page
from lpnet_rt.web.reserving import reserve
from lpnet_rt.zones import Zones

TOKEN = "a token of more than sixteen characters"


@pytest.fixture
def stepped_clock() -> SteppedClock:
    return SteppedClock(10**12)


@dataclass
class Served:
    """A page and what it shows.

    Attributes:
        url: Of the page, without a slash at its end.
        detector: Whose threshold the page changes.
        zones: The stages of every source.
        log: The states of every source.
        outputs: Of every source.
        client: HTTP, without the token.
    """

    url: str
    detector: Detector
    zones: dict[str, ZoneStage]
    log: dict[str, StateLog]
    outputs: dict[str, list[SinkRunner]]
    page: WebPage
    client: httpx.Client
    _trackers: dict[str, TrackStage] = field(default_factory=dict)

    @property
    def host(self) -> str:
        return self.url.removeprefix("http://")

    def write(self, index: int, source: str = "mast", size_hw: tuple[int, int] = (96, 128)) -> None:
        """Put the frame of this index through tracker and page."""
        if source not in self._trackers:
            guard = PictureGuard(DemoSource(SourceSettings()), StateLog(), 2.5, SYSTEM_CLOCK)
            self._trackers[source] = TrackStage(Tracker(packaged_profile(), TrackerSettings()), guard, SYSTEM_CLOCK)
        stage = self._trackers[source]
        report = stage.track(stage._guard.check(made_reports.make(index, size_hw, source=source)))
        for runner in self.outputs[source]:
            runner.offer(report)
            assert runner.failure is None


@pytest.fixture(scope="session")
def loaded_detector() -> Detector:
    return Detector.load(DetectorSettings(model="lpnet-rt-s", engine="onnxruntime", precision="f32", threads=1))


@pytest.fixture
def serve(loaded_detector: Detector, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Served]]:
    """Serve a page: serve(token=False, edit=False, config=None, names=("mast",))."""
    served: list[Served] = []
    monkeypatch.setenv("LPNET_TEST_TOKEN", TOKEN)
    before = loaded_detector.threshold
    loaded_detector.weak_threshold = 0.1

    def start(
        token: bool = False, edit: bool = False, config: str | None = None, names: tuple[str, ...] = ("mast",)
    ) -> Served:
        web = WebSettings(address="127.0.0.1:0", token="${LPNET_TEST_TOKEN}" if token else None, edit=edit)
        reserved = reserve(web, SYSTEM_CLOCK)
        assert reserved is not None
        sources = [DemoSource(SourceSettings(name=name)) for name in names]
        logs = {name: StateLog() for name in names}
        zones = {name: ZoneStage(Zones([], name)) for name in names}
        shown = Run(list(zip(sources, logs.values(), strict=True)), loaded_detector, zones, config)
        page = open_page(reserved, shown, web, SYSTEM_CLOCK)
        outputs: dict[str, list[SinkRunner]] = {name: [] for name in names}
        page.add_outputs([*outputs.values()])
        client = httpx.Client(base_url=reserved.url, timeout=20)
        served.append(Served(reserved.url, loaded_detector, zones, logs, outputs, page, client))
        return served[-1]

    yield start
    for each in served:
        each.client.close()
        each.page.close()
    loaded_detector.threshold = before
    loaded_detector.weak_threshold = None


@pytest.fixture
def running_page(tmp_path: Path) -> Callable[[], AbstractContextManager[httpx.Client]]:
    """Start a real run whose page keeps its events; the same folder every time."""
    config = tmp_path / "lpnet.toml"
    folder = tmp_path / "events"
    config.write_text(
        '[source]\nspec = "demo"\nname = "mast"\nrealtime = true\nframes = 100000\n'
        '[detector]\nmodel = "lpnet-rt-s"\nengine = "onnxruntime"\nthreads = 1\n'
        f'[events]\nfolder = "{folder}"\nbefore_s = 1\nafter_s = 1\nmax_clip_s = 3\n'
        "[publish]\nenabled = false\n[output]\nquiet = true\n"
    )

    @contextlib.contextmanager
    def start() -> Iterator[httpx.Client]:
        command = [sys.executable, "-m", "lpnet_rt", "run", "--config", str(config), "--web", "127.0.0.1:0"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as run:
            assert run.stderr is not None
            lines = iter(run.stderr.readline, "")
            url = next(line.rpartition(" ")[2].strip() for line in lines if "web page: " in line)
            reader = threading.Thread(target=run.stderr.read, daemon=True)  # so that the run never waits for its log
            reader.start()
            try:
                with httpx.Client(base_url=url, timeout=60) as client:
                    yield client
            finally:
                run.terminate()
                assert run.wait(60) == 128 + signal.SIGTERM
                reader.join(10)

    return start
