"""Save zones in a configuration file; comments and everything else in it stay."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT

from lpnet_rt.errors import SinkError, reason
from lpnet_rt.files import read_limited, replace_file
from lpnet_rt.settings.zones import ZoneSettings, zone_tables

__all__ = ["save_zones"]

_LIMIT_BYTES = 2**20


def save_zones(path: Path, source: str, zones: Sequence[ZoneSettings]) -> None:
    """Replace the zones of a source in a configuration file, which is written whole.

    The file before is kept as ``FILE.bak``. A link is followed, and the file keeps its permissions.

    Args:
        path: TOML file.
        source: Zones of this source are replaced; those without a source or of others stay.
        zones: Its zones.

    Raises:
        SinkError: The file cannot be read or written, or is not TOML.
    """
    path = path.resolve()
    before = read_limited(path, _LIMIT_BYTES, "configuration", SinkError)
    try:
        document = tomlkit.parse(before.decode())
        listed = document.get("zone")
        kept = [] if listed is None else [table for table in listed if table.get("source") != source]
        new = tomlkit.parse(zone_tables(zones)).get("zone", [])
        tables = AoT([*kept, *new])
        if listed is not None:
            document.remove("zone")
        if len(tables):
            document.append("zone", tables)
        content = tomlkit.dumps(document).encode()
        tomlkit.parse(content.decode())
    except (TOMLKitError, UnicodeDecodeError, AttributeError, TypeError) as error:
        raise SinkError(f"{path}: expected a TOML file with [[zone]] tables, found: {error}; nothing saved") from error
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        replace_file(path.with_name(f"{path.name}.bak"), before, mode)
        replace_file(path, content, mode)
    except OSError as error:
        raise SinkError(f"{path}: the zones cannot be saved: {reason(error)}") from error
