"""How far a long task is: a bar on a terminal, a line every ten seconds elsewhere, on stderr."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lpnet_rt.clock import SYSTEM_CLOCK, Clock
from lpnet_rt.text import printable

__all__ = ["watched"]

_LINE_NS = 10_000_000_000

_T = TypeVar("_T")


def watched(
    items: Sequence[_T], title: str, noun: str = "frames", clock: Clock = SYSTEM_CLOCK, console: Console | None = None
) -> Iterator[_T]:
    """Yield the items, and say how many are done, how fast, and how long the rest will take.

    Args:
        items: What is worked on, one after the other.
        title: What is being done.
        noun: What the items are called, in the plural.
        clock: For the rate.
        console: Where to; None takes stderr.
    """
    console = console or Console(stderr=True)
    began_ns = said_ns = clock.monotonic_ns()
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    title = printable(title)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=len(items), rate="")
        for done, item in enumerate(items, 1):
            yield item
            now_ns = clock.monotonic_ns()
            rate_hz = done / max((now_ns - began_ns) / 1e9, 1e-9)
            bar.update(task, completed=done, rate=f"{_rate(rate_hz)} {noun}/s")
            if not console.is_terminal and now_ns - said_ns >= _LINE_NS and done < len(items):
                said_ns = now_ns
                left_s = (len(items) - done) / rate_hz
                line = f"{title}: {done} of {len(items)} {noun}, {_rate(rate_hz)} per second, about {left_s:.0f} s left"
                console.print(line, soft_wrap=True, markup=False, highlight=False)


def _rate(rate_hz: float) -> str:
    return f"{rate_hz:.2g}" if rate_hz < 10 else f"{rate_hz:,.0f}"
