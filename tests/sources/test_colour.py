"""What sources say about the colour of their pictures."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from lpnet_rt.selftest import self_test_frame
from lpnet_rt.settings import SourceSettings
from lpnet_rt.sources import open_source
from lpnet_rt.sources.colour import channel_spread, shrunk_colour
from lpnet_rt.sources.pixels import frame_colour

GREY = self_test_frame()
PALETTE = cv2.applyColorMap(GREY, cv2.COLORMAP_INFERNO)


def write_video(path: Path, pictures: list[np.ndarray]) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(30))
        stream.height, stream.width, stream.pix_fmt = *pictures[0].shape[:2], "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "bgr24")))
        container.mux(stream.encode(None))


def test_spread_of_the_channels_as_a_share_of_full_scale() -> None:
    picture = np.zeros((4, 4, 3), np.uint8)
    picture[:2, :, 1] = 255
    assert channel_spread(picture) == 0.5
    assert channel_spread(np.full((4, 4, 3), 7, np.uint16)) == 0.0


def test_grey_pictures_have_no_colour_and_palettes_have() -> None:
    assert shrunk_colour(GREY) is None
    assert shrunk_colour(cv2.cvtColor(GREY, cv2.COLOR_GRAY2BGR)) == 0.0
    assert (shrunk_colour(PALETTE) or 0) > 0.2


@pytest.mark.parametrize("name", ["gray", "gray16le"])
def test_a_grey_format_is_not_measured(name: str) -> None:
    assert frame_colour(av.VideoFrame(64, 48, name)) is None


@pytest.mark.parametrize("name", ["yuv420p", "yuvj420p", "yuv444p", "nv12", "nv21", "rgb24", "yuv420p10le", "yuyv422"])
def test_every_format_has_much_the_same_colour(name: str) -> None:
    frame = av.VideoFrame.from_ndarray(PALETTE, "bgr24").reformat(format=name)
    assert frame_colour(frame) == pytest.approx(channel_spread(PALETTE), abs=0.06)
    grey = av.VideoFrame.from_ndarray(cv2.cvtColor(GREY, cv2.COLOR_GRAY2BGR), "bgr24").reformat(format=name)
    assert frame_colour(grey) == pytest.approx(0.0, abs=0.02)


def test_a_video_says_it_of_its_first_frames_and_then_of_one_in_thirty(tmp_path: Path) -> None:
    for name, picture in (("grey", cv2.cvtColor(GREY, cv2.COLOR_GRAY2BGR)), ("palette", PALETTE)):
        write_video(tmp_path / f"{name}.mp4", [picture] * 40)
        colours = [frame.colour for frame in open_source(SourceSettings(spec=str(tmp_path / f"{name}.mp4")))]
        assert [index for index, colour in enumerate(colours) if colour is not None] == [0, 1, 2, 30]
        measured = [colour for colour in colours if colour is not None]
        assert (min(measured) > 0.2) if name == "palette" else (max(measured) < 0.02)


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tiff"])
def test_images_say_it(tmp_path: Path, suffix: str) -> None:
    cv2.imwrite(str(tmp_path / f"a.{suffix}"), PALETTE)
    cv2.imwrite(str(tmp_path / f"b.{suffix}"), GREY)
    coloured, grey = (frame.colour for frame in open_source(SourceSettings(spec=str(tmp_path))))
    assert (coloured or 0) > 0.2
    assert grey == 0.0


def test_a_deep_grey_image_has_none(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), GREY.astype(np.uint16) * 200)
    (frame,) = open_source(SourceSettings(spec=str(tmp_path / "a.png")))
    assert frame.colour == 0.0
