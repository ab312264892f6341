"""Reports for tests of what takes them."""

from __future__ import annotations

import numpy as np

from lpnet_rt.detections import detect
from lpnet_rt.frames import Frame
from lpnet_rt.reports import Latency, Report


def make(index: int = 0, size_hw: tuple[int, int] = (48, 64), error: str | None = None, **frame: object) -> Report:
    """A dark frame with one bright blob that moves one pixel a frame."""
    height, width = size_hw
    image = np.full(size_hw, 40, np.uint8)
    score_map = np.zeros(size_hw, np.float32)
    x, y = 5 + index % max(1, width - 10), height // 2
    image[y : y + 3, x : x + 3] = 220
    score_map[y : y + 3, x : x + 3] = 0.9
    values = {"source": "clip", "pts_s": index / 30, "t_capture_us": 1_700_000_000_000_000, "t_read_ns": 1}
    return Report(
        frame=Frame(image=image, index=index, **(values | frame)),
        detections=detect(score_map, image, 0.5),
        latency=Latency(0.1, 0.2, 3.0, 0.4, 3.7),
        score_map=score_map,
        error=error,
    )
