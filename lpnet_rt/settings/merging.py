"""A TOML file and flags to a validated tree; errors name the key, what was expected and what was found."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar, get_args, get_origin

import msgspec
from msgspec import Struct

from lpnet_rt.errors import SettingsError, reason
from lpnet_rt.field_types import describe
from lpnet_rt.text import redact

__all__ = ["merge", "read_toml", "shown"]

_SHOWN_LIMIT = 200
_NEAR = 0.6  # similarity from which an unknown key counts as misspelt

_Table = TypeVar("_Table", bound=Struct)


def merge(kind: type[_Table], tree: Mapping[str, object], flags: Mapping[str, object], origin: str) -> _Table:
    """Merge dotted ``flags`` into a ``tree`` and validate the result as ``kind``.

    Raises:
        SettingsError: A key is unknown (the nearest known one is named) or a value is out of range.
    """
    whole: dict[str, object] = {key: dict(value) if isinstance(value, dict) else value for key, value in tree.items()}
    for key, value in flags.items():
        table, _, name = key.rpartition(".")
        target = whole.setdefault(table, {}) if table else whole
        if not isinstance(target, dict):
            raise SettingsError(f"{origin}: {table}: expected a table, found {shown(target)}")
        target[name] = value
    _refuse_unknown(kind, whole, origin, "")
    try:
        return msgspec.convert(whole, kind)
    except msgspec.ValidationError as error:
        raise SettingsError(_where(kind, str(error), whole, flags, origin)) from None


def _where(
    kind: type[Struct], failure: str, whole: Mapping[str, object], flags: Mapping[str, object], origin: str
) -> str:
    """Turn msgspec's reason (``... - at `$.detector.threshold```) into one line."""
    path = failure.partition(" - at `$")[2].rstrip("`").removeprefix(".")
    key = re.sub(r"\[\d+\]$", "", path)  # name the whole list, not an item
    value: object = whole
    info = msgspec.inspect.type_info(kind)
    for part in re.findall(r"\w+", key):
        if isinstance(info, msgspec.inspect.VarTupleType) and isinstance(value, list):
            value, info = value[int(part)], info.item_type
            continue
        value = value.get(part) if isinstance(value, Mapping) else None
        if isinstance(info, msgspec.inspect.StructType):
            info = next(field.type for field in info.fields if field.encode_name == part)
    if key.partition("[")[0] in flags:
        origin = "flags"  # flags override the file, whose value may be valid
    return f"{origin}: {key or 'settings'}: expected {describe(info)}, found {shown(value)}"


def shown(value: object) -> str:
    """Return a value for a message, shortened and without passwords."""
    return redact(repr(value))[:_SHOWN_LIMIT]


def read_toml(path: str) -> dict[str, object]:
    """Read a configuration file.

    Raises:
        SettingsError: It cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot read the configuration: {reason(error)}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not a TOML file: {error}") from error


def _refuse_unknown(kind: type, tree: Mapping[str, object], origin: str, prefix: str) -> None:
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    for key, value in tree.items():
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1, cutoff=_NEAR)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"known: {', '.join(fields)}"
            raise SettingsError(f"{origin}: unknown key {prefix}{key}; {hint}")
        inner = fields[key].type
        listed = get_args(inner)[0] if get_origin(inner) is tuple and isinstance(value, list) else inner
        if isinstance(listed, type) and issubclass(listed, Struct):
            for table in value if isinstance(value, list) else [value]:
                if isinstance(table, Mapping):
                    _refuse_unknown(listed, table, origin, f"{prefix}{key}.")
