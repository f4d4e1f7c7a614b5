"""The names that the schema of the config lists are those of the registries."""

from typing import Literal, get_args, get_origin

import msgspec
import pytest
import yaml
from jsonschema import Draft202012Validator

from chexviz.base.errors import InputError
from chexviz.base.methods import DEFAULTS, ENSEMBLE
from chexviz.federation.methods import ALGORITHMS, read_training
from chexviz.federation.settings import Method, Training
from chexviz.models.architectures import ARCHITECTURES
from chexviz.pipeline import settings as jobs
from trainings import SETTINGS, settings_of

COMMON = {field.name for field in msgspec.structs.fields(Method)}


@pytest.fixture(scope="module")
def schema(repository):
    return yaml.safe_load((repository / "workflow/schemas/config.schema.yaml").read_text())


@pytest.fixture(scope="module")
def config(repository):
    return yaml.safe_load((repository / "config/config.yaml").read_text())


def own(name: str) -> dict:
    """The settings that an algorithm alone has, each with a value."""
    fields = msgspec.structs.fields(ALGORITHMS[name].Settings)
    kinds = {one.name: get_args(one.type)[0] for one in fields if one.name not in COMMON}
    return {field: 1 if kind is int else 0.5 for field, kind in kinds.items()}


def choices(kind: type, name: str) -> list[str]:
    """The values that a field of settings can have."""
    (field,) = (one for one in msgspec.structs.fields(kind) if one.name == name)
    assert get_origin(field.type) is Literal
    return sorted(get_args(field.type))


def test_architectures_are_those_that_are_built(schema, config):
    properties = schema["properties"]
    assert schema["$defs"]["built"]["enum"] == [*ARCHITECTURES]
    for key in ("run", "privacy"):
        items = properties[key]["properties"]["architectures"]["items"]
        assert items == {"$ref": "#/$defs/built"}
    assert [*properties["architectures"]["properties"]] == [*ARCHITECTURES]
    assert config["architectures"].keys() <= ARCHITECTURES.keys()


def test_algorithms_are_those_that_are_trained_and_the_ensemble(schema):
    properties = schema["properties"]["methods"]["additionalProperties"]["properties"]
    assert properties["algorithm"]["enum"] == [*ALGORITHMS, ENSEMBLE]
    every = {field for name in ALGORITHMS for field in own(name)}
    assert properties.keys() == COMMON | every


def test_choices_are_those_that_a_training_takes(schema):
    method = schema["properties"]["methods"]["additionalProperties"]["properties"]
    for name in ("weights", "batchnorm", "combine"):
        assert sorted(method[name]["enum"]) == choices(Method, name)
    training = schema["properties"]["training"]["properties"]
    assert sorted(training["precision"]["enum"]) == choices(Training, "precision")
    schedule = schema["$defs"]["architecture"]["properties"]["schedule"]
    assert sorted(schedule["enum"]) == choices(Training, "schedule")


@pytest.mark.parametrize("name", ALGORITHMS)
def test_an_algorithm_has_its_own_settings_and_no_others(schema, config, name):
    """To the schema, and to the training that is told of them."""
    whole = Draft202012Validator(schema)
    others = {key: one for other in ALGORITHMS for key, one in own(other).items()}
    wrong = [{key: one for key, one in own(name).items() if key != left} for left in own(name)]
    wrong += [own(name) | {key: one} for key, one in others.items() if key not in own(name)]
    method = {"algorithm": name} | own(name)
    assert whole.is_valid(config | {"methods": {"x": method}})
    assert settings_of(method=DEFAULTS | method).method.algorithm == name
    for chosen in wrong:
        method = {"algorithm": name} | chosen
        assert not whole.is_valid(config | {"methods": {"x": method}}), method
        with pytest.raises(InputError, match=r"^--settings: method\n"):
            settings_of(method=DEFAULTS | method)


def test_every_method_and_architecture_of_the_config_is_read(config):
    for architecture in config["architectures"]:
        for method, about in config["methods"].items():
            if about["algorithm"] != ENSEMBLE:
                text = jobs.text(jobs.train(config, architecture, method))
                assert read_training(text).method.algorithm == about["algorithm"]


def test_an_unknown_algorithm_is_named():
    with pytest.raises(InputError, match=r"method\.algorithm\n.*fedavg, .*\n.*: +fedavg2"):
        settings_of(method=SETTINGS["method"] | {"algorithm": "fedavg2"})
