"""Cards as Markdown: front matter, figures by data set, and the page of the packaged models."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from lpnet_rt.cli import main
from lpnet_rt.models import ModelCard, find_model, packaged_models
from lpnet_rt.models.markdown import Picture, card_body, card_page

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def writer() -> ModuleType:
    """The script that writes docs/models.md."""
    pytest.importorskip("jinja2")
    spec = importlib.util.spec_from_file_location("write_models_doc", ROOT / "scripts" / "write_models_doc.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_that_of_the_packaged_cards(writer: ModuleType) -> None:
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    assert page == writer.page(), "run scripts/write_models_doc.py"
    assert all(f"## {name}\n" in page for name in packaged_models())


def test_every_packaged_model_has_a_small_picture_of_its_own_failures() -> None:
    pictures = list((ROOT / "docs" / "models").glob("*.png"))
    names = {f"{name}-{find_model(name).card.weights_sha256[:8]}.png" for name in packaged_models()}
    assert {path.name for path in pictures} == names, "run scripts/write_models_doc.py --data DIR, remove old pictures"
    assert all(path.stat().st_size < 100_000 for path in pictures)


@pytest.fixture
def card() -> ModelCard:
    card = find_model("lpnet-rt").card
    measured = {"mast, day: targets found, %": 90.0, "mast, day: threshold": 0.5, "Pd": 0.25}
    return msgspec.structs.replace(
        card, name='a "b"\x1b', measured=measured, limits=["None by night."], base="x", licence="CC0-1.0"
    )


def test_front_matter(card: ModelCard) -> None:
    page = card_page(card, "model.onnx")
    front = page.split("---\n")[1]
    lines = front.splitlines()
    assert lines[:3] == ["license: other", 'license_name: "CC0-1.0"', "library_name: lpnet-rt"]
    assert "pipeline_tag: object-detection" in lines
    assert '- name: "a \\"b\\"\\\\x1b"' in lines
    at = lines.index('      name: "mast, day"')
    assert lines[at + 1 : at + 6] == [
        '      type: "mast-day"',
        "    metrics:",
        '    - type: "targets-found"',
        '      name: "targets found, %"',
        "      value: 90",
    ]
    assert front.count("  - task:") == 2
    assert "\x1b" not in page


def test_body(card: ModelCard) -> None:
    body = card_body(card, "model.onnx", [Picture("failures.png", "misses")], level=3)
    headings = [line[4:] for line in body.splitlines() if line.startswith("### ")]
    assert headings == ["Intended use", "Figures", "Data", "Licence", "Limits and known failures", "How to run it"]
    for text in (
        "| mast, day | targets found, % | 90 |",
        "| validation | Pd | 0.25 |",
        "- Fine-tuned from x",
        "- Model: CC0-1.0",
        "- None by night.",
        "![misses](failures.png)",
        "lpnet-rt run --model model.onnx --source video.mp4 --show",
    ):
        assert text in body
    bare = msgspec.structs.replace(card, measured={}, limits=[], licence="")
    assert card_body(bare, "m").count("None are stated.") == 2
    assert "results: []" in card_page(bare, "m")


def test_info_prints_a_card(capsys: pytest.CaptureFixture[str]) -> None:
    card = find_model("lpnet-rt").card
    assert main(["info", "--card", "json"]) == 0
    assert msgspec.json.decode(capsys.readouterr().out, type=ModelCard) == card
    assert main(["info", "--card", "markdown"]) == 0
    assert capsys.readouterr().out == card_page(card, "lpnet-rt")
