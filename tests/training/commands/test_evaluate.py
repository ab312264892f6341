import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.console import Console

from lpnet_rt.errors import DataError, SettingsError, SinkError
from lpnet_rt.training.commands.evaluate import EvaluateOptions, add_arguments, evaluate, main, run
from lpnet_rt.training.evaluation.plots import _f1
from lpnet_rt.training.evaluation.summary import print_summary

PLOTS = ["f1.png", "gallery.png", "precision_recall.png", "roc.png"]


@pytest.fixture
def data(tmp_path) -> Path:
    """Three frames: one found, one missed with a false alarm elsewhere, one free of targets with a false alarm."""
    rng = np.random.default_rng(0)
    for folder in ("images", "masks", "scores"):
        (tmp_path / folder).mkdir()
    layout = {"a": ((10, 10), (10, 10)), "b": ((20, 30), (50, 40)), "c": (None, (5, 5))}
    for stem, (target, answer) in layout.items():
        image = rng.normal(100, 3, (60, 80)).clip(0, 255).astype(np.uint8)
        mask, score = np.zeros((60, 80), np.uint8), np.zeros((60, 80), np.uint8)
        if target:
            mask[target[1] : target[1] + 3, target[0] : target[0] + 3] = 255
            image[mask > 0] = 200
        score[answer[1] : answer[1] + 3, answer[0] : answer[0] + 3] = 204 if stem == "a" else 153
        for folder, picture in (("images", image), ("masks", mask), ("scores", score)):
            assert cv2.imwrite(str(tmp_path / folder / f"{stem}.png"), picture)
    return tmp_path


def options(data: Path, **changes) -> EvaluateOptions:
    given = {"images": data / "images", "masks": data / "masks", "predictions": data / "scores"}
    return EvaluateOptions(**{**given, **changes})


def _never(image: np.ndarray) -> np.ndarray:
    raise AssertionError("a frame was judged before the outputs were looked at")


