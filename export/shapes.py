"""Sizes of input that an exported file takes: fixed, or from min to max."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.export import Dim

from lpnet_rt.errors import SettingsError
from lpnet_rt.models import InputRule
from lpnet_rt.models.built import BatchSize

__all__ = ["INPUT_CHANNELS", "LARGEST_PX", "Shapes", "any_size", "read_shapes"]

INPUT_CHANNELS = 2
LARGEST_PX = 8192
_OPT_HW = (512, 640)
_SPEC = re.compile(r"^(?:(\d{1,4})x)?(\d{1,5})x(\d{1,5})$")


@dataclass(frozen=True, slots=True)
class Shapes:
    """Minimum, optimum and maximum input as (batch, height, width); sides are multiples of the input rule's.

    Attributes:
        min_bhw: Smallest.
        opt_bhw: What an engine is tuned for.
        max_bhw: Largest; equal to ``min_bhw`` where nothing is free.
        multiple: Sides grow in steps of this many pixels.
    """

    min_bhw: BatchSize
    opt_bhw: BatchSize
    max_bhw: BatchSize
    multiple: int

    def __post_init__(self) -> None:
        for name, low, mid, high in zip(
            ("batch", "height", "width"), self.min_bhw, self.opt_bhw, self.max_bhw, strict=True
        ):
            if not 1 <= low <= mid <= high:
                raise SettingsError(f"{name}: expected 1 <= min <= opt <= max, found {low}, {mid}, {high}")

    @property
    def free(self) -> tuple[bool, bool, bool]:
        """Which of batch, height and width may change."""
        batch, height, width = (low != high for low, high in zip(self.min_bhw, self.max_bhw, strict=True))
        return batch, height, width

    @property
    def is_fixed(self) -> bool:
        """Whether the file takes one size only."""
        return self.min_bhw == self.max_bhw

    def nchw(self, size: BatchSize) -> tuple[int, int, int, int]:
        """One of the three sizes with the channels in it."""
        return size[0], INPUT_CHANNELS, size[1], size[2]

    def sample(self) -> Tensor:
        """Zeros to trace with: free sides differ and are not 1, so that nothing is taken for a constant."""
        batch, height, width = self.min_bhw
        if self.free[0]:
            batch = max(2, batch)
        steps = (0, 4 * self.multiple, 6 * self.multiple)
        height, width = (min(side + steps[i], self.max_bhw[i]) for i, side in ((1, height), (2, width)))
        return torch.zeros(self.nchw((batch, height, width)))

    def dynamic(self) -> dict[int, object]:
        """The free dimensions of (B, C, H, W) as ``torch.export`` wants them."""
        free: dict[int, object] = {}
        if self.free[0]:
            free[0] = Dim("batch", min=self.min_bhw[0], max=self.max_bhw[0])
        for axis, name in ((1, "rows"), (2, "columns")):
            if self.free[axis]:
                low, high = self.min_bhw[axis] // self.multiple, self.max_bhw[axis] // self.multiple
                free[axis + 1] = self.multiple * Dim(name, min=low, max=high)
        return free


def any_size(rule: InputRule, batch: int = 1) -> Shapes:
    """One file for every size of frame."""
    opt_hw = tuple(max(side, rule.min_side_px) for side in _OPT_HW)
    return Shapes(
        min_bhw=(batch, rule.min_side_px, rule.min_side_px),
        opt_bhw=(batch, opt_hw[0], opt_hw[1]),
        max_bhw=(batch, LARGEST_PX, LARGEST_PX),
        multiple=rule.multiple,
    )


def read_shapes(size: str | None, dynamic: Sequence[str] | None, batch: int, rule: InputRule) -> Shapes:
    """Read what the flags say; sides that the network's stride does not divide are padded up to the next that it does.

    Args:
        size: ``HxW``, or None.
        dynamic: Three of ``HxW`` or ``BxHxW``: min, opt, max; or None.
        batch: For sizes that name none.
        rule: Of the network.

    Raises:
        SettingsError: A size cannot be read or is out of range, or both are given.
    """
    if batch < 1:
        raise SettingsError(f"--batch {batch}: expected at least 1")
    if size is not None and dynamic is not None:
        raise SettingsError("--size and --dynamic: expected one of them, found both")
    if size is not None:
        fixed = _read("--size", size, batch, rule)
        return Shapes(fixed, fixed, fixed, rule.multiple)
    if dynamic is not None:
        min_bhw, opt_bhw, max_bhw = (_read("--dynamic", text, batch, rule) for text in dynamic)
        return Shapes(min_bhw, opt_bhw, max_bhw, rule.multiple)
    return any_size(rule, batch)


def _read(flag: str, text: str, batch: int, rule: InputRule) -> BatchSize:
    match = _SPEC.match(text)
    if match is None:
        raise SettingsError(f"{flag} {text}: expected HxW or BxHxW, such as 512x640 or 4x512x640")
    height, width = (rule.padded_px(int(side)) for side in match.groups()[1:])
    if not int(match[2]) or not int(match[3]) or max(height, width) > LARGEST_PX:
        raise SettingsError(f"{flag} {text}: expected sides of 1 to {LARGEST_PX} pixels")
    return (int(match[1]) if match[1] is not None else batch), height, width
