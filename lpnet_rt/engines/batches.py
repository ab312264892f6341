"""Batch sizes that fit a device's memory, and an LRU cache of what was built for each input size."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from lpnet_rt.errors import EngineError

__all__ = ["Batcher", "LRUCache"]

_logger = logging.getLogger(__name__)

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_Key = TypeVar("_Key")
_Kept = TypeVar("_Kept")


class Batcher:
    """Runs items in batches; halves the batch size once if memory runs out.

    Attributes:
        max_batch: Largest number of items in a batch.
    """

    def __init__(self, max_batch: int, ran_out: type[BaseException], free_memory: Callable[[], str]) -> None:
        """Create a batcher.

        Args:
            max_batch: Largest number of items in a batch, at least 1.
            ran_out: Exception that is raised when memory runs out.
            free_memory: Releases unused memory and returns how much is free, in words.
        """
        self.max_batch = max_batch
        self._ran_out, self._free_memory = ran_out, free_memory
        self._halved = False

    def run(self, work: Callable[[Sequence[_Item]], list[_Result]], items: Sequence[_Item]) -> list[_Result]:
        """Process all items, in order.

        Args:
            work: Processes one batch.
            items: Any number.

        Raises:
            EngineError: Memory runs out even for half a batch, or for a single item.
        """
        results: list[_Result] = []
        while len(results) < len(items):
            batch = items[len(results) : len(results) + self.max_batch]
            fits = True
            try:
                results += work(batch)
            except self._ran_out:
                fits = False
            # Outside the handler: an exception that is being handled keeps alive the memory that the work held.
            if not fits:
                self._halve(len(batch))
        return results

    def _halve(self, batch: int) -> None:
        free = self._free_memory()
        if self._halved or batch == 1:
            frames = "one frame" if batch == 1 else f"{batch} frames"
            raise EngineError(
                f"expected device memory for {frames}, found too little ({free}); "
                "close what else uses it, or take another engine"
            )
        self._halved = True
        self.max_batch = max(1, batch // 2)
        _logger.warning("too little device memory for %d frames at once (%s); taking %d", batch, free, self.max_batch)


class LRUCache(Generic[_Key, _Kept]):
    """Least-recently-used cache that makes its values: compiled models, captured graphs."""

    def __init__(self, make: Callable[[_Key], _Kept], max_kept: int) -> None:
        self._make, self._max_kept = make, max_kept
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()

    def __getitem__(self, key: _Key) -> _Kept:
        """Return the value of a key; makes it if absent, and evicts the least recently used one if full."""
        if key not in self._kept:
            while len(self._kept) >= self._max_kept:
                self._kept.popitem(last=False)
            self._kept[key] = self._make(key)
        self._kept.move_to_end(key)
        return self._kept[key]

    def __len__(self) -> int:
        return len(self._kept)

    def clear(self) -> None:
        """Evict everything."""
        self._kept.clear()
