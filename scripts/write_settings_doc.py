"""Write docs/settings.md and docs/recipes.md from the types of settings and recipes; run it after a change of them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.inspect import StructType, Type, UnionType, VarTupleType, type_info

from lpnet_rt.commands.run import FLAGS
from lpnet_rt.field_types import describe
from lpnet_rt.settings import Settings
from lpnet_rt.training.recipes.lpnet_rt import Recipe
from lpnet_rt.training.recipes.lpnetga import LPNetGARecipe

DOCS = Path(__file__).resolve().parent.parent / "docs"

_SETTINGS_HEAD = """# Settings

Made by `scripts/write_settings_doc.py`; do not edit.

A run takes its settings from flags and from a TOML file (`--config lpnet.toml`); flags win. Every key below stands in
the table that its heading names. A key that is left out has its default; a key that is not known is refused.

```toml
[source]
spec = "rtsp://operator:${CAM_PASSWORD}@camera/stream"
name = "mast-north"

[detector]
threshold = 0.7

[output]
jsonl = "detections.jsonl"
```

Several sources in one run are several tables, or `--source` given several times. Each has topics of its own, named
after it; `--frames` and the other flags of `[source]` are for all of them. `--jsonl` is one file for all, `--save` and
`--masks` have one of each source, with its name in theirs.

```toml
[[source]]
spec = "rtsp://camera-1/stream"
name = "mast-north"

[[source]]
spec = "rtsp://camera-2/stream"
name = "mast-south"
```

Zones are several tables, too; [zones.md](zones.md) shows them.

```toml
[[zone]]
source = "mast-north"
kind = "ignore"
name = "chimney"
points = [[210, 90], [260, 90], [260, 180], [210, 180]]
```

Cameras, too; [angles.md](angles.md) explains them.

```toml
[[camera]]
source = "mast-north"
field_of_view_deg = 24.0
azimuth_deg = 351.5
elevation_deg = 6.0
```

## Passwords

Whatever stands in a flag can be read by every user of the machine (`ps`). In a URL, name a variable or a file instead:
`${CAM_PASSWORD}` is the environment variable of that name, `${file:/run/secrets/camera}` the first line of that file
(4 KiB at most). The value is percent-encoded, so it may hold any character. In a shell, put the URL in single quotes.
A variable that is not set, or a file that cannot be read, ends the run with exit code 2. No message, error or `repr`
shows the user, the password or the query of a URL.
"""

_RECIPES_HEAD = """# Recipes

Made by `scripts/write_settings_doc.py`; do not edit.

A recipe is a TOML file that says everything a training run depends on. `lpnet-rt train --recipe NAME` takes a packaged
one (`training/recipes/`), `--recipe FILE` your own, and `--set optimiser.epochs=20` changes one value. A key that is
left out has its default; a key that is not known is refused. `task` says which of the two kinds a recipe is. What
the folders hold: [data.md](data.md).
"""


def settings_page() -> str:
    """Text of docs/settings.md."""
    flags = {key: flag for flag, key, _ in FLAGS}
    return "\n".join([_SETTINGS_HEAD, *_tables(Settings, "", "## ", flags)])


def recipes_page() -> str:
    """Text of docs/recipes.md."""
    lines = [_RECIPES_HEAD]
    for title, kind in (("LPNet-RT", Recipe), ("LPNetGA, the paper's network", LPNetGARecipe)):
        lines += [f"## {title}", "", *_tables(kind, "", "### ", None)]
    return "\n".join(lines)


def main() -> None:
    """Write both files."""
    (DOCS / "settings.md").write_text(settings_page(), encoding="utf-8")
    (DOCS / "recipes.md").write_text(recipes_page(), encoding="utf-8")


def _tables(kind: type[Struct], path: str, heading: str, flags: dict[str, str] | None) -> Iterator[str]:
    """Yield the lines of one table's own keys, then those of the tables in it."""
    meanings = _meanings(kind)
    info = type_info(kind)
    assert isinstance(info, StructType)
    inner = [(field.name, table) for field in info.fields if (table := _table(field.type)) is not None]
    own = [field for field in info.fields if _table(field.type) is None]
    if path:
        yield f"{heading}[{path}]"
        yield ""
        yield inspect.cleandoc(kind.__doc__ or "").partition("\n")[0].replace("``", "`")
        yield ""
    if own:
        yield "| key | value | default | " + ("flag | " if flags is not None else "") + "meaning |"
        yield "| --- | --- | --- | " + ("--- | " if flags is not None else "") + "--- |"
    for field in own:
        key = f"{path}.{field.name}".lstrip(".")
        columns = [f"`{field.name}`", describe(field.type), _default(field.default)]
        if flags is not None:
            columns.append(f"`{flags[key]}`" if key in flags else "")
        yield "| " + " | ".join([*columns, meanings.get(field.name, "")]) + " |"
    if own:
        yield ""
    lists: dict[type[Struct], list[str]] = {}
    for field in own:
        if isinstance(field.type, VarTupleType) and isinstance(field.type.item_type, StructType):
            lists.setdefault(field.type.item_type.cls, []).append(f"[{path}.{field.name}]")
    for listed, names in lists.items():
        yield from _tables(listed, "], [".join(names), heading, flags)
    for name, table in inner:
        yield from _tables(table.cls, name, heading, flags)


def _table(kind: Type) -> StructType | None:
    """The table that a field is, or that it is a list of, or None."""
    kind = kind.item_type if isinstance(kind, VarTupleType) else kind
    kinds = kind.types if isinstance(kind, UnionType) else (kind,)
    return next((part for part in kinds if isinstance(part, StructType)), None)


def _meanings(kind: type[Struct]) -> dict[str, str]:
    """Meaning of every field, from the ``Attributes`` of the docstrings of the type and those it extends."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        _, _, attributes = inspect.cleandoc(base.__doc__ or "").partition("Attributes:\n")
        found.update(re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", attributes, flags=re.MULTILINE))
    return {name: " ".join(text.split()).replace("``", "`").replace("|", "\\|") for name, text in found.items()}


def _default(value: object) -> str:
    if value is None:
        return "none"
    if value is msgspec.NODEFAULT:
        return "required"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        text = msgspec.json.encode(value).decode().replace(",", ", ").replace("{", "{ ").replace("}", " }")
        return "`" + re.sub(r'"(\w+)":', r"\1 = ", text) + "`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`"


if __name__ == "__main__":
    main()
