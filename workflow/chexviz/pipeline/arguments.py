"""Command-line arguments that say which site, model or protocol each of many files is of."""

import shlex
from collections.abc import Sequence
from typing import Any

from chexviz.base.methods import BASELINE
from chexviz.pipeline import study
from chexviz.pipeline.configuration import Config

Files = Sequence[str]


def findings(config: Config) -> str:
    """--findings SITE ROLE FINDING... of each site."""
    sites = ((site, config["sites"][site]) for site in config["run"]["sites"])
    return " ".join(
        shlex.join(["--findings", site, about["role"], *about["findings"]]) for site, about in sites
    )


def learning(config: Config, sites: Sequence[str]) -> str:
    """--site SITE FINDING... of each of these sites, which train."""
    named = ((site, config["sites"][site]["findings"]) for site in sites)
    return " ".join(shlex.join(["--site", site, *findings]) for site, findings in named)


def samples(config: Config, files: Files) -> str:
    """--samples SITE FILE of each site."""
    pairs = zip(config["run"]["sites"], files, strict=True)
    return " ".join(shlex.join(["--samples", *pair]) for pair in pairs)


def sites(config: Config, *files: Files) -> str:
    """--site SITE FILE... of each site, with its file of every kind."""
    rows = zip(config["run"]["sites"], *files, strict=True)
    return " ".join(shlex.join(["--site", *row]) for row in rows)


def splits(config: Config, files: Files) -> str:
    """--split PROTOCOL FILE of each protocol."""
    pairs = zip(config["run"]["protocols"], files, strict=True)
    return " ".join(shlex.join(["--split", *pair]) for pair in pairs)


def models(option: str, models: list[dict], *files: Files) -> str:
    """OPTION ARCHITECTURE METHOD SEED FILE... of each model, with its file of every kind."""
    keys = ("architecture", "method", "seed")
    return " ".join(
        shlex.join([option, *(str(one[key]) for key in keys), *paths])
        for one, *paths in zip(models, *files, strict=True)
    )


def untrained(wildcards: Any) -> str:
    """--untrained ARCHITECTURE SEED where a control is wanted, once beside the baselines; or ''."""
    wanted = wildcards.method == BASELINE
    return f"--untrained {wildcards.architecture} {wildcards.seed}" if wanted else ""


def histories(config: Config, files: Files) -> str:
    """--history ARCHITECTURE METHOD SEED FILE of each training."""
    return models("--history", study.trainings(config), files)
