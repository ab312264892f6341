"""Backoff: how long to wait before a lost source is tried again."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

__all__ = ["Backoff"]

_EARLY_S = 600.0
_JITTER = 0.5  # share of a pause that is drawn by chance, so that many readers of one server do not come together


@dataclass(slots=True)
class Backoff:
    """Pauses that double up to a limit, each shortened by chance by up to a half.

    A camera that restarts is back within minutes, and is to deliver within three seconds of its return: one second of
    waiting leaves two for the connection and its first key frame. One that has been away for ten minutes is tried less
    often.

    Attributes:
        first_s: The first pause, seconds.
        early_limit_s: Longest pause in the first ten minutes.
        limit_s: Longest pause after them.
        chance: Where the jitter comes from.
    """

    first_s: float = 0.2
    early_limit_s: float = 1.0
    limit_s: float = 10.0
    chance: random.Random = field(default_factory=random.Random)
    _tries: int = 0

    def reset(self) -> None:
        """Start with the shortest pause again."""
        self._tries = 0

    def next_s(self, away_s: float) -> float:
        """Return the next pause.

        Args:
            away_s: How long the source has been away, seconds.

        Returns:
            Seconds, over 0.
        """
        limit_s = self.early_limit_s if away_s < _EARLY_S else self.limit_s
        pause_s = min(self.first_s * 2.0 ** min(self._tries, 16), limit_s)
        self._tries += 1
        return pause_s * (1.0 - _JITTER * self.chance.random())
