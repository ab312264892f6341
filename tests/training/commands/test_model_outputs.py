"""What import-weights and export write: never over a file unasked, never over an input, model and card together."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lpnet_rt.cli import main
from lpnet_rt.networks.lpnetga.network import LPNetGA


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "published.pth"
    torch.save(LPNetGA().state_dict(), path)
    return path


@pytest.mark.parametrize("there", ["ours.safetensors", "ours.json"])
def test_imported_weights_replace_nothing_unasked(
    checkpoint: Path, there: str, capsys: pytest.CaptureFixture[str]
) -> None:
    old, out = checkpoint.with_name(there), checkpoint.with_name("ours.safetensors")
    old.write_text("mine")
    assert main(["import-weights", str(checkpoint), "--out", str(out)]) == 7
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"{there}: the file exists; give another name, or --overwrite to replace it" in error
    assert sorted(path.name for path in checkpoint.parent.iterdir()) == sorted([there, "published.pth"])
    assert old.read_text() == "mine"
    assert main(["import-weights", str(checkpoint), "--out", str(out), "--overwrite"]) == 0
    names = {path.name: path.stat().st_mode & 0o777 for path in checkpoint.parent.glob("*ours*")}
    assert names == {"ours.safetensors": 0o640, "ours.json": 0o640}


def test_a_checkpoint_is_never_its_own_model(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("mine.safetensors", "mine.json"):  # whatever it is called, it stays
        source = checkpoint.rename(checkpoint.with_name(name))
        before = source.read_bytes()
        out = source.with_suffix(".safetensors")
        assert main(["import-weights", str(source), "--out", str(out), "--overwrite"]) == 7
        assert "expected a file of its own, found one that is read" in capsys.readouterr().err
        assert source.read_bytes() == before
        checkpoint = source


def test_exports_refuse_before_anything_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = tmp_path / "mine.json"
    facts.write_text("notes = 'mine'\n")
    command = ["export", "--checkpoint", str(tmp_path / "none.pt"), "--out", str(tmp_path / "mine.onnx")]
    assert main(command) == 7
    assert "mine.json: the file exists; give another name, or --overwrite" in capsys.readouterr().err
    assert main([*command, "--overwrite", "--facts", str(facts)]) == 7
    assert "expected a file of its own, found one that is read" in capsys.readouterr().err
    assert facts.read_text() == "notes = 'mine'\n"
