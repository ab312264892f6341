from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from lpnet_rt.cache import CacheFolder, cache_folder

AS_ROOT = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="gives a file away: needs root")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_written_is_for_this_user_only(tmp_path: Path) -> None:
    cache = CacheFolder(tmp_path / "lpnet-rt" / "choices")
    cache.write("a", b"content")
    assert cache.read("a") == b"content"
    assert cache.read("b") is None
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (cache.path.parent, cache.path, cache.path / "a")]
    assert modes == [0o700, 0o700, 0o600]


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
@pytest.mark.parametrize("around", [False, True])
def test_a_folder_that_others_can_write_is_not_believed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int, around: bool
) -> None:
    cache = CacheFolder(tmp_path / "lpnet-rt" / "choices")
    cache.write("a", b"forged")
    (cache.path.parent if around else cache.path).chmod(mode)
    for _ in range(2):
        assert cache.read("a") is None
        cache.write("b", b"new")
    assert names(cache.path) == ["a"]
    (line,) = caplog.messages
    assert "expected a cache folder that only you can write, found " in line
    assert line.endswith("(remove it, or set LPNET_CACHE to a folder of your own)")


def test_a_sticky_folder_around_it_is_no_danger(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp").chmod(0o1777)
    cache = CacheFolder(tmp_path / "tmp" / "mine")
    cache.write("a", b"content")
    assert cache.read("a") == b"content"


@AS_ROOT
@pytest.mark.parametrize("what", ["..", ".", "a"])
def test_what_another_user_owns_is_not_believed(tmp_path: Path, what: str) -> None:
    cache = CacheFolder(tmp_path / "lpnet-rt" / "choices")
    cache.write("a", b"forged")
    os.chown(cache.path / what, 12345, 12345)
    assert cache.read("a") is None


def test_no_link_is_followed_and_no_pipe_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    mine = tmp_path / "mine"
    mine.write_text("mine")
    cache = CacheFolder(tmp_path / "choices")
    cache.make()
    os.mkfifo(cache.path / "pipe")
    (cache.path / "zero").symlink_to("/dev/zero")
    (cache.path / "link").symlink_to(mine)
    for name in ("pipe", "zero", "link"):
        assert cache.read(name) is None
        assert f"{name}: the file cannot be read" in caplog.messages[-1]
        cache.write(name, b"new")
        assert cache.read(name) == b"new"
    assert mine.read_text() == "mine"
    linked = CacheFolder(tmp_path / "linked")
    linked.path.symlink_to(cache.path)
    assert linked.read("link") is None


def test_what_was_longest_unused_goes_first(tmp_path: Path) -> None:
    cache = CacheFolder(tmp_path / "choices", max_files=3, max_bytes=100)
    for age, name in enumerate("cba"):
        cache.write(name, b"x" * 20)
        os.utime(cache.path / name, (age, age))
    assert cache.read("c") is not None  # the oldest is used, and so the newest
    cache.write("d", b"x" * 20)
    assert names(cache.path) == ["a", "c", "d"]
    cache.write("e", b"x" * 90)
    assert names(cache.path) == ["e"]
    cache.write("f", b"x" * 101)
    assert names(cache.path) == ["e"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other places")
def test_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LPNET_CACHE", "/a")
    assert cache_folder() == Path("/a")
    monkeypatch.delenv("LPNET_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    assert cache_folder() == Path("/b/lpnet-rt")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/c")
    assert cache_folder() == Path("/c/.cache/lpnet-rt")
