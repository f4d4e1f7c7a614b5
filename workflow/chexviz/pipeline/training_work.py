"""How many images the trainings of a run pass through their networks, and how to say how long."""

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from chexviz.base.methods import BASELINE
from chexviz.pipeline.settings import contract, phantom, text, train
from chexviz.pipeline.study import shadows, training_sites, unit_of_privacy

LONG = 1e9  # pixels: four demos, up to half an hour on two cores
LIMIT = 60  # seconds that measuring may take


def images(config: Mapping, site: str) -> int | None:
    """The images of a site, as far as they are known before its data is there; else None."""
    samples = Path(config["pathvars"]["results"]) / "sites" / site / "samples.csv"
    if samples.exists():
        return len(samples.read_text(encoding="utf-8").splitlines()) - 1
    expected = phantom(config, site) or contract(config, site)
    return expected["images"] if expected else None


def epochs(settings: Mapping) -> float:
    """Epochs of a training (settings: see pipeline.settings.train) that cost as much as whole ones.

    An epoch of the task block alone (FedRep) goes only forwards, a third of a step.
    """
    heads = settings["method"].get("head_epochs", 0)
    return settings["rounds"] * (settings["local_epochs"] + heads / 3)


def trained_share(config: Mapping, protocol: str) -> float:
    """The share of images that train; a shadow model has half of those that do not validate."""
    if protocol in shadows(config):
        return (1 - config["split"]["patient"]["validation"]) / 2
    shares = config["split"][protocol]
    return 1 - shares["evaluation"] - shares.get("validation", 0)


def passes(config: Mapping, training: Mapping[str, str]) -> int:
    """Images that one training passes through its network, of the sites that can be counted.

    training: the wildcards of its job: protocol, architecture, and site (a baseline) or method.
    A head's warm-up is left out: it passes every image once.
    """
    sites = [training["site"]] if "site" in training else training_sites(config)
    trained = trained_share(config, training["protocol"])
    method = training.get("method", BASELINE)
    settings = train(config, training["architecture"], method)
    return round(sum(images(config, site) or 0 for site in sites) * trained * epochs(settings))


def kind(config: Mapping, training: Mapping[str, str]) -> tuple[str, tuple[str, str]]:
    """Which trainings are equally fast: their name; the architecture, and a method of the kind.

    Gradients of each image, which privacy of patients takes, cost more than those of a batch.
    """
    architecture, method = training["architecture"], training.get("method", BASELINE)
    if unit_of_privacy(config, method) == "patient":
        return f"{architecture} with privacy", (architecture, method)
    return architecture, (architecture, BASELINE)


def forecast(config: Mapping, trainings: Sequence[Mapping[str, str]], cores: int) -> str | None:
    """The command that says how long these trainings will take here; None if that is not long.

    It says so as well if it cannot, and never fails. trainings: see passes.
    """
    work = [(kind(config, training)[0], passes(config, training)) for training in trainings]
    if sum(count for _, count in work) * config["preprocess"]["size"] ** 2 < LONG:
        return None
    kinds = dict(sorted(kind(config, training) for training in trainings))
    settings = {
        name: {"architecture": architecture, "training": train(config, architecture, method)}
        for name, (architecture, method) in kinds.items()
    }
    uncounted = [site for site in training_sites(config) if images(config, site) is None]
    line = ["timeout", "--foreground", str(LIMIT), "python", "-m", "chexviz.tools.forecast"]
    line += ["--size", str(config["preprocess"]["size"]), "--work", json.dumps(work)]
    line += ["--side-by-side", str(max(1, cores // config["training"]["threads"]))]
    line += ["--settings", text(settings), "--uncounted", *uncounted]
    unknown = f"How long training will take could not be measured within {LIMIT} s."
    return f"{shlex.join(line)} || echo {shlex.quote(unknown)} >&2"
