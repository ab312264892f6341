"""The frames on which an exported file must agree with PyTorch: the demo scene's, or one's own."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lpnet_rt.errors import SourceError
from lpnet_rt.export.shapes import Shapes
from lpnet_rt.frames import GreyImage
from lpnet_rt.models import InputRule
from lpnet_rt.selftest import self_test_frame
from lpnet_rt.settings import SourceSettings
from lpnet_rt.sources import open_source
from lpnet_rt.sources.demo import DemoScene

__all__ = ["GateFrame", "batches", "fit", "gate_frames"]

_DEMO_STEP = 45


@dataclass(frozen=True, slots=True)
class GateFrame:
    """A frame with the name under which the gate speaks of it.

    Attributes:
        name: Source and index.
        image: (H, W) uint8 or uint16, raw counts.
    """

    name: str
    image: GreyImage


def gate_frames(spec: str | None, count: int) -> list[GateFrame]:
    """The self-test's frame and ``count`` more, the same at every call.

    Args:
        spec: Folder, glob or video; None takes frames of the demo scene, some seconds apart.
        count: At least 1; frames of a source of known length are spread over it.

    Raises:
        SourceError: The source cannot be read or is empty.
    """
    first = GateFrame("self-test", self_test_frame())
    if spec is None:
        scene = DemoScene(seed=1)
        indices = range(0, count * _DEMO_STEP, _DEMO_STEP)
        return [first, *(GateFrame(f"demo {index}", scene.frame(index)) for index in indices)]
    source = open_source(SourceSettings(spec=spec))
    try:
        step = max(1, (source.frame_count or 0) // count)
        chosen = itertools.islice(source, 0, step * count, step)
        found = [GateFrame(f"{frame.stem or frame.source} {frame.index}", frame.image) for frame in chosen]
    finally:
        source.close()
    if not found:
        raise SourceError(f"{spec}: expected frames for the parity gate, found none")
    return [first, *found]


def fit(frame: GateFrame, shapes: Shapes) -> GateFrame:
    """Cut a frame's middle out, or mirror its edges, where a file of these sizes does not take it as it is."""
    image: NDArray[np.uint8] | NDArray[np.uint16] = frame.image
    for axis in (0, 1):
        low, high, side = shapes.min_bhw[axis + 1], shapes.max_bhw[axis + 1], image.shape[axis]
        if side > high:
            first = (side - high) // 2
            image = image[first : first + high] if axis == 0 else image[:, first : first + high]
        # A side that the input rule pads up to the least is as good as one of that size.
        elif side <= low - shapes.multiple:
            more = (low - side, 0) if axis == 0 else (0, low - side)
            image = cv2.copyMakeBorder(image, 0, more[0], 0, more[1], cv2.BORDER_REFLECT_101)  # type: ignore[assignment]
    return GateFrame(frame.name, image.copy())


def batches(
    frames: Sequence[GateFrame], shapes: Shapes, rule: InputRule
) -> list[tuple[list[GateFrame], list[GreyImage]]]:
    """Frames of one size together, in batches that the file takes; the last of a size is filled up with its first.

    Args:
        frames: Fitted, see :func:`fit`.
        shapes: Of the file; a free batch is tried with two.
        rule: Of the network.

    Returns:
        Frames, and the images of a whole batch, of which they are the first.
    """
    batch = min(max(2, shapes.min_bhw[0]), shapes.max_bhw[0])
    groups: dict[tuple[int, ...], list[GateFrame]] = {}
    for frame in frames:
        groups.setdefault(tuple(rule.padded_px(side) for side in frame.image.shape), []).append(frame)
    chunks = [members[i : i + batch] for members in groups.values() for i in range(0, len(members), batch)]
    return [(chunk, [chunk[i % len(chunk)].image for i in range(batch)]) for chunk in chunks]
