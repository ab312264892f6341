from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import cv2
import pytest
from rich.console import Console

from lpnet_rt.benchmarks.machine import describe_machine, measure_peaks
from lpnet_rt.benchmarks.plots import _draw_stages, draw_results
from lpnet_rt.benchmarks.results import Live, Parity, Results, Spread, StageTimes
from lpnet_rt.benchmarks.tables import live_table, parity_table, stages_table
from lpnet_rt.cli import main
from lpnet_rt.clock import SYSTEM_CLOCK
from lpnet_rt.errors import SinkError

SPREAD = Spread(1.5, 2.5, 3.5, 14.25, 10)


def stage(engine: str = "openvino bf16") -> StageTimes:
    return StageTimes(engine, (640, 512), 1, SPREAD, SPREAD, SPREAD, SPREAD, SPREAD, 100.0)


def results() -> Results:
    live = Live("clip", "openvino bf16", 30, 29, 1, SPREAD, SPREAD, 100.0, 101.0, 110.0)
    return Results([stage()], [], [live], None, [], [])


def shown(table: object) -> str:
    console = Console(width=80, record=True, highlight=False, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        console.print(table)
        return console.export_text()


def test_the_verb_from_flags_to_files(
    blob_model: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    figures, picture = tmp_path / "figures.json", tmp_path / "picture.png"
    flags = ["--quick", "--model", str(blob_model), "--source", str(clip), "--engines", "onnxruntime", "--threads", "1"]
    flags += ["--live-s", "1", "--batch", "1,2", "--stage-frames", "4", "--json", str(figures), "--plot", str(picture)]
    assert main(["benchmark", *flags]) == 0
    whole = json.loads(figures.read_text())
    found = whole["results"]
    (row,) = found["stages"]
    assert (row["engine"], row["size_wh"]) == ("onnxruntime f32", [160, 128])
    assert row["gmac"] in (None, pytest.approx(128 * 160 * 50 / 1e9))
    assert found["end_to_end"][0]["frames"] == 40
    assert found["live"][0]["due"] == found["live"][0]["arrived"] + found["live"][0]["dropped"] == 40
    assert found["start_up"]["warm_first_frame_s"] > found["start_up"]["import_s"] > 0
    assert whole["machine"]["processors"] >= 1
    assert whole["plan"]["threads"] == 1
    assert any("batch 2" in line for line in found["skipped"])  # the model takes one frame at a time
    assert any("parity: it takes two engines" in line for line in found["skipped"])
    assert cv2.imread(str(picture)).shape[1] == 1200
    text = capsys.readouterr().out
    for title in ("Stages in one thread", "From a file to messages", "At the camera's pace", "Start-up", "left out: "):
        assert title in text


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (("--sizes", "7"), 2, "--sizes 7: expected WIDTHxHEIGHT"),
        (("--engines", "abacus"), 2, "--engines abacus: expected some of"),
        (("--json", "/none/such/out.json"), 7, "--json /none/such/out.json: expected a folder"),
        (("--model", "none.onnx"), 5, "none.onnx: expected a model file"),
    ],
)
def test_errors_are_one_line(flags: tuple[str, ...], code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", "--quick", *flags]) == code
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_source_that_is_not_there(blob_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--quick", "--model", str(blob_model), "--engines", "onnxruntime", "--source", "/none.mp4"]
    assert main(["benchmark", *flags]) == 2
    assert "--source /none.mp4: expected a video file" in capsys.readouterr().err


def test_tables_fit_eighty_columns() -> None:
    text = shown(stages_table([stage("onnxruntime f32")]))
    assert "all but infer" in text
    assert "14.2" in text
    live = results().live
    assert "30 frames due, 29 arrived, 1 dropped" in shown(live_table(live)).replace("\n", " ")
    parity = Parity("demo, 14 bits", "openvino bf16", "onnxruntime f32", 40, 160, 1, 2, 0.125, 0.0123)
    assert "0.125" in shown(parity_table([parity]))
    assert "0.0123" in shown(parity_table([parity]))
    assert "…" not in text + shown(live_table(live)) + shown(parity_table([parity]))


def test_a_picture_of_what_there_is(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    small, large = tmp_path / "small.png", tmp_path / "large.png"
    draw_results(dataclasses.replace(results(), live=[]), "title", small)
    draw_results(results(), "title", large)
    assert cv2.imread(str(large)).shape[0] > cv2.imread(str(small)).shape[0]
    with pytest.raises(SinkError, match="cannot be written"):
        draw_results(results(), "title", tmp_path / "none" / "out.png")
    with pytest.raises(SinkError, match="cannot be written"):
        draw_results(results(), "title", tmp_path / "out.nonsense")


def test_the_machine() -> None:
    machine = describe_machine(SYSTEM_CLOCK)
    assert machine.processor
    assert machine.memory_gib > 0
    assert machine.libraries["numpy"]
    assert machine.measured_utc.endswith("+00:00")


def test_the_peak_is_a_rate_of_this_world() -> None:
    pytest.importorskip("openvino")
    (peak,) = measure_peaks(["f32", "f64"], 1, SYSTEM_CLOCK, repetitions=3)
    assert peak.precision == "f32"
    assert 0.1 < peak.gmac_per_s < 100_000


@pytest.mark.parametrize("flag", ["--json", "--plot"])
def test_files_that_exist_are_kept(flag: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    file = tmp_path / "old.png"
    file.write_text("precious")
    assert main(["benchmark", "--quick", flag, str(file)]) == SinkError.exit_code
    assert "the file exists; give another name, or --overwrite" in capsys.readouterr().err
    assert file.read_text() == "precious"


def test_one_file_for_both_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    file = str(tmp_path / "both.png")
    assert main(["benchmark", "--quick", "--json", file, "--plot", file]) == SinkError.exit_code
    assert "--json writes the same file" in capsys.readouterr().err


def test_every_stage_can_be_seen(tmp_path: Path) -> None:
    matplotlib_axes = pytest.importorskip("matplotlib.figure").Figure().subplots()
    quick, slow = Spread(0.05, 0.1, 0.1, 0.1, 9), Spread(200.0, 300.0, 400.0, 500.0, 9)
    row = dataclasses.replace(stage(), encode=quick, infer=slow)
    _draw_stages(matplotlib_axes, dataclasses.replace(results(), stages=[row]))
    assert matplotlib_axes.get_xlabel().startswith("ms")
    left, right = (
        matplotlib_axes.transAxes.inverted().transform(matplotlib_axes.transData.transform(p))[0]
        for p in ((0.05, 0), (200.0, 0))
    )
    assert 0.02 < left < right < 1.0
