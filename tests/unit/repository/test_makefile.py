"""What make does before it runs anything."""

import shutil
import subprocess

import pytest


@pytest.fixture
def checkout(repository, tmp_path):
    """A checkout with an environment whose scripts say where it was made."""
    folder = tmp_path / "check out"
    (folder / "envs").mkdir(parents=True)
    shutil.copy(repository / "Makefile", folder)
    shutil.copy(repository / "envs" / "requirements.lock", folder / "envs")
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "bin" / "snakemake").write_text(f"#!{folder}/.venv/bin/python\n")
    shutil.copy(folder / "envs" / "requirements.lock", folder / ".venv")
    return folder


def planned(folder) -> str:
    """The commands of `make install`, which are not run."""
    line = ["make", "--dry-run", "install"]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, check=True).stdout


def test_a_complete_environment_is_left_alone(checkout):
    assert "Nothing to be done" in planned(checkout)


def test_an_environment_that_was_moved_is_made_anew(checkout):
    """Its scripts start a Python that is not there any more, which nobody would understand."""
    moved = checkout.rename(checkout.with_name("moved"))
    assert "-m venv --clear .venv" in planned(moved)


def test_another_lock_is_installed_into_the_same_environment(checkout):
    (checkout / ".venv" / "requirements.lock").unlink()
    commands = planned(checkout)
    assert "-m venv  .venv" in commands
    assert "uv pip sync" in commands
