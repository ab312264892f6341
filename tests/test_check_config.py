"""check-config as a person meets it: what it finds, its exit codes, and that it changes nothing."""

from __future__ import annotations

import json
import os
import socket
import threading
from pathlib import Path

import pytest

from lpnet_rt.checking import Finding, check_settings
from lpnet_rt.cli import main
from lpnet_rt.keys import KeyFolder
from lpnet_rt.settings import DetectorSettings, OutputSettings, PublishSettings, Settings, SourceSettings, TrackSettings
from lpnet_rt.settings.zones import ZoneSettings

QUIET = PublishSettings(enabled=False)
NO_MODEL = DetectorSettings(model="none")  # its error takes no time
DEMO = SourceSettings(spec="demo")


def states(findings: list[Finding]) -> dict[str, str]:
    return {finding.check: finding.state for finding in findings}


def tree(folder: Path) -> list[tuple[str, int]]:
    return sorted((str(path), path.stat().st_mtime_ns) for path in [folder, *folder.rglob("*")])


def test_a_good_configuration_passes_and_leaves_no_trace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    KeyFolder(tmp_path / "keys").create("server")
    config = tmp_path / "lpnet.toml"
    config.write_text(
        f"""
        [source]
        spec = "demo"
        [detector]
        engine = "onnxruntime"
        [publish]
        endpoint = "tcp://0.0.0.0:*"
        keys = "{tmp_path}/keys"
        [output]
        jsonl = "{tmp_path}/out.jsonl"
        save = "{tmp_path}/pictures/new/"
        [track]
        state_folder = "{tmp_path}/state"
        [[zone]]
        name = "mast"
        points = [[0, 0], [100, 0], [0, 100]]
        """
    )
    monkeypatch.setenv("LPNET_CACHE", str(tmp_path / "cache"))
    before = tree(tmp_path)
    assert main(["check-config", str(config), "--json"]) == 0
    assert tree(tmp_path) == before
    assert os.environ["LPNET_CACHE"] == str(tmp_path / "cache")
    found = json.loads(capsys.readouterr().out)
    assert found["exit_code"] == 0
    assert {finding["check"]: finding["state"] for finding in found["findings"]} == {
        **dict.fromkeys(["settings", "keys", "publish", "model", "source demo", "zone mast"], "ok"),
        **dict.fromkeys(["jsonl", "save", "state folder"], "ok"),
        "clients": "warning",
    }


def test_every_error_is_named_and_the_first_is_the_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "old.jsonl").touch()
    flags = ["--source", "/no/such.mp4", "--publish", "tcp://0.0.0.0:*", "--model", "none"]
    assert main(["check-config", *flags, "--jsonl", str(tmp_path / "old.jsonl")]) == 2
    lines = capsys.readouterr().out.splitlines()
    words = [line.split()[:2] for line in lines]
    assert words == [
        ["ok", "settings"],
        ["error", "protection"],
        ["ok", "publish"],
        ["error", "model"],
        ["error", "source"],
        ["error", "jsonl"],
    ]
    assert main(["check-config", *flags, "--insecure"]) == 5


def test_settings_that_are_wrong_are_a_finding_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-config", "--json", "--source", "demo", "--threshold", "7"]) == 2
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert (finding["check"], finding["state"]) == ("settings", "error")
    assert main(["check-config", "/no/such.toml"]) == 2


def test_a_port_in_use_and_a_silent_camera_are_found(tmp_path: Path) -> None:
    with socket.socket() as taken, socket.socket() as camera:
        for listener in (taken, camera):
            listener.bind(("127.0.0.1", 0))
            listener.listen()
        publish = PublishSettings(endpoint=f"tcp://127.0.0.1:{taken.getsockname()[1]}")
        url = f"rtsp://user:s3cret@127.0.0.1:{camera.getsockname()[1]}/live"
        source = SourceSettings(spec=url, open_timeout_s=0.5)
        findings = list(check_settings(Settings(detector=NO_MODEL, source=source, publish=publish)))
    assert [finding.exit_code for finding in findings if finding.state == "error"] == [7, 5, 3]
    assert "s3cret" not in str(findings)


def test_zones_are_held_against_the_frame() -> None:
    inside, across, outside = (((x, 0.0), (x + 50, 0.0), (x, 50.0)) for x in (0.0, 620.0, 900.0))
    zones = (
        ZoneSettings(name="inside", points=inside),
        ZoneSettings(name="across", points=across),
        ZoneSettings(name="outside", points=outside),
        ZoneSettings(name="elsewhere", points=inside, source="gate"),
    )
    found = states(list(check_settings(Settings(detector=NO_MODEL, source=DEMO, publish=QUIET, zone=zones))))
    assert [found[f"zone {zone.name}"] for zone in zones] == ["ok", "warning", "error", "warning"]


def test_two_sources_of_one_name_are_refused() -> None:
    found = list(check_settings(Settings(detector=NO_MODEL, source=(DEMO, DEMO), publish=QUIET)))
    assert [finding.exit_code for finding in found if finding.check.startswith("source")] == [0, 2]


def test_folders_that_cannot_be_written_are_errors(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    output = OutputSettings(jsonl=f"{tmp_path}/missing/x.jsonl", save=f"{tmp_path}/", masks=f"{tmp_path}/file/masks")
    track = TrackSettings(state_folder=f"{tmp_path}/state")
    settings = Settings(detector=NO_MODEL, source=DEMO, publish=QUIET, output=output, track=track)
    found = states(list(check_settings(settings)))
    assert [found[name] for name in ("jsonl", "save", "masks", "state folder")] == ["error", "ok", "error", "ok"]


def test_nothing_is_left_running() -> None:
    list(
        check_settings(Settings(detector=NO_MODEL, source=DEMO, publish=PublishSettings(endpoint="tcp://127.0.0.1:*")))
    )
    assert not [thread for thread in threading.enumerate() if thread.name == "lpnet-check"]
