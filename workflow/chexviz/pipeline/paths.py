"""The files that jobs read and make, and what tells whether those from elsewhere have changed."""

import hashlib
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from chexviz.base.files import sha256
from chexviz.base.methods import BASELINE
from chexviz.base.source_code import HOME
from chexviz.data.sources import local
from chexviz.pipeline import settings, study
from chexviz.pipeline.configuration import Config
from chexviz.reporting.paper import inventory

# --- files that jobs make ------------------------------------------------------------------------


def image_file(config: Config, site: str) -> str:
    """The images of a site: their array, or the list of the arrays of its shards."""
    name = "shards.csv" if site in study.sharded_sites(config) else "images.npy"
    return f"<results>/sites/{site}/{name}"


def shard_files(config: Config, site: str, name: str) -> list[str]:
    """One kind of file of every shard of a site, in order."""
    shards = range(1, config["sites"][site]["shards"] + 1)
    return [f"<results>/sites/{site}/shards/{shard}/{name}" for shard in shards]


def split_files(config: Config, protocol: str) -> list[str]:
    """The splits of all sites of the run, in order: what a job reads of a site is its own rows."""
    return [f"<results>/splits/{protocol}/{site}.csv" for site in config["run"]["sites"]]


def model_folder(protocol: str, architecture: str, method: str, seed: int | str) -> str:
    """Where the models of one setting are."""
    return f"<results>/models/{protocol}/{architecture}/{method}/seed{seed}"


def weight_files(config: Config, architecture: str) -> list[str]:
    """The pretrained representation block that training starts from, if it has one."""
    if not study.pretrained(config, architecture):
        return []
    return [f"<resources>/weights/{architecture}.safetensors"]


def task_files(config: Config, wildcards: Any) -> list[str]:
    """The warmed-up task blocks that a training starts from, of each head; none if not warmed up.

    wildcards: of the training, a baseline's `site` or a `method`. With privacy none is: the warm-up
    has no noise.
    """
    method = getattr(wildcards, "method", None)
    if not study.warmed_up(config, wildcards.architecture):
        return []
    if method and study.is_private(config, method):
        return []
    folder = model_folder(wildcards.protocol, wildcards.architecture, "warmup", wildcards.seed)
    if method and study.has_shared_heads(config, method):
        return [f"{folder}/shared/{method}.safetensors"]
    sites = study.training_sites(config) if method else [wildcards.site]
    return [f"{folder}/{site}.safetensors" for site in sites]


def duplicate_files(config: Config, method: str) -> list[str]:
    """Which images are nearly identical, where each patient has privacy: they are of one record."""
    patients = study.unit_of_privacy(config, method) == "patient"
    return ["<results>/duplicates.csv"] if patients else []


def model_files(config: Config, wildcards: Any) -> list[str]:
    """The models that score all sites: a method's global model, or the baseline of each site."""
    several = wildcards.method == BASELINE or study.is_ensemble(config, wildcards.method)
    names = study.training_sites(config) if several else ["global"]
    method = BASELINE if several else wildcards.method
    folder = model_folder(wildcards.protocol, wildcards.architecture, method, wildcards.seed)
    return [f"{folder}/{name}.safetensors" for name in names]


def history_files(config: Config, protocol: str) -> list[str]:
    """The history of every training under a protocol."""
    return [
        f"{model_folder(protocol, one['architecture'], one['method'], one['seed'])}"
        f"/{one['name']}.history.csv"
        for one in study.trainings(config)
    ]


def prediction_files(models: list[dict], protocol: str, suffix: str = ".csv") -> list[str]:
    """Where the scores (.csv), maps (.gradcam.npz) or features (.features.npz) of models are."""
    return [
        model_folder(protocol, **one).replace("/models/", "/predictions/") + suffix
        for one in models
    ]


def leak_files(config: Config, name: str) -> list[str]:
    """One table of every model whose leaks are measured."""
    return [f"<results>/{inventory.leak_file(one, name)}" for one in study.attacked_models(config)]


def leaks_by_epsilon(config: Config, protocol: str, name: str) -> list[str]:
    """The same of the methods that the figure `epsilon` shows; none under other protocols."""
    if protocol != study.bundled_protocol(config):
        return []
    shown = {*study.private_methods(config), *study.without_privacy(config)}
    attacked = [one for one in study.attacked_models(config) if one["method"] in shown]
    return [f"<results>/{inventory.leak_file(one, name)}" for one in attacked]


def shadow_files(config: Config, wildcards: Any) -> list[str]:
    """The attacker's own models of an architecture and method."""
    about = wildcards.architecture, wildcards.method, config["run"]["seeds"][0]
    folders = [model_folder(shadow, *about) for shadow in study.shadows(config)]
    return [f"{folder}/global.safetensors" for folder in folders]


