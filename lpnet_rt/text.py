"""Text that leaves the program: one line, no control characters, no passwords.

File names, error messages of libraries and fields of messages are untrusted. All text that reaches a terminal, a log or
a message goes through here.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["TEXT_LIMIT", "one_line", "printable", "redact", "redact_url"]

TEXT_LIMIT = 500

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/+[^\s'\"<>]+")
# With one slash it is not a valid URL, but it may still contain a password.
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*:/+)")
_SECRET_KEY = re.compile(r"(?i)(user|pass|pwd|token|key|secret|auth)[a-z]*=")
# Control, format (bidirectional marks among them), surrogate, private and unassigned characters; line separators.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def one_line(text: str) -> str:
    """Return text that fits a message: one line, valid Unicode, at most 500 characters."""
    return " ".join(text.encode("utf-8", "replace").decode().split())[:TEXT_LIMIT]


def printable(text: str) -> str:
    r"""Return text that is safe to print: control characters become escapes such as ``\x1b``."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(c) if unicodedata.category(c) in _HIDDEN else c for c in text)


def redact(text: str) -> str:
    """Remove user, password, query and fragment from every URL in a text."""
    return _URL.sub(lambda match: redact_url(match.group()), text)


def redact_url(url: str) -> str:
    """Return a URL without user, password, query and fragment.

    A path that contains a password (``/user=admin_password=...``, as some cameras use) is removed too. Everything up to
    the last ``@`` counts as user and password, because unescaped passwords may contain slashes.
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
