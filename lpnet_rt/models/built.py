"""How a model file was built: format, precision, input sizes, and the versions and device it is tied to."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

__all__ = ["BatchSize", "Built", "Format", "Precision"]

Format = Literal["onnx", "openvino", "tensorrt", "torch-export"]
Precision = Literal["f32", "f16", "int8"]
# Sides of 16,384 pixels take 2 GiB as a network's input: no file of one size is larger.
_SidePx = Annotated[int, Meta(ge=1, le=16384)]
BatchSize = tuple[Annotated[int, Meta(ge=1, le=4096)], _SidePx, _SidePx]


class Built(Struct, frozen=True, kw_only=True):
    """How a file was built.

    Attributes:
        format: Format of the file.
        precision: Precision of the graph in the file; an engine may compute in a lower one.
        min_size: Smallest input (batch, height, width), pixels; None: limited only by the input rule, and the batch
            is 1; ``least`` in files.
        opt_size: The input size it is optimised for; ``usual`` in files.
        max_size: Largest input; equal to ``min_size`` in a file of fixed size; ``most`` in files.
        versions: Versions of the packages that it was built with, by package.
        device: The kind of device that it runs on, where it is tied to one; else empty.
    """

    format: Format = "onnx"
    precision: Precision = "f32"
    min_size: BatchSize | None = field(default=None, name="least")
    opt_size: BatchSize | None = field(default=None, name="usual")
    max_size: BatchSize | None = field(default=None, name="most")
    versions: dict[str, str] = {}
    device: str = ""

    def wrong_size(self, shape: tuple[int, ...]) -> str | None:
        """Return why a file of one fixed size rejects an input, in one line; None if it accepts it or the size is free.

        Args:
            shape: (B, C, H, W) of the input, padding included.
        """
        given = (shape[0], shape[2], shape[3])
        if self.max_size is None or self.min_size != self.max_size or given == self.max_size:
            return None
        wanted, found = ("x".join(map(str, size)) for size in (self.max_size, given))
        return f"expected an input of {wanted} (batch, height, width, padded), found {found}; export it for that size"

    def misfit(self, versions: dict[str, str], device: str) -> str | None:
        """Return why a file tied to versions and a device cannot run here, in one line; None if it can.

        Args:
            versions: Versions of this machine's packages; only those the file names are compared.
            device: This machine's device.
        """
        for name, version in self.versions.items():
            here = versions.get(name, "none")
            if here != version:
                return f"expected {name} {version}, with which it was built, found {here}; export it again here"
        if self.device != device:
            return (
                f"expected the device {self.device!r}, for which it was built, found {device!r}; export it again here"
            )
        return None
