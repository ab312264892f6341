from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from lpnet_rt.errors import SettingsError, SourceError, TruncatedError
from lpnet_rt.settings import SourceSettings
from lpnet_rt.sources import open_source
from lpnet_rt.sources.reading import read_image


def _png(path: Path, width: int, height: int) -> Path:
    """A PNG whose header says a size and that holds next to nothing else."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    return path


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff"])
def test_grey_8_bit_is_exact(tmp_path: Path, suffix: str) -> None:
    image = np.random.default_rng(0).integers(0, 255, (20, 33), np.uint8)
    path = tmp_path / f"a{suffix}"
    assert cv2.imwrite(str(path), image)
    np.testing.assert_array_equal(read_image(path), image)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_grey_16_bit_is_exact(tmp_path: Path, suffix: str) -> None:
    image = np.random.default_rng(0).integers(0, 65535, (20, 33), np.uint16)
    path = tmp_path / f"a{suffix}"
    assert cv2.imwrite(str(path), image)
    read = read_image(path)
    assert read.dtype == np.uint16
    np.testing.assert_array_equal(read, image)


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_colour_becomes_grey_at_its_depth(tmp_path: Path, channels: int, dtype: type) -> None:
    image = np.zeros((16, 24, channels), dtype)
    image[..., 1] = 200
    path = tmp_path / "a.png"
    assert cv2.imwrite(str(path), image)
    read = read_image(path)
    assert read.shape == (16, 24)
    assert read.dtype == dtype
    assert abs(int(read[0, 0]) - round(0.587 * 200)) <= 1


def test_palette_png(tmp_path: Path) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = b"".join(b"\0" + bytes([0, 1] * 4) for _ in range(8))
    path = tmp_path / "p.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 3, 0, 0, 0))
        + chunk(b"PLTE", bytes([10, 10, 10, 240, 240, 240]))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    np.testing.assert_array_equal(read_image(path)[0], np.array([10, 240] * 4, np.uint8))


def test_grey_png_with_alpha(tmp_path: Path) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    path = tmp_path / "la.png"
    rows = b"".join(b"\0" + bytes([77, 255] * 8) for _ in range(8))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 4, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    assert (read_image(path) == 77).all()


def test_a_jpeg_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.JPG"
    path.write_bytes(cv2.imencode(".jpg", np.full((32, 32), 90, np.uint8))[1].tobytes())
    assert abs(int(read_image(path)[5, 5]) - 90) <= 1


@pytest.mark.parametrize(("width", "height"), [(1, 1), (7, 640), (640, 7), (40_000, 40_000), (16_385, 9)])
def test_a_size_out_of_bounds_is_refused_before_decoding(tmp_path: Path, width: int, height: int) -> None:
    with pytest.raises(SourceError, match=rf"found {width}x{height}") as refused:
        read_image(_png(tmp_path / "a.png", width, height))
    assert "\n" not in str(refused.value)


def test_a_size_within_bounds_without_pixels_is_damage(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"b\.png: "):
        read_image(_png(tmp_path / "b.png", 640, 512))


def test_a_float_image_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.tiff"
    assert cv2.imwrite(str(path), np.ones((16, 16), np.float32))
    with pytest.raises(SourceError, match="expected 8 or 16 bit counts, found float32"):
        read_image(path)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif"])
def test_a_truncated_image_is_refused(tmp_path: Path, suffix: str, capfd: pytest.CaptureFixture[str]) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    data = cv2.imencode(suffix, noise)[1].tobytes()
    path = tmp_path / f"half{suffix}"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(SourceError, match="half"):
        read_image(path)
    assert capfd.readouterr().err == ""


def test_a_folder_in_natural_order_with_different_sizes(tmp_path: Path) -> None:
    for number in (10, 9, 1):
        cv2.imwrite(str(tmp_path / f"f{number}.png"), np.full((8 + number, 16), number, np.uint8))
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".hidden.png").write_bytes(b"")
    source = open_source(SourceSettings(spec=str(tmp_path)))
    frames = list(source)
    assert source.frame_count == 3
    assert not source.live
    assert source.rate_hz is None
    assert [frame.stem for frame in frames] == ["f1", "f9", "f10"]
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert [frame.size_hw for frame in frames] == [(9, 16), (17, 16), (18, 16)]
    assert {frame.pts_s for frame in frames} == {None}
    assert not frames[0].image.flags.writeable


def test_a_glob_a_limit_and_the_name(tmp_path: Path) -> None:
    folder = tmp_path / "my frames"
    folder.mkdir()
    for number in range(4):
        cv2.imwrite(str(folder / f"f{number}.png"), np.zeros((8, 8), np.uint8))
        cv2.imwrite(str(folder / f"g{number}.png"), np.zeros((8, 8), np.uint8))
    source = open_source(SourceSettings(spec=str(folder / "g*.png"), frames=3))
    assert source.name == "my-frames"
    assert [frame.stem for frame in source] == ["g0", "g1", "g2"]


def test_a_single_image(tmp_path: Path) -> None:
    path = tmp_path / "one [1].png"
    cv2.imwrite(str(path), np.zeros((8, 8), np.uint16))
    source = open_source(SourceSettings(spec=str(path)))
    assert source.name == "one-1"
    assert [(frame.stem, frame.bit_depth) for frame in source] == [("one [1]", 16)]


def test_a_bad_image_is_left_out_and_the_run_goes_on(tmp_path: Path) -> None:
    for number in (1, 2, 4):
        cv2.imwrite(str(tmp_path / f"f{number}.png"), np.zeros((8, 8), np.uint8))
    (tmp_path / "f3.png").write_text("this is no image")
    delivered: list[tuple[str | None, int, int]] = []
    with pytest.raises(TruncatedError, match=r"1 image was left out: .*f3\.png: expected a PNG") as told:
        delivered.extend((f.stem, f.index, f.dropped) for f in open_source(SourceSettings(spec=str(tmp_path))))
    assert delivered == [("f1", 0, 0), ("f2", 1, 0), ("f4", 3, 1)]
    assert told.value.exit_code == 4


def test_the_limit_counts_images_that_were_delivered(tmp_path: Path) -> None:
    (tmp_path / "f0.png").write_text("this is no image")
    for number in (1, 2, 3):
        cv2.imwrite(str(tmp_path / f"f{number}.png"), np.zeros((8, 8), np.uint8))
    delivered = []
    with pytest.raises(TruncatedError):
        delivered.extend(f.stem for f in open_source(SourceSettings(spec=str(tmp_path), frames=2)))
    assert delivered == ["f1", "f2"]


def test_nothing_but_bad_images_is_no_truncation(tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / f"f{number}.png").write_text("this is no image")
    with pytest.raises(SourceError, match="none of 2 images could be read") as refused:
        list(open_source(SourceSettings(spec=str(tmp_path))))
    assert refused.value.exit_code == 3
    with pytest.raises(SourceError, match=r"f0\.png") as single:
        list(open_source(SourceSettings(spec=str(tmp_path / "f0.png"))))
    assert single.value.exit_code == 3


def test_every_page_of_a_tiff_is_a_frame(tmp_path: Path) -> None:
    pages = [np.full((8 + page, 9), 1000 * page, np.uint16) for page in range(4)]
    assert cv2.imwritemulti(str(tmp_path / "stack.tif"), pages)
    source = open_source(SourceSettings(spec=str(tmp_path)))
    assert source.frame_count == 4
    frames = list(source)
    assert [frame.file for frame in frames] == ["stack.tif"] * 4
    for frame, page in zip(frames, pages, strict=True):
        np.testing.assert_array_equal(frame.image, page)
    with pytest.raises(SourceError, match="expected one page, found 4"):
        read_image(tmp_path / "stack.tif")


@pytest.mark.parametrize("ending", [b"", b"\xff\xd9"])
def test_half_a_scan_is_damage_with_and_without_its_end(tmp_path: Path, ending: bytes) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    data = cv2.imencode(".jpg", noise)[1].tobytes()
    scan = data.index(b"\xff\xda")
    path = tmp_path / "half.jpg"
    path.write_bytes(data)
    assert read_image(path).shape == (64, 64)
    path.write_bytes(data[: scan + (len(data) - scan) // 2] + ending)
    with pytest.raises(SourceError, match=r"truncated|cut off"):
        read_image(path)


def test_the_memory_of_a_picture_is_bounded_by_depth_and_channels(tmp_path: Path) -> None:
    path = _png(tmp_path / "a.png", 10_000, 10_000)
    data = bytearray(path.read_bytes())
    data[24:26] = bytes([16, 6])  # 16 bits, red, green, blue and alpha: 800 MB
    path.write_bytes(data)
    with pytest.raises(SourceError, match="at most 400 MB when decoded, found 800 MB"):
        read_image(path)


def test_a_large_picture_is_held_once(tmp_path: Path) -> None:
    """In a process of its own whose memory is limited: 256 MB of 16-bit colour, 85 MB of them grey."""
    path = tmp_path / "large.png"
    assert cv2.imwrite(str(path), np.zeros((6400, 6600, 3), np.uint16))
    program = (
        "import resource, sys; from pathlib import Path; from lpnet_rt.sources.reading import read_image;"
        "import cv2; cv2.setNumThreads(1);"
        "used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize();"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 2 * 85_000_000, -1));"
        "print(read_image(Path(sys.argv[1])).shape)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "(6400, 6600)", done.stderr


def test_a_folder_without_images_and_an_empty_image(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="found none"):
        open_source(SourceSettings(spec=str(tmp_path)))
    with pytest.raises(SourceError, match="found none"):
        open_source(SourceSettings(spec=str(tmp_path / "*.png")))
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(SourceError, match="empty file"):
        list(open_source(SourceSettings(spec=str(tmp_path / "a.png"))))


def test_realtime_is_refused_for_images(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 8), np.uint8))
    with pytest.raises(SettingsError, match="no frame rate"):
        open_source(SourceSettings(spec=str(tmp_path), realtime=True))


def test_close_ends_the_iteration(tmp_path: Path) -> None:
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.zeros((8, 8), np.uint8))
    source = open_source(SourceSettings(spec=str(tmp_path)))
    frames = iter(source)
    next(frames)
    source.close()
    source.close()
    assert list(frames) == []
