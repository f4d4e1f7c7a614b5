"""Result files as the stages before the figures write them, small, made from known scores."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score, roc_curve

from chexviz.base.tables.sites import FETCHED
from chexviz.base.tables.study import LEAKAGE, PAIR
from chexviz.cohort.label_checks import check
from chexviz.data.sources.registry import of_kind

SIZE = 64
DRAWS = 12  # resamples: enough for an interval, few enough for many models
GRID = np.linspace(0, 1, 51)
SKILL = {"standard": 1.45, "densenet121": 1.75}
LACKING = {"baseline": 0.0, "pooled": -0.1}  # of an architecture's skill; other methods: 0.05
ROUNDS, BYTES = 6, {"standard": 371_000, "densenet121": 28_200_000}
RSNA = {
    "name": "rsna",
    "title": "RSNA",
    "task": "pneumonia",
    "table": "",
    "reader": "rsna",
    "phantom": False,
}
SIIM = {
    "name": "siim",
    "title": "SIIM-ACR",
    "task": "pneumothorax",
    "table": "",
    "reader": "siim",
    "phantom": False,
}
HOSPITAL = {
    "name": "hospital",
    "title": "General Hospital",
    "task": "pneumonia",
    "table": "",
    "reader": "table",
    "phantom": False,
}
KINDS = {"rsna": "kaggle-competition:rsna", "siim": "kaggle-dataset:owner/siim"}


@dataclass
class Results:
    """A folder of result files and where each of them is."""

    root: Path
    sites: list[dict]
    protocols: list[str]
    seeds: list[int]
    methods: list[str]

    @property
    def models(self) -> list[tuple[str, str]]:
        methods = ["baseline", *self.methods]
        return [(architecture, method) for architecture in SKILL for method in methods]

    def predictions(self, protocol: str, model: tuple[str, str], seed: int) -> Path:
        return self.root / "predictions" / protocol / Path(*model) / f"seed{seed}.csv"

    def gradcam(self, protocol: str, model: tuple[str, str], seed: int) -> Path:
        return self.predictions(protocol, model, seed).with_suffix(".gradcam.npz")

    def history(self, protocol: str, model: tuple[str, str], seed: int, name: str) -> Path:
        folder = self.root / "models" / protocol / Path(*model)
        return folder / f"seed{seed}" / f"{name}.history.csv"

    def evaluation(self, protocol: str, name: str) -> Path:
        return self.root / "evaluation" / protocol / f"{name}.csv"

    def split(self, protocol: str) -> Path:
        return self.root / "splits" / f"{protocol}.csv"

    def site(self, site: str, name: str) -> Path:
        return self.root / "sites" / site / name


def make_results(
    root: Path,
    *,
    sites=(RSNA, SIIM),
    protocols=("paper", "patient"),
    seeds=(2022,),
    methods=("fedavg",),
    images=240,
    known=True,
) -> Results:
    """Write every file that tables, figures and the paper read.

    images: evaluated, per site. known: whether patients, views, sexes and ages are.
    """
    results = Results(Path(root), list(sites), list(protocols), list(seeds), list(methods))
    rng = np.random.default_rng(7)
    for site in results.sites:
        make_site(results, site["name"], images, rng, known)
    write(label_rows(results), results.root / "audit" / "labels.csv")
    for protocol in results.protocols:
        splits = [split_rows(results, site["name"], protocol) for site in results.sites]
        write(pd.concat(splits), results.split(protocol))
        write(audit_rows(results, protocol), results.root / "audit" / f"{protocol}.csv")
        make_protocol(results, protocol, rng)
        make_histories(results, protocol)
    return results


def make_histories(results: Results, protocol: str) -> None:
    for number, (model, seed, name) in enumerate(trainings(results)):
        path = results.history(protocol, model, seed, name)
        write(history_rows(results, model, name, number), path)


def trainings(results: Results) -> list[tuple[tuple[str, str], int, str]]:
    """Model, seed and name of every training; an ensemble is none."""
    names = [site["name"] for site in results.sites]
    return [
        (model, seed, name)
        for model in results.models
        if model[1] != "ensemble"
        for seed in results.seeds
        for name in (names if model[1] == "baseline" else ["global"])
    ]


def history_rows(results: Results, model: tuple[str, str], name: str, number: int) -> pd.DataFrame:
    """Losses that fall from round to round; every training has its own."""
    architecture, method = model
    sites = [site["name"] for site in results.sites] if name == "global" else [name]
    sites = ["+".join(sites)] if method == "pooled" else sites
    exchanges = method not in ("baseline", "pooled") and len(sites) > 1
    rows = [
        {
            **{"round": round + 1, "site": site, "learning_rate": 0.001},
            **{"loss": (0.7 + 0.01 * number + 0.1 * position) * 0.8**round, "images": 100},
            "drift": (0.3 + 0.01 * number) * 0.5**round if exchanges else 0.0,
            "sent": BYTES[architecture] * (1 + (method == "scaffold")) if exchanges else 0,
        }
        for round in range(ROUNDS)
        for position, site in enumerate(sites)
    ]
    return pd.DataFrame(rows)


def write(table: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False, lineterminator="\n")


def make_site(
    results: Results, site: str, images: int, rng: np.random.Generator, known: bool
) -> None:
    count = 3 * images
    names = [f"{site}{index:05d}" for index in range(count)]
    labels = (np.arange(count) % 4 == 0).astype(int)
    samples = pd.DataFrame(
        {
            "image": names,
            "file": [f"{name}.dcm" for name in names],
            "patient": [f"{site}-p{index // 2}" for index in range(count)],
            "patient_known": site != "siim",
            "label": labels,
            "view": rng.choice(["AP", "PA"], count),
            "sex": rng.choice(["F", "M"], count),
            "age": rng.integers(18, 90, count),
            "age_stated": "",
            "spacing": 0.8,
            "sha256": "0" * 64,
            "phash": "0" * 16,
        }
    )
    if not known:
        nobody = dict.fromkeys(["view", "sex", "age"], np.nan)
        samples = samples.assign(patient=names, patient_known=False, **nobody)
    write(samples, results.site(site, "samples.csv"))
    np.save(results.site(site, "images.npy"), np.stack([chest(rng) for _ in range(count)]))
    masks = site == "siim"
    rows = [
        annotation(name, masks, rng) for name, label in zip(names, labels, strict=True) if label
    ]
    write(pd.DataFrame(rows), results.site(site, "annotations.csv"))
    write(
        pd.DataFrame(
            [("broken.dcm", "no pixel data"), ("again/00000.dcm", "second copy of 00000.dcm")],
            columns=["file", "reason"],
        ),
        results.site(site, "rejected.csv"),
    )


def chest(rng: np.random.Generator) -> np.ndarray:
    """A grey thorax with two dark lungs, uint8 (SIZE, SIZE)."""
    y, x = np.mgrid[0:SIZE, 0:SIZE] / (SIZE - 1)
    image = np.where(np.abs(x - 0.5) < 0.25 + 0.2 * y, 150.0, 10.0)
    for centre in (0.32, 0.68):
        image[((x - centre) / 0.14) ** 2 + ((y - 0.48) / 0.3) ** 2 < 1] = 60
    return np.clip(image + rng.normal(0, 9, image.shape), 0, 255).astype(np.uint8)


def annotation(image: str, mask: bool, rng: np.random.Generator) -> dict:
    x, y = int(rng.integers(12, 26)), int(rng.integers(16, 30))
    width, height = 12, 18
    runs = " ".join(f"{column * SIZE + y} {height}" for column in range(x, x + width))
    box = {"x": x, "y": y, "width": width, "height": height}
    return {"image": image, **box, "runs": runs if mask else ""}


def split_rows(results: Results, site: str, protocol: str) -> pd.DataFrame:
    samples = pd.read_csv(results.site(site, "samples.csv"), dtype={"image": str})
    third = len(samples) // 3
    middle = "train" if protocol == "paper" else "validation"
    subset = ["evaluation"] * third + [middle] * third + ["train"] * (len(samples) - 2 * third)
    rows = samples[["image", "patient", "label"]].assign(site=site, subset=subset)
    rows = rows.assign(position=range(len(rows)))
    return rows[["site", "image", "patient", "label", "subset", "position"]]


def audit_rows(results: Results, protocol: str) -> pd.DataFrame:
    """Under `paper` 160 of 240 evaluation images share a patient within their site."""
    rows = []
    names = [site["name"] for site in results.sites]
    for site in names:
        scopes = [("any", ""), ("within", site), ("across", "")]
        scopes += [("across", other) for other in names if other != site]
        for scope, other in scopes:
            there = [other] if other else [name for name in names if scope == "any" or name != site]
            for kind in ("patient", "duplicate", "exact", "any"):
                known = 0 if site == "siim" else 240
                found = protocol == "paper" and scope != "across" and kind in ("patient", "any")
                affected = 160 * (found and known > 0)
                fraction = affected / 240
                if kind == "patient" and (not known or there == ["siim"]):
                    fraction = np.nan
                note = "" if known else "patient known for 0 of 240 images"
                counts = [240, known, affected, fraction, note]
                rows.append([protocol, site, scope, other, kind, *counts])
    return LEAKAGE.frame(rows)


def label_rows(results: Results) -> pd.DataFrame:
    """The real checks of the samples."""
    tables = {
        site["name"]: pd.read_csv(results.site(site["name"], "samples.csv"), dtype=str)
        for site in results.sites
    }
    images = pd.concat(table.assign(site=site) for site, table in tables.items())
    images = images.reset_index(drop=True).assign(patient_known=True, age_stated="50")
    images = images.astype({"label": float, "age": float, "spacing": float})
    pairs = pd.DataFrame(columns=PAIR)
    return check(images, pairs, {site["name"]: site["task"] for site in results.sites})


def make_protocol(results: Results, protocol: str, rng: np.random.Generator) -> None:
    metrics, comparisons, curves, tables, maps = [], [], [], {}, {}
    splits = pd.read_csv(results.split(protocol), dtype={"image": str})
    for site in results.sites:
        rows = splits[(splits["site"] == site["name"]) & (splits["subset"] == "evaluation")]
        labels = rows["label"].to_numpy()
        for seed in results.seeds:
            common = rng.normal(size=len(rows))
            scores = {}
            for model in results.models:
                latent = 0.85 * common + 0.53 * rng.normal(size=len(rows)) + skill(*model) * labels
                scores[model] = 1 / (1 + np.exp(2.2 - 1.4 * latent))
                columns = ["site", "image", "patient", "label", "subset"]
                table = rows[columns].assign(score=scores[model])
                others = {one["name"] for one in results.sites} - {site["name"]}
                for other in sorted(others if model[1] != "baseline" else ()):
                    table[f"score_{other}"] = rng.random(len(rows))
                tables.setdefault((model, seed), []).append(table)
                maps.setdefault((model, seed), {}).update(made_gradcam(site["name"], rows, rng))
            draws = resamples(labels, rng)
            for model, score in scores.items():
                key = {"site": site["name"], "task": site["task"]}
                key |= {"architecture": model[0], "method": model[1], "seed": seed}
                metrics.append(key | metric_row(labels, score, rows["patient"].nunique(), draws))
                curves.append(roc_rows(key, labels, score, draws))
                if model[1] != "baseline":
                    reference = scores[(model[0], "baseline")]
                    comparisons.append(key | comparison_row(labels, score, reference, draws))
    for key, parts in tables.items():
        write(pd.concat(parts), results.predictions(protocol, *key))
        np.savez(results.gradcam(protocol, *key), **maps[key])
    write(pd.DataFrame(metrics), results.evaluation(protocol, "metrics"))
    write(pd.DataFrame(comparisons), results.evaluation(protocol, "comparisons"))
    write(pd.concat(curves), results.evaluation(protocol, "roc"))


def skill(architecture: str, method: str) -> float:
    """How far the scores of positive and negative images lie apart."""
    return SKILL[architecture] - LACKING.get(method, 0.05)


def made_gradcam(site: str, rows: pd.DataFrame, rng: np.random.Generator) -> dict[str, np.ndarray]:
    positive = rows.loc[rows["label"] == 1, "image"]
    y, x = np.mgrid[0:7, 0:7]
    centres = rng.uniform(1.5, 4.5, (len(positive), 2))
    maps = [np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 3) for cx, cy in centres]
    return {
        f"image_{site}": positive.to_numpy(dtype=str),
        f"map_{site}": np.stack(maps).astype(np.float32),
    }


def blinded(path: Path, site: str) -> None:
    """Make all maps of a site zero."""
    with np.load(path) as archive:
        arrays = dict(archive)
    np.savez(path, **arrays | {f"map_{site}": np.zeros_like(arrays[f"map_{site}"])})


def resamples(labels: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    classes = [np.flatnonzero(labels == value) for value in (0, 1)]
    return [np.concatenate([rng.choice(each, len(each)) for each in classes]) for _ in range(DRAWS)]


def metric_row(labels, score, patients: int, draws) -> dict:
    fpr, tpr, thresholds = roc_curve(labels, score)
    threshold = thresholds[np.argmax(tpr - fpr)]
    functions = {
        "loss": log_loss,
        "sensitivity": lambda y, s: np.mean(s[y == 1] >= threshold),
        "specificity": lambda y, s: np.mean(s[y == 0] < threshold),
        "aupr": average_precision_score,
        "auroc": roc_auc_score,
    }
    row = {"images": len(labels), "patients": patients, "positives": int(labels.sum())}
    row |= {"threshold": threshold, "note": ""}
    for name, function in functions.items():
        low, high = np.quantile([function(labels[d], score[d]) for d in draws], [0.025, 0.975])
        row |= {name: function(labels, score), f"{name}_low": low, f"{name}_high": high}
    return row


def comparison_row(labels, score, reference, draws) -> dict:
    from scipy.stats import norm

    def difference(chosen):
        return roc_auc_score(labels[chosen], score[chosen]) - roc_auc_score(
            labels[chosen], reference[chosen]
        )

    spread = [difference(draw) for draw in draws]
    observed = difference(np.arange(len(labels)))
    error = np.std(spread, ddof=1)
    low, high = np.quantile(spread, [0.025, 0.975])
    z = observed / error
    return {
        **{"reference": "baseline", "difference": observed, "low": low, "high": high},
        **{"standard_error": error, "statistic": z, "p": 2 * norm.sf(abs(z))},
        **{"test": "bootstrap_patients", "p_holm": min(1, 8 * norm.sf(abs(z)))},
        **{"margin": 0.05, "p_non_inferior": norm.sf((observed + 0.05) / error), "note": ""},
    }


def roc_rows(key: dict, labels, score, draws) -> pd.DataFrame:
    def curve(chosen):
        fpr, tpr, _ = roc_curve(labels[chosen], score[chosen])
        return np.interp(GRID, fpr, tpr)

    low, high = np.quantile([curve(draw) for draw in draws], [0.025, 0.975], axis=0)
    tpr = curve(np.arange(len(labels)))
    table = pd.DataFrame({"fpr": GRID, "tpr": tpr, "low": low, "high": high})
    for position, name in enumerate(("site", "architecture", "method", "seed")):
        table.insert(position, name, key[name])
    return table


def make_resources(results: Results, site: str) -> Path:
    """The folder with the manifest of a site's raw files, and with where they come from."""
    folder = results.root / "resources" / site
    samples = pd.read_csv(results.site(site, "samples.csv"))
    write(
        pd.DataFrame({"file": samples["file"], "bytes": 1000, "sha256": "0" * 64}),
        folder / "manifest.csv",
    )
    source = KINDS.get(site, "local:/data/chest")
    date = "" if source.startswith("local") else "2026-11-29"
    address = of_kind(source).address(source)
    FETCHED.write([[source, date, address]], folder / "fetched.csv")
    return folder
