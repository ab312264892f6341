"""What a model file was built as: format, precision, sizes, and what it is tied to."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

__all__ = ["BatchSize", "Built", "Format", "Precision"]

Format = Literal["onnx", "openvino", "tensorrt", "torch-export"]
Precision = Literal["f32", "f16", "int8"]
# Sides of 16,384 pixels take 2 GiB as a network's input: no file of one size is larger.
_SidePx = Annotated[int, Meta(ge=1, le=16384)]
BatchSize = tuple[Annotated[int, Meta(ge=1, le=4096)], _SidePx, _SidePx]


class Built(Struct, frozen=True, kw_only=True):
    """How a file was built.

    Attributes:
        format: Of the file.
        precision: Of what is in the file; an engine may calculate in less.
        least: Smallest input (batch, height, width), pixels; None: the input rule alone decides, and the batch is 1.
        usual: The input it is tuned for.
        most: Largest input; equal to ``least`` in a file of fixed size.
        versions: Packages it was built with, and in what version.
        device: For files that run on one kind of device only, which; else empty.
    """

    format: Format = "onnx"
    precision: Precision = "f32"
    least: BatchSize | None = None
    usual: BatchSize | None = None
    most: BatchSize | None = None
    versions: dict[str, str] = {}
    device: str = ""

    def wrong_size(self, shape: tuple[int, ...]) -> str | None:
        """Why a file of one fixed size cannot take an input, in one line; None where it can, or takes several sizes.

        Args:
            shape: (B, C, H, W) of the input, padding included.
        """
        given = (shape[0], shape[2], shape[3])
        if self.most is None or self.least != self.most or given == self.most:
            return None
        wanted, found = ("x".join(map(str, size)) for size in (self.most, given))
        return f"expected an input of {wanted} (batch, height, width, padded), found {found}; export it for that size"

    def misfit(self, versions: dict[str, str], device: str) -> str | None:
        """Why a file tied to versions and a device cannot run here, in one line; None where it can.

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
