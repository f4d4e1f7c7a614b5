"""Certificates, keys and secrets: what others read elsewhere, and what nobody else can read."""

import shutil
import stat
import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from chexviz.base.errors import InputError
from chexviz.federation.network import credentials
from made_links import coordinator, site
from needed import absent


def need(program: str, package: str) -> None:
    """Another program to compare with."""
    if not shutil.which(program):
        absent(f"no {program}: apt-get install {package}")


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_private_files_are_their_owners_alone_and_the_others_are_not(tmp_path):
    key = site(coordinator(tmp_path), "north")
    private = ("ca.key", "server.key", "secret", key.name)
    assert {mode(tmp_path / name) for name in private} == {0o600}
    assert all(mode(tmp_path / name) & 0o044 for name in ("ca.crt", "server.crt", "north.pub"))


def test_nothing_is_overwritten(tmp_path):
    key = site(coordinator(tmp_path), "north")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    made = (
        lambda: credentials.make_authority(tmp_path),
        lambda: credentials.make_server_certificate(tmp_path, ["north.example"], 30),
        lambda: credentials.make_secret(tmp_path / "secret"),
        lambda: credentials.make_site_key(key),
    )
    for make in made:
        with pytest.raises(InputError, match="no such file yet"):
            make()
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_half_of_a_pair_is_not_made_again(tmp_path):
    credentials.make_authority(tmp_path)
    (tmp_path / "ca.key").unlink()
    with pytest.raises(InputError, match=r"ca\.crt"):
        credentials.make_authority(tmp_path)
    assert not (tmp_path / "ca.key").exists()


def test_another_program_trusts_the_certificate_for_the_names_it_has(tmp_path):
    need("openssl", "openssl")
    credentials.make_authority(tmp_path)
    credentials.make_server_certificate(tmp_path, ["chest.example", "10.1.2.3", "::2"], 30)

    def verified(*host):
        command = ["openssl", "verify", "-x509_strict", "-CAfile", tmp_path / "ca.crt", *host]
        return subprocess.run([*command, tmp_path / "server.crt"], capture_output=True).returncode

    assert verified() == 0
    assert verified("-verify_hostname", "chest.example") == 0
    assert verified("-verify_ip", "10.1.2.3") == verified("-verify_ip", "::2") == 0
    assert verified("-verify_ip", "127.0.0.1") == 0
    assert verified("-verify_hostname", "other.example") != 0


def test_keys_and_fingerprints_are_those_of_ssh_keygen(tmp_path):
    need("ssh-keygen", "openssh-client")
    ours, theirs = site(tmp_path, "north"), tmp_path / "south"
    command = ["ssh-keygen", "-q", "-t", "ecdsa", "-b", "384", "-N", "", "-f", theirs]
    subprocess.run(command, check=True)
    for key in (ours, theirs):
        credentials.read_key(key)
        public = credentials.read_public(credentials.public_path(key))
        said = subprocess.run(["ssh-keygen", "-lf", key], capture_output=True, text=True).stdout
        assert credentials.fingerprint(public) == said.split()[1]


def test_a_key_that_others_can_read_is_refused(tmp_path):
    key = site(tmp_path, "north")
    key.chmod(0o640)
    with pytest.raises(InputError, match=r"0640[\s\S]*chmod 600"):
        credentials.read_key(key)
    key.chmod(0o400)
    credentials.read_key(key)


def test_what_is_no_key_is_said(tmp_path):
    empty, key = tmp_path / "empty", site(coordinator(tmp_path), "north")
    empty.touch(mode=0o600)
    for path in (tmp_path / "absent", empty, tmp_path / "ca.key"):  # PEM is not what Flower takes
        with pytest.raises(InputError, match="private"):
            credentials.read_key(path)
    for path in (tmp_path / "absent.pub", key, tmp_path / "ca.crt"):
        with pytest.raises(InputError, match="public key"):
            credentials.read_public(path)
    with pytest.raises(InputError, match="a secret"):
        credentials.read_secret(empty)


def test_a_certificate_is_valid_in_its_time(tmp_path):
    now, day = datetime.now(UTC), timedelta(days=1)
    credentials.make_authority(tmp_path)
    for start, end in ((now - 9 * day, now - 2 * day), (now + 2 * day, now + 9 * day)):
        credentials.certify(tmp_path, [], start, end)
        with pytest.raises(InputError, match=f"{start:%Y-%m-%d}.*{end:%Y-%m-%d}"):
            credentials.check_certificate(tmp_path / "server.crt")
        (tmp_path / "server.crt").unlink()
        (tmp_path / "server.key").unlink()
    with pytest.raises(InputError, match="no such file"):
        credentials.check_certificate(tmp_path / "server.crt")


def test_a_certificate_of_another_authority_or_key_is_noticed(tmp_path):
    ours, theirs = coordinator(tmp_path / "ours"), coordinator(tmp_path / "theirs")
    credentials.check_server(ours)
    for name in ("ca.crt", "server.key"):
        kept = (ours / name).read_bytes()
        shutil.copy(theirs / name, ours / name)
        with pytest.raises(InputError, match="another key or authority"):
            credentials.check_server(ours)
        (ours / name).write_bytes(kept)


def test_secrets_differ(tmp_path):
    for name in ("one", "two"):
        credentials.make_secret(tmp_path / name)
    one, two = (credentials.read_secret(tmp_path / name) for name in ("one", "two"))
    assert one != two
    assert len(one) >= 43
