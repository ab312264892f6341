"""Text that leaves the program: one line, no control characters, no passwords.

Names of files, reasons of libraries and fields of messages come from elsewhere. Whatever of them reaches a terminal, a
log or a message goes through here.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["TEXT_LIMIT", "one_line", "printable", "redact", "redact_url"]

TEXT_LIMIT = 500

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/+[^\s'\"<>]+")
# Without the second slash it is no URL, but what was meant as one holds its password all the same.
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*:/+)")
_SECRET_KEY = re.compile(r"(?i)(user|pass|pwd|token|key|secret|auth)[a-z]*=")
# Control, format (bidirectional marks among them), surrogate, private and unassigned characters; line separators.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def one_line(text: str) -> str:
    """Return text that fits a message: one line, valid Unicode, at most 500 characters."""
    return " ".join(text.encode("utf-8", "replace").decode().split())[:TEXT_LIMIT]


def printable(text: str) -> str:
    r"""Return text that a terminal shows as it is: characters that would act on it become escapes such as ``\x1b``."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(c) if unicodedata.category(c) in _HIDDEN else c for c in text)


def redact(text: str) -> str:
    """Return text in which every URL has lost its user, password, query and fragment."""
    return _URL.sub(lambda match: redact_url(match.group()), text)


def redact_url(url: str) -> str:
    """Return a URL that can be shown: without user, password, query and fragment.

    Cameras that take the password as a part of the path (``/user=admin_password=...``) lose their path, and
    everything up to the last ``@`` counts as user and password, because unescaped passwords hold slashes.
    """
    match = _SCHEME.match(url.strip())
    if match is None:
        return url
    scheme, rest = match.group(), url.strip()[match.end() :]
    rest = rest.rpartition("@")[2]
    rest = re.split(r"[?#]", rest, maxsplit=1)[0]
    secret = _SECRET_KEY.search(rest)
    if secret:
        rest = rest[: secret.start()].rstrip("/&_;")
    return scheme + rest


def _escaped(character: str) -> str:
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
