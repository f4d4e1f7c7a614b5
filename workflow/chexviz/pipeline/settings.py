"""From the configuration to jobs: the slice of it that each job gets, and the files that it reads.

A job gets its own slice and nothing else, so a changed value reruns only what depends on it.
"""

import hashlib
import json
import math
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from chexviz.base.errors import InputError
from chexviz.base.files import sha256
from chexviz.base.source_code import HOME
from chexviz.data.sources import local
from chexviz.federation.site_minimum import check_sites
from chexviz.pipeline import release
from chexviz.reporting.paper import inventory

Config = Mapping
BASELINE, POOLED, ENSEMBLE = "baseline", "pooled", "ensemble"  # that are no federation
CONTRACT = "contract"  # as many images of a phantom as the contract of its site says
RADIOGRAPHS = "*.dcm"  # the files of a contract that are radiographs
SECRET = ("sig", "token", "key", "credential", "password", "secret")  # in names of a query
METHOD = {"weights": "size", "batchnorm": "average", "combine": "mean", "trim": 0.0}


def text(settings: Mapping | None) -> str:
    """Settings as one line of JSON, the same for the same settings."""
    return json.dumps(settings, sort_keys=True)


def take(config: Mapping, *keys: str) -> dict:
    """The named entries of a mapping."""
    return {key: config[key] for key in keys}


def check(config: Config) -> None:
    """Refuse what a schema cannot see: names that are not defined, no federation to compare."""
    for kind in ("sites", "architectures", "methods"):
        unknown = [name for name in config["run"][kind] if name not in config[kind]]
        if unknown:
            raise InputError(
                f"config: run: {kind}",
                expected=f"names defined under {kind}: {', '.join(config[kind])}",
                found=", ".join(unknown),
                fix=f"define them under {kind}, or correct the names",
            )
    first = config["run"]["methods"][0]
    if config["methods"][first]["algorithm"] in (POOLED, ENSEMBLE):
        raise InputError(
            "config: run: methods",
            expected="a federated method first, which Table 1 and the text compare with baselines",
            found=first,
            fix="put a federated method, such as fedavg, first",
        )
    for name in config["run"]["methods"]:
        check_sites(name, METHOD | config["methods"][name], len(config["run"]["sites"]))
    check_titles(config)
    for site in config["run"]["sites"]:
        check_stored(config, site)
        check_phantom(config, site)
    check_folders(config)


