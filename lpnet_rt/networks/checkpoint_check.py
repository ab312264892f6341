"""Checks of a PyTorch checkpoint before PyTorch reads it.

``torch.load(weights_only=True)`` runs no code, but it inflates everything in a zip file and allocates byte arrays of
any size that a pickle requests: a file of kilobytes can take gigabytes. Here the names in the pickle are compared with
an allowlist and the sizes with the file size, without unpickling anything.
"""

from __future__ import annotations

import pickletools
import re
import stat
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from lpnet_rt.errors import ModelError, reason

__all__ = ["CHECKPOINT_BYTES", "check_checkpoint"]

CHECKPOINT_BYTES = 4 << 30
_PICKLE_BYTES = 64 << 20
_MAX_ENTRIES = 100_000
# The format before zip: magic number, protocol, machine, content and names of the storages, one pickle each.
_LEGACY_PICKLES = 5
# Names needed for tensors and the plain values of a training state.
_NAMES = re.compile(
    r"collections OrderedDict|torch\._utils _rebuild_(tensor|tensor_v2|parameter)|torch \w+Storage|torch (Size|device)"
    r"|torch\.storage (Typed|Untyped)Storage|torch\.serialization _get_layout|torch b?(float|int|uint)\d+|torch bool"
)


def check_checkpoint(path: Path) -> None:
    """Refuse a checkpoint that would run code, or take far more memory than its file size.

    Args:
        path: Checkpoint written by ``torch.save``, in the zip format or the older one.

    Raises:
        ModelError: It is missing, not a regular file, too large or damaged, or holds more than tensors and plain
            values.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ModelError(f"{path}: expected a checkpoint, found a device, a pipe or a folder; name a file")
        if status.st_size > CHECKPOINT_BYTES:
            raise ModelError(
                f"{path}: expected a checkpoint of at most {CHECKPOINT_BYTES:,} bytes, found a larger file"
            )
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                _check_zip(path, archive, status.st_size)
        else:
            with path.open("rb") as file:
                for _ in range(_LEGACY_PICKLES):
                    _check_pickle(path, file)
    except FileNotFoundError as error:
        raise ModelError(f"{path}: expected a checkpoint, found no such file") from error
    except ModelError:
        raise
    except Exception as error:  # pickletools and zipfile can raise anything on a damaged file
        raise ModelError(
            f"{path}: expected a checkpoint, found a damaged or truncated file: {reason(error)}"
        ) from error


def _check_zip(path: Path, archive: zipfile.ZipFile, size_bytes: int) -> None:
    """Refuse compressed entries and entries larger than the file: PyTorch writes neither."""
    entries = archive.infolist()
    packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    if packed or len(entries) > _MAX_ENTRIES or sum(entry.file_size for entry in entries) > size_bytes:
        raise ModelError(
            f"{path}: expected entries that are stored as torch.save writes them, found packed or overlapping ones; "
            "save it again with torch.save"
        )
    pickles = [entry for entry in entries if entry.filename.endswith(".pkl")]
    if sum(entry.file_size for entry in pickles) > _PICKLE_BYTES:
        raise ModelError(f"{path}: expected at most {_PICKLE_BYTES:,} bytes beside the tensors, found more")
    for entry in pickles:
        with archive.open(entry) as file:
            _check_pickle(path, file)


def _check_pickle(path: Path, file: IO[bytes]) -> None:
    """Compare the names that one pickle refers to with the allowlist; nothing is imported."""
    asked = _asked_for(pickletools.genops(file))
    strange = next((name for name in asked if not _NAMES.fullmatch(name)), None)
    if strange is not None:
        raise ModelError(
            f"{path}: expected tensors and nothing else; refused, nothing was run: it asks for {strange[:80]!r}"
        )


def _asked_for(operations: Iterable[tuple[pickletools.OpcodeInfo, object, int | None]]) -> Iterable[str]:
    for operation, argument, _ in operations:
        if operation.name == "GLOBAL":
            yield str(argument)
        elif operation.name in ("STACK_GLOBAL", "INST", "OBJ", "EXT1", "EXT2", "EXT4"):
            yield operation.name  # torch.save writes none of them
