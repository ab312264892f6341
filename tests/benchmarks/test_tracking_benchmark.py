from __future__ import annotations

from lpnet_rt.benchmarks.tracking import run


def test_every_row_of_the_table_is_measured() -> None:
    lines: list[str] = []
    run(3, lines.append)
    names = [line[:32].strip() for line in lines]
    assert names == [
        "ms",
        "tracker, 1 targets",
        "tracker, 20 targets",
        "tracker, 500 targets",
        "camera motion, 640x512 uint8",
        "camera motion, 640x512 uint16",
    ]
    for line in lines[1:]:
        p50, p95, p99, most = (float(value) for value in line[32:].split())
        assert 0.0 < p50 <= p95 <= p99 <= most
