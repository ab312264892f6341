"""Outputs with peers in a whole run, and what the settings refuse."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lpnet_rt.benchmarks.outputs_load import configuration
from lpnet_rt.clock import SYSTEM_CLOCK
from lpnet_rt.errors import SettingsError
from lpnet_rt.outputs import open_peers
from lpnet_rt.settings import CotSettings, SapientSettings, Settings, TrackSettings, WebhookSettings, load_settings

PROGRAM = (
    sys.executable,
    "-m",
    "lpnet_rt",
    "run",
    "--no-publish",
    "--quiet",
    "--engine",
    "onnxruntime",
    "--threads",
    "1",
)


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [*PROGRAM, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)


def test_a_run_whose_peers_are_all_away_does_its_work(tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text(configuration(port=1))
    done = run("--source", "demo", "--frames", "40", "--config", config, "--jsonl", tmp_path / "out.jsonl")
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "out.jsonl").read_bytes().splitlines()) == 40
    lines = done.stderr.splitlines()
    for output in ("mqtt", "cot", "sapient", "webhook"):
        own = [line for line in lines if output in line]
        assert [("away" in line, "not sent at the end" in line) for line in own] in (
            [(True, False), (False, True)], [(True, False)]
        ), lines  # fmt: skip


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("cot", CotSettings(url="udp://127.0.0.1:6969")),
        ("sapient", SapientSettings(host="127.0.0.1", port=1)),
        ("webhook", (WebhookSettings(url="http://127.0.0.1:1/"),)),
    ],
)
def test_what_sends_only_tracks_is_refused_without_them(name: str, table: object) -> None:
    settings = Settings(track=TrackSettings(enabled=False), **{name: table})
    with pytest.raises(SettingsError, match=rf"tracking is off; leave out --no-track or the table \[{name}\]"):
        open_peers(settings, ["north"], SYSTEM_CLOCK)


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        ('mqtt = "broker"', "mqtt: expected a table"),
        ("[mqtt]\nport = 1883", "mqtt.host: expected it in the table"),
        ('[mqtt]\nhost = "b"\nprot = 1', "unknown key prot; did you mean port?"),
        ('[mqtt]\nhost = "b"\nuser = "u"\npassword = "hunter2"', "mqtt.password: expected a reference"),
        ('[mqtt]\nhost = "b"\nuser = "u"\npassword = ["hunter2"]', "mqtt.password: expected a reference"),
        ('[mqtt]\nhost = "b"\npassword = "${P}"', "mqtt.password: expected user beside it"),
        ('[mqtt]\nhost = "b"\ntopic = "a/+/b"', "topic: expected words"),
        ('[mqtt]\nhost = "b"\nca_file = "x"', "mqtt: expected tls = true beside ca_file"),
        ('[mqtt]\nhost = "b\\u0000"', "host: expected text of 1 to 200 characters"),
        ('[webhook]\nurl = "http://h/"\nca_file = "x"', "webhook.ca_file: expected it with https:// only"),
        ('[cot]\nurl = "http://host:1"', "url: expected `udp://HOST:PORT`"),
        ('[cot]\nurl = "tcp://h:1"\nca_file = "x"', "cot.ca_file: expected it with tls:// only"),
        ('[cot]\nurl = "tcp://h:1"\n[[cot.place]]', "cot.place 1: expected one of range_m and ground_height_m"),
        ('[cot]\nurl = "tcp://h:1"\n[[cot.place]]\nrange_m = 5', "range_m and range_error_m together"),
        ('[sapient]\nhost = "h"\nport = 1\nnode_id = "x"', "node_id: expected a UUID"),
        ('[webhook]\nurl = "ftp://h/"', "webhook 1: url: expected a URL"),
        ('[[webhook]]\nurl = "http://h/"\nsecret = "hunter2"', "webhook 1.secret: expected a reference"),
    ],
)
def test_wrong_tables_are_refused_in_one_line_without_secrets(tmp_path: Path, toml: str, expected: str) -> None:
    (tmp_path / "c.toml").write_text(toml)
    with pytest.raises(SettingsError) as refused:
        load_settings(str(tmp_path / "c.toml"), {})
    assert expected in str(refused.value)
    assert "hunter2" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_several_webhooks_and_one(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('[[webhook]]\nurl = "http://a/"\n[[webhook]]\nurl = "http://b/x"\n')
    settings = load_settings(str(tmp_path / "c.toml"), {})
    assert [webhook.url for webhook in settings.webhook] == ["http://a/", "http://b/x"]
    (tmp_path / "c.toml").write_text('[webhook]\nurl = "http://a/"\n')
    assert len(load_settings(str(tmp_path / "c.toml"), {}).webhook) == 1
