"""Keys for encrypted publishing (ZeroMQ CURVE, RFC 26): key files, and the folder with the allow-list.

A key pair is two of ZeroMQ's own certificate files, as czmq and pyzmq read and write them: ``NAME.key`` with the public
key, which may be handed on, and ``NAME.key_secret`` with both. A publisher's folder holds ``server.key_secret`` and
``allowed/NAME.key`` for every client that may connect. Keys are 40 characters of Z85 (RFC 32).
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path

import zmq
from platformdirs import user_config_path

from lpnet_rt.errors import SettingsError, reason
from lpnet_rt.files import read_limited, replace_file

__all__ = ["SERVER", "KeyFolder", "KeyPair", "default_folder", "is_key_name", "read_pair", "read_public"]

SERVER = "server"
"""Name of the publisher's own key pair in its folder."""

_MODE, _FOLDER_MODE = 0o600, 0o700
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_LIMIT_BYTES = 4_096
_MAX_CLIENTS = 1_000
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_Z85 = r"[0-9A-Za-z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}"
_LINE = r'^\s*{}\s*=\s*"({})"\s*$'
_PUBLIC = re.compile(_LINE.format("public-key", _Z85), re.MULTILINE)
_SECRET = re.compile(_LINE.format("secret-key", _Z85), re.MULTILINE)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A public key with its secret key, which no representation shows.

    Attributes:
        public: 40 characters of Z85.
        secret: 40 characters of Z85.
    """

    public: str
    secret: str = field(repr=False)

    @classmethod
    def new(cls) -> KeyPair:
        """Make a random pair."""
        public, secret = zmq.curve_keypair()
        return cls(public.decode("ascii"), secret.decode("ascii"))


def default_folder() -> Path:
    """Return the folder of the verb ``keys``: ``lpnet-rt/keys`` in the user's folder for configuration."""
    return user_config_path("lpnet-rt", appauthor=False) / "keys"


def is_key_name(name: str) -> bool:
    """Return whether a name is 1 to 64 letters, digits, ``-`` or ``_``."""
    return _NAME.fullmatch(name) is not None


def read_public(text: str | Path) -> str:
    """Return a public key.

    Args:
        text: The 40 characters themselves, or a certificate file.

    Raises:
        SettingsError: It is neither, or the file holds a secret key, which should have stayed where it was made.
    """
    if re.fullmatch(_Z85, str(text)):
        return str(text)
    content = _content(Path(text))
    if _SECRET.search(content):
        raise SettingsError(
            f"{text}: expected a public key (NAME.key), found a secret one, which must stay with its owner; "
            "if it was handed on, make a new pair"
        )
    return _found(_PUBLIC, content, Path(text), "public-key")


def read_pair(path: str | Path) -> KeyPair:
    """Read a key pair from a file that nobody else can read.

    Args:
        path: File with both keys, ``NAME.key_secret``.

    Raises:
        SettingsError: It is missing, open to others, of another user or no certificate, or its keys do not belong
            together. The message never holds a key.
    """
    path = Path(path)
    _refuse_open(path, "secret key file", _MODE)
    content = _content(path)
    pair = KeyPair(_found(_PUBLIC, content, path, "public-key"), _found(_SECRET, content, path, "secret-key"))
    if zmq.curve_public(pair.secret.encode()) != pair.public.encode():
        raise SettingsError(
            f"{path}: expected two keys of one pair, found others; make new ones with lpnet-rt keys new"
        )
    return pair


