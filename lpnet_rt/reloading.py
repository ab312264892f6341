"""Settings that change while a run goes on: re-read on SIGHUP, without losing a frame or a track.

All changes are prepared first: values are checked and files opened. Only if that succeeds are they applied, between two
reports, in the thread that hands reports out. What cannot change is named and left as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from lpnet_rt.errors import LpnetError
from lpnet_rt.settings import Settings
from lpnet_rt.text import redact

__all__ = ["Change", "Reloadable", "Reloader", "changed_keys"]

_logger = logging.getLogger(__name__)

Change = Callable[[], None]


class Reloadable(Protocol):
    """A part of a run whose settings can change.

    Attributes:
        keys: Dotted keys of these settings (``detector.threshold``), or a table (``zone``).
    """

    @property
    def keys(self) -> frozenset[str]:
        """See above."""
        ...

    def prepare(self, settings: Settings) -> Change:
        """Check the new settings and open what they need, without changing anything.

        Returns:
            What applies the change; it must neither wait nor fail.

        Raises:
            LpnetError: They cannot be applied; nothing is left open.
        """
        ...


class Reloader:
    """Re-reads the settings of a run."""

    def __init__(
        self,
        settings: Settings,
        reread: Callable[[], Settings],
        parts: Sequence[Reloadable],
        apply: Callable[[Change], None],
    ) -> None:
        """Create the reloader.

        Args:
            settings: In effect.
            reread: Reads the configuration again, flags included.
            parts: What can change; a part that opens files comes last, because nothing may fail after it.
            apply: Has a function called between two reports.
        """
        self._settings, self._reread, self._parts, self._apply = settings, reread, parts, apply

    def reload(self) -> None:
        """Re-read and apply; failures are logged and change nothing."""
        try:
            wanted = self._reread()
            changed = changed_keys(self._settings, wanted)
            parts = [part for part in self._parts if part.keys & changed]
            changes = [part.prepare(wanted) for part in parts]
        except LpnetError as error:
            _logger.error("reload: %s; nothing was changed", error)
            return
        except Exception:
            _logger.exception("reload: failed unexpectedly; nothing was changed")
            return
        for change in changes:
            self._apply(change)
        done = sorted(changed & frozenset[str]().union(*(part.keys for part in parts)))
        left = sorted(changed - set(done))
        self._settings = _with_keys(self._settings, wanted, done)
        _logger.info("reload: %s%s", _described(wanted, done), f"; needs a restart: {', '.join(left)}" if left else "")


def changed_keys(before: Settings, after: Settings) -> frozenset[str]:
    """Return the dotted keys whose values differ; lists of tables, such as ``zone``, count as a whole."""
    changed: set[str] = set()
    for table in Settings.__struct_fields__:
        old, new = getattr(before, table), getattr(after, table)
        if isinstance(old, msgspec.Struct) and type(old) is type(new):
            differing = [key for key in old.__struct_fields__ if getattr(old, key) != getattr(new, key)]
            changed.update(f"{table}.{key}" for key in differing)
        elif old != new:
            changed.add(table)
    return frozenset(changed)


def _with_keys(before: Settings, after: Settings, keys: Sequence[str]) -> Settings:
    """Return settings with some keys of others."""
    for key in keys:
        table, _, name = key.partition(".")
        value = getattr(after, table)
        if name:
            value = msgspec.structs.replace(getattr(before, table), **{name: getattr(value, name)})
        before = msgspec.structs.replace(before, **{table: value})
    return before


def _described(settings: Settings, keys: Sequence[str]) -> str:
    """Name the keys with their new values; of a list, its length."""
    words = []
    for key in keys:
        table, _, name = key.partition(".")
        value = getattr(settings, table)
        words.append(f"{key} = {redact(repr(getattr(value, name)))}" if name else f"{key}: {len(value)}")
    return ", ".join(words) or "nothing has changed"
