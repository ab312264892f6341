"""New files take the old ones' place together, and only when all has gone well."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from lpnet_rt.errors import ModelError

__all__ = ["staged"]


@contextlib.contextmanager
def staged(out: Path, suffixes: tuple[str, ...]) -> Iterator[dict[str, Path]]:
    """Names to write to; when the block ends without an error, the files are moved to ``out``'s name.

    Args:
        out: Model file, whose stem all files share.
        suffixes: Endings of the files that will be written.

    Yields:
        Suffix to the path to write to.

    Raises:
        ModelError: The folder cannot be written; known before the block begins.
    """
    partial = {suffix: out.with_suffix(f".partial{suffix}") for suffix in suffixes}
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        for path in partial.values():
            path.write_bytes(b"")
        yield partial
        for suffix, path in partial.items():
            path.replace(out.with_suffix(suffix))
    except OSError as error:
        raise ModelError(f"{out}: cannot write the model: {error.strerror}; name a folder you can write") from error
    finally:
        for path in partial.values():
            # A folder that cannot even be looked into holds nothing of ours.
            with contextlib.suppress(OSError):
                path.unlink()
