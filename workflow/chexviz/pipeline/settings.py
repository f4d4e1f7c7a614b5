"""The slices of the config that jobs get: to each its own and nothing else.

So a changed value reruns only what depends on it.
"""

import json
from collections.abc import Mapping
from typing import Any

from chexviz.base.methods import BASELINE, DEFAULTS
from chexviz.base.source_code import HOME
from chexviz.models import sizes
from chexviz.pipeline import release, study
from chexviz.pipeline.configuration import RADIOGRAPHS, Config, drawn_by_contract, is_phantom
from chexviz.reporting.paper import inventory

HEADS = ("algorithm", *DEFAULTS)  # what of a method decides how its heads are warmed up


def text(settings: Any) -> str:
    """Settings as one line of JSON, the same for the same settings."""
    return json.dumps(settings, sort_keys=True)


def take(config: Mapping, *keys: str) -> dict:
    """The named entries of a mapping."""
    return {key: config[key] for key in keys}


def contract(config: Config, site: str) -> dict | None:
    """What a site's source is known to hold; of a phantom that is drawn by it, at its scale."""
    agreed = config["sites"][site]["contract"]
    if drawn_by_contract(config, site):
        return scaled(agreed, config["phantom"]["scale"])
    return agreed


def scaled(agreed: Mapping, scale: int) -> dict:
    """A contract with its numbers divided by `scale`, rounded; what is there stays at least 1.

    How many rows the label table then has, no division tells: boxes and masks are several an image.
    """

    def divided(count: int) -> int:
        return max(min(count, 1), round(count / scale))

    counts = {
        "images": divided(agreed["images"]),
        "positives": {finding: divided(count) for finding, count in agreed["positives"].items()},
    }
    ids = divided(agreed["ids"]) if agreed.get("ids") else None
    rows = agreed.get("rows") if scale == 1 else None
    files = {pattern: divided(count) for pattern, count in agreed["files"].items()}
    return {**agreed, **counts, "ids": ids, "rows": rows, "files": files}


def phantom(config: Config, site: str) -> dict | None:
    """How many images a phantom draws, and its seed; None of another site."""
    if not is_phantom(config, site):
        return None
    size = take(config["phantom"], "images", "seed")
    if drawn_by_contract(config, site):
        agreed = scaled(config["sites"][site]["contract"], config["phantom"]["scale"])
        size |= take(agreed, "images", "positives")
        size["unlabelled"] = agreed["files"][RADIOGRAPHS] - agreed["images"]
    return size


def download(config: Config, site: str) -> dict:
    """Where a site's files come from; the phantom's size matters only to a phantom."""
    return take(config["sites"][site], "source", "reader") | {"phantom": phantom(config, site)}


def preprocess(config: Config, site: str) -> dict:
    """How a site's files become arrays."""
    about = config["sites"][site]
    told = take(about, "reader", "labels", "patients", "columns", "annotations", "uncertain")
    told |= {"attributes": study.attributes(config, site)}
    told |= {"findings": about["findings"] + about["evaluated_findings"]}
    told |= {"given_split": bool(study.with_given_split(config, [site]))}
    return told | {"contract": contract(config, site)} | config["preprocess"]


def split(config: Config, protocol: str) -> dict:
    """How one protocol divides the images."""
    return {"seed": config["split"]["seed"], **config["split"][protocol]}


def warmup(config: Config, architecture: str, method: str = BASELINE) -> dict:
    """How task blocks are warmed up: that of a site alone, or the shared one of a method."""
    how = take({"algorithm": "fedavg"} | DEFAULTS | config["methods"].get(method, {}), *HEADS)
    return (
        take(config["training"], "batch", "threads")
        | config["architectures"][architecture]["warmup"]
        | {"method": how}
    )


def head_warmup(config: Config, architecture: str, method: str) -> str:
    """How sites over a network warm up the heads of a method, as JSON; '' if they do not."""
    if not study.warmed_up(config, architecture) or study.is_private(config, method):
        return ""
    together = study.has_shared_heads(config, method)
    return text(warmup(config, architecture, method if together else BASELINE))


