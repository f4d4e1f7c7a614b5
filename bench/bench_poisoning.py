"""What one lying site of five does to a federation, by how the server combines the updates.

Draws and splits five phantom sites by the workflow (config/poisoning.yaml), then trains standard
CNNs with one shared head. The fifth site trains on flipped labels, or sends its step turned round
and magnified; images of the other four evaluate. Prints the table of docs/privacy.md: AUROC, mean
and standard deviation over seeds.
"""

import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from snakemake.common.configfile import load_configfile
from snakemake.utils import update_config

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))
from chexviz.federation.checkpoint import Checkpoint
from chexviz.federation.methods import ALGORITHMS, read_training
from chexviz.federation.rounds import Federation
from chexviz.federation.site import LocalSite
from chexviz.models.dataset import Dataset, load_datasets, share, to_unit
from chexviz.models.model import build
from chexviz.pipeline import loading, settings

ROOT = Path(__file__).parents[1]
OVERLAY = "config/poisoning.yaml"
SEEDS = (1, 2, 3)
LIAR, FACTOR = "five", -10.0
ATTACKS = {"none": "nobody lies", "flip": "labels flipped", "scale": f"step times {FACTOR:g}"}
COMBINED = {
    "mean": {"combine": "mean"},
    "trimmed mean (0.2)": {"combine": "trimmed", "trim": 0.2},
    "median": {"combine": "median"},
}


class Poisoned(Federation):
    """A federation in which one site sends its step times FACTOR."""

    def average(self) -> None:
        exchange, method = self.method.exchange, self.method
        liar = next(site for site in self.sites if site.name == LIAR)
        block = method.travelling(liar.model)
        step = exchange.pack(block.state_dict(), LIAR) - self.server.shared
        exchange.unpack(self.server.shared + FACTOR * step, block)
        super().average()


def datasets_of(config: dict, subset: str) -> list[Dataset]:
    """The images of a subset of each site, with one shared head."""
    results = ROOT / config["pathvars"]["results"]
    sites = {site: config["sites"][site]["findings"] for site in config["run"]["sites"]}
    paths = results / "sites.csv", results / "splits" / "patient.csv"
    found = share(list(load_datasets(sites, *paths, [subset], [torch.device("cpu")])))
    for data in found:
        data.images.make_resident()
    return found


def trained(config: dict, attack: str, how: dict, seed: int) -> LocalSite:
    """Train a federation under an attack; the first site, which has what all share."""
    told = settings.train(config, "standard", "shared")
    chosen = read_training(settings.text(told | {"method": told["method"] | how}))
    datasets = datasets_of(config, "train")
    for data in datasets:
        if attack == "flip" and data.site == LIAR:
            data.labels = 1 - data.labels
    sites = [
        LocalSite(
            data, build("standard", data.heads, seed), chosen, epochs=chosen.rounds, seed=seed
        )
        for data in datasets
    ]
    kind = Poisoned if attack == "scale" else Federation
    federation = kind(sites, chosen, ALGORITHMS[chosen.method.algorithm](chosen, sites))
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Checkpoint(Path(folder) / "checkpoint", "benchmark")
        federation.train(checkpoint, f"{attack}, {how}, seed {seed}", threading.Event())
    return sites[0]


def area(site: LocalSite, evaluated: list[Dataset]) -> float:
    """AUROC on the images of all honest sites; of scores that are not finite, none."""
    model = site.model.eval()
    scores, labels = [], []
    with torch.inference_mode():
        for data in evaluated:
            if data.site != LIAR:
                for images in data.images.batches(data.in_order(64)):
                    scores.append(model(to_unit(images), [*data.heads]).float())
                labels.append(data.labels)
    found = torch.cat(scores).numpy().ravel()
    return (
        roc_auc_score(torch.cat(labels).numpy().ravel(), found)
        if np.isfinite(found).all()
        else np.nan
    )


def cell(areas: np.ndarray) -> str:
    """Mean and standard deviation of AUROC, and how many models give no numbers."""
    known = areas[np.isfinite(areas)]
    if len(known) < len(areas):
        return f"no scores from {len(areas) - len(known)} of {len(areas)} models"
    return f"{known.mean():.3f} ± {known.std(ddof=1):.3f}"


def main() -> None:
    config = load_configfile(str(ROOT / "config/config.yaml"))
    update_config(config, load_configfile(str(ROOT / OVERLAY)))
    config = loading.complete(config)
    line = ["snakemake", "--cores", str(os.cpu_count()), "--configfile", OVERLAY, "--"]
    results = config["pathvars"]["results"]
    line += [f"{results}/sites.csv", f"{results}/splits/patient.csv"]
    subprocess.run(line, check=True, cwd=ROOT, stdout=sys.stderr)
    torch.set_num_threads(config["training"]["threads"])
    evaluated = datasets_of(config, "evaluation")
    print("| the fifth site | " + " | ".join(COMBINED) + " |")
    print("|---" * (1 + len(COMBINED)) + "|")
    for attack, title in ATTACKS.items():
        cells = []
        for how in COMBINED.values():
            areas = [area(trained(config, attack, how, seed), evaluated) for seed in SEEDS]
            cells.append(cell(np.array(areas)))
        print(f"| {title} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
