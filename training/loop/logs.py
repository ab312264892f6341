"""The log of a run: one line per epoch, ``log.csv`` and TensorBoard."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

__all__ = ["LOG", "RunLog"]

LOG = "log.csv"
EVENTS = "tensorboard"


class RunLog:
    """One row per epoch, in a table that can be plotted and in TensorBoard's events."""

    def __init__(self, folder: Path, columns: Sequence[str], epoch: int) -> None:
        """Resume the log of ``folder`` after ``epoch``.

        What a killed run wrote of later epochs is dropped, because they are trained again.
        """
        self._path, self._columns = folder / LOG, list(columns)
        kept = [row for row in _rows(self._path) if int(row["epoch"]) <= epoch]
        self._write(kept)
        self._events = SummaryWriter(str(folder / EVENTS), purge_step=epoch + 1)

    def add(self, figures: Mapping[str, float]) -> None:
        """Write one epoch; ``figures`` holds ``epoch`` and any of the other columns."""
        row = {name: _text(figures[name]) for name in self._columns if name in figures}
        with self._path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self._columns).writerow(row)
        for name, value in figures.items():
            if name != "epoch":
                self._events.add_scalar(name, value, int(figures["epoch"]))
        self._events.flush()
        print("  ".join(f"{name} {value}" for name, value in row.items()), flush=True)

    def close(self) -> None:
        """Close TensorBoard's file."""
        self._events.close()

    def _write(self, rows: Sequence[Mapping[str, str]]) -> None:
        partial = self._path.with_suffix(".partial")
        with partial.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self._columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
        partial.replace(self._path)


def _rows(path: Path) -> list[dict[str, str]]:
    """Rows of an earlier part of the run; a last line that a kill cut short is no row."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if (row.get("epoch") or "").isdecimal()]


def _text(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.5g}"