def parse(*flags: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args([str(flag) for flag in flags])


def test_predictions_are_judged(data):
    result = evaluate(options(data))
    assert (result.field.images, result.field.targets, result.field.matched) == (3, 2, 1)
    assert result.field.fa_per_million == pytest.approx(18 / (3 * 4800) * 1e6)
    assert result.operator.empty_frames.false_per_frame == 1.0
    assert result.operator.false_per_hour == 108_000.0
    quiet = result.operator.pd_at_rate[0].best
    assert quiet is not None
    assert (quiet.pd, quiet.threshold) == (0.5, 0.65)  # the false alarms score 0.6, the target 0.8
    assert [(row.stem, row.matched, row.false_components, row.iou) for row in result.frames] == [
        ("a", 1, 0, 1.0),
        ("b", 0, 1, 0.0),
        ("c", 0, 1, 0.0),
    ]
    assert [case.stem for case in result.misses] == ["b"]
    assert sorted(case.stem for case in result.false_alarms) == ["b", "c"]


def test_json_and_plots(data):
    result = evaluate(options(data, json=data / "out" / "figures.json", plots=data / "plots"))
    figures = json.loads((data / "out" / "figures.json").read_text())
    assert figures["format"] == "lpnet-rt evaluation 1"
    assert figures["field"]["miou"] == result.field.miou
    assert figures["operator"]["empty_frames"]["false_detections"] == 1
    assert len(figures["paper_published"]["rows"]) == 20
    assert figures["frames"][2] == {"stem": "c", "targets": 0, "matched": 0, "false_components": 1, "iou": 0.0}
    assert "misses" not in figures
    assert sorted(path.name for path in (data / "plots").iterdir()) == PLOTS
    for name in PLOTS:
        picture = cv2.imread(str(data / "plots" / name))
        assert picture.shape[0] > 400
        assert picture.std() > 5
    assert not list(data.rglob("*.part"))
    assert (data / "out" / "figures.json").stat().st_mode & 0o777 == 0o640


def test_plots_of_nothing_found_on_nothing(data):
    split = data / "split.txt"
    split.write_text("c\n")
    silent = lambda image: np.zeros(image.shape, np.float32)  # noqa: E731
    result = evaluate(options(data, predictions=None, model=silent, split=split, plots=data / "plots"))
    assert result.field.pd is None
    assert result.field.miou is None
    assert result.operator.pd_at_rate[0].best is None
    assert sorted(path.name for path in (data / "plots").iterdir()) == PLOTS


def test_a_model_is_judged_at_full_depth(data):
    deep = cv2.imread(str(data / "images" / "a.png"), cv2.IMREAD_UNCHANGED).astype(np.uint16) * 50
    assert cv2.imwrite(str(data / "images" / "a.png"), deep)
    seen: list[np.dtype] = []

    def bright(image: np.ndarray) -> np.ndarray:
        seen.append(image.dtype)
        return (image >= (9000 if image.dtype == np.uint16 else 180)).astype(np.float32)

    result = evaluate(options(data, predictions=None, model=bright))
    assert seen == [np.uint16, np.uint8, np.uint8]
    assert (result.field.pd, result.field.miou, result.field.fa_per_million) == (1.0, 1.0, 0.0)


def test_a_model_with_another_size_is_refused(data):
    with pytest.raises(DataError, match="score map of the image's size"):
        evaluate(options(data, predictions=None, model=lambda image: np.zeros((5, 5), np.float32)))


def test_scores_that_are_not_finite_name_their_image(data):
    with pytest.raises(DataError, match=r"a\.png: prediction: expected finite scores"):
        evaluate(options(data, predictions=None, model=lambda image: np.full(image.shape, np.nan, np.float32)))


def test_a_mask_of_another_size_is_refused(data):
    assert cv2.imwrite(str(data / "masks" / "b.png"), np.zeros((60, 81), np.uint8))
    with pytest.raises(DataError, match=r"b\.png: expected the image's size 80x60, found 81x60"):
        evaluate(options(data))


def test_bad_options(data):
    with pytest.raises(SettingsError, match="found 7"):
        options(data, threshold=7.0)
    with pytest.raises(SettingsError, match="either predictions or a model"):
        options(data, predictions=None)
    with pytest.raises(SettingsError, match=r"at-rate: .* found nan"):
        options(data, false_per_empty_frame=(0.1, float("nan")))
    with pytest.raises(SettingsError, match="rate_hz"):
        options(data, rate_hz=0.0)


def test_outputs_that_cannot_be_written_are_known_first(data):
    (data / "file").write_text("x")
    with pytest.raises(SinkError, match="cannot make the folder"):
        evaluate(options(data, plots=data / "file" / "plots"))
    with pytest.raises(SinkError, match="found a folder"):
        evaluate(options(data, json=data / "masks"))
    for name in ("figures.json", "roc.png"):
        (data / name).write_text("precious")
        with pytest.raises(SinkError, match=f"{name}: the file exists; give another name, or --overwrite"):
            evaluate(options(data, json=data / "figures.json", plots=data, predictions=None, model=_never))
        assert (data / name).read_text() == "precious"
        (data / name).unlink()
    with pytest.raises(SinkError, match="one of those that are evaluated"):
        evaluate(options(data, json=data / "masks" / "a.png", overwrite=True))
    with pytest.raises(SinkError, match="a plot has this name"):
        evaluate(options(data, json=data / "f1.png", plots=data))


def test_old_figures_survive_a_failure(data):
    target = data / "figures.json"
    target.write_text("old")
    (data / "scores" / "b.png").write_text("damaged")
    with pytest.raises(DataError, match="expected a PNG, BMP, JPEG or TIFF image"):
        evaluate(options(data, json=target, overwrite=True))
    assert target.read_text() == "old"


def test_the_verb_prints_its_figures(data, capsys, monkeypatch):
    flags = ("--images", data / "images", "--masks", data / "masks", "--predictions", data / "scores")
    monkeypatch.setenv("COLUMNS", "160")
    assert run(parse(*flags, "--json", data / "o.json", "--at-rate", 0.5)) == 0
    printed = capsys.readouterr().out
    assert "Pd at 0.5 false per frame" in printed
    assert "Pd at 0.3 false per frame" not in printed
    assert "3 frames, 2 targets" in printed
    assert "50.00 %" in printed
    assert "1 target-free frame)" in printed
    assert "108,000" in printed
    assert "cannot show a rate" in " ".join(printed.split())
    assert (data / "o.json").exists()


def test_the_module_reports_errors_in_one_line(data, capsys):
    code = main(["--images", str(data / "images"), "--masks", str(data / "none"), "--predictions", str(data)])
    assert code == DataError.exit_code
    assert capsys.readouterr().err.count("\n") == 1


def test_without_targets_there_is_no_pd(data, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    (data / "split.txt").write_text("c\n")
    flags = ("--images", data / "images", "--masks", data / "masks", "--predictions", data / "scores")
    assert run(parse(*flags, "--split", data / "split.txt", "--plots", data / "plots")) == 0
    printed = capsys.readouterr().out
    assert "not defined: no frame has a target" in printed
    assert "quiet enough" not in printed
    assert "under 4.744 (95 %)" in printed  # one false detection on one frame


def test_the_table_and_the_plot_have_the_same_frames(data, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    result = evaluate(options(data))
    best = result.paper_plain.best_target_f1
    assert best is not None
    assert best.target_f1 != result.paper_published.best_target_f1.target_f1 or best.threshold < 0.65
    print_summary(result, Console(width=160))
    assert f"{100 * best.target_f1:.2f} %" in capsys.readouterr().out.split("paper: F1 of targets")[1].splitlines()[0]
    (axes,) = _f1(result).axes
    assert f"best {100 * best.target_f1:.2f} %" in axes.get_legend().get_texts()[0].get_text()
    assert "free of targets included" in axes.get_title()


def test_negatives_of_images_are_judged_as_cold_ones(data, capsys):
    flags = ["--images", data / "images", "--masks", data / "masks", "--engine", "onnxruntime", "--json"]

    def field(name: str, polarity: str) -> dict[str, object]:
        out = data / f"{name}.json"
        assert main([str(flag) for flag in (*flags, out, "--polarity", polarity)]) == 0
        return json.loads(out.read_text())["field"]

    warm = field("warm", "hot")
    assert warm["pd"] == 1.0
    for path in (data / "images").iterdir():
        assert cv2.imwrite(str(path), 255 - cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
    cold = field("cold", "cold")
    assert cold.keys() == warm.keys()
    assert all(cold[key] == pytest.approx(warm[key], abs=1e-6) for key in warm)
    assert field("negative", "hot")["miou"] != warm["miou"]
    refused = ["--images", data / "images", "--masks", data / "masks", "--predictions", data, "--polarity", "cold"]
    assert main([str(flag) for flag in refused]) == 2
    assert "--polarity: expected a model that searches, found predictions" in capsys.readouterr().err
