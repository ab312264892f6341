"""Cache folders of files that this program trusts later: only folders that nobody else can write.

Cached files (compiled models, engine choices) are used at the next start, and a hash inside a file does not protect it
from someone who can write it. So a folder that belongs to another user, or that others can write, is not used.
"""

from __future__ import annotations

import logging
import os
import stat
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_path

from lpnet_rt.errors import reason
from lpnet_rt.files import read_own, replace_file

__all__ = ["CacheFolder", "cache_folder"]

_MAX_FILES = 64
_MAX_BYTES = 512 << 20
_PRIVATE_MODE = 0o600
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
# Age of partial files that a killed process left behind.
_STALE_S = 3600.0

_logger = logging.getLogger(__name__)
_warned: set[str] = set()


def cache_folder() -> Path:
    """Return the folder for compiled models and engine choices: ``LPNET_CACHE``, else the system's cache folder."""
    base = os.environ.get("LPNET_CACHE")
    return Path(base) if base else user_cache_path("lpnet-rt", appauthor=False)


class CacheFolder:
    """A folder of at most 64 files and 512 MiB; if it cannot be used, nothing is cached."""

    def __init__(self, path: Path, max_files: int = _MAX_FILES, max_bytes: int = _MAX_BYTES) -> None:
        """Store the path; nothing is created yet.

        Args:
            path: Folder; it and its parent are created with mode 0700 when the first file is written.
            max_files: Maximum number of files; the least recently used are removed first.
            max_bytes: Maximum total size.
        """
        self.path = path
        self._max_files, self._max_bytes = max_files, max_bytes

    def read(self, name: str, what: str = "file") -> bytes | None:
        """Read a file and mark it as used; None if it is missing or cannot be trusted.

        Args:
            name: Name of the file.
            what: What it is, for the warning if it cannot be read.
        """
        path = self.path / name
        if not os.path.lexists(path) or not self.is_private():
            return None
        try:
            content = read_own(path, self._max_bytes)
            os.utime(path)
        except OSError as error:
            _logger.warning("%s: the %s cannot be read (%s); making it again", path, what, reason(error))
            return None
        return content

    def map_array(self, name: str) -> NDArray[np.generic] | None:
        """Map an array that :meth:`write` stored as ``.npy``, read-only; None if it is missing or cannot be trusted.

        Args:
            name: Name of the file.
        """
        path = self.path / name
        try:
            if not self.is_private() or not stat.S_ISREG(path.lstat().st_mode):
                return None
            os.utime(path)
            array: NDArray[np.generic] = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        return array

    def write(self, name: str, content: bytes) -> None:
        """Write a file atomically, and remove the least recently used ones over the limits."""
        if len(content) > self._max_bytes or not self.make():
            return
        try:
            replace_file(self.path / name, content, _PRIVATE_MODE)
            self._prune(name)
        except OSError:
            return  # a full disk or a read-only home only makes starts slower

    def make(self) -> bool:
        """Create the folder if it is missing; return whether it can be used."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.mkdir(mode=0o700, exist_ok=True)
        except OSError:
            return False
        return self.is_private()

    def is_private(self) -> bool:
        """Return whether nobody else can write or replace the folder; if not, warn once."""
        try:
            found = _found_open(self.path.lstat(), self.path.parent.stat(), self.path.parent.lstat())
        except OSError:
            return False
        if found is not None and str(self.path) not in _warned:
            _warned.add(str(self.path))
            _logger.warning(
                "%s: expected a cache folder that only you can write, found %s; nothing is kept "
                "(remove it, or set LPNET_CACHE to a folder of your own)",
                self.path,
                found,
            )
        return found is None

    def _prune(self, newest: str) -> None:
        """Remove files over the limits; the newest is removed last."""
        files = []
        for entry in os.scandir(self.path):
            status = entry.stat(follow_symlinks=False)
            if not stat.S_ISREG(status.st_mode):
                continue
            if entry.name.endswith(".part"):
                if time.time() - status.st_mtime > _STALE_S:
                    os.unlink(entry.path)
                continue
            files.append((entry.name == newest, status.st_mtime_ns, status.st_size, entry.path))
        files.sort(reverse=True)
        total_bytes = 0
        for rank, (_, _, size_bytes, path) in enumerate(files):
            total_bytes += size_bytes
            if rank >= self._max_files or total_bytes > self._max_bytes:
                os.unlink(path)


def _found_open(folder: os.stat_result, around: os.stat_result, around_link: os.stat_result) -> str | None:
    """Return how others can write or replace a folder; None if they cannot."""
    if not stat.S_ISDIR(folder.st_mode):
        return "a link or a file"
    if not hasattr(os, "getuid"):
        return None  # Windows: the profile's access list protects it
    own = os.getuid()
    if folder.st_uid != own:
        return "one of another user"
    if folder.st_mode & _OTHERS_WRITE:
        return f"one that others can write (mode {stat.S_IMODE(folder.st_mode):o})"
    if around.st_uid not in (own, 0) or around_link.st_uid not in (own, 0):
        return f"it in a folder of another user (user {around.st_uid})"
    # In a sticky folder such as /tmp, users cannot rename each other's files.
    if around.st_mode & _OTHERS_WRITE and not around.st_mode & stat.S_ISVTX:
        return f"it in a folder that others can write (mode {stat.S_IMODE(around.st_mode):o})"
    return None
