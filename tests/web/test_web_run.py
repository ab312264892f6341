from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lpnet_rt.cli import main
from lpnet_rt.clock import SYSTEM_CLOCK
from lpnet_rt.sinks.runner import QueuedSink
from lpnet_rt.web.hub import Pace


def test_a_run_with_a_page_ends_as_one_without(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--source", "demo", "--frames", "3", "--no-publish", "--quiet", "--engine", "onnxruntime"]
    lines = tmp_path / "out.jsonl"
    assert main(["run", *flags, "--model", "lpnet-rt-s", "--jsonl", str(lines), "--web", "127.0.0.1:0"]) == 0
    assert len(lines.read_text().splitlines()) == 3
    assert "web page: http://127.0.0.1:" in capsys.readouterr().err


def test_the_metrics_have_every_queue_and_every_output(serve: Callable[..., Any]) -> None:
    class Held:
        """Takes nothing until it is closed."""

        def write(self, report: object) -> None: ...
        def tick(self) -> None: ...
        def close(self, outcome: str = "end") -> None: ...

    page = serve()
    page.outputs["mast"].append(QueuedSink(Held(), "save", SYSTEM_CLOCK, lossy=True))
    page.page.watch(lambda number: {"detector": 2 + number, "reports": 1})
    page.write(0)
    text = page.client.get("/metrics").text
    assert 'lpnet_queue_frames{queue="detector",source="mast"} 2.0' in text
    assert 'lpnet_output_up{output="save",source="mast"} 1.0' in text
    page.outputs["mast"][1].close("end")


def test_pictures_come_less_often_while_the_page_takes_too_much_and_again_once_it_does_not() -> None:
    pace = Pace(processors=2)
    fastest_s = pace.period_s
    for _ in range(200):
        slow_s = pace.next_s(busy_s=0.5 * pace.period_s, passed_s=pace.period_s)
    assert slow_s == 1.0
    for _ in range(200):
        quick_s = pace.next_s(busy_s=0.001 * pace.period_s, passed_s=pace.period_s)
    assert quick_s == fastest_s == pytest.approx(1 / 15)
    assert pace.next_s(0.0, 0.1, viewers=10) == pytest.approx(2 / 15)
