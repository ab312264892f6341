"""``lpnet-rt zones``, and zones in a run, as a person meets them."""

from __future__ import annotations

import json
import tomllib
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lpnet_rt.cli import main
from lpnet_rt.settings import load_settings
from lpnet_rt.settings.zones import ZoneSettings, zone_tables

EVERYTHING = "[[zone]]\nunit = 'share'\npoints = [[0, 0], [1, 0], [1, 1], [0, 1]]\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "lpnet.toml"
    path.write_text(EVERYTHING)
    return path


def write_clip(path: Path) -> Path:
    """A landscape that passes by under text of the camera."""
    rng = np.random.default_rng(7)
    wide = cv2.GaussianBlur(rng.normal(0, 300, (256, 600)), (0, 0), 6)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=30)
        stream.height, stream.width, stream.pix_fmt = 256, 320, "gray"
        stream.codec_context.time_base = Fraction(1, 30)
        for index in range(40):
            view = wide[:, index * 4 : index * 4 + 320]
            image = np.clip(110 + view + rng.normal(0, 2, view.shape), 0, 255).astype(np.uint8)
            cv2.putText(image, "WHITE HOT", (30, 30), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 255)
            frame = av.VideoFrame.from_ndarray(image, "gray")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_a_run_publishes_nothing_that_lies_in_an_ignore_zone(tmp_path: Path, config: Path) -> None:
    found = []
    for number, flags in enumerate(([], ["--config", str(config)])):
        lines = tmp_path / f"{number}.jsonl"
        assert (
            main(
                ["run", "--source", "demo", "--frames", "12", "--no-publish", "--jsonl", str(lines), "--quiet", *flags]
            )
            == 0
        )
        messages = [json.loads(line) for line in lines.read_text().splitlines()]
        found.append(sum(len(message["detections"]) + len(message["tracks"]) for message in messages))
    assert found[0] > 12
    assert found[1] == 0


def test_a_zone_of_a_source_that_is_not_in_the_run_is_warned_of(
    tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(EVERYTHING + "source = 'mast-nort'\nname = 'road'\n")
    jsonl = str(tmp_path / "x.jsonl")
    assert (
        main(["run", "--source", "demo", "--frames", "1", "--no-publish", "--jsonl", jsonl, "--config", str(config)])
        == 0
    )
    assert "zone road: its source mast-nort is not in this run (demo)" in capsys.readouterr().err


def test_a_picture_with_and_without_the_zones(tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "zones.png"
    assert main(["zones", "--source", "demo", "--config", str(config), "--out", str(out)]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.endswith("with them: 0\n")
    picture = cv2.imread(str(out))
    assert picture.shape[1] == 2 * 640
    left, right = picture[:, :640], picture[:, 640:]
    assert (left != right).any(axis=2).sum() > 50, "marks on one side only"

    assert main(["zones", "--source", "demo", "--out", str(out)]) == 7
    assert "the file exists" in capsys.readouterr().err
    assert main(["zones", "--source", "demo", "--out", str(out), "--overwrite"]) == 0


def test_text_is_proposed_as_tables_that_a_configuration_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip, proposed = write_clip(tmp_path / "clip.mkv"), tmp_path / "text.toml"
    arguments = ["zones", "--source", str(clip), "--find-text", "--frames", "40"]
    assert main([*arguments, "--save", str(proposed)]) == 0
    captured = capsys.readouterr()
    assert captured.out == proposed.read_text()
    assert "proposals: 1; look at them" in captured.err
    (zone,) = load_settings(str(proposed), {}).zone
    assert (zone.source, zone.kind, zone.name) == ("clip", "ignore", "text-1")

    assert main([*arguments, "--save", str(proposed)]) == 7, "never over a file that exists"
    assert main(["zones", "--source", "demo", "--find-text", "--frames", "2", "--config", str(proposed)]) == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "source.spec: expected a source, found none"),
        (["--source", "demo", "--frames", "1"], 2, "--frames: expected a whole number of at least 2, found 1"),
        (["--source", "demo", "--out", "x.jpg"], 2, "--out: expected a file that ends in .png, found x.jpg"),
        (["--source", "nowhere.mp4"], 3, "nowhere.mp4: no such file"),
        (["--source", "demo"], 7, "zones: expected a display, found none"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    arguments: list[str],
    code: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    assert main(["zones", *arguments]) == code
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_source_of_the_configuration_is_named_by_its_name(
    tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = "[[source]]\nspec = 'demo'\nname = 'mast'\n[[source]]\nspec = 'demo'\nname = 'roof'\n"
    config.write_text(sources + EVERYTHING + "source = 'mast'\n")
    for name, left in (("mast", 0), ("roof", 1)):
        out = str(tmp_path / f"{name}.png")
        assert main(["zones", "--source", name, "--config", str(config), "--out", out]) == 0
        assert (int(capsys.readouterr().err.rsplit(maxsplit=1)[1]) > 0) == left
    assert main(["zones", "--config", str(config), "--out", str(tmp_path / "x.png")]) == 2
    assert "expected one source, found 2 (mast, roof); name one with --source" in capsys.readouterr().err


@given(
    st.builds(
        ZoneSettings,
        points=st.lists(st.tuples(st.floats(-1e5, 1e5), st.floats(-1e5, 1e5)), min_size=3, max_size=6).map(tuple),
        kind=st.sampled_from(("ignore", "watch")),
        name=st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=64),
        source=st.none() | st.just("mast-north"),
    )
)
def test_tables_are_read_back_as_they_were(zone: ZoneSettings) -> None:
    (table,) = tomllib.loads(zone_tables([zone]))["zone"]
    table["points"] = tuple(map(tuple, table["points"]))
    assert ZoneSettings(**table) == zone


def test_what_was_drawn_is_saved_and_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")  # a real SDL without a screen
    monkeypatch.setenv("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    import pygame

    path = tmp_path / "zones.toml"

    pygame.display.init()  # so that what the person does is there before the window is
    for pos in ((20, 40), (400, 40), (400, 200)):
        pygame.event.post(pygame.event.Event(pygame.MOUSEBUTTONDOWN, button=1, pos=pos))
    for key in (pygame.K_RETURN, pygame.K_s, pygame.K_s, pygame.K_q):
        pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=key))
    assert main(["zones", "--source", "demo", "--save", str(path)]) == 0
    captured = capsys.readouterr()
    assert captured.out == path.read_text()
    assert captured.err.count(f"saved {path}") == 2
    assert [zone.kind for zone in load_settings(str(path), {}).zone] == ["ignore"]
