from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from lpnet_rt.commands.run import FLAGS
from lpnet_rt.training.data.layouts import LAYOUTS

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def writer() -> ModuleType:
    """The script that writes the two pages."""
    spec = importlib.util.spec_from_file_location("write_settings_doc", ROOT / "scripts" / "write_settings_doc.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_are_those_of_the_code(writer: ModuleType) -> None:
    for name, page in (("settings.md", writer.settings_page()), ("recipes.md", writer.recipes_page())):
        assert (ROOT / "docs" / name).read_text() == page, "run scripts/write_settings_doc.py"


def test_every_key_has_a_meaning_and_every_flag_a_key(writer: ModuleType) -> None:
    page = writer.settings_page()
    rows = re.findall(r"^\| `.*$", page + writer.recipes_page(), flags=re.MULTILINE)
    assert len(rows) > 60
    assert [row for row in rows if row.endswith("|  |") or "another value" in row] == []
    assert all(f"| `{flag}` |" in page for flag, _, _ in FLAGS)


def test_every_layout_is_described() -> None:
    page = (ROOT / "docs" / "data.md").read_text()
    assert all(f"| `{key}` |" in page for key in LAYOUTS)
