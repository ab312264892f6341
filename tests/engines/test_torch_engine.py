"""Weights files of the paper's network as models of every verb."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from lpnet_rt.cli import main
from lpnet_rt.detector import Detector
from lpnet_rt.engines.scorer import HostScorer
from lpnet_rt.engines.torch_module import TorchModuleEngine
from lpnet_rt.errors import EngineError, ModelError, SettingsError
from lpnet_rt.models import find_model
from lpnet_rt.models.lpnetga_card import LPNetGACard, card_path
from lpnet_rt.networks.lpnetga.network import LPNetGA
from lpnet_rt.networks.lpnetga.weights import load_lpnetga, save_lpnetga
from lpnet_rt.settings import DetectorSettings
from lpnet_rt.training.commands.evaluate import EvaluateOptions, evaluate

SHARED = Path(__file__).parents[3] / "shared"


def save(folder: Path, **use: object) -> Path:
    """A network of random weights, as a model."""
    torch.manual_seed(4)
    path = folder / "ga.safetensors"
    save_lpnetga(LPNetGA().eval(), path, LPNetGACard(name="ga", sha256="", licence="none", **use))  # type: ignore[arg-type]
    return path


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(8).integers(0, 256, (130, 150), np.uint8)


def load(path: Path, **settings: object) -> Detector:
    return Detector.load(DetectorSettings(model=str(path), **settings))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fitting", "fusing", "statistics", "engine"),
    [
        pytest.param("resize", "sum_minmax", "running", "openvino", marks=pytest.mark.slow),
        ("resize", "sum_minmax", "running", "torch"),
        pytest.param("resize", "mean", "image", "torch", marks=pytest.mark.slow),
        ("tile", "dense", "running", "openvino"),
        pytest.param("tile", "mean", "running", "torch", marks=pytest.mark.slow),
        pytest.param("tile", "mean", "image", "torch", marks=pytest.mark.slow),
    ],
)
def test_a_detector_does_what_the_networks_procedure_does(
    tmp_path: Path, picture: np.ndarray, fitting: str, fusing: str, statistics: str, engine: str
) -> None:
    path = save(tmp_path, fitting=fitting, fusing=fusing, statistics=statistics)
    network = load_lpnetga(path)
    absolute = "mean" if fitting == "tile" and fusing == "sum_minmax" else fusing
    plain = TorchModuleEngine(lambda image: network(image, absolute))  # batch norm not folded, every patch run
    with network.normalising_by(statistics):  # type: ignore[arg-type]
        expected = HostScorer(plain, find_model(str(path)).card).score_map(picture)
    found = load(path, engine=engine).score_map(picture)
    assert found.shape == picture.shape
    assert found.dtype == np.float32
    # Stretching a map that spans little makes more of the rounding of folded weights.
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-3 if fusing == "sum_minmax" else 1e-5)


def test_the_engine_and_why(tmp_path: Path, picture: np.ndarray) -> None:
    path = save(tmp_path, fusing="dense", threshold=0.25)
    detector = load(path)
    engine = detector.choice.engine
    assert (engine.name, engine.precision, detector.threshold) == ("openvino", "f32", 0.25)
    assert detector.choice.why == "the first of openvino f32, torch f32; no self-test in its card"
    expected = detector.score_map(picture)
    np.testing.assert_allclose(load(path, engine="torch").score_map(picture), expected, rtol=0, atol=1e-5)
    half = load(path, engine="torch", precision="bf16")
    np.testing.assert_allclose(half.score_map(picture), expected, rtol=0, atol=0.05)
    with pytest.raises(EngineError, match="--engine onnxruntime: expected one of auto, openvino, torch"):
        load(path, engine="onnxruntime")


def test_batch_norm_by_each_image_runs_in_torch_alone(tmp_path: Path) -> None:
    path = save(tmp_path, statistics="image")
    assert load(path).choice.engine.name == "torch"
    with pytest.raises(EngineError, match="--engine openvino: expected one of auto, torch"):
        load(path, engine="openvino")


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path)
    card = find_model(str(path)).card
    assert (card.network, card.input.normalisation, card.licences) == ("LPNetGA", "paper-resize", ["none"])
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match="the file is not the one its card describes"):
        find_model(str(path))
    card_path(path).unlink()
    with pytest.raises(ModelError, match=r"ga\.json: expected a model card file"):
        find_model(str(path))


def test_import_weights_then_info_then_run(
    tmp_path: Path, picture: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(4)
    network = LPNetGA()
    torch.save({f"module.{key}": value for key, value in network.state_dict().items()}, tmp_path / "published.pth")
    out = tmp_path / "ga.safetensors"
    flags = ["--out", str(out), "--fitting", "tile", "--fusing", "dense", "--threshold", "0.9"]
    assert main(["import-weights", str(tmp_path / "published.pth"), *flags]) == 0
    assert "no licence is stated for the published weights" in capsys.readouterr().out
    card = json.loads(card_path(out).read_text())
    assert (card["name"], card["fitting"], card["fusing"], card["threshold"]) == ("ga", "tile", "dense", 0.9)
    assert card["parameters"] == sum(value.numel() for value in network.parameters())
    assert main(["info", "--model", str(out)]) == 0
    told = capsys.readouterr().out
    assert "ga: LPNetGA" in told
    assert "auto takes   openvino f32: the first of openvino f32, torch f32" in told
    lines = tmp_path / "out.jsonl"
    cv2.imwrite(str(tmp_path / "frame.png"), picture)
    run = ["run", "--source", str(tmp_path / "frame.png"), "--model", str(out), "--no-publish", "--jsonl", str(lines)]
    assert main([*run, "--quiet"]) == 0
    assert json.loads(lines.read_text().splitlines()[0])["model"] == "ga"


def test_what_import_weights_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save([1], tmp_path / "bad.pth")
    out = str(tmp_path / "x.safetensors")
    assert main(["import-weights", str(tmp_path / "bad.pth"), "--out", out]) == ModelError.exit_code
    assert main(["import-weights", str(tmp_path / "none.pth"), "--out", out]) == ModelError.exit_code
    assert main(["import-weights", "a", "--out", out, "--threshold", "7"]) == SettingsError.exit_code
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 3
    assert "expected a state dict of tensors, found a list" in errors[0]
    assert "found no such file" in errors[1]
    assert "--threshold 7.0: expected a score over 0, at most 1" in errors[2]
    assert not (tmp_path / "x.safetensors").exists()


def test_torch_is_imported_for_weights_files_alone() -> None:
    code = (
        "import sys\n"
        "from lpnet_rt.detector import Detector\nfrom lpnet_rt.engines import list_candidates, weights_candidates\n"
        "list_candidates(), weights_candidates()\n"
        "assert 'torch' not in sys.modules and 'safetensors' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Folders of the reference, of SIRST, and of the published weights as models for both ways of batch norm."""
    reference = Path(os.environ.get("LPNET_REFERENCE", SHARED / "reference")) / "lpnetga"
    sirst = Path(os.environ.get("LPNET_DATA", SHARED / "data")) / "sirst"
    for folder in (reference, sirst):
        if not folder.is_dir():
            pytest.skip(f"{folder} is not there; set LPNET_REFERENCE and LPNET_DATA")
    models = tmp_path_factory.mktemp("published")
    for name, statistics in (("eval", "running"), ("batch", "image")):
        flags = ["--out", str(models / f"{name}.safetensors"), "--fusing", "sum_minmax", "--statistics", statistics]
        assert main(["import-weights", str(reference / "LPNetGA-SIRST.pth"), *flags]) == 0
    return reference, sirst, models


