"""The schema of the config: every number has bounds, every text a language that it suits."""

import json
import math
import re

import pytest
import yaml
from jsonschema import Draft202012Validator

import hostile
from chexviz.base.errors import InputError
from chexviz.pipeline import configuration
from made_configs import changed


@pytest.fixture(scope="module")
def schema(repository):
    return yaml.safe_load((repository / "workflow/schemas/config.schema.yaml").read_text())


def parts(schema, where="$"):
    """Every subschema with its place, the definitions too."""
    if isinstance(schema, dict):
        yield where, schema
    inner = schema.items() if isinstance(schema, dict) else enumerate(schema)
    for key, one in inner:
        if isinstance(one, dict | list):
            yield from parts(one, f"{where}.{key}")


def is_number(part) -> bool:
    kinds = part.get("type", [])
    return bool({"number", "integer"} & set([kinds] if isinstance(kinds, str) else kinds))


def test_every_number_of_the_schema_has_both_bounds(schema):
    """So that a new one without bounds fails."""
    # What an `if` asks is no value's own schema.
    numbers = {where: one for where, one in parts(schema) if is_number(one) and ".if." not in where}
    assert len(numbers) > 20
    for where, number in numbers.items():
        bounded = Draft202012Validator(number)
        for value in (1e300, -1e300, math.inf, -math.inf, 10**23):
            assert not bounded.is_valid(value), (where, value)


def leaves(value, *path):
    """The paths of all numbers of a config."""
    if isinstance(value, dict | list):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(one, *path, key)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path


def test_no_number_of_the_config_may_be_infinite_huge_or_nan(schema, config):
    whole = Draft202012Validator(schema)
    whole.validate(config)
    paths = list(leaves(config))
    assert len(paths) > 60
    assert ("duplicates", "difference") in paths
    for path in paths:
        for value in (math.nan, math.inf, -math.inf):
            key = f"{path[-1] + 1}" if isinstance(path[-1], int) else path[-1]
            with pytest.raises(InputError, match=f"^config: .*{re.escape(key)}\n.*\n.*{value}"):
                configuration.check_finite(changed(config, *path, value=value))
        for value in (1e300, -1e300, 10**23):
            assert not whole.is_valid(changed(config, *path, value=value)), (path, value)


def test_the_key_of_a_number_that_is_not_finite_is_named(config):
    configuration.check_finite(config)
    with pytest.raises(InputError, match=r"^config: duplicates: difference\n.*\n.*nan"):
        configuration.check_finite(changed(config, "duplicates", "difference", value=math.nan))
    with pytest.raises(InputError, match=r"^config: evaluation: sensitivities: 2\n.*\n.*inf"):
        configuration.check_finite(
            changed(config, "evaluation", "sensitivities", 1, value=math.inf)
        )


def test_a_whole_number_is_one_however_it_is_written(schema, config):
    written = changed(config, "training", "batch", value=12.0)
    written = changed(written, "evaluation", "sensitivities", value=[0.9, 1e-3])
    read = configuration.whole_numbers(written)
    Draft202012Validator(schema).validate(read)
    assert json.dumps(read["training"]["batch"]) == "12"
    assert json.dumps(read["evaluation"]["sensitivities"]) == "[0.9, 0.001]"
    assert read == written


def test_titles_and_marks_are_any_line_and_paths_of_snakemake_have_no_brackets(schema, config):
    whole = Draft202012Validator(schema)
    words = [("mark",), ("sites", "rsna", "title")]
    paths = [("sites", "rsna", key) for key in ("labels", "patients")]
    paths += [("architectures", "densenet121", "weights")]
    paths += [("pathvars", key) for key in config["pathvars"]]
    for path in words:
        assert whole.is_valid(changed(config, *path, value=hostile.TEXT))
        for text in ("two\nlines", "a tab\t", "line\u2028separator", "DEMO\n", "\0", "\x1b[2J"):
            assert not whole.is_valid(changed(config, *path, value=text)), (path, text)
    for path in paths:
        assert whole.is_valid(changed(config, *path, value="my data/$x & 'y'.csv"))
        for text in ("a{word}.csv", "<results>/a.csv", ""):
            assert not whole.is_valid(changed(config, *path, value=text)), (path, text)
    source = ("sites", "rsna", "source")
    assert whole.is_valid(changed(config, *source, value=[f"local:{hostile.TEXT}"]))
    assert not whole.is_valid(changed(config, *source, value=["storage:s3://a/{word}.zip"]))


def test_findings_are_names_that_tables_and_files_can_have(schema, config):
    whole, path = Draft202012Validator(schema), ("sites", "rsna", "findings")
    for names in (["pneumonia", "pleural_effusion"], ["covid19"]):
        assert whole.is_valid(changed(config, *path, value=names)), names
    for names in ([], ["Pneumothorax"], ["pleural effusion"], ["a__b"], ["a_"], ["a", "a"], "a"):
        assert not whole.is_valid(changed(config, *path, value=names)), names


@pytest.mark.parametrize("name", ["shared", "mean"])
def test_a_site_is_not_called_as_a_head_of_all_sites(schema, config, name):
    config["sites"][name] = config["sites"]["rsna"]
    assert not Draft202012Validator(schema).is_valid(config)


@pytest.mark.parametrize("name", ["fedrep", "scaffold", "pooled", "ensemble"])
def test_heads_are_a_setting_of_methods_that_can_share_them(schema, config, name):
    whole = Draft202012Validator(schema)
    for method in ("fedavg", "fedprox", "fedadam"):
        config["methods"][method]["heads"] = "shared"
    assert whole.is_valid(config)
    config["methods"][name]["heads"] = "shared"
    assert not whole.is_valid(config)
