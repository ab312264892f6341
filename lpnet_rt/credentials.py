"""Passwords from the environment or a file, so that flags and configuration files hold only references.

``rtsp://user:${CAM_PASSWORD}@host/stream`` uses the environment variable ``CAM_PASSWORD``,
``rtsp://user:${file:/run/secrets/camera}@host/stream`` the first line of that file. ``ps`` shows only
the reference.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import quote

from lpnet_rt.errors import SettingsError
from lpnet_rt.files import read_limited

__all__ = ["expand_secrets", "read_secret"]

_REFERENCE = re.compile(r"\$\{([^{}]*)\}")
_FILE = "file:"
_LIMIT_BYTES = 4096


def expand_secrets(url: str, key: str = "source.spec") -> str:
    """Replace the references in a URL by their values, percent-encoded.

    Args:
        url: URL that may contain ``${NAME}`` and ``${file:PATH}``.
        key: Key of the settings that holds it, for messages.

    Raises:
        SettingsError: A variable is not set, a file cannot be read, or a reference is malformed. The message names the
            variable or the file, never a value.
    """
    expanded = _REFERENCE.sub(lambda match: quote(_value(match.group(1), key), safe=""), url)
    if "${" in expanded:
        raise SettingsError(f"{key}: expected ${{NAME}} or ${{file:PATH}} in the URL, found ${{ without its }}")
    return expanded


def read_secret(reference: str, key: str) -> str:
    """Return the value of a reference, as it is.

    Args:
        reference: ``${NAME}`` or ``${file:PATH}``.
        key: Key of the settings that holds it, for messages.

    Raises:
        SettingsError: As :func:`expand_secrets`; or it is no reference. The message shows no value.
    """
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise SettingsError(f"{key}: expected a reference, ${{NAME}} or ${{file:PATH}}, found something else")
    return _value(match.group(1), key)


def _value(reference: str, key: str) -> str:
    if reference.startswith(_FILE):
        return _first_line(Path(reference.removeprefix(_FILE)))
    value = os.environ.get(reference) if reference else None
    if not value:
        found = "an empty one" if value == "" else "none"
        raise SettingsError(
            f"{key}: expected a value in the environment variable {reference or '(no name)'}, found {found}; "
            "set it, or name a file: ${file:/path}"
        )
    return value


def _first_line(path: Path) -> str:
    content = read_limited(path, _LIMIT_BYTES, "file with a password", SettingsError)
    try:
        lines = content.decode().splitlines()
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: expected a password in UTF-8, found other bytes") from error
    if not lines or not lines[0]:
        raise SettingsError(f"{path}: expected a password in the first line, found none")
    return lines[0]
