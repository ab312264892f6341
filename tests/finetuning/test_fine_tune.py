"""``lpnet-rt train --from``: from a model and frames of one's own to a model, its card and a report."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from run_files import log_of, same, state_of

from lpnet_rt.cli import main
from lpnet_rt.detector import Detector
from lpnet_rt.finetuning.start import network_of, read_start
from lpnet_rt.models import find_model
from lpnet_rt.networks.lpnet_rt.weights import network_of_onnx
from lpnet_rt.preprocessing.rules import prepare
from lpnet_rt.selftest import self_test_frame
from lpnet_rt.settings import DetectorSettings
from lpnet_rt.training.loop.loop import load_checkpoint

pytestmark = pytest.mark.timeout(300)  # three exports, on machines that are busy

SMALL = {
    "precision": "f32",
    "data.crop_px": 64,
    "data.mask_crops": 4,
    "data.empty_crops": 2,
    "data.video_crops": 2,
    "optimiser.batch": 2,
    "optimiser.epochs": 2,
    "optimiser.validate_every": 1,
    "optimiser.rate": 1e-3,
}


def fine_tune(model: Path | str, data: Path, out: Path, *flags: str) -> int:
    settings = [flag for key, value in SMALL.items() for flag in ("--set", f"{key}={json.dumps(value)}")]
    return main(
        ["train", "--from", str(model), "--data", str(data), "--out", str(out), "--device", "cpu", *settings, *flags]
    )


@pytest.fixture(scope="module")
def run(model: Path, images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "mine"
    assert fine_tune(model, images, out, "--data-licence", "CC0-1.0") == 0
    return out


class _Page(HTMLParser):
    """Tags that load something, and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_network_before_the_first_step_scores_as_the_model(model: Path) -> None:
    found = find_model(str(model))
    image = torch.from_numpy(prepare(self_test_frame(), found.card.input))
    with torch.no_grad():
        scores = torch.sigmoid(network_of(read_start(str(model)))(image)[0])
        np.testing.assert_allclose(scores.numpy(), network_of_onnx(found)(image).numpy(), atol=1e-5)


def test_a_run_ends_in_a_model_that_every_verb_takes(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    detector = Detector.load(DetectorSettings(model=str(run / "model.onnx"), engine="onnxruntime"))
    assert detector.detect(self_test_frame()).centroid_xy.shape[1] == 2
    card = find_model(str(run / "model.onnx")).card
    assert card.name == "mine"
    assert detector.threshold == card.threshold
    assert card.config["offset"] == 0.5
    assert re.fullmatch(r"small \(weights [0-9a-f]{12}\)", card.base)
    assert "Before fine-tuning: skies made by a test" in card.trained_on
    wanted = r"Fine-tuned on images\d+: \d images with targets, \d target-free"
    assert any(re.match(wanted, line) for line in card.trained_on)
    assert card.licences == ["none needed", next(line for line in card.licences if line.endswith(": CC0-1.0"))]
    assert {name.partition("part, ")[2] for name in card.measured} >= {
        "before: targets found, %",
        "after: targets found, %",
        "after: false detections a target-free frame",
    }
    assert main(["info", "--model", str(run / "model.onnx")]) == 0
    assert "mine: LPNetRT" in capsys.readouterr().out


def test_the_start_is_validated_and_stays_the_best_unless_it_is_beaten(run: Path) -> None:
    log = log_of(run)
    assert [row["epoch"] for row in log] == ["0", "1", "2"]
    assert state_of(run, "best.pt")["best"] == pytest.approx(max(float(row["fitness"]) for row in log), rel=1e-3)
    assert state_of(run)["over"] is True


def test_the_report_is_one_file_that_loads_nothing(run: Path) -> None:
    page = _Page()
    page.feed((run / "report.html").read_text("utf-8"))
    assert not page.tags & {"script", "link", "iframe"}
    assert len(page.sources) >= 2
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    for text in ("Before and after", "The threshold", "Worst misses before", "Worst false detections after", "CC0-1.0"):
        assert text in page.text
    assert "url(" not in (run / "report.html").read_text("utf-8")


def test_a_stopped_run_goes_on_and_comes_to_the_same(
    run: Path, model: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mine"
    assert fine_tune(model, images, out, "--epochs-now", "1", "--data-licence", "CC0-1.0") == 0
    assert "the run is not over; the same command resumes" in capsys.readouterr().out
    assert not (out / "model.onnx").exists()
    assert fine_tune(model, images, out, "--data-licence", "CC0-1.0") == 0
    assert same(state_of(out), state_of(run))
    assert log_of(out) == log_of(run)
    assert (out / "model.json").read_bytes() == (run / "model.json").read_bytes()


@pytest.mark.slow
def test_a_run_from_a_checkpoint_that_gets_no_better_ends_and_its_start_is_the_best(
    run: Path, clips: Path, tmp_path: Path
) -> None:
    out, start = tmp_path / "run", run / "best.pt"
    # At such a rate nothing changes.
    flags = ("optimiser.rate=1e-30", "optimiser.patience=2", "optimiser.epochs=9")
    assert fine_tune(start, clips, out, *(f for flag in flags for f in ("--set", flag))) == 0
    assert [row["epoch"] for row in log_of(out)] == ["0", "1", "2"]
    before, best = load_checkpoint(start).state_dict(), load_checkpoint(out / "best.pt").state_dict()
    assert all(torch.allclose(value, best[name], atol=1e-6) for name, value in before.items())
    assert "the start: nothing that was trained became better" in (out / "report.html").read_text("utf-8")
    card = find_model(str(out / "model.onnx")).card
    assert re.fullmatch(r"mine/best\.pt \(file [0-9a-f]{12}\)", card.base)
    assert card.config["offset"] == 0.5


def test_a_failed_start_leaves_nothing_in_the_way(
    model: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    cases = {
        9: (model, tmp_path / "none", ()),
        5: (tmp_path / "none.onnx", images, ()),
        2: (model, images, ("--set", "optimiser.rate=-1")),
    }
    for code, (start, data, flags) in cases.items():
        assert fine_tune(start, data, out, *flags) == code
        assert capsys.readouterr().err.startswith("lpnet-rt: ")
        assert not out.exists()
    empty = tmp_path / "empty"
    for folder in ("images", "masks"):
        (empty / folder).mkdir(parents=True)
        for path in sorted((images / folder).glob("r[024]_*.png")):
            (empty / folder / path.name).write_bytes(path.read_bytes())
    assert fine_tune(model, empty, out) == 9
    assert "expected targets in the training part, found none" in capsys.readouterr().err
    assert fine_tune(model, images, out, "--epochs-now", "1") == 0


def test_flags_that_belong_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--from", "lpnet-rt", "--out", str(tmp_path / "run")]) == 2
    assert "expected the folder of your data, found none; give it with --data" in capsys.readouterr().err
    assert main(["train", "--data-licence", "mine", "--data", str(tmp_path)]) == 2
    assert "--data-licence: expected --from beside it" in capsys.readouterr().err
