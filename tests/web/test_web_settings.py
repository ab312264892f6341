from __future__ import annotations

import json
import re
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from lpnet_rt.cli import main
from lpnet_rt.clock import SYSTEM_CLOCK
from lpnet_rt.errors import SettingsError, SinkError
from lpnet_rt.settings import WebSettings, ZoneSettings, load_settings
from lpnet_rt.web.reserving import reserve
from lpnet_rt.web.zone_file import save_zones

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
TRIANGLE = ((0.0, 0.0), (9.0, 0.0), (0.0, 9.0))


@pytest.mark.parametrize("address", ["0.0.0.0:8080", "192.0.2.1:8080", "[::]:8080", "mast.example:8080"])
def test_an_address_that_others_reach_needs_a_token(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--source", "demo", "--web", address]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "expected a token, found none" in said
    settings = load_settings(None, {"web.address": address, "web.token": "${file:/run/secrets/web}"})
    assert settings.web.address == address


@pytest.mark.parametrize(
    "flags",
    [
        {"web.address": "8080"}, {"web.address": "127.0.0.1:99999"}, {"web.address": "http://127.0.0.1:1"},
        {"web.token": "the token itself"}, {"web.certificate": "a.pem"}, {"web.hosts": ["a b"]},
    ],
)  # fmt: skip
def test_what_is_no_address_and_no_reference_is_refused(flags: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match="expected"):
        load_settings(None, flags)


def test_a_token_that_is_missing_or_short_ends_the_run_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LPNET_TEST_TOKEN", raising=False)
    with pytest.raises(
        SettingsError, match=r"^web.token: expected a value in the environment variable LPNET_TEST_TOKEN"
    ):
        reserve(WebSettings(address="127.0.0.1:0", token="${LPNET_TEST_TOKEN}"), SYSTEM_CLOCK)
    (tmp_path / "token").write_text("too short\n")
    with pytest.raises(SettingsError, match="at least 16 characters"):
        reserve(WebSettings(address="127.0.0.1:0", token=f"${{file:{tmp_path}/token}}"), SYSTEM_CLOCK)
    assert reserve(WebSettings(), SYSTEM_CLOCK) is None


def test_a_port_in_use_is_said_in_one_line() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(SinkError, match=r"the address cannot be used: .*; give another"),
    ):
        reserve(WebSettings(address=f"127.0.0.1:{taken.getsockname()[1]}"), SYSTEM_CLOCK)


def test_zones_are_saved_through_a_link_and_the_file_keeps_its_permissions(tmp_path: Path) -> None:
    real, link = tmp_path / "real.toml", tmp_path / "link.toml"
    real.write_text('[source]\nspec = "demo" # the scene\n')
    real.chmod(0o600)
    link.symlink_to(real)
    save_zones(link, "demo", [ZoneSettings(points=TRIANGLE, source="demo", name="mast \x7f \u00e9")])
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o600
    (zone,) = load_settings(str(real), {}).zone
    assert (zone.name, zone.points) == ("mast \x7f \u00e9", TRIANGLE)
    save_zones(link, "demo", [])
    assert load_settings(str(real), {}).zone == ()
    assert "# the scene" in real.read_text()


def test_a_file_that_is_no_configuration_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "lpnet.toml"
    for content in ("[[zone", "zone = 1\n"):
        path.write_text(content)
        with pytest.raises(SinkError, match="nothing saved"):
            save_zones(path, "demo", [])
        assert path.read_text() == content
    with pytest.raises(SinkError, match="expected a configuration"):
        save_zones(tmp_path / "none.toml", "demo", [])


def test_the_dashboard_asks_only_for_metrics_that_there_are(serve: Callable[..., Any]) -> None:
    page = serve()
    page.write(0)
    known = set(re.findall(r"^# TYPE (\S+)", page.client.get("/metrics").text, flags=re.MULTILINE))
    dashboard = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        for target in panel["targets"]:
            names = re.findall(r"(?:lpnet|process)_[a-z_]+", target["expr"])
            assert {name.removesuffix("_bucket") for name in names} <= known


def test_the_configuration_of_prometheus_is_valid() -> None:
    if which("promtool") is None:
        pytest.skip("needs promtool (apt-get install prometheus)")
    done = subprocess.run(
        ["promtool", "check", "config", "--syntax-only", str(DEPLOY / "prometheus.yml")],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0
