"""Key files and the allow-list: what is written, what is refused, and that no secret leaves its file."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
import zmq.auth

from lpnet_rt.cli import main
from lpnet_rt.errors import SettingsError
from lpnet_rt.keys import KeyFolder, KeyPair, read_pair, read_public


@pytest.fixture
def keys(tmp_path: Path) -> KeyFolder:
    folder = KeyFolder(tmp_path / "keys")
    folder.create("server")
    return folder


def test_files_are_for_their_owner_only_whatever_the_mask(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        folder = KeyFolder(tmp_path / "new" / "keys")
        folder.create("server")
        folder.allow("gate", KeyPair.new().public)
    finally:
        os.umask(mask)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.path.rglob("*")}
    assert modes == {"server.key": 0o600, "server.key_secret": 0o600, "allowed": 0o700, "gate.key": 0o600}
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700


def test_other_zeromq_programs_read_them_and_theirs_are_read(keys: KeyFolder, tmp_path: Path) -> None:
    public, secret = zmq.auth.load_certificate(str(keys.path / "server.key_secret"))
    assert keys.server() == KeyPair(public.decode(), (secret or b"").decode())
    theirs, theirs_secret = zmq.auth.create_certificates(str(tmp_path), "theirs")
    os.chmod(theirs_secret, 0o600)
    assert read_pair(theirs_secret).public == read_public(theirs)


def test_a_public_key_is_given_as_text_or_file(keys: KeyFolder) -> None:
    public = keys.server().public
    assert read_public(public) == read_public(keys.path / "server.key") == public
    with pytest.raises(SettingsError, match="expected a key file"):
        read_public("no-such-file.key")


def test_a_secret_key_is_not_taken_for_a_public_one(keys: KeyFolder) -> None:
    path = keys.path / "server.key_secret"
    with pytest.raises(SettingsError, match="found a secret one") as refused:
        read_public(path)
    assert keys.server().secret not in str(refused.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_secret_that_others_can_read_is_refused(keys: KeyFolder, mode: int) -> None:
    path = keys.path / "server.key_secret"
    path.chmod(mode)
    with pytest.raises(SettingsError, match=f"found mode {mode:o}; chmod 600 it") as refused:
        keys.server()
    assert read_public(keys.path / "server.key") not in str(refused.value)


@pytest.mark.parametrize("place", [".", "allowed", "allowed/gate.key"])
def test_an_allow_list_that_others_can_write_is_refused(keys: KeyFolder, place: str) -> None:
    keys.allow("gate", KeyPair.new().public)
    (keys.path / place).chmod(0o777)
    with pytest.raises(SettingsError, match="owner only"):
        keys.clients()


def test_keys_that_do_not_belong_together_are_refused(keys: KeyFolder) -> None:
    path = keys.path / "server.key_secret"
    path.write_text(path.read_text().replace(keys.server().public, KeyPair.new().public))
    with pytest.raises(SettingsError, match="two keys of one pair"):
        keys.server()


@pytest.mark.parametrize("content", ["", "secret-key = short", 'public-key = "x"\n' * 2, "\xff" * 5000])
def test_what_is_no_certificate_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.key"
    path.write_text(content)
    with pytest.raises(SettingsError) as refused:
        read_public(path)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize("name", ["", "../x", "a/b", "x" * 65, "tür"])
def test_names_do_not_leave_the_folder(keys: KeyFolder, name: str) -> None:
    for action in (
        lambda: keys.create(name),
        lambda: keys.allow(name, KeyPair.new().public),
        lambda: keys.revoke(name),
    ):
        with pytest.raises(SettingsError, match="expected a name of 1 to 64"):
            action()


def test_a_key_has_one_name_and_a_name_one_key(keys: KeyFolder) -> None:
    first, second = KeyPair.new().public, KeyPair.new().public
    keys.allow("gate", first)
    keys.allow("gate", first)  # nothing changes
    with pytest.raises(SettingsError, match="found that of gate"):
        keys.allow("mast", first)
    with pytest.raises(SettingsError, match="gate has another key"):
        keys.allow("gate", second)
    keys.revoke("gate")
    keys.allow("gate", second)
    assert keys.clients() == {second: "gate"}
    with pytest.raises(SettingsError, match="found mast; allowed: gate"):
        keys.revoke("mast")


def test_an_existing_key_is_not_replaced(keys: KeyFolder) -> None:
    with pytest.raises(SettingsError, match="the key exists"):
        keys.create("server")


def test_the_fingerprint_follows_every_change(keys: KeyFolder) -> None:
    seen = {keys.fingerprint()}
    keys.allow("gate", KeyPair.new().public)
    seen.add(keys.fingerprint())
    (keys.path / "allowed" / "gate.key").chmod(0o644)
    seen.add(keys.fingerprint())
    keys.revoke("gate")
    seen.add(keys.fingerprint())
    assert len(seen) == 4


def test_the_verb_makes_allows_lists_and_revokes_without_a_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server, own = str(tmp_path / "server"), str(tmp_path / "own")
    assert main(["keys", "new", "server", "--keys", server]) == 0
    assert main(["keys", "new", "gate", "--keys", own]) == 0
    assert main(["keys", "allow", f"{own}/gate.key", "--keys", server]) == 0
    assert main(["keys", "list", "--keys", server]) == 0
    text = capsys.readouterr().out
    assert main(["keys", "list", "--json", "--keys", server]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed["clients"] == {"gate": read_public(f"{own}/gate.key")}
    assert listed["server"] == read_public(f"{server}/server.key")
    assert main(["keys", "revoke", "gate", "--keys", server]) == 0
    assert main(["keys", "list", "--keys", server]) == 0
    text += capsys.readouterr().out
    assert "allowed   nobody" in text
    for path in (f"{server}/server.key_secret", f"{own}/gate.key_secret"):
        pair = read_pair(path)
        assert pair.public in text
        assert pair.secret not in text
        assert pair.secret not in repr(pair)


def test_a_client_may_have_another_name_than_its_file(keys: KeyFolder, tmp_path: Path) -> None:
    path, pair = KeyFolder(tmp_path / "own").create("gate")
    assert main(["keys", "allow", str(path), "--name", "mast-2", "--keys", str(keys.path)]) == 0
    assert keys.clients() == {pair.public: "mast-2"}
