"""``lpnet-rt keys``: make, allow, revoke and list keys."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from lpnet_rt.keys import SERVER, KeyFolder, default_folder, read_pair, read_public

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions and their flags."""
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--keys", metavar="DIR", help=f"folder of the keys (default: {default_folder()})")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    new = actions.add_parser("new", parents=[shared], help=f"make a key pair: '{SERVER}', or a name for a client")
    new.add_argument("name", metavar="NAME", help=f"'{SERVER}' for the publisher; any other name for a client")
    allow = actions.add_parser("allow", parents=[shared], help="let a client connect")
    allow.add_argument("file", metavar="FILE", help="the client's public key, NAME.key")
    allow.add_argument("--name", metavar="NAME", help="name of the client (default: that of the file)")
    revoke = actions.add_parser("revoke", parents=[shared], help="shut a client out, and cut its connections")
    revoke.add_argument("name", metavar="NAME", help="name of the client")
    listing = actions.add_parser("list", parents=[shared], help="the publisher's public key, and who may connect")
    listing.add_argument("--json", action="store_true", dest="as_json", help="print a JSON object")


def run(args: argparse.Namespace) -> int:
    """Do what was asked; no secret key is ever printed.

    Raises:
        SettingsError: A name or a file is wrong, or a folder or a file is open to others.
    """
    keys = KeyFolder(default_folder() if args.keys is None else args.keys)
    match args.action:
        case "new":
            _new(keys, args.name)
        case "allow":
            _allow(keys, Path(args.file), args.name)
        case "revoke":
            keys.revoke(args.name)
            print(f"{args.name} is revoked; a running publisher cuts its connections within a second")
        case _:
            _list(keys, args.as_json)
    return 0


def _new(keys: KeyFolder, name: str) -> None:
    path, pair = keys.create(name)
    print(f"public key   {pair.public}")
    print(f"             {path}")
    print(f"secret key   {path.with_suffix('.key_secret')}: keep it there")
    if name == SERVER:
        print(f"next         allow clients: lpnet-rt keys allow NAME.key --keys {keys.path}")
        print(f"             publish:       lpnet-rt run --source ... --publish tcp://ADDRESS:PORT --keys {keys.path}")
    else:
        print(f"next         on the publisher: lpnet-rt keys allow {path.name}")
        secret = path.with_suffix(".key_secret")
        print(f"             here: lpnet-rt listen tcp://... --key {secret} --server-key server.key")


def _allow(keys: KeyFolder, path: Path, name: str | None) -> None:
    name = path.stem if name is None else name
    keys.allow(name, read_public(path))
    print(f"{name} is allowed; a running publisher knows within a second")


def _list(keys: KeyFolder, as_json: bool) -> None:
    secret = keys.path / f"{SERVER}.key_secret"
    server = read_pair(secret).public if secret.exists() else None
    clients = sorted((name, public) for public, name in keys.clients().items())
    if as_json:
        print(json.dumps({"folder": str(keys.path), "server": server, "clients": dict(clients)}))
        return
    print(f"folder    {keys.path}")
    print(f"server    {server or f'none: lpnet-rt keys new {SERVER}'}")
    for name, public in clients:
        print(f"allowed   {name}  {public}")
    if not clients:
        print("allowed   nobody")
