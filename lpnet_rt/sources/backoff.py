"""Backoff: pauses between attempts to reconnect to a lost source."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

__all__ = ["Backoff"]

_EARLY_S = 600.0
_JITTER = 0.5  # random share of a pause, so that many readers of one server do not reconnect at once


@dataclass(slots=True)
class Backoff:
    """Pauses that double up to a limit, each randomly shortened by up to a half.

    A restarting camera is back within minutes and should deliver within three seconds of its return: a pause of one
    second leaves two for the connection and the first key frame. After ten minutes it is tried less often.

    Attributes:
        first_s: The first pause, seconds.
        early_limit_s: Longest pause in the first ten minutes.
        limit_s: Longest pause after that.
        chance: Random generator of the jitter.
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
            Seconds, greater than 0.
        """
        limit_s = self.early_limit_s if away_s < _EARLY_S else self.limit_s
        pause_s = min(self.first_s * 2.0 ** min(self._tries, 16), limit_s)
        self._tries += 1
        return pause_s * (1.0 - _JITTER * self.chance.random())
