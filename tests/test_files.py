from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from lpnet_rt.errors import ModelError, SinkError
from lpnet_rt.files import create_file, read_limited, write_whole


@pytest.fixture(autouse=True)
def _umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_written_files_are_not_for_everybody(tmp_path: Path) -> None:
    write_whole(tmp_path / "a", b"whole", "--out")
    os.close(create_file(tmp_path / "b", "--out", overwrite=False))
    assert mode(tmp_path / "a") == mode(tmp_path / "b") == 0o640


def test_an_existing_file_is_refused_and_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"earlier")
    with pytest.raises(SinkError, match="--overwrite"):
        create_file(path, "--jsonl", overwrite=False)
    with pytest.raises(SinkError, match="--overwrite"):
        write_whole(path, b"later", "--json", overwrite=False)
    assert path.read_bytes() == b"earlier"
    assert [*tmp_path.iterdir()] == [path]


def test_an_allowed_overwrite_keeps_the_old_content_until_the_caller_truncates(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"earlier")
    os.close(create_file(path, "--jsonl", overwrite=True))
    assert path.read_bytes() == b"earlier"
    write_whole(path, b"later", "--json", overwrite=True)
    assert path.read_bytes() == b"later"


def test_a_link_is_never_written_through(tmp_path: Path) -> None:
    victim, link = tmp_path / "victim", tmp_path / "link"
    victim.write_bytes(b"precious")
    link.symlink_to(victim)
    for write in (
        lambda: create_file(link, "--jsonl", overwrite=True),
        lambda: write_whole(link, b"x", "--json", overwrite=True),
    ):
        with pytest.raises(SinkError, match="a link"):
            write()
    assert victim.read_bytes() == b"precious"


def test_two_writers_of_one_file_are_one_too_many(tmp_path: Path) -> None:
    first = create_file(tmp_path / "a", "--jsonl", overwrite=True)
    with pytest.raises(SinkError, match="another process is writing"):
        create_file(tmp_path / "a", "--jsonl", overwrite=True)
    os.close(first)


def test_a_part_that_a_kill_left_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / f".a.{os.getpid()}.part").write_bytes(b"half")
    write_whole(tmp_path / "a", b"whole", "--out")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(ModelError, match="expected a model card"):
            read_limited(path, 100, "model card", ModelError)


def test_a_file_over_the_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 101)
    with pytest.raises(ModelError, match="at most 100 bytes"):
        read_limited(path, 100, "model card", ModelError)
    path.write_bytes(b"x" * 100)
    assert read_limited(path, 100, "model card", ModelError) == b"x" * 100
