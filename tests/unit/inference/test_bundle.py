"""The format of a bundle: what is written is read, and what disagrees is refused."""

import json
import shutil

import msgspec
import pytest

import made_bundles
from chexviz.base.errors import InputError
from chexviz.base.files import sha256
from chexviz.inference.bundle import ABOUT, FORMAT, PARTS, answer_of, open_bundle


@pytest.fixture
def copy(bundle_folder, tmp_path):
    """A bundle that a test may change."""
    return shutil.copytree(bundle_folder, tmp_path / "copy")


def test_a_bundle_is_read_as_it_was_written(bundle_folder):
    bundle = open_bundle(bundle_folder)
    wanted = made_bundles.about(made_bundles.model_of())
    assert msgspec.structs.replace(bundle, files={}, digest="") == wanted
    assert bundle.files == {name: sha256(bundle_folder / name) for name in PARTS}
    assert bundle.findings[0].learned.point("sensitivity-0.9").threshold == 0.4
    assert bundle.findings[0].learned.point("absent") is None


def test_the_answer_is_the_only_head_or_the_mean_of_several(bundle_folder):
    answers = {one.name: one.answer for one in open_bundle(bundle_folder).findings}
    assert answers == {"pneumonia": "mean", "pneumothorax": "south"}
    assert answer_of(["shared"]) == "shared"


@pytest.mark.parametrize("name", PARTS)
def test_a_part_of_another_bundle_is_refused(copy, name):
    with (copy / name).open("ab") as file:
        file.write(b"\n")
    with pytest.raises(InputError, match=rf"{name}\n  expected: SHA-256 [0-9a-f]{{64}}, as in"):
        open_bundle(copy)


@pytest.mark.parametrize("name", PARTS)
def test_a_missing_part_is_named(copy, name):
    (copy / name).unlink()
    with pytest.raises(InputError, match=rf"{name}\n  expected: a part of the bundle"):
        open_bundle(copy)


def test_a_threshold_that_was_changed_by_hand_is_refused(copy):
    about = json.loads((copy / ABOUT).read_text())
    about["findings"][0]["learned"]["points"][0]["threshold"] = 0.1
    (copy / ABOUT).write_text(json.dumps(about))
    with pytest.raises(InputError, match=rf"{ABOUT}\n  expected: SHA-256"):
        open_bundle(copy)


def test_spaces_in_the_file_do_not_matter(copy):
    (copy / ABOUT).write_text(json.dumps(json.loads((copy / ABOUT).read_text()), indent=8))
    assert open_bundle(copy).mark == made_bundles.MARK


def test_a_newer_format_is_refused_whatever_else_it_has(copy):
    (copy / ABOUT).write_text(json.dumps({"format": FORMAT + 1, "something": "new"}))
    with pytest.raises(InputError, match=f"found:    format {FORMAT + 1}\n.*version of chexviz"):
        open_bundle(copy)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "Input data was truncated"),
        ("{}", "missing required field"),
        ('{"format": 1, "mark": 3}', "Expected `str`, got `int`"),
        ("\x00\xff", "malformed"),
    ],
)
def test_what_is_no_bundle_is_refused(copy, text, found):
    (copy / ABOUT).write_text(text)
    with pytest.raises(InputError, match=rf"{ABOUT}\n  expected: a bundle\n  found: .*{found}"):
        open_bundle(copy)


def test_a_folder_without_a_bundle_is_named(tmp_path):
    with pytest.raises(InputError, match=r"found:    no bundle\.json in it"):
        open_bundle(tmp_path)
    with pytest.raises(InputError, match="found:    no such folder"):
        open_bundle(tmp_path / "absent")
