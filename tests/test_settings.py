from __future__ import annotations

from pathlib import Path

import pytest

from lpnet_rt.errors import SettingsError
from lpnet_rt.settings import Settings, load_settings, require_source
from lpnet_rt.settings.zones import ZoneSettings

FILE = """
[source]
spec = "clip.mp4"
frames = 40

[detector]
threshold = 0.25
engine = "onnxruntime"

[output]
quiet = true
"""

TABLES = (
    "source, detector, track, zone, camera, publish, output, events, alarm, service, web, mqtt, cot, sapient, webhook"
)


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "lpnet.toml"
    path.write_text(FILE)
    return str(path)


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    return str(path)


def test_defaults() -> None:
    settings = load_settings(None, {})
    assert settings == Settings()
    assert settings.publish.endpoint == "tcp://127.0.0.1:5556"  # never a public interface by default
    assert settings.detector.threshold is None
    with pytest.raises(AttributeError):
        settings.publish = None  # type: ignore[misc, assignment]


def test_a_file_and_flags_flags_win(file: str) -> None:
    settings = load_settings(
        file, {"source.spec": "demo", "detector.threshold": 0.75, "publish.enabled": False, "output.show": None}
    )
    assert settings.source.spec == "demo"
    assert settings.source.frames == 40
    assert settings.detector.threshold == 0.75
    assert settings.detector.engine == "onnxruntime"
    assert settings.output.quiet is True
    assert settings.publish.enabled is False
    assert settings.output.show is False


def test_a_flag_that_was_not_given_leaves_the_file_alone(file: str) -> None:
    assert load_settings(file, {"detector.threshold": None}).detector.threshold == 0.25


def test_whole_numbers_are_fine_where_any_number_is(tmp_path: Path) -> None:
    assert load_settings(write(tmp_path, "[detector]\nthreshold = 1\n"), {}).detector.threshold == 1.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[detector]\ntreshold = 0.5\n", "unknown key detector.treshold; did you mean detector.threshold?"),
        ("[sourec]\nspec = 'x'\n", "unknown key sourec; did you mean source?"),
        ("zzz = 1\n", f"unknown key zzz; known: {TABLES}"),
        (
            "[output]\nwwww = 1\n",
            "unknown key output.wwww; known: show, save, segment, keep_age, keep_size, jsonl, masks, overwrite, quiet",
        ),
        ("[detector]\nthreshold = 'high'\n", "detector.threshold: expected a number from over 0 to 1, found 'high'"),
        ("[detector]\nthreads = true\n", "detector.threads: expected a whole number of at least 1, found True"),
        ("[source]\nframes = 0\n", "source.frames: expected a whole number of at least 1, found 0"),
        ("[source]\nname = 'a b'\n", "source.name: expected 1 to 64 letters, digits, - or _, found 'a b'"),
        (
            "[publish]\nwait_subscriber_s = inf\n",
            "publish.wait_subscriber_s: expected a number from 0 to 86,400, found inf",
        ),
        (
            "[publish]\nwait_subscriber_s = nan\n",
            "publish.wait_subscriber_s: expected a number from 0 to 86,400, found nan",
        ),
        ("[source]\nopen_timeout_s = 0\n", "source.open_timeout_s: expected a number from over 0 to 86,400, found 0"),
        ("detector = 5\n", "detector: expected a table, found 5"),
        ("[detector\n", "not a TOML file: "),
        ("nope = 1\n", f"unknown key nope; known: {TABLES}"),
        ("[detector]\nengine = 'abacus'\n", "detector.engine: expected one of auto, openvino"),
        (
            "[detector]\nprecision = 'f8'\n",
            "detector.precision: expected one of auto, f32, bf16, f16, int8, found 'f8'",
        ),
        ("[output]\nsave = 'x.avi'\n", "output.save: expected a file that ends in .mp4 or .mkv, or a folder"),
        ("[output]\nshow = 'yes'\n", "output.show: expected true or false, found 'yes'"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        load_settings(path, {})
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("threshold", [7, 0, -0.1, float("nan"), float("inf"), 1.0001])
def test_a_threshold_out_of_range(threshold: float) -> None:
    with pytest.raises(SettingsError, match=r"^flags: detector\.threshold: expected a number from over 0 to 1, found"):
        load_settings(None, {"detector.threshold": threshold})


def test_a_wrong_flag_is_not_blamed_on_the_file(file: str) -> None:
    with pytest.raises(
        SettingsError, match=r"^flags: detector\.threshold: expected a number from over 0 to 1, found 7"
    ):
        load_settings(file, {"detector.threshold": 7})


def test_a_table_that_is_none_cannot_take_a_flag(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"detector: expected a table, found 5"):
        load_settings(write(tmp_path, "detector = 5\n"), {"detector.threshold": 0.5})


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.toml: cannot read the configuration: No such file"):
        load_settings(str(tmp_path / "none.toml"), {})
    with pytest.raises(SettingsError, match="cannot read the configuration: Is a directory"):
        load_settings(str(tmp_path), {})
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="not a TOML file"):
        load_settings(str(binary), {})
    assert SettingsError.exit_code == 2


def test_the_caller_keeps_its_tree(file: str) -> None:
    flags: dict[str, object] = {"detector.threshold": 0.5}
    load_settings(file, flags)
    assert flags == {"detector.threshold": 0.5}


