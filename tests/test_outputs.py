"""Outputs of a whole run: nothing is destroyed, and none that stalls or fails holds the others."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from lpnet_rt.selftest import self_test_frame
from lpnet_rt.sinks.naming import free_name

PROGRAM = (sys.executable, "-m", "lpnet_rt", "run", "--no-publish", "--quiet", "--engine", "onnxruntime")
WAIT_S = 60.0


def run(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [*PROGRAM, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=WAIT_S, check=False)


@contextlib.contextmanager
def started(*arguments: object, cwd: Path, **options: object) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([*PROGRAM, *map(str, arguments)], cwd=cwd, stderr=subprocess.PIPE, **options)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=WAIT_S)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(folder / name), self_test_frame())
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    "flags",
    [
        ("--source", "images/*.png", "--masks", "images"),
        ("--source", "images", "--masks", "images"),
        ("--source", "images", "--jsonl", "images/b.png"),
        ("--source", "images/a.png", "--jsonl", "images/a.png"),
        ("--source", "images", "--jsonl", "images/new.png"),
        ("--source", "images/a.png", "--masks", "linked"),
    ],
)
@pytest.mark.parametrize("extra", [(), ("--overwrite",)])
def test_no_output_replaces_a_file_of_the_source(images: Path, flags: tuple[str, ...], extra: tuple[str, ...]) -> None:
    (images.parent / "linked").symlink_to(images)
    before = contents(images)
    done = run(*flags, *extra, cwd=images.parent)
    assert done.returncode == 7, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert contents(images) == before


def test_a_source_that_cannot_be_read_costs_no_earlier_recording(tmp_path: Path) -> None:
    (tmp_path / "old.mp4").write_bytes(b"precious")
    (tmp_path / "garbage.png").write_bytes(b"garbage")
    done = run("--source", "garbage.png", "--save", "old.mp4", "--overwrite", cwd=tmp_path)
    assert done.returncode == 3
    assert (tmp_path / "old.mp4").read_bytes() == b"precious"


def test_two_outputs_never_share_a_file(images: Path) -> None:
    (images.parent / "out").mkdir()
    (images.parent / "same").symlink_to("out")
    done = run("--source", images, "--jsonl", "out/x.mkv", "--save", "same/x.mkv", cwd=images.parent)
    assert done.returncode == 7
    assert "expected a file of its own" in done.stderr


def test_an_output_that_exists_is_refused_in_one_line_that_names_the_flag(images: Path) -> None:
    for name in ("out.jsonl", "out.mkv"):
        (images.parent / name).write_bytes(b"precious")
    for flags in (("--jsonl", "out.jsonl"), ("--save", "out.mkv")):
        done = run("--source", images, *flags, cwd=images.parent)
        assert done.returncode == 7
        (line,) = done.stderr.splitlines()
        assert "--overwrite" in line
    done = run("--source", images, "--jsonl", "out.jsonl", "--overwrite", cwd=images.parent)
    assert done.returncode == 0, done.stderr
    lines = (images.parent / "out.jsonl").read_text().splitlines()
    assert [json.loads(line)["file"] for line in lines] == ["a.png", "b.png"]


def test_a_service_that_is_started_again_goes_on_in_a_new_file(tmp_path: Path) -> None:
    assert free_name(str(tmp_path / "a.jsonl"), 1_700_000_000_000_000) == str(tmp_path / "a.jsonl")
    for expected in ("a-20231114T221320Z.jsonl", "a-20231114T221320Z-2.jsonl"):
        (tmp_path / "a.jsonl").touch()
        name = free_name(str(tmp_path / "a.jsonl"), 1_700_000_000_000_000)
        assert Path(name).name == expected
        Path(name).touch()


def test_a_live_source_writes_a_new_file_where_one_exists(tmp_path: Path) -> None:
    for _ in range(2):
        done = run("--source", "demo", "--realtime", "--frames", 3, "--jsonl", "a.jsonl", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 2
    assert names[0].startswith("a-2")
    for name in names:
        assert len((tmp_path / name).read_text().splitlines()) == 3


def test_a_reader_of_standard_output_that_goes_away_ends_the_run_quietly(tmp_path: Path) -> None:
    with started("--source", "demo", "--frames", 100_000, "--jsonl", "-", cwd=tmp_path, stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        run.stdout.readline()
        run.stdout.close()
        assert run.wait(WAIT_S) == 128 + signal.SIGPIPE
        assert run.stderr.read() == b""


def test_a_stalled_reader_holds_neither_the_other_outputs_nor_ctrl_c(tmp_path: Path) -> None:
    flags = ("--source", "demo", "--frames", 100_000, "--jsonl", "-", "--save", "other.mkv")
    with started(*flags, cwd=tmp_path, stdout=subprocess.PIPE, pipesize=4096) as run:
        assert run.stderr is not None
        line = run.stderr.readline().decode()  # the pipe is full, and nobody reads
        assert line == "lpnet-rt: jsonl: took no frame for 5 s; the output is given up; continuing without it\n"
        size = (tmp_path / "other.mkv").stat().st_size
        deadline_s = time.monotonic() + WAIT_S
        while (tmp_path / "other.mkv").stat().st_size == size and time.monotonic() < deadline_s:
            time.sleep(0.05)
        assert (tmp_path / "other.mkv").stat().st_size > size, "the other output stands still"
        run.send_signal(signal.SIGINT)
        assert run.wait(WAIT_S) == 7


def test_ctrl_c_is_heard_while_a_reader_stalls(tmp_path: Path) -> None:
    flags = ("--source", "demo", "--frames", 100_000, "--jsonl", "-")
    with started(*flags, cwd=tmp_path, stdout=subprocess.PIPE, pipesize=4096) as run:
        assert run.stdout is not None
        run.stdout.readline()
        time.sleep(1.0)  # the pipe fills up
        run.send_signal(signal.SIGINT)
        assert run.wait(WAIT_S) in (7, 130)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full, a disk that is always full")
def test_a_full_disk_under_one_output_costs_that_output_only(images: Path) -> None:
    done = run("--source", images, "--jsonl", "/dev/full", "--masks", "masks", cwd=images.parent)
    assert done.returncode == 7
    assert "No space left on device; continuing without it" in done.stderr
    assert sorted(path.name for path in (images.parent / "masks").iterdir()) == ["a.png", "b.png"]


def test_a_source_that_never_opens_does_not_hold_ctrl_c(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "never.mp4")
    (tmp_path / "linked.jsonl").symlink_to("never.mp4")
    script = (
        "import sys, lpnet_rt.app as job\n"
        "from lpnet_rt.leaving import leave\n"
        "from lpnet_rt.settings import Settings, SourceSettings\n"
        "job.open_source = lambda *_: open('never.mp4')\n"
        "print('ready', flush=True)\n"
        "code = job.run(Settings(source=SourceSettings(spec='demo')))\n"
        "sys.exit(leave(code))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        assert process.wait(WAIT_S) == 130
    finally:
        process.kill()
        process.communicate()


def test_frames_of_a_black_picture_are_no_matter(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "black.png"), np.zeros((64, 64), np.uint8))
    done = run("--source", "black.png", "--jsonl", "out.jsonl", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_coloured_pictures_are_noticed_in_one_line(images: Path) -> None:
    for path in images.iterdir():
        cv2.imwrite(str(path), cv2.applyColorMap(self_test_frame(), cv2.COLORMAP_INFERNO))
    done = run("--source", "images", "--polarity", "cold", "--jsonl", "out.jsonl", cwd=images.parent)
    assert done.returncode == 0
    assert done.stderr.count("the picture is coloured") == 1
    lines = (images.parent / "out.jsonl").read_text().splitlines()
    assert [json.loads(line)["polarity"] for line in lines] == ["cold", "cold"]
