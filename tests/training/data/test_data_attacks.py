"""Data sets that nobody should trust: huge images, halves of images, playlists, and outputs that are inputs."""

from __future__ import annotations

import argparse
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import pytest
from small_data import frame

from lpnet_rt.errors import DataError, SettingsError, SinkError
from lpnet_rt.training.commands.data import add_arguments, run
from lpnet_rt.training.data.check import check
from lpnet_rt.training.data.clips import clip_frames, read_boxes
from lpnet_rt.training.data.convert import ConvertOptions, convert
from lpnet_rt.training.data.layouts import open_data_set


@pytest.fixture
def data(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    for i, folder in enumerate(("images", "masks")):
        (root / folder).mkdir(parents=True)
        assert cv2.imwrite(str(root / folder / "a.png"), frame(1, True)[i])
    return root


def verb(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return run(parser.parse_args([str(argument) for argument in arguments]))


def huge_png(path: Path, side_px: int) -> None:
    """A sound grey PNG of zeros, written without ever holding its pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    coder, line = zlib.compressobj(9), bytes(1 + side_px)
    packed = b"".join(coder.compress(line) for _ in range(side_px)) + coder.flush()
    head = struct.pack(">IIBBBBB", side_px, side_px, 8, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b""))


_CHECK = """
import resource, sys
from pathlib import Path
from lpnet_rt.training.data.check import check
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
print(*(problem.detail for problem in check(Path(sys.argv[1])).problems), sep="\\n")
print("grown", (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_huge_images_and_masks_are_reported_and_not_decoded(data: Path) -> None:
    huge_png(data / "images" / "huge.png", 30_000)
    (data / "masks" / "huge.png").write_bytes((data / "masks" / "a.png").read_bytes())
    assert cv2.imwrite(str(data / "images" / "b.png"), frame(2, True)[0])
    (data / "masks" / "b.png").write_bytes((data / "images" / "huge.png").read_bytes())
    done = subprocess.run([sys.executable, "-c", _CHECK, data], capture_output=True, text=True, timeout=100)
    assert done.stdout.count("found 30000x30000 (width x height)") == 2, done
    assert int(done.stdout.split()[-1]) < 200  # MiB; 900 would be one picture


def test_half_a_jpeg_is_reported(data: Path) -> None:
    image, mask = frame(3, True)
    coded, content = cv2.imencode(".jpg", image)
    assert coded
    (data / "images" / "half.jpg").write_bytes(content.tobytes()[: len(content) // 2])
    assert cv2.imwrite(str(data / "masks" / "half.png"), mask)
    (problem,) = check(data).problems
    assert (problem.kind, problem.name) == ("unreadable", "half")
    assert "truncated" in problem.detail


def test_a_report_replaces_nothing_unasked_and_never_an_input(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    assert verb("check", data, "--json", out) == 0
    assert out.stat().st_mode & 0o777 == 0o640
    out.write_text("mine")
    with pytest.raises(SinkError, match=r"--json .*report\.json: the file exists; .*--overwrite"):
        verb("check", data, "--json", out)
    assert out.read_text() == "mine"
    assert verb("check", data, "--json", out, "--overwrite") == 0
    image = data / "images" / "a.png"
    before = image.read_bytes()
    with pytest.raises(SinkError, match="found a name among the data"):
        verb("check", data, "--json", image, "--overwrite")
    assert image.read_bytes() == before


def test_a_conversion_is_whole_or_not_there(data: Path, tmp_path: Path) -> None:
    image = frame(4, True)[0]
    assert cv2.imwrite(str(data / "images" / "z.png"), image)  # last in order, without a mask
    out = tmp_path / "out"
    with pytest.raises(DataError, match="expected a mask, found none"):
        convert(ConvertOptions(data, out))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]
    out.mkdir()
    done = convert(ConvertOptions(data, out, skip_bad=True))
    assert done.frames == {"all": 1}
    assert sorted(path.name for path in out.iterdir()) == ["all.txt", "images", "masks"]
    assert (out / "images" / "a.png").stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "out"]


def test_a_conversion_stays_out_of_its_source(data: Path) -> None:
    with pytest.raises(DataError, match="expected a folder outside"):
        convert(ConvertOptions(data, data / "images" / "new"))
    assert [path.name for path in (data / "images").iterdir()] == ["a.png"]
    with pytest.raises(SettingsError, match="NAME=FILE"):
        verb("convert", data, data.parent / "out", "--split", f"../evil={data / 'images' / 'a.png'}")


def test_a_playlist_with_the_name_of_a_clip_opens_nothing(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "boxes").mkdir()
    (tmp_path / "clips" / "clip_1.mp4").write_text("#EXTM3U\n#EXTINF:1,\nclip_1.mp4\n")
    (tmp_path / "boxes" / "clip_1.csv").write_text("frame,x,y,w,h\n0,1,1,9,9\n")
    (clip,) = open_data_set(tmp_path).entries
    with pytest.raises(DataError, match=r"clip_1\.mp4: not a video that can be read"):
        list(clip_frames(clip, 1))


@pytest.mark.parametrize("box", ["nan,1,9,9", "1,inf,9,9", "1,1,1e300,9"])
def test_boxes_that_are_nowhere_are_refused(tmp_path: Path, box: str) -> None:
    path = tmp_path / "boxes.csv"
    path.write_text(f"frame,x,y,w,h\n0,{box}\n")
    with pytest.raises(DataError, match=r"boxes\.csv: expected lines of frame,x,y,w,h: a box of "):
        read_boxes(path)
