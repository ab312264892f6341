"""Results as tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from lpnet_rt.benchmarks.results import EndToEnd, Live, Parity, Spread, StageTimes, StartUp

__all__ = ["arithmetic_table", "end_to_end_table", "live_table", "parity_table", "stages_table", "start_up_table"]

_PERCENTILES = ("p50", "p95", "p99", "max")


def stages_table(rows: Sequence[StageTimes]) -> Table:
    """Every engine, size and batch, stage by stage: milliseconds per frame."""
    table = _table("Stages in one thread, ms per frame", "engine", "size", "batch", "stage")
    _add_numbers(table, _PERCENTILES)
    for row in rows:
        where = (row.engine, _size(row), str(row.batch))
        stages = {"prepare": row.prepare, "infer": row.infer, "detect": row.detect, "encode": row.encode}
        for name, spread in stages.items():
            table.add_row(*(where if name == "prepare" else ("", "", "")), name, *_spread(spread))
        table.add_row("", "", "", "all but infer", *_spread(row.overhead), end_section=True)
    return table


def arithmetic_table(rows: Sequence[StageTimes]) -> Table:
    """Every engine, size and batch: how much of the machine is used."""
    table = _table("Frames per second of the stages in a row, and the arithmetic", "engine", "size", "batch")
    _add_numbers(table, ("fps", "GMAC", "GMAC/s", "of peak"))
    for row in rows:
        share = "-" if row.share_of_peak is None else f"{100 * row.share_of_peak:.0f} %"
        work = (_number(row.gmac, ".2f"), _number(row.gmac_per_s, ".0f"), share)
        table.add_row(row.engine, _size(row), str(row.batch), f"{row.fps:.1f}", *work)
    return table


def end_to_end_table(rows: Sequence[EndToEnd]) -> Table:
    """Every file and engine, from the file to messages that arrived."""
    table = _table("From a file to messages at a subscriber; decoding alone; whole process", "file", "engine")
    _add_numbers(table, ("fps", "least", "most", "decode", "s", "MiB"))
    for row in rows:
        rates = (f"{rate:.0f}" for rate in (*row.fps, row.decode_fps))
        table.add_row(row.name, row.engine, *rates, f"{row.wall_s:.2f}", f"{row.peak_mib:.0f}")
    return table


def live_table(rows: Sequence[Live]) -> Table:
    """Every file played at its camera's pace."""
    table = _table("At the camera's pace, ms from when a frame was due", "file", "engine", "what")
    _add_numbers(table, _PERCENTILES)
    for row in rows:
        table.add_row(row.name, row.engine, "latency", *_spread(row.latency))
        table.add_row("", "", "all but infer", *_spread(row.beside_inference))
        counts = f"{row.due} frames due, {row.arrived} arrived, {row.dropped} dropped"
        memory = f"{_number(row.memory_early_mib, '.0f')} to {_number(row.memory_end_mib, '.0f')}"
        table.caption = f"{counts}; MiB early to end {memory}, highest {row.peak_mib:.0f}"
    return table


def start_up_table(row: StartUp) -> Table:
    """What a user waits for."""
    table = _table("Start-up, seconds", "from the start of a process to")
    table.add_column("seconds", justify="right")
    table.add_row("import lpnet_rt done (import alone)", f"{row.import_s:.3f}")
    table.add_row("from lpnet_rt import Detector done (import alone)", f"{row.import_detector_s:.3f}")
    table.add_row("first frame's message, warm cache", f"{row.warm_first_frame_s:.2f}")
    table.add_row("first detection's message, warm cache", _number(row.warm_s, ".2f"))
    table.add_row("first detection's message, empty cache", _number(row.cold_s, ".2f"))
    return table


def parity_table(rows: Sequence[Parity]) -> Table:
    """Every engine beside the reference."""
    reference = rows[0].reference if rows else "none"
    table = _table(f"Detections beside those of {reference}; largest move and difference of score", "frames", "engine")
    _add_numbers(table, ("count", "found", "gained", "lost", "px", "score"))
    for row in rows:
        counts = (row.frames, row.detections, row.gained, row.lost)
        table.add_row(
            row.name, row.engine, *map(str, counts), f"{row.largest_move_px:.3f}", f"{row.largest_score_difference:.4f}"
        )
    return table


def _table(title: str, *names: str) -> Table:
    table = Table(
        title=title, title_justify="left", caption_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0)
    )
    for name in names:
        table.add_column(name, no_wrap=True)
    return table


def _add_numbers(table: Table, headings: Sequence[str]) -> None:
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)


def _size(row: StageTimes) -> str:
    return "x".join(map(str, row.size_wh))


def _spread(spread: Spread) -> list[str]:
    values = (spread.p50_ms, spread.p95_ms, spread.p99_ms, spread.max_ms)
    return [f"{ms:.1f}" if ms >= 10 else f"{ms:.2f}" for ms in values]


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