@pytest.mark.data
@pytest.mark.parametrize(
    ("mode", "step", "count"),
    [
        ("eval", 45, 2),
        pytest.param("eval", 15, 6, marks=pytest.mark.slow),
        pytest.param("batch", 15, 6, marks=pytest.mark.slow),
    ],
)
def test_the_detector_draws_the_published_maps(
    published: tuple[Path, Path, Path], mode: str, step: int, count: int
) -> None:
    reference, sirst, models = published
    detector = load(models / f"{mode}.safetensors")
    names = sorted(path.stem for path in (reference / f"maps_v1_val_bn_{mode}").glob("*.png"))[::step]
    assert len(names) == count
    for name in names:
        image = cv2.imread(str(sirst / "images" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        expected = cv2.imread(str(reference / f"maps_v1_val_bn_{mode}" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        found = np.rint(detector.score_map(image) * 255).astype(int)
        assert np.abs(found - expected.astype(int)).max() <= 1


@pytest.mark.data
@pytest.mark.skipif(os.environ.get("LPNET_SLOW") != "1", reason="takes minutes; set LPNET_SLOW=1")
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("mode", ["eval", "batch"])
def test_evaluation_agrees_with_the_published_evaluators(published: tuple[Path, Path, Path], mode: str) -> None:
    reference, sirst, models = published
    found = evaluate(
        EvaluateOptions(
            images=sirst / "images",
            masks=sirst / "masks",
            split=sirst / "splits" / "v1_val.txt",
            model=load(models / f"{mode}.safetensors").score_map,
        )
    )
    with (reference / f"eval_v1_val_bn_{mode}.csv").open(newline="") as file:
        expected = list(csv.DictReader(file))
    names = {"Pd": "pd", "Fa_per_image": "fa_per_image"}
    apart = {
        (row["threshold"], column): abs(float(row[column]) - (getattr(ours, names.get(column, column)) or 0.0))
        for row, ours in zip(expected, found.paper_published.rows, strict=True)
        for column in row
        if column != "threshold" and row[column] not in ("", "nan")
    }
    worst = max(apart, key=lambda key: apart[key])
    print(f"{mode}: largest difference {apart[worst]:.5f} at {worst}")
    assert apart[worst] <= 0.01
