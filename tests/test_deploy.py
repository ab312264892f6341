"""What deploy/ holds: read by the programs that it is for, where they are installed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
MAX_EXPOSURE = 1.6


def program(name: str) -> str:
    """Path of a program, beside the interpreter or of the system."""
    found = shutil.which(name) or shutil.which(name, path=f"{Path(sys.executable).parent}:/usr/sbin")
    if found is None:
        pytest.skip(f"needs {name}")
    return found


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit as an instance whose program exists."""
    path = tmp_path / "lpnet-rt@mast.service"
    text = (DEPLOY / "lpnet-rt@.service").read_text()
    path.write_text(text.replace("/opt/lpnet-rt/bin/lpnet-rt", "/bin/true"))
    (tmp_path / "lpnet-rt@.service").write_text(path.read_text())
    return path


def test_the_unit_is_valid_and_hardened(unit: Path) -> None:
    analyze = program("systemd-analyze")
    verified = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True, timeout=60, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")
    command = [analyze, "security", "--offline=true", "--no-pager", str(unit)]
    judged = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
    exposure = re.search(r"exposure level for \S+: ([0-9.]+)", judged)
    assert exposure is not None
    assert float(exposure[1]) <= MAX_EXPOSURE


def test_the_unit_does_not_restart_what_another_start_does_not_mend() -> None:
    text = (DEPLOY / "lpnet-rt@.service").read_text()
    assert "RestartPreventExitStatus=2 5 8" in text
    assert "Type=notify" in text


def test_the_dockerfile_has_no_fault() -> None:
    done = subprocess.run(
        [program("hadolint"), str(DEPLOY / "Dockerfile")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_gets_every_package_that_the_build_names() -> None:
    folders = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-dir"].values()
    text = (DEPLOY / "Dockerfile").read_text()
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    for folder in ("lpnet_rt", *folders):
        assert f"COPY {folder} {folder}\n" in text
        assert f"!{folder}" in ignored
    assert text.index("USER 10001:10001") < text.index("ENTRYPOINT")


def test_compose_names_only_what_is_there_and_gives_nobody_rights() -> None:
    tree = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    assert set(tree) == {"name", "x-hardened", "services", "volumes"}
    for service in tree["services"].values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        for volume in service["volumes"]:
            source = volume.partition(":")[0]
            assert source in tree["volumes"] or source.startswith("./config") or (DEPLOY / source).exists()
    build = tree["services"]["lpnet-rt"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).is_file()
    assert yaml.safe_load((DEPLOY / "prometheus.yml").read_text())["scrape_configs"][0]["job_name"] == "lpnet-rt"


def test_the_broker_takes_its_configuration_and_nobody_without_a_password(tmp_path: Path) -> None:
    mosquitto = program("mosquitto")
    (tmp_path / "passwords").touch(mode=0o600)
    text = (DEPLOY / "mosquitto.conf").read_text().replace("listener 1883", "listener 0 127.0.0.1")
    text = text.replace("/mosquitto/config/", f"{tmp_path}/").replace("persistence true", "persistence false")
    (tmp_path / "mosquitto.conf").write_text(text + "\nuser root\n")
    command = [mosquitto, "-c", str(tmp_path / "mosquitto.conf")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)  # it runs
        process.terminate()
        said = "".join(process.communicate(timeout=10))
    assert "rror" not in said


def test_each_rule_is_one_line_of_matches_and_assignments() -> None:
    """``udevadm verify`` says more where it exists."""
    path = DEPLOY / "70-lpnet-rt-cameras.rules"
    rules = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    part = r'[A-Z]+(\{[A-Za-z_]+\})?(==|!=|=|\+=)"[^"]*"'
    for rule in rules:
        assert re.fullmatch(rf"{part}(, {part})*", rule), rule
    labels = set(re.findall(r'LABEL="(\w+)"', path.read_text()))
    assert set(re.findall(r'GOTO="(\w+)"', path.read_text())) == labels
    udevadm = shutil.which("udevadm")
    if udevadm and "verify" in subprocess.run([udevadm, "--help"], capture_output=True, text=True, check=False).stdout:
        subprocess.run([udevadm, "verify", str(path)], check=True, timeout=60)
