"""Known answers for partial labels: phantoms whose findings are all known, and hidden from sites.

Runs the workflow with config/partial_labels.yaml, and with the bound over it, in which no label is
hidden; prints the AUROC of every method at every site as the table of docs/methods.md.
"""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
from sklearn.metrics import roc_auc_score
from snakemake.common.configfile import load_configfile
from snakemake.utils import update_config

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))
from chexviz.base.methods import BASELINE
from chexviz.base.tables.models import PREDICTIONS, answer

ROOT = Path(__file__).parents[1]
CONFIGS = ("config", "partial_labels", "partial_labels_bound")
METHODS = {
    BASELINE: "baseline",
    "ensemble": "ensemble",
    "fedavg": "private heads",
    "shared": "shared heads",
    "surgical": "surgical",
    "pooled": "pooled",
}
KEYS = ["site", "finding", "method", "head"]


def config_of(names: tuple[str, ...]) -> dict:
    """Configs laid over each other."""
    config: dict = {}
    for name in names:
        update_config(config, load_configfile(str(ROOT / f"config/{name}.yaml")))
    return config


def areas(names: tuple[str, ...], *others: str) -> pd.Series:
    """Run the workflow with these configs; AUROC of each head on evaluation images, by KEYS, seed.

    others: methods beside those of the run. A site's labels of findings that are hidden from its
    training count as well.
    """
    run, folder = config_of(names)["run"], f"results/{names[-1]}/predictions/patient/standard"
    methods, seeds = [*others, *run["methods"]], run["seeds"]
    files = {
        (method, seed): f"{folder}/{method}/seed{seed}.csv" for method in methods for seed in seeds
    }
    overlays = [f"config/{name}.yaml" for name in names[1:]]
    line = ["snakemake", "--cores", str(os.cpu_count()), "--configfile", *overlays, "--"]
    subprocess.run([*line, *files.values()], check=True, cwd=ROOT, stdout=sys.stderr)
    tables = [
        PREDICTIONS.read(ROOT / file).assign(method=method, seed=seed)
        for (method, seed), file in files.items()
    ]
    table = pd.concat(tables)
    table = table[(table["subset"] == "evaluation") & table["label"].notna()]
    groups = table.groupby([*KEYS, "seed"], sort=False)
    return groups.apply(lambda rows: roc_auc_score(rows["label"], rows["score"]))


def cell(found: pd.Series, site: str, finding: str, method: str) -> str:
    """Mean and standard deviation over seeds of a method's answer at a site; of baselines each."""
    try:
        by_head = dict(list(found[site, finding, method].groupby("head")))
    except KeyError:
        return "–"
    told = {head: f"{rows.mean():.3f} ± {rows.std():.3f}" for head, rows in by_head.items()}
    if method != BASELINE or len(told) == 1:
        return told[answer(site, told)]
    return "; ".join(f"{head} {value}" for head, value in told.items())


def main() -> None:
    partial, bound = areas(CONFIGS[:2], BASELINE), areas(CONFIGS)
    sites = config_of(CONFIGS[:2])["sites"]
    head = ["site", "finding", "labels", *METHODS.values()]
    head += [f"{METHODS[name]}, no label hidden" for name in ("fedavg", "shared", "pooled")]
    print("| " + " | ".join(head) + " |")
    print("|---" * len(head) + "|")
    for site, finding in bound.index.droplevel(["method", "head", "seed"]).unique():
        about = sites[site]
        labels = "train" if finding in about["findings"] else "hidden"
        cells = [cell(partial, site, finding, method) for method in METHODS]
        cells += [cell(bound, site, finding, name) for name in ("fedavg", "shared", "pooled")]
        shown = [about["title"], finding, "external" if site == "abroad" else labels, *cells]
        print("| " + " | ".join(shown) + " |")


if __name__ == "__main__":
    main()
