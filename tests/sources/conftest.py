"""What the tests of the sources share: small real files, and a clock that does not make them wait."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from stepped_clock import SteppedClock

WriteVideo = Callable[..., Path]


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


def grey_ramp(count: int, size_hw: tuple[int, int] = (48, 64), dtype: type = np.uint8) -> list[np.ndarray]:
    """Frames with noise, so that no two compress alike."""
    rng = np.random.default_rng(7)
    middle, spread = (100, 20) if dtype == np.uint8 else (7000, 40)
    return [rng.normal(middle, spread, size_hw).astype(dtype) for _ in range(count)]


@pytest.fixture
def write_video(tmp_path: Path) -> WriteVideo:
    """Write grey images as a video; ``pts`` are in units of 1/30 s."""

    def write(
        name: str,
        images: list[np.ndarray],
        codec: str = "libx264",
        pix_fmt: str = "yuv420p",
        muxer: dict[str, str] | None = None,
        pts: list[int] | None = None,
        codec_options: dict[str, str] | None = None,
    ) -> Path:
        path = tmp_path / name
        with av.open(str(path), "w", options=muxer or {}) as container:
            stream = container.add_stream(codec, rate=30, options=codec_options or {})
            stream.height, stream.width = images[0].shape[:2]
            stream.pix_fmt = pix_fmt
            stream.codec_context.time_base = Fraction(1, 30)
            for index, image in enumerate(images):
                kind = ("gray" if image.dtype == np.uint8 else "gray16le") if image.ndim == 2 else "bgr24"
                frame = av.VideoFrame.from_ndarray(image, kind)
                frame = frame if kind == pix_fmt else frame.reformat(format=pix_fmt)
                frame.pts = pts[index] if pts else index
                frame.time_base = Fraction(1, 30)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    return write


@pytest.fixture
def cut() -> Callable[[Path, float], Path]:
    """Keep the first part of a file."""

    def keep(path: Path, share: float) -> Path:
        data = path.read_bytes()
        shorter = path.with_name(f"cut-{path.name}")
        shorter.write_bytes(data[: int(len(data) * share)])
        return shorter

    return keep


@pytest.fixture
def grey_images() -> Callable[..., list[np.ndarray]]:
    return grey_ramp
