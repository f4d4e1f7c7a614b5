"""Checks of the whole config before any job: names, numbers, sites, folders and addresses.

The schema has looked at each value by itself (workflow/schemas/config.schema.yaml).
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from chexviz.base.errors import InputError
from chexviz.base.methods import DEFAULTS, ENSEMBLE, POOLED, private_unit
from chexviz.base.tables.models import SHARED
from chexviz.data.sources.registry import is_drawn
from chexviz.federation.privacy_rules import check_delta, check_private
from chexviz.federation.site_minimum import check_sites
from chexviz.pipeline import study

Config = Mapping
CONTRACT = "contract"  # as many images of a phantom as the contract of its site says
COLUMNS = {"file": "file", "patient": "patient", "findings": {}}  # that nobody has named
RADIOGRAPHS = "*.dcm"  # the files of a contract that are radiographs
SECRET = ("sig", "token", "key", "credential", "password", "secret")  # in names of a query


def whole_numbers(value: Any) -> Any:
    """A config in which a whole number is an int however it was written: 12.0 is 12.

    To a schema they are the same, to a loop over epochs and to a job's parameters they are not.
    """
    if isinstance(value, Mapping):
        return {key: whole_numbers(one) for key, one in value.items()}
    if isinstance(value, list):
        return [whole_numbers(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def check_finite(value: object, where: str = "config") -> None:
    """Refuse NaN and infinity anywhere in a config: to a schema, NaN is within every bound."""
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(
            where, expected="a finite number", found=str(value), fix="correct the value"
        )
    listed = enumerate(value, 1) if isinstance(value, list) else ()
    for key, one in value.items() if isinstance(value, Mapping) else listed:
        check_finite(one, f"{where}: {key}")


def check_renamed(config: Config) -> None:
    """Refuse a key of older configs, which a schema would only call unknown. Raises InputError."""
    for name, site in (config.get("sites") or {}).items():
        if isinstance(site, Mapping) and "task" in site:
            raise InputError(
                f"config: sites: {name}: task",
                expected="`findings`, a list of what the site labels and learns; labels that only "
                "evaluate are its `evaluated_findings`",
                found=f"task: {site['task']}",
                fix=f"write `findings: [{site['task']}]` instead, and `evaluated_findings` for "
                "what was in `findings`",
            )


def check(config: Config) -> None:
    """Refuse what a schema cannot see. Raises InputError."""
    check_names(config)
    check_findings(config)
    check_methods(config)
    check_engine(config)
    check_privacy(config)
    check_titles(config)
    for site in config["run"]["sites"]:
        check_archive(config, site)
        check_phantom(config, site)
    check_folders(config)


def check_names(config: Config) -> None:
    """Refuse a run of what is not defined."""
    for kind in ("sites", "architectures", "methods"):
        unknown = [name for name in config["run"][kind] if name not in config[kind]]
        if unknown:
            raise InputError(
                f"config: run: {kind}",
                expected=f"names defined under {kind}: {', '.join(config[kind])}",
                found=", ".join(unknown),
                fix=f"define them under {kind}, or correct the names",
            )


def check_findings(config: Config) -> None:
    """Refuse a run in which nobody trains, or that evaluates a finding that nobody learns."""
    training, sites = study.training_sites(config), config["sites"]
    if not training:
        raise InputError(
            "config: run: sites",
            expected="at least one site of `role: train`",
            found=f"external ones alone: {', '.join(config['run']['sites'])}",
            fix="add a site that trains",
        )
    learned = study.learned_findings(config, training)
    for site in config["run"]["sites"]:
        about = sites[site]
        twice = [one for one in about["evaluated_findings"] if one in about["findings"]]
        if twice:
            raise InputError(
                f"config: sites: {site}: evaluated_findings",
                expected="labels that only evaluate, and not what the site's `findings` are",
                found=f"{', '.join(twice)} in both",
                fix="keep each in one of the lists",
            )
        # Those that only evaluate may be of any finding: the audit has them all the same.
        unknown = [one for one in about["findings"] if one not in learned]
        if unknown:
            raise InputError(
                f"config: sites: {site}: findings",
                expected=f"findings that a site of the run learns: {', '.join(learned)}",
                found=f"{', '.join(unknown)}, which none does",
                fix="correct the name, remove it, or add a training site that labels it",
            )
        check_reader(site, about)


def check_reader(name: str, site: Mapping) -> None:
    """Refuse settings of a site that are for the reader `table` alone."""
    named = {key: value for key, value in site["columns"].items() if value != COLUMNS.get(key)}
    if site["reader"] != "table" and (named or site["annotations"]):
        raise InputError(
            f"config: sites: {name}: {'columns' if named else 'annotations'}",
            expected=f"nothing: the reader {site['reader']} knows what its dataset's tables hold",
            found=str(named or site["annotations"]),
            fix="remove it, or use the reader table",
        )


def check_methods(config: Config) -> None:
    """Refuse a first method that is no federation, and a combination of too few sites."""
    first = config["run"]["methods"][0]
    if config["methods"][first]["algorithm"] in (POOLED, ENSEMBLE):
        raise InputError(
            "config: run: methods",
            expected="a federated method first, which Table 1 and the text compare with baselines",
            found=first,
            fix="put a federated method, such as fedavg, first",
        )
    for name in config["run"]["methods"]:
        method = DEFAULTS | config["methods"][name]
        sites = fewest_sites(config, method["heads"])
        check_sites(name, method["combine"], method["trim"], sites)
        if method.get("privacy"):
            check_private(f"config: methods: {name}: privacy", config["training"] | method)
        if private_unit(method) == "site":
            count = len(study.training_sites(config))
            check_delta(method["privacy"]["delta"], "the federation", count, "sites")


def check_privacy(config: Config) -> None:
    """Refuse to attack models without patients of whom nothing trained, and of no architecture."""
    if not config["run"]["privacy"]:
        return
    protocols, run = config["run"]["protocols"], config["run"]["architectures"]
    if "patient" not in protocols:
        raise InputError(
            "config: run: privacy",
            expected="the protocol patient: whether a patient trained a model can only be asked "
            "where patients are on one side",
            found=f"protocols: {', '.join(protocols)}",
            fix="add patient to run: protocols, or set privacy: false",
        )
    if not set(config["privacy"]["architectures"]) & set(run):
        raise InputError(
            "config: privacy: architectures",
            expected=f"one of those of the run: {', '.join(run)}",
            found=", ".join(config["privacy"]["architectures"]),
            fix="name one that the run trains, or set run: privacy: false",
        )


def check_engine(config: Config) -> None:
    """Refuse a method that cannot go over a network. Raises InputError."""
    named = config["run"]["methods"]
    pooled = [name for name in named if config["methods"][name]["algorithm"] == POOLED]
    if config["training"]["engine"] == "flower" and pooled:
        raise InputError(
            "config: run: methods",
            expected="methods that go over a network, since `training: engine` is `flower`",
            found=f"{', '.join(pooled)}, which needs all images in one place",
            fix="leave it out, or set `engine: in-process`",
        )


def fewest_sites(config: Config, heads: str) -> int:
    """How many sites at least have a say in a number that a method averages."""
    training = study.training_sites(config)
    if heads != SHARED:
        return len(training)
    labelled = [one for site in training for one in config["sites"][site]["findings"]]
    return min(labelled.count(finding) for finding in set(labelled))


def check_titles(config: Config) -> None:
    """Refuse two sites of the run that readers could not tell apart."""
    shown = [config["sites"][site]["title"] for site in config["run"]["sites"]]
    repeated = [title for title in dict.fromkeys(shown) if shown.count(title) > 1]
    if repeated:
        raise InputError(
            "config: sites: title",
            expected="another title for each site of the run, as tables and figures name it so",
            found=f"{shown.count(repeated[0])} sites called {repeated[0]}",
            fix="give one of them another title",
        )


def check_archive(config: Config, site: str) -> None:
    """Refuse a remote archive beside other sources, and credentials in its address."""
    address = stored_address(config, site)
    if address is None:
        return
    if len(config["sites"][site]["source"]) > 1:
        raise InputError(
            f"config: sites: {site}: source",
            expected="`storage:` alone: without its archive no run starts, so none is tried next",
            found=f"{len(config['sites'][site]['source'])} sources",
            fix="keep one",
        )
    if "@" in urlsplit(address).netloc:
        raise InputError(
            f"config: sites: {site}: source",
            expected="an address without credentials, which would end in logs and reports",
            found=f"some before {urlsplit(address).netloc.rpartition('@')[2]}",
            fix="give them to the storage plugin by environment variables (docs/data.md)",
        )
    query = [name for name, _ in parse_qsl(urlsplit(address).query, keep_blank_values=True)]
    secret = [name for name in query if any(word in name.lower() for word in SECRET)]
    if secret:
        raise InputError(
            f"config: sites: {site}: source",
            expected="an address that is not signed: who reads it in a log or report could use it",
            found=f"{', '.join(secret)} in its query",
            fix="let the storage plugin log in by environment variables, or fetch the archive and "
            "use `local:` (docs/data.md)",
        )


def check_phantom(config: Config, site: str) -> None:
    """Refuse a phantom that is drawn by its contract, where that does not tell all numbers."""
    about = config["sites"][site]
    files = about["contract"]["files"] if about["contract"] else {}
    if drawn_by_contract(config, site) and (about["reader"] == "table" or RADIOGRAPHS not in files):
        raise InputError(
            f"config: sites: {site}: contract",
            expected=f"a challenge's reader and the number of {RADIOGRAPHS} files, "
            "since `phantom: images` is `contract`",
            found=f"reader {about['reader']}, files {', '.join(files) or 'none'}",
            fix="put them into the contract, or make `phantom: images` a number",
        )


def check_folders(config: Config) -> None:
    """Refuse a path variable that leads, by a link, to what is not there."""
    for name, path in config["pathvars"].items():
        broken = [one for one in (Path(path), *Path(path).parents) if one.is_symlink()]
        broken = [one for one in broken if not one.exists()]
        if broken:
            raise InputError(
                f"config: pathvars: {name}",
                expected="a folder, or a path where one can be made",
                found=f"{broken[0]}, a link to {broken[0].readlink()}, which is not there",
                fix="mount or make what it leads to, or remove the link",
            )


def drawn_by_contract(config: Config, site: str) -> bool:
    """Whether a site is a phantom with as many images as its contract says."""
    return is_phantom(config, site) and config["phantom"]["images"] == CONTRACT


def is_phantom(config: Config, site: str) -> bool:
    """Whether the radiographs of a site are drawn."""
    return any(is_drawn(source) for source in config["sites"][site]["source"])


def stored_address(config: Config, site: str) -> str | None:
    """The address of the archive of a site that a storage plugin of Snakemake fetches, if any."""
    sources = config["sites"][site]["source"]
    found = (one.removeprefix("storage:") for one in sources if one.startswith("storage:"))
    return next(found, None)


def unavailable(site: str, address: str, problem: str) -> InputError:
    """What to say if a storage plugin of Snakemake cannot give a site's archive."""
    return InputError(
        f"config: sites: {site}: source: storage:{address}",
        expected="an archive that a storage plugin of Snakemake finds",
        found=problem,
        fix="correct the address, install its plugin (pip install snakemake-storage-plugin-NAME), "
        "or give the plugin its credentials (docs/data.md)",
    )
