"""From the workflow's configuration to the order of a study over a network."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chexviz.base.errors import InputError
from chexviz.federation.network import bundle
from chexviz.federation.network.coordinator import check_study
from chexviz.federation.network.messages import Study
from chexviz.models import files, weights
from chexviz.pipeline import paths, settings, study
from chexviz.tools.server.order import START, Order, Ordered, placed

Config = Mapping[str, Any]


def chosen(config: Config, key: str, given: str | None) -> Any:
    """One of a list under `run:`; None: its only entry. Raises InputError."""
    listed = config["run"][key]
    found = [one for one in listed if str(one) == given] if given else listed
    if len(found) == 1:
        return found[0]
    raise InputError(
        f"config: run: {key}",
        expected=f"{given} among them" if given else "one, or that one is chosen",
        found=", ".join(map(str, listed)),
        fix="choose one of them on the command line",
    )


def order(config: Config, choice: Mapping[str, Any], rules: Mapping[str, Any]) -> Order:
    """The order of one training of a configuration. choice: by the names of its wildcards.

    Raises InputError if it cannot go over a network, or needs more sites than there are.
    """
    architecture, method = choice["architecture"], choice["method"]
    sites = study.training_sites(config)
    if study.is_ensemble(config, method):
        raise InputError(
            f"method {method} over a network",
            expected="a method that trains",
            found="the baselines of all sites together",
            fix="choose another one of `run: methods:`",
        )
    if rules["quorum"] and rules["quorum"] > len(sites):
        raise InputError(
            f"--quorum {rules['quorum']}",
            expected=f"at most {len(sites)}, the sites of the study: {', '.join(sites)}",
            found=str(rules["quorum"]),
            fix="choose a smaller one",
        )
    made = Study(
        protocol=choice["protocol"],
        architecture=architecture,
        findings={site: config["sites"][site]["findings"] for site in sites},
        seed=choice["seed"],
        settings=settings.train(config, architecture, method),
        warmup=json.loads(settings.head_warmup(config, architecture, method) or "null"),
    )
    check_study(made)
    told = json.loads(made.text)
    return Order(method=method, study=told, rules={**rules}, app=bundle.sha256())


def begun(coordinator: Path, config: Config, order: Order) -> Ordered:
    """The folder of an order, with the representation block that it starts from.

    Raises InputError if the folder has another study, or this one is over.
    """
    ordered = placed(coordinator, order)
    if not ordered.path(START).is_file():
        made = Study(**order.study)
        given = pretrained(config, made.architecture)
        some = dict([*made.findings.items()][:1])
        model = files.initial(made.architecture, some, made.seed, given)
        files.save(ordered.path(START), model.representation.state_dict())
    ordered.write()
    return ordered


def pretrained(config: Config, architecture: str) -> Path | None:
    """The weights that training starts from, fetched as the workflow does; None: random ones."""
    found = paths.weight_files(config, architecture)
    if not found:
        return None
    path = Path(found[0].replace("<resources>", config["pathvars"]["resources"]))
    if not path.is_file():
        about = config["architectures"][architecture]
        weights.main(
            [
                *(f"--architecture={architecture}", f"--source={about['weights']}"),
                *(f"--sha256={about['weights_sha256'] or ''}", f"--output={path}"),
            ]
        )
    return path
