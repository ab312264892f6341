from __future__ import annotations

import os
from pathlib import Path

import msgspec
import numpy as np
import pytest

from lpnet_rt.engines.built_cache import BuiltCache, BuiltFor
from lpnet_rt.engines.openvino import OpenVINOEngine
from lpnet_rt.models import find_model
from lpnet_rt.preprocessing.frame_and_local import model_input
from lpnet_rt.selftest import self_test_frame

WANTED = BuiltFor(
    engine="tensorrt",
    weights_sha256="aa",
    precision="f16",
    shape=(1, 2, 512, 640),
    versions={"tensorrt": "11.1.0"},
    device="NVIDIA H200 sm_90",
)


class Builder:
    """Builds something else each time."""

    def __init__(self) -> None:
        self.built = 0

    def __call__(self) -> bytes:
        self.built += 1
        return b"engine %d\n" % self.built + bytes(range(256)) * 40


def test_what_was_built_is_found_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    build = Builder()
    first = BuiltCache(tmp_path / "cache").get(WANTED, build)
    assert BuiltCache(tmp_path / "cache").get(WANTED, build) == first
    assert build.built == 1
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".built"]
    assert caplog.messages == []


@pytest.mark.parametrize(
    "change",
    [
        {"engine": "openvino"},
        {"weights_sha256": "bb"},
        {"precision": "f32"},
        {"shape": (1, 2, 256, 320)},
        {"versions": {"tensorrt": "11.2.0"}},
        {"device": "NVIDIA L4 sm_89"},
    ],
)
def test_nobody_is_offered_what_was_built_for_another(tmp_path: Path, change: dict[str, object]) -> None:
    cache, build = BuiltCache(tmp_path), Builder()
    mine = cache.get(WANTED, build)
    other = msgspec.structs.replace(WANTED, **change)
    assert cache.get(other, build) != mine
    # Not even where somebody has renamed a file.
    (tmp_path / f"{WANTED.key}.built").replace(tmp_path / f"{other.key}.built")
    cache.get(other, build)
    assert build.built == 3


def test_a_damaged_file_is_built_again_and_that_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache, build = BuiltCache(tmp_path), Builder()
    cache.get(WANTED, build)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for number, damage in enumerate((b"", whole[:40], whole[: len(whole) // 2], bytes(flipped), whole + b"x"), start=2):
        path.write_bytes(damage)
        assert cache.get(WANTED, build).startswith(b"engine %d\n" % number)
        assert caplog.messages == [f"{path}: damaged; building it again"]
        assert cache.get(WANTED, build).startswith(b"engine %d\n" % number)
        assert len(caplog.messages) == 1
        caplog.clear()


def test_a_folder_that_cannot_be_written_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    build = Builder()
    cache = BuiltCache(tmp_path / "file")
    cache.get(WANTED, build)
    cache.get(WANTED, build)
    assert build.built == 2
    assert (tmp_path / "file").read_text() == "mine"


def test_a_compiled_model_with_flipped_weights_is_not_believed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """OpenVINO itself runs such a blob without a word, and finds nothing."""
    model = find_model("lpnet-rt")
    batch = model_input(self_test_frame(), model.card.input.multiple, model.card.input.min_side_px)
    expected = OpenVINOEngine(model, "f32", 1, tmp_path).score(batch).copy()
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + os.urandom(4000) + whole[middle + 4000 :])
    np.testing.assert_array_equal(OpenVINOEngine(model, "f32", 1, tmp_path).score(batch), expected)
    assert caplog.messages == [f"{path}: damaged; building it again"]
    np.testing.assert_array_equal(OpenVINOEngine(model, "f32", 1, tmp_path).score(batch), expected)
    assert len(caplog.messages) == 1