def attacked_model(config: Config, wildcards: Any) -> str:
    """The model of an architecture and method that is attacked."""
    about = wildcards.architecture, wildcards.method, config["run"]["seeds"][0]
    return f"{model_folder(study.bundled_protocol(config), *about)}/global.safetensors"


def attacked_tasks(config: Config, wildcards: Any) -> list[str]:
    """The warmed-up task blocks that its training starts from; none if not warmed up."""
    about = {"protocol": study.bundled_protocol(config), "seed": config["run"]["seeds"][0]}
    return task_files(config, SimpleNamespace(**dict(wildcards.items()), **about))


def bundled_model(config: Config, wildcards: Any) -> str:
    """The file of the model that is given away."""
    model = study.bundled_model(config, wildcards.protocol, wildcards.architecture)
    return f"{model_folder(**model)}/global.safetensors"


def bundled_predictions(config: Config, wildcards: Any) -> str:
    """The file of its scores."""
    model = study.bundled_model(config, wildcards.protocol, wildcards.architecture)
    return prediction_files([model], model.pop("protocol"))[0]


def bundled_baseline(config: Config, wildcards: Any) -> str:
    """The file of a site's baseline, of the seed whose models are given away."""
    model = study.bundled_model(config, wildcards.protocol, wildcards.architecture)
    return f"{model_folder(**model | {'method': BASELINE})}/{wildcards.site}.safetensors"


def bundled_baseline_predictions(config: Config, wildcards: Any) -> str:
    """The file of the scores of all sites' baselines."""
    model = study.bundled_model(config, wildcards.protocol, wildcards.architecture)
    protocol = model.pop("protocol")
    return prediction_files([model | {"method": BASELINE}], protocol)[0]


def how_to_predict(config: Config) -> str:
    """The sentence that says how to try the first bundle on a radiograph, from where a run is."""
    architecture = config["run"]["architectures"][0]
    results = Path(config["pathvars"]["results"])
    bundle = results / "bundles" / study.bundled_protocol(config) / architecture
    library, python = (os.path.relpath(path) for path in (HOME / "workflow", sys.executable))
    program = f"PYTHONPATH={library} {python} -m chexviz predict {bundle}"
    return f"Try it on a radiograph of yours: {program} FILE --heatmaps heatmaps"


def study_tables(config: Config) -> list[str]:
    """The tables of the whole study, over all protocols."""
    return inventory.study_tables(config["run"]["protocols"], study.attacked_models(config))


def paper_files(config: Config) -> list[str]:
    """Result files that the PDF reads."""
    shown = settings.figures(config)
    attacked = study.attacked_models(config)
    files = inventory.files(config["run"]["protocols"], settings.titles(config), shown, attacked)
    return [f"<results>/{name}" for name in files]


# --- files from elsewhere ------------------------------------------------------------------------


def local_weights(config: Config, architecture: str) -> list[str]:
    """The local file of pretrained weights, if that is where they come from and it exists."""
    source = config["architectures"][architecture]["weights"]
    return [source] if Path(source).is_file() else []


def local_tables(config: Config, site: str) -> list[str]:
    """A site's tables (of labels, patients and more) that lie outside of its own files."""
    return [name for name in named_tables(config, site) if Path(name).is_file()]


def shipped_tables(config: Config, site: str) -> list[str]:
    """Those that come with the workflow, and are neither its own files nor the user's."""
    names = named_tables(config, site)
    shipped = [HOME / name for name in names if not Path(name).is_file()]
    return [str(path) for path in shipped if path.is_file()]


def named_tables(config: Config, site: str) -> list[str]:
    """The tables that the config names for a site beside its files, wherever they lie."""
    about = config["sites"][site]
    named = [about[kind] for kind in ("labels", "patients", "annotations") if about[kind]]
    return list(
        dict.fromkeys([*named, *(one["table"] for one in study.attributes(config, site).values())])
    )


def tables_checksum(config: Config, site: str) -> str:
    """The checksum of all tables of a site that lie outside of its own files."""
    return checksum(local_tables(config, site) + shipped_tables(config, site))


def checksum(files: list[str]) -> str:
    """SHA-256 of the contents of small files from elsewhere, in order; '' without any.

    A parameter of the jobs that read them: their times, which Snakemake compares, do not tell
    whether they have changed.
    """
    return hashlib.sha256("".join(map(sha256, files)).encode()).hexdigest() if files else ""


def fingerprint(config: Config, site: str) -> str:
    """What changes with the content of a site's local sources."""
    folder = Path(config["pathvars"]["resources"], site)
    return local.fingerprint(config["sites"][site]["source"], folder)
