"""Write files that belong together: all are moved into place, and only after success."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from lpnet_rt.errors import SinkError, reason
from lpnet_rt.files import FILE_MODE, refuse_existing

__all__ = ["refuse_inputs", "refuse_outputs", "staged"]


def refuse_inputs(outputs: Iterable[Path], inputs: Iterable[Path], what: str) -> None:
    """Refuse an output that is one of the inputs, whether or not files may be replaced.

    Args:
        outputs: Files that will be written.
        inputs: Files that are read.
        what: The flag that names the outputs, for the message.

    Raises:
        SinkError: A file is both.
    """
    read = {path.resolve() for path in inputs}
    for path in outputs:
        if path.resolve() in read:
            raise SinkError(f"{what} {path}: expected a file of its own, found one that is read; give another name")


def refuse_outputs(out: Path, suffixes: Iterable[str], overwrite: bool) -> None:
    """Refuse outputs that would replace a file, before any work is done.

    Args:
        out: File to be written, whose stem all files share.
        suffixes: Endings of the files that will be written.
        overwrite: Whether regular files may be replaced.

    Raises:
        SinkError: One of them exists, or is not a regular file.
    """
    for suffix in suffixes:
        refuse_existing(out.with_suffix(suffix), "--out", overwrite)


@contextlib.contextmanager
def staged(out: Path, suffixes: tuple[str, ...], overwrite: bool) -> Iterator[dict[str, Path]]:
    """Yield paths in a temporary folder; when the block ends without an error, the files are moved.

    Temporary folders of killed processes have other names and do no harm.

    Args:
        out: File to be written, whose stem all files share.
        suffixes: Endings of the files that will be written; the last one is moved last.
        overwrite: Whether to replace existing files.

    Yields:
        Suffix to the path to write to.

    Raises:
        SinkError: A file exists, or the folder cannot be written; raised before the block begins.
    """
    refuse_outputs(out, suffixes, overwrite)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name[:100]}.", suffix=".part", dir=out.parent))
    except OSError as error:
        raise _unwritable(out, error) from error
    try:
        partial = {suffix: folder / out.with_suffix(suffix).name for suffix in suffixes}
        yield partial
        refuse_outputs(out, suffixes, overwrite)  # minutes may have passed
        _move(partial, out)
    except OSError as error:
        raise _unwritable(out, error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _move(partial: dict[str, Path], out: Path) -> None:
    """Move all files; on failure, remove new ones again."""
    new: list[Path] = []
    try:
        for suffix, path in partial.items():
            path.chmod(FILE_MODE)
            target = out.with_suffix(suffix)
            is_new = not target.exists()
            path.replace(target)
            if is_new:
                new.append(target)
    except OSError:
        for target in new:
            target.unlink(missing_ok=True)
        raise


def _unwritable(out: Path, error: OSError) -> SinkError:
    return SinkError(f"--out {out}: cannot be written: {reason(error)}; name a folder you can write")
