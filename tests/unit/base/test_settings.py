"""Typed settings: what is read, and how a wrong value is named."""

from typing import Annotated, Any, Literal

import msgspec
import pytest

from chexviz.base.errors import InputError
from chexviz.base.settings import Positive, Settings, Share, read

GOOD = '{"bootstrap": {"replicates": 2, "unit": "image", "confidence": 0.5}, "ages": [1, 40]}'


class Bootstrap(Settings):
    replicates: Annotated[int, msgspec.Meta(ge=2)]
    unit: Literal["patient", "image"]
    confidence: Share


class Evaluation(Settings):
    bootstrap: Bootstrap
    ages: list[Positive]


def test_the_sections_of_a_text_are_objects():
    settings = read(GOOD, Evaluation)
    assert settings == Evaluation(
        bootstrap=Bootstrap(replicates=2, unit="image", confidence=0.5), ages=[1, 40]
    )
    with pytest.raises(AttributeError):
        settings.ages = []


@pytest.mark.parametrize(
    ("old", "new", "where", "expected", "found"),
    [
        ("[1, 40]", "[1, -2]", "--settings: ages[1]", "int >= 1", "-2"),
        (": 2", ": 1", "--settings: bootstrap.replicates", "int >= 2", "1"),
        (": 2", ": 2.5", "--settings: bootstrap.replicates", "int", "float"),
        (": 2", ": true", "--settings: bootstrap.replicates", "int", "bool"),
        ("0.5", "1", "--settings: bootstrap.confidence", "float < 1.0", "1"),
        ("0.5", "1e999", "--settings: bootstrap.confidence", "", "Number out of range"),
        ("0.5", "NaN", "--settings", "", "JSON is malformed: invalid character (byte 63)"),
        ('"image"', '"images"', "--settings: bootstrap.unit", "", "Invalid enum value 'images'"),
        ('"unit"', '"units"', "--settings: bootstrap", "", "Object contains unknown field units"),
        (', "confidence": 0.5', "", "--settings: bootstrap", "", "missing required field conf"),
        (GOOD, "[]", "--settings", "object", "array"),
        (GOOD, "", "--settings", "", "Input data was truncated"),
    ],
)
def test_a_wrong_value_is_named(old, new, where, expected, found):
    assert old in GOOD
    with pytest.raises(InputError) as caught:
        read(GOOD.replace(old, new), Evaluation)
    assert caught.value.where == where
    assert caught.value.expected == (
        expected or "JSON of what the section of the configuration holds"
    )
    assert found in caught.value.found


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_no_number_is_infinite_in_whatever_section(number):
    with pytest.raises(InputError, match="--titles"):
        read(f'{{"a": [0, {number}]}}', dict[str, list[Any]], "--titles")
