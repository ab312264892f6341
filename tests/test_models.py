from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

import lpnet_rt.models
from lpnet_rt.errors import ModelError
from lpnet_rt.models import find_model, packaged_models, write_card

PACKAGED = Path(lpnet_rt.models.__file__).parent / "lpnet-rt.onnx"


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The packaged model and its card under other names."""
    path = tmp_path / "mine.onnx"
    shutil.copy(PACKAGED, path)
    shutil.copy(PACKAGED.with_suffix(".json"), path.with_suffix(".json"))
    return path


def change_card(path: Path, **changes: object) -> None:
    card = path.with_suffix(".json")
    card.write_text(json.dumps(json.loads(card.read_text()) | changes))


def refused(spec: str | Path) -> str:
    with pytest.raises(ModelError) as caught:
        find_model(str(spec))
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_the_packaged_model_is_whole() -> None:
    assert "lpnet-rt" in packaged_models()
    model = find_model("lpnet-rt")
    assert model.path == PACKAGED
    assert hashlib.sha256(model.content).hexdigest() == model.card.file_sha256
    assert 0 < model.card.threshold <= 1
    assert len(model.content) < 10_000_000


def test_a_model_by_path(copied: Path) -> None:
    assert find_model(str(copied)).content == PACKAGED.read_bytes()


def test_what_is_written_is_what_is_read(copied: Path) -> None:
    card = find_model(str(copied)).card
    write_card(copied.with_suffix(".json"), card)
    assert find_model(str(copied)).card == card


def test_a_missing_model(tmp_path: Path) -> None:
    message = refused(tmp_path / "none.onnx")
    assert message.endswith("expected a model file or a packaged model (lpnet-rt, lpnet-rt-s), found none")


def test_a_folder_is_no_model(tmp_path: Path) -> None:
    assert "found none" in refused(tmp_path)


def test_a_damaged_model(copied: Path) -> None:
    copied.write_bytes(copied.read_bytes()[:-1000])
    assert "the file is not the one its card describes (damaged?); export it again" in refused(copied)


def test_a_text_file(tmp_path: Path) -> None:
    path = tmp_path / "notes.onnx"
    path.write_text("not a model\n")
    assert "expected a model with its card notes.json beside it, found no card" in refused(path)


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "empty.onnx"
    path.touch()
    assert "beside it, found an empty file" in refused(path)


def test_a_model_without_its_card(copied: Path) -> None:
    copied.with_suffix(".json").unlink()
    assert "found no card; export it with 'lpnet-rt export'" in refused(copied)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": "x"}', "\udcff"])
def test_a_card_that_is_none(copied: Path, text: str) -> None:
    copied.with_suffix(".json").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert "mine.json: not a model card: " in refused(copied)


@pytest.mark.parametrize(
    "change",
    [
        {"threshold": 0},
        {"threshold": 1.5},
        {"threshold": None},
        {"input": {"normalisation": "imagenet"}},
        {"input": {"multiple": 0}},
    ],
)
def test_a_card_with_values_that_cannot_be_followed(copied: Path, change: dict[str, object]) -> None:
    change_card(copied, **change)
    assert "not a model card: " in refused(copied)


def test_a_model_with_its_weights_in_another_file(copied: Path, tmp_path: Path) -> None:
    """The card's hash would say nothing of them, and OpenVINO looks for them wherever it was started."""
    onnx = pytest.importorskip("onnx")
    onnx.save_model(onnx.load(copied), copied, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert (tmp_path / "weights.bin").exists()
    change_card(copied, file_sha256=hashlib.sha256(copied.read_bytes()).hexdigest())
    assert "expected an ONNX file of finite weights and plain operators, found one with external data" in refused(
        copied
    )
