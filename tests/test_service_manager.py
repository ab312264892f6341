"""What a service manager hears, over real datagram sockets; when the watchdog starves; when settings are re-read."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest
from made_reports import make
from managers import Manager, arrive
from stepped_clock import SteppedClock

from lpnet_rt.pipeline.health import Health, Watched
from lpnet_rt.service_manager import Notifier
from lpnet_rt.sinks.progress import Tally
from lpnet_rt.sources.states import SourceState, StateLog
from lpnet_rt.supervising import Supervisor, signals


@pytest.fixture(params=["path", "abstract"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "notify") if request.param == "path" else f"@lpnet-rt-test-{os.getpid()}"


@pytest.fixture
def manager(address: str):
    opened = Manager(address)
    yield opened
    opened.socket.close()


def test_each_word_arrives(manager: Manager, address: str) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": address})
    notifier.ready()
    notifier.status("mast: live\nWATCHDOG=1")
    notifier.feed_watchdog()
    notifier.reloading()
    notifier.stopping()
    ready, status, watchdog, reloading, stopping = manager.heard()
    assert (ready, watchdog, stopping) == ("READY=1", "WATCHDOG=1", "STOPPING=1")
    assert status == "STATUS=mast: live WATCHDOG=1"  # a status cannot smuggle in another word
    assert reloading.startswith("RELOADING=1\nMONOTONIC_USEC=")


def test_without_a_manager_or_with_one_that_does_not_read_nothing_happens(manager: Manager, address: str) -> None:
    Notifier({}).ready()
    Notifier({"NOTIFY_SOCKET": "/no/such/socket"}).ready()
    notifier = Notifier({"NOTIFY_SOCKET": address})
    for _ in range(2_000):  # more than its buffer holds
        notifier.feed_watchdog()
    assert manager.heard()


@pytest.mark.parametrize(
    ("environment", "watchdog_s"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_that_of_this_process(environment: dict[str, str], watchdog_s: float | None) -> None:
    assert Notifier({"NOTIFY_SOCKET": "@x", **environment}).watchdog_s == watchdog_s


class Run:
    """A run of one source, as its health sees it."""

    def __init__(self) -> None:
        self.clock, self.log, self.is_open = SteppedClock(), StateLog(), True
        self.tally = Tally("mast", None, self.clock)
        self.turned_ns = self.clock.now_ns
        watched = Watched(self.log, self.tally, lambda: self.is_open)
        self.health = Health(lambda: self.turned_ns, [watched], 30.0, self.clock)

    def pass_s(self, seconds: float, turns: bool = True) -> None:
        self.clock.sleep(seconds)
        if turns:
            self.turned_ns = self.clock.now_ns

    def enter(self, state: str) -> None:
        self.log.add(SourceState(state, None, self.clock.unix_us(), self.clock.now_ns))


def test_a_run_is_healthy_before_it_begins_and_while_frames_come() -> None:
    run = Run()
    run.turned_ns = 0
    run.pass_s(100, turns=False)
    assert run.health.problem() is None
    for index in range(5):
        run.pass_s(29)
        run.tally.count(make(index))
        assert run.health.problem() is None


def test_no_frame_for_so_long_is_unhealthy_unless_it_is_being_connected_or_has_ended() -> None:
    run = Run()
    run.pass_s(31)
    assert run.health.problem() == "mast: no frame for 31 s, and it is not being connected again"
    for state in ("lost", "connecting", "frozen"):
        run.enter(state)
        run.pass_s(1000)
        assert run.health.problem() is None
    run.enter("live")
    assert run.health.problem() is None  # it is given its time again
    run.pass_s(31)
    assert run.health.problem() is not None
    run.is_open = False
    assert run.health.problem() is None


def test_a_pipeline_that_stands_still_is_unhealthy_whatever_the_source_does() -> None:
    run = Run()
    run.enter("lost")
    run.pass_s(31, turns=False)
    assert run.health.problem() == "the pipeline has stood still for 31 s"


@pytest.fixture
def supervised(tmp_path: Path):
    run, manager = Run(), Manager(str(tmp_path / "notify"))
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "10000000"})
    yield run, manager, Supervisor(run.clock, "INSECURE; ", notifier)
    manager.socket.close()


def test_readiness_status_watchdog_and_end_come_in_order(supervised) -> None:
    run, manager, supervisor = supervised
    supervisor.step(None, None)
    assert manager.heard() == []
    supervisor.step(run.health, None)
    status = "STATUS=INSECURE; mast: live, 0 frames 0 fps 0 detections"
    assert manager.heard() == ["READY=1", "WATCHDOG=1", status]
    supervisor.step(run.health, None)
    assert manager.heard() == []
    run.pass_s(5)
    supervisor.step(run.health, None)
    assert manager.heard() == ["WATCHDOG=1", status]
    supervisor.stop()
    supervisor.stop()
    supervisor.step(run.health, None)
    assert manager.heard() == ["STOPPING=1"]


def test_the_watchdog_starves_while_the_run_is_unhealthy(supervised, caplog: pytest.LogCaptureFixture) -> None:
    run, manager, supervisor = supervised
    supervisor.step(run.health, None)
    manager.heard()
    for _ in range(4):
        run.pass_s(31)
        supervisor.step(run.health, None)
    heard = manager.heard()
    assert "WATCHDOG=1" not in heard
    assert any("no frame for" in line for line in heard)
    assert [record.message.partition(":")[0] for record in caplog.records] == ["unhealthy"]
    run.tally.count(make())
    supervisor.step(run.health, None)
    assert "WATCHDOG=1" in manager.heard()
    assert caplog.records[-1].message == "healthy again"


def test_a_reload_is_told_and_runs_once_at_a_time(supervised) -> None:
    run, manager, supervisor = supervised
    supervisor.step(run.health, None)
    manager.heard()
    may_end, calls = threading.Event(), []

    def reload() -> None:
        calls.append(threading.current_thread().name)
        assert may_end.wait(10)

    supervisor.ask_reload()
    supervisor.step(run.health, reload)
    assert [line.partition("\n")[0] for line in manager.heard()] == ["RELOADING=1"]
    supervisor.ask_reload()
    supervisor.step(run.health, reload)
    assert len(calls) == 1
    may_end.set()
    supervisor._reloading.join(10)
    supervisor.step(run.health, reload)  # the second one, asked for meanwhile
    supervisor._reloading.join(10)
    supervisor.step(run.health, reload)
    assert calls == ["lpnet-reload"] * 2
    assert [line.partition("\n")[0] for line in manager.heard()] == ["READY=1", "RELOADING=1", "READY=1"]


def test_sighup_reloads_and_the_other_signals_end() -> None:
    caught: list[int] = []
    happened: list[str] = []
    before = signal.getsignal(signal.SIGHUP)
    with signals(caught, lambda: happened.append("stop"), lambda: happened.append("reload")):
        arrive(signal.SIGHUP)
        arrive(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            arrive(signal.SIGINT)
    assert happened == ["reload", "stop"]
    assert caught == [signal.SIGTERM, signal.SIGINT]
    with signals([], lambda: None, None):
        assert signal.getsignal(signal.SIGHUP) is before
