"""What engines build out of models, kept on disk: compiled OpenVINO models, TensorRT engines.

A file is offered to nobody but whom it was built for (weights, precision, size, versions, device), and is believed only
if its hash is right: a compiled model with a few flipped bytes runs without a word and finds nothing. Against who can
write the folder a hash is no protection: see :mod:`lpnet_rt.cache`.
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
    """All that a built file depends on.

    Attributes:
        engine: What runs it.
        weights_sha256: Hash of the model file that it was built from.
        precision: What the arithmetic runs in.
        shape: (B, C, H, W) of its input.
        versions: Packages it was built with, and in what version.
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
        """Its file's name: anything that differs gives another."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()[:32]


class BuiltCache:
    """A folder of built files; one that cannot be used keeps nothing, and costs only time."""

    def __init__(self, folder: Path) -> None:
        self._folder = CacheFolder(folder)

    def get(self, wanted: BuiltFor, build: Callable[[], bytes]) -> bytes:
        """What was built earlier, or else what ``build`` makes now, which is kept.

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
        """Whole or not at all; of two processes that build the same the last one's stays."""
        rest = msgspec.json.encode(wanted, order="sorted") + b"\n" + content
        self._folder.write(name, _MAGIC + hashlib.sha256(rest).hexdigest().encode() + b"\n" + rest)