class KeyFolder:
    """The keys of a publisher, or of a client; only its owner may use the folder.

    Attributes:
        path: The folder.
    """

    def __init__(self, path: str | Path) -> None:
        """Store the path; nothing is read or created yet."""
        self.path = Path(path)

    def create(self, name: str) -> tuple[Path, KeyPair]:
        """Make a key pair, and the folder if it is missing.

        Args:
            name: Name of the files; ``server`` for the publisher's.

        Returns:
            The file of the public key, and the pair.

        Raises:
            SettingsError: The name is malformed or taken, or the folder is open to others or cannot be written.
        """
        _refuse_name(name)
        self._make(self.path)
        public, secret = self.path / f"{name}.key", self.path / f"{name}.key_secret"
        for path in (public, secret):
            if os.path.lexists(path):
                raise SettingsError(f"{path}: the key exists; give another name, or remove the file to replace it")
        pair = KeyPair.new()
        _write(secret, _certificate(name, pair.public, pair.secret))
        _write(public, _certificate(name, pair.public))
        return public, pair

    def server(self) -> KeyPair:
        """Read the publisher's own pair.

        Raises:
            SettingsError: It is missing or unusable, or the folder is open to others.
        """
        path = self.path / f"{SERVER}.key_secret"
        if not path.exists():
            raise SettingsError(
                f"{self.path}: expected the publisher's key {path.name}, found none; "
                f"make it: lpnet-rt keys new {SERVER} --keys {self.path}"
            )
        _refuse_open(self.path, "key folder", _FOLDER_MODE)
        return read_pair(path)

    def allow(self, name: str, public: str) -> None:
        """Add a client to the allow-list.

        Args:
            name: Name of the client.
            public: Its public key.

        Raises:
            SettingsError: The name is malformed or has another key, or the folder cannot be written.
        """
        _refuse_name(name)
        self._make(self.path)
        self._make(self._allowed)
        clients = self.clients()
        if clients.get(public, name) != name:
            raise SettingsError(f"keys: expected a key that has no name yet, found that of {clients[public]}")
        if name in clients.values() and public not in clients:
            raise SettingsError(f"keys: {name} has another key; revoke it first: lpnet-rt keys revoke {name}")
        _write(self._allowed / f"{name}.key", _certificate(name, public))

    def revoke(self, name: str) -> None:
        """Remove a client from the allow-list.

        Raises:
            SettingsError: There is no such client, or its file cannot be removed.
        """
        _refuse_name(name)
        path = self._allowed / f"{name}.key"
        try:
            path.unlink()
        except FileNotFoundError:
            known = ", ".join(sorted(self.clients().values())) or "none"
            raise SettingsError(f"keys: expected an allowed client, found {name}; allowed: {known}") from None
        except OSError as error:
            raise SettingsError(f"{path}: cannot be removed: {reason(error)}") from error

    def clients(self) -> dict[str, str]:
        """Return the allow-list: public keys and the clients' names.

        Raises:
            SettingsError: A file or a folder is open to others, or no certificate.
        """
        if not self._allowed.exists():
            return {}
        for folder in (self.path, self._allowed):
            _refuse_open(folder, "key folder", _FOLDER_MODE)
        try:
            paths = sorted(path for path in self._allowed.iterdir() if path.suffix == ".key")
        except OSError as error:
            raise SettingsError(f"{self._allowed}: cannot be read: {reason(error)}") from error
        if len(paths) > _MAX_CLIENTS:
            raise SettingsError(f"{self._allowed}: expected at most {_MAX_CLIENTS:,} keys, found {len(paths):,}")
        clients: dict[str, str] = {}
        for path in paths:
            _refuse_open(path, "key file", _MODE)
            clients[_found(_PUBLIC, _content(path), path, "public-key")] = path.stem
        return clients

    def fingerprint(self) -> tuple[tuple[object, ...], ...]:
        """Return what changes whenever the allow-list does: names, times, sizes and modes of its files."""
        found: list[tuple[object, ...]] = []
        for path in (self.path, self._allowed, *sorted(self._allowed.glob("*.key"))):
            try:
                status = path.stat()
            except OSError:
                found.append((path.name,))
            else:
                found.append((path.name, status.st_ino, status.st_mtime_ns, status.st_size, status.st_mode))
        return tuple(found)

    @property
    def _allowed(self) -> Path:
        return self.path / "allowed"

    def _make(self, folder: Path) -> None:
        try:
            folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(f"{folder}: cannot be made: {reason(error)}") from error
        _refuse_open(folder, "key folder", _FOLDER_MODE)


def _refuse_name(name: str) -> None:
    if not is_key_name(name):
        raise SettingsError(f"keys: expected a name of 1 to 64 letters, digits, - or _, found {name[:80]!r}")


def _refuse_open(path: Path, what: str, mode: int) -> None:
    """Refuse what others can read or write, or what belongs to another user."""
    if not hasattr(os, "getuid"):
        return  # Windows: the profile's access list protects it
    try:
        status = path.stat()
    except OSError as error:
        raise SettingsError(f"{path}: expected a {what}, found: {reason(error)}") from error
    if status.st_mode & _OTHERS:
        raise SettingsError(
            f"{path}: expected a {what} for its owner only, found mode {stat.S_IMODE(status.st_mode):o}; "
            f"chmod {mode:o} it, and make new keys if others could read it"
        )
    if status.st_uid not in (0, os.getuid()):
        raise SettingsError(f"{path}: expected a {what} of this user or root, found one of user {status.st_uid}")


def _content(path: Path) -> str:
    return read_limited(path, _LIMIT_BYTES, "key file", SettingsError).decode("utf-8", "replace")


def _found(pattern: re.Pattern[str], content: str, path: Path, key: str) -> str:
    """Return a key of a certificate; the message names the line, never its value."""
    matches = pattern.findall(content)
    if len(matches) != 1:
        raise SettingsError(
            f'{path}: expected a ZeroMQ certificate with one line {key} = "...", found {len(matches)}; '
            "make one with lpnet-rt keys new"
        )
    return str(matches[0])


def _certificate(name: str, public: str, secret: str | None = None) -> bytes:
    kind = "a public key: hand it on" if secret is None else "a SECRET key: keep it where it is"
    lines = [f"# lpnet-rt, {kind}", "metadata", f'    name = "{name}"', "curve", f'    public-key = "{public}"']
    lines += [] if secret is None else [f'    secret-key = "{secret}"']
    return "\n".join([*lines, ""]).encode("ascii")


def _write(path: Path, content: bytes) -> None:
    try:
        replace_file(path, content, _MODE)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be written: {reason(error)}") from error
