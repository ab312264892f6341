"""Frames of clips are decoded once, kept at full depth, and decoded again when the clip has changed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from lpnet_rt_data import write_clip

from lpnet_rt.training.data.clip_images import cached_clip, read_clip


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clip of six frames, and an empty cache."""
    monkeypatch.setenv("LPNET_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir(mode=0o700)
    write_clip(tmp_path, "clip_1")
    return tmp_path / "clips" / "clip_1.mp4"


def _kept(clip: Path) -> list[Path]:
    return sorted((clip.parents[1] / "cache" / "clips").glob("*.npy"))


def test_kept_frames_are_the_decoded_ones(clip: Path) -> None:
    expected = list(read_clip(clip, {1, 4}))
    for _ in range(2):
        found = list(cached_clip(clip, {1, 4}))
        assert [(index, depth) for index, _, depth in found] == [(1, 8), (4, 8)]
        for (_, image, _), (_, wanted, _) in zip(found, expected, strict=True):
            assert image.dtype == wanted.dtype
            np.testing.assert_array_equal(image, wanted)
    assert len(_kept(clip)) == 2
    assert isinstance(found[0][1].base, np.memmap)


def test_a_changed_clip_is_decoded_again(clip: Path) -> None:
    list(cached_clip(clip, {0}))
    os.utime(clip, ns=(1, 1))
    list(cached_clip(clip, {0}))
    assert len(_kept(clip)) == 4


def test_a_damaged_or_linked_entry_is_made_again(clip: Path) -> None:
    (expected,) = (image.copy() for _, image, _ in cached_clip(clip, {2}))
    for spoil in (lambda path: path.write_bytes(b"\x93NUMPY"), _link):
        for path in _kept(clip):
            spoil(path)
        ((_, image, _),) = cached_clip(clip, {2})
        np.testing.assert_array_equal(image, expected)
        assert not any(path.is_symlink() for path in _kept(clip))


def _link(path: Path) -> None:
    path.rename(path.with_suffix(".other"))
    path.symlink_to(path.with_suffix(".other"))
