from __future__ import annotations

import dataclasses

import pytest

from lpnet_rt.benchmarks.published import Arrival
from lpnet_rt.benchmarks.web import Phase, main, rows_of
from lpnet_rt.errors import LpnetError
from lpnet_rt.messages import FrameMessage, LatencyMessage

FRAME = FrameMessage(
    session="s", seq=0, source="one", frame=0, width=64, height=48, t_capture_us=0, pts_s=None, t_publish_us=0,
    latency_ms=LatencyMessage(queue=0, prepare=0, infer=0, detect=0, total=0), dropped=0, model="m", detections=(),
)  # fmt: skip


def arrival(at_us: int, latency_ms: float) -> Arrival:
    captured = FRAME.__class__(**{**_fields(), "t_capture_us": at_us - round(latency_ms * 1000)})
    return Arrival(captured, at_us, 0.0)


def _fields() -> dict[str, object]:
    return {name: getattr(FRAME, name) for name in FRAME.__struct_fields__}


def test_turns_of_the_same_number_are_put_together_and_compared_with_none() -> None:
    turns = [
        Phase(0, 0, 10**6, 0, 0.01),
        Phase(10, 2 * 10**6, 3 * 10**6, 150, 0.1),
        Phase(0, 4 * 10**6, 5 * 10**6, 0, 0.01),
    ]
    arrivals = [arrival(start + 10_000 * step, 5.0) for start in (0, 4 * 10**6) for step in range(60)]
    arrivals += [arrival(2 * 10**6 + 10_000 * step, 8.0) for step in range(57)]
    arrivals += [arrival(1_500_000, 500.0)]  # between two turns: it counts for none
    none, ten = rows_of(turns, arrivals)
    assert (none.viewers, none.fps, none.fps_ratio, none.server_share) == (0, 60.0, 1.0, 0.01)
    assert (ten.viewers, ten.fps, ten.fps_ratio) == (10, 57.0, 0.95)
    assert (ten.p99_more_ms, ten.pictures_hz, ten.server_share) == (pytest.approx(3.0), 6.0, 0.1)
    with pytest.raises(LpnetError, match="found none"):
        rows_of([dataclasses.replace(turns[0], viewers=1)], [])


def test_it_needs_turns_without_viewers_to_compare_with(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--viewers", "1,10"]) == 2
    assert "expected 0 among them" in capsys.readouterr().err
    assert main(["--size", "large"]) == 2