def train(config: Config, architecture: str, method: str) -> dict:
    """How a model is trained. A baseline is a federation of one site: an epoch is a round."""
    chosen = config["architectures"][architecture]
    shared = take(config["training"], "batch", "threads", "precision", "compile", "augmentation")
    shared |= take(chosen, "learning_rate", "schedule")
    if method == BASELINE:
        rounds = {"rounds": chosen["baseline"]["epochs"], "local_epochs": 1}
        return shared | rounds | {"method": {"algorithm": "fedavg"} | DEFAULTS}
    return shared | chosen["federated"] | {"method": DEFAULTS | config["methods"][method]}


def private(config: Config) -> dict[str, dict]:
    """What each private method of the run is private for, and its delta."""
    methods = config["methods"]
    return {
        name: {
            "unit": study.unit_of_privacy(config, name),
            "delta": methods[name]["privacy"]["delta"],
        }
        for name in study.private_methods(config)
    }


def evaluation(config: Config, *keys: str) -> dict:
    """How scores are resampled, how many cases that takes, and more of the evaluation by name."""
    return take(config["evaluation"], "bootstrap", "minimum_cases", *keys)


def inversion(config: Config) -> dict:
    """How images are reconstructed from what a site sends."""
    return config["privacy"]["inversion"] | evaluation(config)


def membership(config: Config) -> dict:
    """How it is asked who trained a model."""
    asked = take(config["privacy"]["membership"], "false_positive_rates")
    return asked | take(config["training"], "threads") | evaluation(config)


def localise(config: Config) -> dict:
    """How Grad-CAM maps are compared with annotations."""
    compared = config["evaluation"]["localisation"] | take(config["preprocess"], "size")
    return compared | evaluation(config)


def bundle(config: Config) -> dict:
    """What a bundle is told: how images are made, and how validation images teach."""
    made = {"preprocessing": config["preprocess"]}
    return evaluation(config, "sensitivities") | made


def published(config: Config) -> dict:
    """What tells whether a run repeats the original's experiment: its data and training."""
    run, keys = config["run"], ("name", "title", "role", "findings", "reader", "source")
    sites = {site: {"name": site} | config["sites"][site] for site in run["sites"]}
    return {
        "sites": [take(site, *keys) for site in sites.values()],
        "architectures": take(config["architectures"], *run["architectures"]),
    }


def paper(config: Config) -> dict:
    """What the paper's text says about the settings."""
    return take(config, "split", "training", "evaluation", "preprocess") | {
        **take(config["run"], "protocols", "seeds"),
        "attacked": study.attacked_models(config),
        "sites": [title | origin(config, title["name"]) for title in titles(config)],
        "software": release.software(HOME / "envs" / "requirements.lock"),
        "code": release.code(HOME / "CITATION.cff"),
        "sizes": sizes.facts(),
        "architectures": [
            {"name": name, **config["architectures"][name]}
            for name in config["run"]["architectures"]
        ],
        "methods": [
            {"name": name, **DEFAULTS, **config["methods"][name]}
            for name in config["run"]["methods"]
        ],
        "figures": figures(config),
    }


def figures(config: Config) -> list[dict]:
    """The figures of the run, as the paper's template needs them."""
    run = config["run"]
    asked = ["privacy"] * run["privacy"] + ["private methods"] * bool(study.private_methods(config))
    return inventory.shown_figures(titles(config), len(run["architectures"]), asked)


def origin(config: Config, site: str) -> dict:
    """Where a site's images are from, who says who is on them ('' if nobody), and what was decided
    for it: its split, and what its uncertain labels mean."""
    about = config["sites"][site]
    return {
        "table": about["patients"] or "",
        **take(about, "reader", "split", "uncertain"),
        "phantom": is_phantom(config, site),
    }


def titles(config: Config) -> list[dict]:
    """Name, title, role and findings of every site of the run."""
    return [
        {"name": site, **take(config["sites"][site], "title", "role", "findings")}
        for site in config["run"]["sites"]
    ]
