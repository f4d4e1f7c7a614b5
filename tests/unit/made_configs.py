"""Configs that differ from the paper's in what a test is about."""

import copy


def changed(config, *path, value):
    """A copy of a config with one value changed, which has to be there."""
    config = copy.deepcopy(config)
    inner = config
    for key in path[:-1]:
        inner = inner[key]
    assert isinstance(inner, list) or path[-1] in inner
    inner[path[-1]] = value
    return config


def drawn_by_contract(config, scale):
    """The config with two phantoms that are as large as their contracts say."""
    for site in ("rsna", "siim"):
        config = changed(config, "sites", site, "source", value=["phantom"])
    config = changed(config, "phantom", "images", value="contract")
    return changed(config, "phantom", "scale", value=scale)