@pytest.mark.parametrize(
    "text",
    [
        "[source]\nspec = ['rtsp://user:s3cret@camera/stream']\n",
        "[source]\nspec = {url = 'rtsp://user:s3cret@camera/stream'}\n",
        "source = 'rtsp://user:s3cret@camera/stream'\n",
        "source = ['rtsp:/user:s3cret@camera/stream']\n",
        "[source]\nframes = 'rtsp://user:s3cret@camera/stream'\n",
        "[output]\nsave = 'rtsp://user:s3cret@camera/stream'\n",
        "[detector]\nengine = 'rtsp://user:s3cret@camera/stream'\n",
    ],
)
def test_a_password_in_a_url_is_never_shown(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(write(tmp_path, text), {"source.seed": 1})
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("spec", ["rtsp://user:s3cret@camera/x", " rtsp://user:s3cret@camera/x", "rtsp:/user:s3cret@h"])
def test_the_repr_of_settings_has_no_password(spec: str) -> None:
    settings = load_settings(None, {"source.spec": spec})
    assert "s3cret" not in repr(settings)
    assert settings.source.spec == spec.strip()


def test_names_of_files_keep_their_blanks() -> None:
    assert load_settings(None, {"source.spec": " clip.mp4 "}).source.spec == " clip.mp4 "


@pytest.mark.parametrize("spec", ["", " "])
def test_a_run_needs_a_source_by_name(spec: str) -> None:
    with pytest.raises(SettingsError, match=r"expected a source, found none; .*--source demo"):
        require_source(load_settings(None, {"source.spec": spec or None}))
    require_source(load_settings(None, {"source.spec": "demo"}))


def test_several_sources_by_flags_share_the_other_flags_and_the_table(tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text("[source]\nopen_timeout_s = 3.0\n")
    flags = {"source.spec": ["a.mp4", " rtsp://b/c "], "source.name": ["east", "west"], "source.frames": 7}
    east, west = load_settings(str(tmp_path / "one.toml"), flags).sources
    assert (east.spec, east.name, east.frames, east.open_timeout_s) == ("a.mp4", "east", 7, 3.0)
    assert (west.spec, west.name, west.frames, west.open_timeout_s) == ("rtsp://b/c", "west", 7, 3.0)


def test_several_sources_in_the_file_and_flags_that_replace_them(tmp_path: Path) -> None:
    path = tmp_path / "two.toml"
    path.write_text('[[source]]\nspec = "0"\nname = "east"\n[[source]]\nspec = "1"\nframes = 9\n')
    east, second = load_settings(str(path), {}).sources
    assert (east.name, east.frames, second.spec, second.frames) == ("east", None, "1", 9)
    assert [source.frames for source in load_settings(str(path), {"source.frames": 5}).sources] == [5, 5]
    (only,) = load_settings(str(path), {"source.spec": ["demo"]}).sources
    assert (only.spec, only.name) == ("demo", None)
    assert load_settings(str(path), {}).detector == load_settings(None, {}).detector


def test_a_wrong_value_names_its_source(tmp_path: Path) -> None:
    path = tmp_path / "two.toml"
    path.write_text('[[source]]\nspec = "0"\n[[source]]\nspec = "1"\nfrmes = 9\n')
    with pytest.raises(
        SettingsError, match=r"two.toml: source 2: unknown key source.frmes; did you mean source.frames"
    ):
        load_settings(str(path), {})
    path.write_text("source = 3\n")
    with pytest.raises(SettingsError, match=r"source: expected a table, found 3"):
        load_settings(str(path), {})


ZONES = """
[[zone]]
name = "chimney"
points = [[1, 2], [3, 2.5], [3, 9]]

[[zone]]
source = "mast"
kind = "watch"
unit = "share"
points = [[0, 0], [1, 0], [0.5, 1.0]]
"""


def test_zones_are_read_with_their_defaults(tmp_path: Path) -> None:
    chimney, sky = load_settings(write(tmp_path, ZONES), {"source.spec": "demo"}).zone
    assert chimney == ZoneSettings(name="chimney", points=((1, 2), (3, 2.5), (3, 9)))
    assert (chimney.kind, chimney.unit, chimney.source) == ("ignore", "px", None)
    assert (sky.kind, sky.unit, sky.source, sky.name) == ("watch", "share", "mast", "zone")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("points = [[0, 0], [1, 1]]", "zone.points: expected a list of 3 to 1,000 points [x, y], found [[0, 0], [1, 1"),
        ("points = [[0, 0], [1, 1, 1], [3, 1]]", "zone.points: expected a list of 3 to 1,000 points"),
        ("points = [[0, 0], [9, 9], [3, 3]]", "zone.points: expected corners of a polygon, found points on one line"),
        ("points = [[0, 0], [nan, 9], [3, 3]]", "zone.points: expected numbers from -100,000 to 100,000 (unit 'px')"),
        ("points = [[0, 0], [0, inf], [3, 3]]", "zone.points: expected numbers from -100,000 to 100,000 (unit 'px')"),
        (
            "unit = 'share'\npoints = [[0, 0], [0, 1.5], [1, 1]]",
            "zone.points: expected numbers from 0 to 1 (unit 'share'), found [0.0, 1.5]",
        ),
        ("kind = 'look'\npoints = [[0, 0], [9, 9], [3, 4]]", "zone.kind: expected one of ignore, watch, found 'look'"),
        ("pionts = []", "unknown key zone.pionts; did you mean zone.points?"),
        ("source = 'a b'\npoints = [[0, 0], [9, 9], [3, 4]]", "zone.source: expected 1 to 64 letters, digits, - or _"),
    ],
)
def test_what_is_wrong_in_a_zone_is_said_with_its_name(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, f"{ZONES}\n[[zone]]\nname = 'road'\n{text}\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(path, {})
    assert str(caught.value).startswith(f"{path}: zone 3 (road): {message}")


def test_a_single_table_is_no_list_of_zones(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"zone: expected \[\[zone\]\] tables, found .*; double the brackets"):
        load_settings(write(tmp_path, "[zone]\nname = 'road'\n"), {})
