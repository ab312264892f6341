"""Names of sources in topics and messages."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["natural_key", "source_name", "url_scheme"]

_NAME_LIMIT = 64


def source_name(text: str) -> str:
    """Derive a topic name from any text.

    Returns:
        1 to 64 letters, digits, ``-`` and ``_``; ``source`` if nothing of the text can be kept.
    """
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-")[:_NAME_LIMIT].strip("-")
    return name or "source"


def natural_key(path: Path) -> list[tuple[int, str]]:
    """Sort key that puts ``frame2`` before ``frame10``; by folder first, then by file name."""
    parts = [part for part in re.split(r"(\d+)", str(path)) if part]
    return [(int(part), "") if part.isdecimal() and part.isascii() else (-1, part.casefold()) for part in parts]


def url_scheme(spec: str) -> str | None:
    """Return the scheme of a URL in lower case, or None if the text is not a URL."""
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", spec)
    return match.group(1).lower() if match else None