def one_spelling(value: Any) -> Any:
    """A config in which a whole number is an int however it was written: 12.0 is 12.

    To a schema they are the same, to a loop over epochs and to a job's parameters they are not.
    """
    if isinstance(value, Mapping):
        return {key: one_spelling(one) for key, one in value.items()}
    if isinstance(value, list):
        return [one_spelling(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


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


def check_titles(config: Config) -> None:
    """Refuse two sites of the run that readers could not tell apart."""
    shown = [title["title"] for title in titles(config)]
    repeated = [title for title in dict.fromkeys(shown) if shown.count(title) > 1]
    if repeated:
        raise InputError(
            "config: sites: title",
            expected="another title for each site of the run, as tables and figures name it so",
            found=f"{shown.count(repeated[0])} sites called {repeated[0]}",
            fix="give one of them another title",
        )


def check_finite(value: object, where: str = "config") -> None:
    """Refuse NaN and infinity anywhere in a config: to a schema, NaN is within every bound."""
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(
            where, expected="a finite number", found=str(value), fix="correct the value"
        )
    listed = enumerate(value, 1) if isinstance(value, list) else ()
    for key, one in value.items() if isinstance(value, Mapping) else listed:
        check_finite(one, f"{where}: {key}")


def check_stored(config: Config, site: str) -> None:
    """Refuse a remote archive beside other sources, and credentials in its address."""
    address = stored_address(config, site)
    if address and len(config["sites"][site]["source"]) > 1:
        raise InputError(
            f"config: sites: {site}: source",
            expected="`storage:` alone: without its archive no run starts, so none is tried next",
            found=f"{len(config['sites'][site]['source'])} sources",
            fix="keep one",
        )
    if address and "@" in urlsplit(address).netloc:
        raise InputError(
            f"config: sites: {site}: source",
            expected="an address without credentials, which would end in logs and reports",
            found=f"some before {urlsplit(address).netloc.rpartition('@')[2]}",
            fix="give them to the storage plugin by environment variables (docs/data.md)",
        )
    query = [name for name, _ in parse_qsl(urlsplit(address or "").query, keep_blank_values=True)]
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
    if by_contract(config, site) and (about["reader"] == "table" or RADIOGRAPHS not in files):
        raise InputError(
            f"config: sites: {site}: contract",
            expected=f"a challenge's reader and the number of {RADIOGRAPHS} files, "
            "since `phantom: images` is `contract`",
            found=f"reader {about['reader']}, files {', '.join(files) or 'none'}",
            fix="put them into the contract, or make `phantom: images` a number",
        )


def by_contract(config: Config, site: str) -> bool:
    """Whether a site is a phantom with as many images as its contract says."""
    phantom = "phantom" in config["sites"][site]["source"]
    return phantom and config["phantom"]["images"] == CONTRACT


def contract(config: Config, site: str) -> dict | None:
    """What a site's source is known to hold; of a phantom that is drawn by it, at its scale."""
    agreed = config["sites"][site]["contract"]
    return scaled(agreed, config["phantom"]["scale"]) if by_contract(config, site) else agreed


def scaled(agreed: Mapping, scale: int) -> dict:
    """A contract with its numbers divided by `scale`, rounded; what is there stays at least 1.

    How many rows the label table then has, no division tells: boxes and masks are several an image.
    """

    def divided(count: int) -> int:
        return max(min(count, 1), round(count / scale))

    counts = {key: divided(agreed[key]) for key in ("images", "positives")}
    ids = divided(agreed["ids"]) if agreed.get("ids") else None
    rows = agreed.get("rows") if scale == 1 else None
    files = {pattern: divided(count) for pattern, count in agreed["files"].items()}
    return {**agreed, **counts, "ids": ids, "rows": rows, "files": files}


def phantom(config: Config, site: str) -> dict | None:
    """How many images a phantom draws, and its seed; None of another site."""
    if "phantom" not in config["sites"][site]["source"]:
        return None
    size = take(config["phantom"], "images", "seed")
    if by_contract(config, site):
        agreed = scaled(config["sites"][site]["contract"], config["phantom"]["scale"])
        size |= take(agreed, "images", "positives")
        size["unlabelled"] = agreed["files"][RADIOGRAPHS] - agreed["images"]
    return size


def download(config: Config, site: str) -> dict:
    """Where a site's files come from; the phantom's size matters only to a phantom."""
    return take(config["sites"][site], "source", "reader") | {"phantom": phantom(config, site)}


def preprocess(config: Config, site: str) -> dict:
    """How a site's files become arrays."""
    about = take(config["sites"][site], "reader", "task", "findings", "labels", "patients")
    return about | {"contract": contract(config, site)} | config["preprocess"]


def sharded(config: Config) -> list[str]:
    """The sites of the config that are preprocessed by several jobs."""
    return [site for site, about in config["sites"].items() if about["shards"] > 1]


def shard_files(config: Config, site: str, name: str) -> list[str]:
    """One kind of file of every shard of a site, in order."""
    shards = range(1, config["sites"][site]["shards"] + 1)
    return [f"<results>/sites/{site}/shards/{shard}/{name}" for shard in shards]


def image_file(config: Config, site: str) -> str:
    """The images of a site: their array, or the list of the arrays of its shards."""
    name = "shards.csv" if config["sites"][site]["shards"] > 1 else "images.npy"
    return f"<results>/sites/{site}/{name}"


def split(config: Config, protocol: str) -> dict:
    """How one protocol divides the images."""
    return {"seed": config["split"]["seed"], **config["split"][protocol]}


def split_files(config: Config, protocol: str) -> list[str]:
    """The splits of all sites of the run, in order: what a job reads of a site is its own rows."""
    return [f"<results>/splits/{protocol}/{site}.csv" for site in config["run"]["sites"]]


def warmup(config: Config, architecture: str) -> dict:
    """How a task block is warmed up."""
    return (
        take(config["training"], "batch", "threads")
        | config["architectures"][architecture]["warmup"]
    )


def train(config: Config, architecture: str, method: str) -> dict:
    """How a model is trained. A baseline is a federation of one site: an epoch is a round."""
    chosen = config["architectures"][architecture]
    shared = take(config["training"], "batch", "threads", "precision", "compile", "augmentation")
    shared |= take(chosen, "learning_rate", "schedule")
    if method == BASELINE:
        rounds = {"rounds": chosen["baseline"]["epochs"], "local_epochs": 1}
        return shared | rounds | {"method": {"algorithm": "fedavg"} | METHOD}
    return shared | chosen["federated"] | {"method": METHOD | config["methods"][method]}


def pretrained(config: Config, architecture: str) -> bool:
    """Whether the representation block starts from weights that come from elsewhere."""
    return config["architectures"][architecture]["weights"] != "random"


def warmed_up(config: Config, architecture: str) -> bool:
    """Whether the task block is trained alone first."""
    return "warmup" in config["architectures"][architecture]


def model_folder(protocol: str, architecture: str, method: str, seed: int | str) -> str:
    """Where the models of one setting are."""
    return f"<results>/models/{protocol}/{architecture}/{method}/seed{seed}"


def task_files(config: Config, sites: list[str], wildcards: Any) -> list[str]:
    """The warmed-up task blocks that training of `sites` starts from; none if not warmed up."""
    if not warmed_up(config, wildcards.architecture):
        return []
    folder = model_folder(wildcards.protocol, wildcards.architecture, "warmup", wildcards.seed)
    return [f"{folder}/{site}.safetensors" for site in sites]


def weight_files(config: Config, architecture: str) -> list[str]:
    """The pretrained representation block that training starts from, if it has one."""
    if not pretrained(config, architecture):
        return []
    return [f"<resources>/weights/{architecture}.safetensors"]


def is_ensemble(config: Config, method: str) -> bool:
    """Whether a method is no model of its own, but all baselines together."""
    return method != BASELINE and config["methods"][method]["algorithm"] == ENSEMBLE


def model_files(config: Config, wildcards: Any) -> list[str]:
    """The models that score all sites: a method's global model, or the baseline of each site."""
    several = wildcards.method == BASELINE or is_ensemble(config, wildcards.method)
    names = config["run"]["sites"] if several else ["global"]
    method = BASELINE if several else wildcards.method
    folder = model_folder(wildcards.protocol, wildcards.architecture, method, wildcards.seed)
    return [f"{folder}/{name}.safetensors" for name in names]


def tasks(config: Config) -> list[str]:
    """The task of every site of the run."""
    return [config["sites"][site]["task"] for site in config["run"]["sites"]]


def predictions(config: Config) -> list[dict]:
    """Every model: architecture, method, seed."""
    run = config["run"]
    return [
        {"architecture": architecture, "method": method, "seed": seed}
        for architecture in run["architectures"]
        for method in [BASELINE, *run["methods"]]
        for seed in run["seeds"]
    ]


def names(models: list[dict]) -> list[str]:
    """Models or trainings in a word each, in order."""
    return ["/".join(map(str, one.values())) for one in models]


def shown(config: Config) -> list[dict]:
    """The predictions that Figure 3 shows: baseline and the first method, of the first seed."""
    run = config["run"]
    methods = (BASELINE, run["methods"][0])
    return [
        one
        for one in predictions(config)
        if one["method"] in methods and one["seed"] == run["seeds"][0]
    ]


def prediction_files(models: list[dict], protocol: str, suffix: str = ".csv") -> list[str]:
    """Where the scores (.csv) or Grad-CAM maps (.gradcam.npz) of models are."""
    return [
        model_folder(protocol, **one).replace("/models/", "/predictions/") + suffix
        for one in models
    ]


def task_arguments(config: Config) -> str:
    """Command-line arguments that name each site's task."""
    pairs = zip(config["run"]["sites"], tasks(config), strict=True)
    return " ".join(shlex.join(["--task", site, task]) for site, task in pairs)


def samples_arguments(config: Config, files: Any) -> str:
    """Command-line arguments that name the samples of each site."""
    return " ".join(
        shlex.join(["--samples", site, path])
        for site, path in zip(config["run"]["sites"], files.samples, strict=True)
    )


def site_arguments(config: Config, *files: list[str]) -> str:
    """Command-line arguments that name each site, its task and its files of every kind."""
    rows = zip(config["run"]["sites"], tasks(config), *files, strict=True)
    return " ".join(shlex.join(["--site", *row]) for row in rows)


def split_arguments(config: Config, files: list[str]) -> str:
    """Command-line arguments that name the joined split of each protocol."""
    pairs = zip(config["run"]["protocols"], files, strict=True)
    return " ".join(shlex.join(["--split", *pair]) for pair in pairs)


def model_arguments(option: str, models: list[dict], *files: list[str]) -> str:
    """Command-line arguments that say which model the files of every kind are of."""
    keys = ("architecture", "method", "seed")
    return " ".join(
        shlex.join([option, *(str(one[key]) for key in keys), *paths])
        for one, *paths in zip(models, *files, strict=True)
    )


def localise(config: Config) -> dict:
    """How Grad-CAM maps are compared with annotations."""
    evaluation = config["evaluation"]
    resampling = take(evaluation, "bootstrap", "minimum_cases")
    return evaluation["localisation"] | resampling | take(config["preprocess"], "size")


def histories(config: Config) -> list[dict]:
    """Every training of the run: architecture, method, seed, and the name of its files."""
    run, methods = config["run"], config["methods"]
    trained = [method for method in run["methods"] if methods[method]["algorithm"] != ENSEMBLE]
    names = [(BASELINE, site) for site in run["sites"]]
    names += [(method, "global") for method in trained]
    return [
        {"architecture": architecture, "method": method, "seed": seed, "name": name}
        for architecture in run["architectures"]
        for method, name in names
        for seed in run["seeds"]
    ]


def history_files(config: Config, protocol: str) -> list[str]:
    """The history of every training under a protocol."""
    return [
        f"{model_folder(protocol, one['architecture'], one['method'], one['seed'])}"
        f"/{one['name']}.history.csv"
        for one in histories(config)
    ]


def history_arguments(config: Config, files: Any) -> str:
    """Command-line arguments that say which training each history is of."""
    return model_arguments("--history", histories(config), files.histories)


def local_weights(config: Config, architecture: str) -> list[str]:
    """The local file of pretrained weights, if that is where they come from and it exists."""
    source = config["architectures"][architecture]["weights"]
    return [source] if Path(source).is_file() else []


def local_tables(config: Config, site: str) -> list[str]:
    """A site's tables of labels and patients that lie outside of its own files."""
    names = take(config["sites"][site], "labels", "patients").values()
    return [name for name in names if name and Path(name).is_file()]


def shipped_tables(config: Config, site: str) -> list[str]:
    """Those that come with the workflow, and are neither its own files nor the user's."""
    names = take(config["sites"][site], "labels", "patients").values()
    shipped = [HOME / name for name in names if name and not Path(name).is_file()]
    return [str(path) for path in shipped if path.is_file()]


def tables_read(config: Config, site: str) -> str:
    """SHA-256 of the contents of all tables of a site that lie outside of its own files."""
    return contents(local_tables(config, site) + shipped_tables(config, site))


def contents(files: list[str]) -> str:
    """SHA-256 of the contents of small files from elsewhere, in order; '' without any.

    A parameter of the jobs that read them: their times, which Snakemake compares, do not tell
    whether they have changed.
    """
    return hashlib.sha256("".join(map(sha256, files)).encode()).hexdigest() if files else ""


def stored_address(config: Config, site: str) -> str | None:
    """The address of the archive of a site that a storage plugin of Snakemake fetches, if any."""
    sources = config["sites"][site]["source"]
    found = (one.removeprefix("storage:") for one in sources if one.startswith("storage:"))
    return next(found, None)


def not_stored(site: str, address: str, problem: str) -> InputError:
    """What to say if a storage plugin of Snakemake cannot give a site's archive."""
    return InputError(
        f"config: sites: {site}: source: storage:{address}",
        expected="an archive that a storage plugin of Snakemake finds",
        found=problem,
        fix="correct the address, install its plugin (pip install snakemake-storage-plugin-NAME), "
        "or give the plugin its credentials (docs/data.md)",
    )


def site_folder(config: Config, site: str) -> Path:
    """Where the raw files of a site are."""
    return Path(config["pathvars"]["resources"], site)


def fingerprint(config: Config, site: str) -> str:
    """What changes with the content of a site's local sources."""
    sources = config["sites"][site]["source"]
    return local.fingerprint(sources, site_folder(config, site))


def published(config: Config) -> dict:
    """What tells whether a run repeats the original's experiment: its data and training."""
    run, keys = config["run"], ("name", "title", "task", "reader", "source")
    sites = {site: {"name": site} | config["sites"][site] for site in run["sites"]}
    return {
        "sites": [take(site, *keys) for site in sites.values()],
        "architectures": take(config["architectures"], *run["architectures"]),
    }


def study_tables(config: Config) -> list[str]:
    """The tables of the whole study, over all protocols."""
    return inventory.study_tables(config["run"]["protocols"])


def paper_files(config: Config) -> list[str]:
    """Result files that the PDF reads."""
    run = config["run"]
    return [f"<results>/{name}" for name in inventory.files(run["protocols"], run["sites"])]


def paper(config: Config) -> dict:
    """What the paper's text says about the settings."""
    return take(config, "split", "training", "evaluation", "preprocess") | {
        **config["run"],
        "sites": [title | origin(config, title["name"]) for title in titles(config)],
        "software": release.software(HOME / "envs" / "requirements.lock"),
        "code": release.code(HOME / "CITATION.cff"),
        "architectures": [
            {"name": name, **config["architectures"][name]}
            for name in config["run"]["architectures"]
        ],
        "methods": [
            {"name": name, **METHOD, **config["methods"][name]} for name in config["run"]["methods"]
        ],
    }


def origin(config: Config, site: str) -> dict:
    """Where a site's images are from, and the table that says who is on them ('' without one)."""
    about = config["sites"][site]
    return {
        "table": about["patients"] or "",
        "reader": about["reader"],
        "phantom": "phantom" in about["source"],
    }


def titles(config: Config) -> list[dict]:
    """Name, title and task of every site of the run."""
    return [
        {"name": site, **take(config["sites"][site], "title", "task")}
        for site in config["run"]["sites"]
    ]
