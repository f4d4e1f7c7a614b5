"""A secret is read from a file that nobody else can read, and refused otherwise."""

import pytest

from chexviz.base.errors import InputError
from chexviz.base.private_files import read_secret


def test_a_secret_is_what_the_file_holds_without_the_line_end_that_an_editor_adds(tmp_path):
    path = tmp_path / "secret"
    path.write_bytes(b"s" * 32 + b"\n")
    path.chmod(0o600)
    assert read_secret(path) == b"s" * 32
    path.chmod(0o400)
    assert read_secret(path) == b"s" * 32


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o755])
def test_a_file_that_others_can_open_is_refused(tmp_path, mode):
    path = tmp_path / "secret"
    path.write_bytes(b"s" * 32)
    path.chmod(mode)
    with pytest.raises(InputError, match=rf"permissions {mode:04o}\n.*chmod 600"):
        read_secret(path)


def test_a_short_one_and_none_are_refused_without_showing_them(tmp_path):
    path = tmp_path / "secret"
    with pytest.raises(InputError, match="No such file"):
        read_secret(path)
    path.write_bytes(b"hunter2")
    path.chmod(0o600)
    with pytest.raises(InputError, match=r"found: +7 bytes") as caught:
        read_secret(path)
    assert "hunter2" not in str(caught.value)
