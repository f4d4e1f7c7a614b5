"""Trainings of small sites, for the tests of all that trains."""

import json

import torch

from chexviz.base.methods import DEFAULTS
from chexviz.federation.methods import read_training
from chexviz.federation.rounds import Federation
from chexviz.federation.settings import Training
from chexviz.federation.site import LocalSite
from chexviz.models.dataset import Dataset, load_datasets
from chexviz.models.model import build

SETTINGS = {
    "batch": 8,
    "threads": 1,
    "precision": "float32",
    "compile": False,
    "augmentation": {"rotation": 10, "zoom": 0.1, "contrast": 0.1, "flip": 0.5},
    "learning_rate": 1e-3,
    "schedule": "cosine",
    "rounds": 3,
    "local_epochs": 1,
    "method": DEFAULTS | {"algorithm": "fedavg"},
}
METHODS = {
    "fedavg": {"algorithm": "fedavg"},
    "uniform": {"algorithm": "fedavg", "weights": "uniform"},
    "fedprox": {"algorithm": "fedprox", "mu": 0.1},
    "fedbn": {"algorithm": "fedavg", "batchnorm": "local"},
    "fedfbn": {"algorithm": "fedavg", "batchnorm": "frozen"},
    "fedrep": {"algorithm": "fedrep", "head_epochs": 1},
    "scaffold": {"algorithm": "scaffold"},
    "fedadam": {
        "algorithm": "fedadam",
        "server_learning_rate": 0.01,
        "beta1": 0.9,
        "beta2": 0.99,
        "tau": 1e-3,
    },
}
CPU = torch.device("cpu")


def settings_of(**changes) -> Training:
    """The settings of a training."""
    return read_training(json.dumps(SETTINGS | changes))


def changes_of(method: dict, **changes) -> dict:
    """What of the settings a method's tests change."""
    return {"schedule": "constant", "method": DEFAULTS | method} | changes


LABELLED = {"north": ["pneumonia"], "south": ["pneumothorax"], "east": ["effusion"]}


def files(folder, sites: list[str]) -> list[str]:
    """The arguments that name the files of sites: of one its own, of several the lists of all."""
    if len(sites) > 1:
        paths = [folder / "sites.csv", folder / "split.csv"]
    else:
        paths = [folder / sites[0] / "images.npy", folder / sites[0] / "split.csv"]
    return ["--images", str(paths[0]), "--split", str(paths[1])]


def learning(sites: list[str]) -> list[str]:
    """The arguments that name sites which train, and their findings."""
    return [word for site in sites for word in ("--site", site, *LABELLED[site])]


def arguments(folder, sites: list[str], name: str, **changes) -> list[str]:
    """The command line of a training."""
    return [
        *learning(sites),
        *files(folder, sites),
        "--architecture=standard",
        "--seed=1",
        "--protocol=paper",
        f"--settings={json.dumps(SETTINGS | changes)}",
        f"--checkpoint={folder / name}.checkpoint",
        f"--model={folder / name}.safetensors",
        f"--history={folder / name}.history.csv",
    ]


def dataset(folder, site: str, *subsets: str) -> Dataset:
    """A subset of a site, its images in memory."""
    paths = (folder / site / "images.npy", folder / site / "split.csv")
    (data,) = load_datasets({site: LABELLED[site]}, *paths, list(subsets), [CPU])
    data.images.make_resident()
    return data


def local_site(data: Dataset, **changes) -> LocalSite:
    """A party with the initial standard model."""
    settings = settings_of(**changes)
    epochs = settings.rounds * settings.local_epochs
    model = build("standard", data.heads, seed=1)
    return LocalSite(data, model, settings, epochs=epochs, seed=1)


def local_sites(folder, names: list[str], **changes) -> list[LocalSite]:
    """Sites that are about to train."""
    return [local_site(dataset(folder, name, "train"), **changes) for name in names]


def train_round(site: LocalSite, number: int = 0, phases=("all",), correct=None) -> list[float]:
    """Let a site train one round; the mean losses of its epochs."""
    site.start_round()
    for _ in site.train(number, phases, correct):
        pass
    return site.means


def packed(made: Federation, site: LocalSite) -> torch.Tensor:
    """A site's update."""
    method = made.method
    return method.exchange.pack(method.travelling(site.model).state_dict(), site.name)
