"""Read files up to a size limit; write files atomically, and never over others by accident.

Written files are readable by their owner and group (mode 0640). An existing file is refused in one line that names
``--overwrite``; symbolic links at the output path are not followed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None  # type: ignore[assignment]

from lpnet_rt.errors import LpnetError, SinkError, reason

__all__ = ["FILE_MODE", "create_file", "read_limited", "read_own", "refuse_existing", "replace_file", "write_whole"]

FILE_MODE = 0o640
# 0 on systems that lack the flag.
_NOFOLLOW, _NONBLOCK, _CLOEXEC = (getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC"))


def read_limited(path: Path, limit_bytes: int, what: str, error: type[LpnetError]) -> bytes:
    """Read a regular file up to a size limit.

    Args:
        path: File to read; devices, pipes and folders are refused without waiting.
        limit_bytes: Maximum size.
        what: Kind of file, for the message ("model card").
        error: Type of the error to raise.

    Raises:
        LpnetError: ``error``: it is missing, not a regular file, too large or cannot be read.
    """
    try:
        number = os.open(path, os.O_RDONLY | _NONBLOCK | _CLOEXEC)
        with os.fdopen(number, "rb") as file:
            status = os.fstat(number)
            if not stat.S_ISREG(status.st_mode):
                raise error(f"{path}: expected a {what}, found a device, a pipe or a folder; name a file")
            # One byte over the limit detects a file that grows while it is read.
            content = file.read(limit_bytes + 1) if status.st_size <= limit_bytes else None
    except OSError as failure:
        raise error(f"{path}: expected a {what}, found: {reason(failure)}") from failure
    if content is None or len(content) > limit_bytes:
        raise error(f"{path}: expected a {what} of at most {limit_bytes:,} bytes, found a larger file")
    return content


def refuse_existing(path: Path, what: str, overwrite: bool) -> None:
    """Refuse a path that exists already, unless it may be overwritten.

    Args:
        path: File to be written.
        what: The flag or output that names it, for the message (``--jsonl``).
        overwrite: Whether ``--overwrite`` was given; it allows a regular file, never a folder or a link.

    Raises:
        SinkError: It exists.
    """
    try:
        mode = path.lstat().st_mode
    except OSError:
        return
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a link" if stat.S_ISLNK(mode) else "a device or a pipe"
        raise SinkError(f"{what} {path}: expected a file or a free name, found {kind}; give another name")
    if not overwrite:
        raise SinkError(f"{what} {path}: the file exists; give another name, or --overwrite to replace it")


def create_file(path: Path, what: str, overwrite: bool) -> int:
    """Open a file for writing from its start, exclusively for this process.

    An existing file keeps its content until the caller truncates it (``os.ftruncate``).

    Args:
        path: File to write.
        what: The flag or output that names it, for the message.
        overwrite: Whether an existing file may be used.

    Returns:
        File descriptor, which the caller closes; it holds a lock, so that a second run cannot write the same file.

    Raises:
        SinkError: It exists, cannot be written, or another process is writing it.
    """
    refuse_existing(path, what, overwrite)
    exclusive = 0 if overwrite else os.O_EXCL
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | exclusive | _NOFOLLOW | _CLOEXEC, FILE_MODE)
    except FileExistsError as error:
        raise SinkError(f"{what} {path}: the file exists; give another name, or --overwrite to replace it") from error
    except OSError as error:
        raise SinkError(
            f"{what} {path}: cannot be written: {reason(error)}; give a file in a folder you can write"
        ) from error
    mode = stat.S_IMODE(os.fstat(number).st_mode)
    if mode & ~FILE_MODE and hasattr(os, "fchmod"):
        os.fchmod(number, mode & FILE_MODE)  # an existing file may be open to everybody
    if fcntl is None:
        return number
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(number)
        raise SinkError(f"{what} {path}: another process is writing this file; give another name") from error
    except OSError:
        pass  # a file system without locks relies on the exclusive creation above
    return number


def write_whole(path: Path, content: bytes, what: str, *, overwrite: bool = True) -> None:
    """Write a file atomically.

    Args:
        path: File to write; its folder must exist.
        content: The whole content.
        what: The flag or output that names it, for the message.
        overwrite: Whether to replace an existing file.

    Raises:
        SinkError: It exists or cannot be written.
    """
    refuse_existing(path, what, overwrite)
    try:
        replace_file(path, content)
    except OSError as error:
        raise SinkError(f"{what} {path}: cannot be written: {reason(error)}") from error


def replace_file(path: Path, content: bytes, mode: int = FILE_MODE) -> None:
    """Write a temporary file and rename it: readers see either the old or the new content.

    Args:
        path: File to write or replace; a link itself is replaced, not its target.
        content: The whole content.
        mode: Permissions of the file.

    Raises:
        OSError: It cannot be written; nothing is left behind.
    """
    beside = path.with_name(f".{path.name[:100]}.{os.getpid()}.part")
    try:
        beside.unlink(missing_ok=True)
        number = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOFOLLOW | _CLOEXEC, mode)
        with os.fdopen(number, "wb") as file:
            file.write(content)
        os.replace(beside, path)
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise


def read_own(path: Path, limit_bytes: int) -> bytes:
    """Read a file that belongs to this user; links, pipes and devices are refused without waiting.

    Args:
        path: File to read.
        limit_bytes: Maximum size.

    Raises:
        OSError: It is missing, not a regular file, too large or of another user, or cannot be read.
    """
    number = os.open(path, os.O_RDONLY | _NOFOLLOW | _NONBLOCK | _CLOEXEC)
    with os.fdopen(number, "rb") as file:
        status = os.fstat(number)
        if not stat.S_ISREG(status.st_mode) or status.st_size > limit_bytes:
            raise OSError(errno.EINVAL, f"expected a file of at most {limit_bytes:,} bytes, found another")
        if hasattr(os, "getuid") and status.st_uid != os.getuid():
            raise PermissionError(errno.EPERM, "the file belongs to another user")
        content = file.read(limit_bytes + 1)
    if len(content) > limit_bytes:
        raise OSError(errno.EFBIG, "the file grows while it is read")
    return content
