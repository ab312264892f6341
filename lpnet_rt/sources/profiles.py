"""What cameras deliver over Video4Linux: pixel format, sizes, rows that are no picture, and significant bits.

A profile is data; docs/cameras.md names the documents that it is taken from.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lpnet_rt.errors import SettingsError
from lpnet_rt.text import printable

__all__ = ["PROFILES", "Layout", "Profile", "find_profile"]


@dataclass(frozen=True, slots=True)
class Layout:
    """One size of what a camera delivers.

    Attributes:
        width: Pixels of 16 bits in a row.
        height: Rows, those that are no picture included.
        top: Rows before the picture: telemetry, or another picture.
        bottom: Rows after it.
    """

    width: int
    height: int
    top: int = 0
    bottom: int = 0


@dataclass(frozen=True, slots=True)
class Profile:
    """One kind of camera.

    Attributes:
        name: For ``--camera-profile``.
        fourcc: Pixel format to request: ``Y16 `` for grey counts, ``YUYV`` where a camera hides counts in colour video.
        layouts: Sizes that it may deliver; the first is requested.
        bit_depth: Significant bits of a count.
        byte_order: ``<``: the low byte of a count comes first; ``>``: the high one.
    """

    name: str
    fourcc: str
    layouts: tuple[Layout, ...]
    bit_depth: int = 16
    byte_order: str = "<"

    @property
    def code(self) -> int:
        """The pixel format as OpenCV's number."""
        return cv2.VideoWriter.fourcc(*self.fourcc)

    def picture(self, counts: NDArray[np.generic]) -> NDArray[np.uint16]:
        """Cut the picture out of what the camera delivered.

        Args:
            counts: (H, W) uint16, low byte first.

        Returns:
            (H', W') uint16 counts, a view or a copy.

        Raises:
            ValueError: The size is none of the profile's, or the counts have 8 bits; the text names both.
        """
        height, width = counts.shape
        sizes = " or ".join(f"{layout.width}x{layout.height}" for layout in self.layouts)
        expected = f"expected {sizes} counts of 16 bits (profile {self.name})"
        if counts.dtype != np.uint16:
            raise ValueError(f"{expected}, found {width}x{height} of 8 bits; take another profile, or none")
        layout = next((each for each in self.layouts if (each.height, each.width) == (height, width)), None)
        if layout is None:
            raise ValueError(f"{expected}, found {width}x{height}; take another profile, or none")
        picture = counts[layout.top : height - layout.bottom].astype(np.uint16, copy=False)
        return picture.byteswap() if self.byte_order == ">" else picture


_BOSON_640, _BOSON_320 = Layout(640, 512), Layout(320, 256)
_BOSON_TOP, _BOSON_BOTTOM = Layout(640, 514, top=2), Layout(640, 514, bottom=2)
_LEPTON_3, _LEPTON_2 = Layout(160, 120), Layout(80, 60)
_LEPTON_3_FOOTER, _LEPTON_2_FOOTER = Layout(160, 122, bottom=2), Layout(80, 63, bottom=3)
_INFIRAY = Layout(256, 384, top=192)

PROFILES: tuple[Profile, ...] = (
    Profile("boson", "Y16 ", (_BOSON_640, _BOSON_320, _BOSON_TOP)),
    Profile("boson320", "Y16 ", (_BOSON_320,)),
    Profile("boson640-telemetry", "Y16 ", (_BOSON_TOP,)),
    Profile("boson640-telemetry-bottom", "Y16 ", (_BOSON_BOTTOM,)),
    Profile("lepton", "Y16 ", (_LEPTON_3, _LEPTON_3_FOOTER, _LEPTON_2, _LEPTON_2_FOOTER)),
    Profile("p2pro", "YUYV", (_INFIRAY,)),
    Profile("tc001", "YUYV", (_INFIRAY,)),
    Profile("tau2", "Y16 ", (Layout(640, 512), Layout(336, 256)), bit_depth=14),
)


def find_profile(name: str | None) -> Profile | None:
    """Return the profile of a name; None for None.

    Raises:
        SettingsError: There is none of that name.
    """
    if name is None:
        return None
    for profile in PROFILES:
        if profile.name == name:
            return profile
    known = ", ".join(profile.name for profile in PROFILES)
    raise SettingsError(f"source.camera_profile: expected one of {known}; found {printable(name)[:64]!r}")
