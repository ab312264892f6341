from __future__ import annotations

import hashlib
import json
import os
import pickle
from pathlib import Path

import pytest
import safetensors.torch
import torch

from lpnet_rt.errors import ModelError, SettingsError, SinkError
from lpnet_rt.models.lpnetga_card import LPNetGACard, card_path, read_card
from lpnet_rt.networks.lpnetga.network import LPNetGA
from lpnet_rt.networks.lpnetga.patches import PatchGrid
from lpnet_rt.networks.lpnetga.weights import import_weights, load_lpnetga, save_lpnetga


class Runs:
    """Creates a file when unpickled by a reader that runs what it reads."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.fixture
def state(seeded_lpnetga: LPNetGA) -> dict[str, torch.Tensor]:
    return {f"module.{key}": value.clone() for key, value in seeded_lpnetga.state_dict().items()}


@pytest.fixture
def imported(state: dict[str, torch.Tensor], tmp_path: Path) -> Path:
    torch.save(state, tmp_path / "published.pth")
    import_weights(tmp_path / "published.pth", tmp_path / "ours.safetensors", statistics="image", threshold=0.25)
    return tmp_path / "ours.safetensors"


def refused(content: object, tmp_path: Path) -> str:
    """The one line with which a checkpoint is refused; nothing may have been written."""
    torch.save(content, tmp_path / "bad.pth")
    with pytest.raises(ModelError) as caught:
        import_weights(tmp_path / "bad.pth", tmp_path / "bad.safetensors")
    assert not (tmp_path / "bad.safetensors").exists()
    line = str(caught.value)
    assert "\n" not in line
    assert "bad.pth" in line
    return line


def test_weights_come_back_as_they_were(imported: Path, seeded_lpnetga: LPNetGA) -> None:
    loaded = load_lpnetga(imported)
    assert not loaded.training
    for key, value in seeded_lpnetga.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value), key


def test_the_card_says_how_to_use_them(imported: Path) -> None:
    card = json.loads(card_path(imported).read_text())
    assert card["sha256"] == hashlib.sha256(imported.read_bytes()).hexdigest()
    assert card["licence"] == "no licence is stated for the published weights"
    assert (card["name"], card["network"], card["input_hw"]) == ("published", "LPNetGA", [120, 120])
    assert (card["statistics"], card["fusing"], card["threshold"]) == ("image", "sum_minmax", 0.25)
    assert read_card(imported).statistics == "image"


def test_patch_sizes_travel_with_the_weights(tmp_path: Path) -> None:
    out = tmp_path / "own.safetensors"
    save_lpnetga(LPNetGA(PatchGrid(16, 8, 8)), out, LPNetGACard(name="own", sha256="", licence="Apache-2.0"))
    assert load_lpnetga(out).grid == PatchGrid(16, 8, 8)


@pytest.mark.parametrize("protocol", ["zip", 2, 4])
def test_a_pickle_that_would_run_code_is_refused_and_nothing_ran(tmp_path: Path, protocol: str | int) -> None:
    proof, bad = tmp_path / "ran", tmp_path / "bad.pth"
    if isinstance(protocol, int):
        bad.write_bytes(pickle.dumps({"a": Runs(proof)}, protocol))
    else:
        torch.save({"a": Runs(proof)}, bad)
    with pytest.raises(ModelError, match="expected tensors and nothing else; refused, nothing was run: ") as caught:
        import_weights(bad, tmp_path / "bad.safetensors")
    assert "\n" not in str(caught.value)
    assert not proof.exists()
    assert not (tmp_path / "bad.safetensors").exists()
    if isinstance(protocol, int):
        pickle.loads(bad.read_bytes())
    else:
        torch.load(bad, weights_only=False)
    assert proof.exists(), "the trap itself must work, else this test proves nothing"


@pytest.mark.parametrize("kept", [0, 7, 1000, 0.5, 0.99])
def test_a_truncated_checkpoint_is_refused(state: dict[str, torch.Tensor], tmp_path: Path, kept: float) -> None:
    path = tmp_path / "cut.pth"
    torch.save(state, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept if kept > 1 else kept * len(content))])
    with pytest.raises(ModelError, match=r"cut\.pth: expected ") as caught:
        import_weights(path, tmp_path / "cut.safetensors")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "cut.safetensors").exists()


def test_other_architectures_are_named(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    extra = refused({**state, "module.head.weight": torch.zeros(1), "module.head.bias": torch.zeros(1)}, tmp_path)
    assert "found unexpected head.weight and 1 more" in extra
    without = dict(state)
    del without["module.gfe.block2.conv1.bias"]
    assert "found missing gfe.block2.conv1.bias" in refused(without, tmp_path)
    reshaped = {**state, "module.attn.cnn.weight": torch.zeros(2, 1, 1, 1)}
    assert "attn.cnn.weight: expected shape (1, 1, 1, 1), found (2, 1, 1, 1)" in refused(reshaped, tmp_path)
    nan = {**state, "module.attn.cnn.weight": torch.full((1, 1, 1, 1), torch.nan)}
    assert "attn.cnn.weight: expected finite weights" in refused(nan, tmp_path)


def test_other_contents_are_named(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    assert "expected a state dict of tensors, found a list" in refused([1, 2], tmp_path)
    assert "found a int under 'epoch'" in refused({**state, "epoch": 3}, tmp_path)


def test_files_that_are_not_there_or_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="found no such file"):
        import_weights(tmp_path / "none.pth", tmp_path / "x.safetensors")
    (tmp_path / "text.pth").write_text("this is a text file\n")
    with pytest.raises(ModelError, match=r"text\.pth: expected "):
        import_weights(tmp_path / "text.pth", tmp_path / "x.safetensors")
    with pytest.raises(ModelError, match=r"none\.json: expected a model card file, found: No such file"):
        load_lpnetga(tmp_path / "none.safetensors")


def test_where_it_cannot_be_written(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    torch.save(state, tmp_path / "published.pth")
    with pytest.raises(SettingsError, match=r"ends in \.safetensors, found '\.bin'"):
        import_weights(tmp_path / "published.pth", tmp_path / "x.bin")
    with pytest.raises(SinkError, match="cannot be written: No such file"):
        import_weights(tmp_path / "published.pth", tmp_path / "none" / "x.safetensors")
    with pytest.raises(SettingsError, match=r"threshold: expected over 0 and at most 1, found 7"):
        import_weights(tmp_path / "published.pth", tmp_path / "x.safetensors", threshold=7)


def test_weights_that_changed_since_their_card_are_refused(imported: Path) -> None:
    content = bytearray(imported.read_bytes())
    content[-1] ^= 1
    imported.write_bytes(bytes(content))
    with pytest.raises(ModelError, match="expected the weights its card describes"):
        load_lpnetga(imported)


def test_cards_of_something_else_are_refused(imported: Path) -> None:
    card = json.loads(card_path(imported).read_text())
    for change, reason in (
        ({"network": "UNet"}, "found one of 'UNet'"),
        ({"colour": "red"}, "colour"),
        ({"statistics": "none"}, "none"),
        ({"patch_px": 0}, "patch >= 1"),
    ):
        card_path(imported).write_text(json.dumps({**card, **change}))
        with pytest.raises(ModelError, match=reason):
            load_lpnetga(imported)
    card_path(imported).write_text("no card")
    with pytest.raises(ModelError, match="expected a model card of LPNetGA"):
        load_lpnetga(imported)


def test_a_damaged_file_with_a_matching_card_is_refused(imported: Path) -> None:
    card = json.loads(card_path(imported).read_text())
    for content, reason in (
        (b"no tensors at all", "expected safetensors, found a damaged file"),
        (safetensors.torch.save({"a": torch.zeros(1)}), "found unexpected a; missing gfe.block1.conv1.weight and"),
    ):
        imported.write_bytes(content)
        card_path(imported).write_text(json.dumps({**card, "sha256": hashlib.sha256(content).hexdigest()}))
        with pytest.raises(ModelError, match=reason):
            load_lpnetga(imported)
