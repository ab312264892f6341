"""Files that belong together take their place together, and only when all has gone well."""

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
        SinkError: One of them is both.
    """
    read = {path.resolve() for path in inputs}
    for path in outputs:
        if path.resolve() in read:
            raise SinkError(f"{what} {path}: expected a file of its own, found one that is read; give another name")


def refuse_outputs(out: Path, suffixes: Iterable[str], overwrite: bool) -> None:
    """Refuse, before any work is done, what would replace a file.

    Args:
        out: File to be written, whose stem all files share.
        suffixes: Endings of the files that will be written.
        overwrite: Whether regular files may be replaced.

    Raises:
        SinkError: One of them exists, or is no regular file.
    """
    for suffix in suffixes:
        refuse_existing(out.with_suffix(suffix), "--out", overwrite)


@contextlib.contextmanager
def staged(out: Path, suffixes: tuple[str, ...], overwrite: bool) -> Iterator[dict[str, Path]]:
    """Names to write to, in a folder of their own; when the block ends without an error, the files are moved.

    What a killed process left behind has another name and is in nobody's way.

    Args:
        out: File to be written, whose stem all files share.
        suffixes: Endings of the files that will be written; the last one is moved last.
        overwrite: Whether files that exist are replaced.

    Yields:
        Suffix to the path to write to.

    Raises:
        SinkError: A file exists, or the folder cannot be written; known before the block begins.
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
    """Move all files, or none where nothing stood before."""
    new: list[Path] = []
    try:
        for suffix, path in partial.items():
            path.chmod(FILE_MODE)
            place = out.with_suffix(suffix)
            is_new = not place.exists()
            path.replace(place)
            if is_new:
                new.append(place)
    except OSError:
        for place in new:
            place.unlink(missing_ok=True)
        raise


def _unwritable(out: Path, error: OSError) -> SinkError:
    return SinkError(f"--out {out}: cannot be written: {reason(error)}; name a folder you can write")
