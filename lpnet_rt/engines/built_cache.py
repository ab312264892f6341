"""Disk cache of what engines build from models: compiled OpenVINO models, TensorRT engines.

A file is used only for what it was built for (weights, precision, size, versions, device) and only if its hash matches:
a compiled model with a few flipped bytes runs without an error and detects nothing. The hash does not protect against
someone who can write to the folder: see :mod:`lpnet_rt.cache`.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct

from lpnet_rt.cache import CacheFolder

__all__ = ["BuiltCache", "BuiltFor"]

_logger = logging.getLogger(__name__)

_MAGIC = b"lpnet-rt built 1\n"


class BuiltFor(Struct, frozen=True, kw_only=True):
    """Everything that a built file depends on.

    Attributes:
        engine: Name of the engine that runs it.
        weights_sha256: Hash of the model file that it was built from.
        precision: Precision of the arithmetic.
        shape: (B, C, H, W) of its input.
        versions: Versions of the packages that it was built with, by package.
        device: The kind of processor or GPU it runs on.
    """

    engine: str
    weights_sha256: str
    precision: str
    shape: tuple[int, ...]
    versions: dict[str, str]
    device: str

    @property
    def key(self) -> str:
        """File name without suffix; different for any difference in the fields."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()[:32]


class BuiltCache:
    """A folder of built files; if it cannot be used, everything is built each time."""

    def __init__(self, folder: Path) -> None:
        self._folder = CacheFolder(folder)

    def get(self, wanted: BuiltFor, build: Callable[[], bytes]) -> bytes:
        """Return the cached file, or call ``build`` and cache the result.

        A damaged file is built again, with a warning.
        """
        name = f"{wanted.key}.built"
        found = self._read(name, wanted)
        if found is not None:
            return found
        content = build()
        self._write(name, wanted, content)
        return content

    def _read(self, name: str, wanted: BuiltFor) -> bytes | None:
        whole = self._folder.read(name, "built model")
        if whole is None:
            return None
        if whole.startswith(_MAGIC):
            digest, _, rest = whole[len(_MAGIC) :].partition(b"\n")
            if hashlib.sha256(rest).hexdigest().encode() == digest:
                head, _, content = rest.partition(b"\n")
                if head == msgspec.json.encode(wanted, order="sorted"):
                    return content
        _logger.warning("%s: damaged; building it again", self._folder.path / name)
        return None

    def _write(self, name: str, wanted: BuiltFor, content: bytes) -> None:
        """Write atomically; if two processes build the same file, the last one wins."""
        rest = msgspec.json.encode(wanted, order="sorted") + b"\n" + content
        self._folder.write(name, _MAGIC + hashlib.sha256(rest).hexdigest().encode() + b"\n" + rest)
