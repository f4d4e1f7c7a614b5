"""Result files as the stages before the figures write them, small, made from known scores."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm

from chexviz.base.tables.models import MEAN, MODEL, SHARED, answer
from chexviz.base.tables.sites import FETCHED
from chexviz.base.tables.study import DUPLICATES, LEAKAGE
from chexviz.cohort import label_checks
from chexviz.data.sources.registry import of_kind

SIZE = 64
DRAWS = 12  # resamples: enough for an interval, few enough for many models
GRID = np.linspace(0, 1, 51)
SKILL = {"standard": 1.45, "densenet121": 1.75}
LACKING = {"baseline": 0.0, "pooled": -0.1}  # of an architecture's skill; other methods: 0.05
ROUNDS, BYTES = 6, {"standard": 371_000, "densenet121": 28_200_000}
COMMON = {"role": "train", "table": "", "reader": "table", "phantom": False}
COMMON |= {"split": "protocol", "uncertain": None}
RSNA = COMMON | {
    **{"name": "rsna", "title": "RSNA", "findings": ["pneumonia"], "reader": "rsna"},
}
SIIM = COMMON | {
    **{"name": "siim", "title": "SIIM-ACR", "findings": ["pneumothorax"], "reader": "siim"},
}
HOSPITAL = COMMON | {"name": "hospital", "title": "General Hospital", "findings": ["pneumonia"]}
CLINIC = COMMON | {
    **{"name": "clinic", "title": "Clinic", "findings": ["pneumonia", "pleural_effusion"]},
}
ABROAD = COMMON | {
    **{"name": "abroad", "title": "Abroad", "role": "external"},
    "findings": ["pneumonia", "pneumothorax"],
}
TOGETHER = ("pooled", "shared", "surgical")  # methods with one head for all sites
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
    def training(self) -> list[dict]:
        return [site for site in self.sites if site["role"] == "train"]

    @property
    def learned(self) -> list[str]:
        """The findings that the training sites label."""
        named = (finding for site in self.training for finding in site["findings"])
        return list(dict.fromkeys(named))

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

    images: evaluated, per training site; of an external one three times as many are. known: whether
    patients, views, sexes and ages are.
    """
    results = Results(Path(root), list(sites), list(protocols), list(seeds), list(methods))
    rng = np.random.default_rng(7)
    for site in results.sites:
        make_site(results, site, images, rng, known)
    make_label_checks(results)
    for protocol in results.protocols:
        splits = [split_rows(results, site, protocol) for site in results.sites]
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
    names = [site["name"] for site in results.training]
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
    sites = [site["name"] for site in results.training] if name == "global" else [name]
    sites = ["+".join(sites)] if method == "pooled" else sites
    exchanges = method not in ("baseline", "pooled") and len(sites) > 1
    rows = [
        {
            **{"round": round + 1, "site": site, "learning_rate": 0.001},
            **{"loss": (0.7 + 0.01 * number + 0.1 * position) * 0.8**round, "images": 100},
            "drift": (0.3 + 0.01 * number) * 0.5**round if exchanges else 0.0,
            "sent": BYTES[architecture] * (1 + (method == "scaffold")) if exchanges else 0,
            "epsilon": private_epsilon(method, round, position),
        }
        for round in range(ROUNDS)
        for position, site in enumerate(sites)
    ]
    return pd.DataFrame(rows)


def private_epsilon(method: str, round: int, position: int) -> float | None:
    """What is spent under a method called dp, or dpsite, and its epsilon, such as dp3."""
    if not method.startswith("dp"):
        return None
    return (
        float(method.removeprefix("dp").removeprefix("site")) * (round + 1) / ROUNDS
        - 0.01 * position
    )


def write(table: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False, lineterminator="\n")


def make_site(
    results: Results, about: dict, images: int, rng: np.random.Generator, known: bool
) -> None:
    site, count = about["name"], 3 * images
    names = [f"{site}{index:05d}" for index in range(count)]
    labels = labels_of(about, count)
    samples = pd.DataFrame(
        {
            "image": names,
            "file": [f"{name}.dcm" for name in names],
            "patient": [f"{site}-p{index // 2}" for index in range(count)],
            "patient_known": site != "siim",
            "subset": "",
            "view": rng.choice(["AP", "PA"], count),
            "sex": rng.choice(["F", "M"], count),
            "age": rng.integers(18, 90, count),
            "age_stated": "",
            "spacing": 0.8,
            "sha256": "0" * 64,
            "phash": "0" * 16,
            **labels,
        }
    )
    if not known:
        nobody = dict.fromkeys(["view", "sex", "age"], np.nan)
        samples = samples.assign(patient=names, patient_known=False, **nobody)
    write(samples, results.site(site, "samples.csv"))
    np.save(results.site(site, "images.npy"), np.stack([chest(rng) for _ in range(count)]))
    masks = site == "siim"
    findings = about["findings"]
    rows = [
        annotation(name, finding if len(findings) > 1 else "", masks, rng)
        for place, name in enumerate(names)
        for finding in findings
        if labels[f"label_{finding}"][place] == 1
    ]
    write(pd.DataFrame(rows), results.site(site, "annotations.csv"))
    write(
        pd.DataFrame(
            [("broken.dcm", "no pixel data"), ("again/00000.dcm", "second copy of 00000.dcm")],
            columns=["file", "reason"],
        ),
        results.site(site, "rejected.csv"),
    )


def labels_of(site: dict, count: int) -> dict[str, np.ndarray]:
    """The label columns of a site: a quarter positive of the first finding, every image known; of
    each further one fewer, a tenth unknown."""
    index = np.arange(count)
    labels = {}
    for place, finding in enumerate(site["findings"]):
        label = (index % (4 + place) == place).astype(float)
        labels[f"label_{finding}"] = np.where((index % 10 == 9) & (place > 0), np.nan, label)
    return labels


def chest(rng: np.random.Generator) -> np.ndarray:
    """A grey thorax with two dark lungs, uint8 (SIZE, SIZE)."""
    y, x = np.mgrid[0:SIZE, 0:SIZE] / (SIZE - 1)
    image = np.where(np.abs(x - 0.5) < 0.25 + 0.2 * y, 150.0, 10.0)
    for centre in (0.32, 0.68):
        image[((x - centre) / 0.14) ** 2 + ((y - 0.48) / 0.3) ** 2 < 1] = 60
    return np.clip(image + rng.normal(0, 9, image.shape), 0, 255).astype(np.uint8)


def annotation(image: str, finding: str, mask: bool, rng: np.random.Generator) -> dict:
    x, y = int(rng.integers(12, 26)), int(rng.integers(16, 30))
    width, height = 12, 18
    runs = " ".join(f"{column * SIZE + y} {height}" for column in range(x, x + width))
    box = {"x": x, "y": y, "width": width, "height": height}
    return {"image": image, "finding": finding, **box, "runs": runs if mask else ""}


def split_rows(results: Results, site: dict, protocol: str) -> pd.DataFrame:
    samples = pd.read_csv(results.site(site["name"], "samples.csv"), dtype={"image": str})
    count = len(samples)
    third = count // 3
    middle = "train" if protocol == "paper" else "validation"
    subset = ["evaluation"] * third + [middle] * third + ["train"] * (count - 2 * third)
    if site["role"] == "external":
        subset = ["evaluation"] * count
    labels = [f"label_{finding}" for finding in site["findings"]]
    rows = samples[["image", "patient", *labels]].assign(site=site["name"], subset=subset)
    rows = rows.assign(position=range(count))
    return rows[["site", "image", "patient", "subset", "position", *labels]]


def audit_rows(results: Results, protocol: str) -> pd.DataFrame:
    """Under `paper` 160 of 240 evaluation images share a patient within their site."""
    rows = []
    names = [site["name"] for site in results.sites]
    trained = {site["name"] for site in results.training}
    for site in names:
        scopes = [("any", ""), ("within", site), ("across", "")]
        scopes += [("across", other) for other in names if other != site]
        for scope, other in scopes:
            there = [other] if other else [name for name in names if scope == "any" or name != site]
            for kind in ("patient", "duplicate", "exact", "any"):
                known = 0 if site == "siim" else 240
                found = protocol == "paper" and scope != "across" and kind in ("patient", "any")
                nobody = trained.isdisjoint(there)  # who trains there
                affected = 160 * (found and known > 0 and not nobody)
                fraction = affected / 240
                if kind == "patient" and (not known or there == ["siim"]):
                    fraction = np.nan
                if nobody:
                    fraction = np.nan
                note = "" if known else "patient known for 0 of 240 images"
                counts = [240, known, affected, fraction, note]
                rows.append([protocol, site, scope, other, kind, *counts])
    return LEAKAGE.frame(rows)


def make_label_checks(results: Results) -> None:
    """The real checks of the samples, as if all patients and ages were known."""
    folder = results.root / "checked"
    names = [site["name"] for site in results.sites]
    files = [folder / f"{name}.csv" for name in names]
    for name, path in zip(names, files, strict=True):
        samples = pd.read_csv(results.site(name, "samples.csv"), dtype=str)
        write(samples.assign(patient_known=True, age_stated="50"), path)
    write(pd.DataFrame(columns=DUPLICATES.names), folder / "duplicates.csv")
    output = results.root / "audit" / "labels.csv"
    output.parent.mkdir(exist_ok=True)
    inputs = ["--site", *names, "--samples", *map(str, files)]
    label_checks.main([*inputs, f"--duplicates={folder / 'duplicates.csv'}", f"--output={output}"])


def make_protocol(results: Results, protocol: str, rng: np.random.Generator) -> None:
    metrics, comparisons, curves, tables, maps = [], [], [], {}, {}
    splits = pd.read_csv(results.split(protocol), dtype={"image": str})
    for site in results.sites:
        rows = splits[(splits["site"] == site["name"]) & (splits["subset"] == "evaluation")]
        for seed in results.seeds:
            common = {finding: rng.normal(size=len(rows)) for finding in site["findings"]}
            scores: dict[tuple, np.ndarray] = {}
            for model in results.models:
                found = made_scores(results, site, rows, model, common, rng)
                scores |= {(model, *key): score for key, score in found.items()}
                table = prediction_rows(site, rows, found)
                tables.setdefault((model, seed), []).append(table)
                drawn = made_gradcam(results, site, rows, model, rng)
                maps.setdefault((model, seed), {}).update(drawn)
            for finding in learned_at(results, site):
                labels = rows[f"label_{finding}"].to_numpy()
                known = ~np.isnan(labels)
                labels, patients = labels[known].astype(int), rows["patient"][known].nunique()
                draws = resamples(labels, rng)
                for model in results.models:
                    for head in judged(results, model[1], site, finding):
                        score = scores[model, finding, head][known]
                        key = {"site": site["name"], "finding": finding, "head": head}
                        key |= {"architecture": model[0], "method": model[1], "seed": seed}
                        metrics.append(key | metric_row(labels, score, patients, draws))
                        curves.append(roc_rows(key, labels, score, draws))
                        for other in references(results, model[1], site, finding, head):
                            reference = scores[(model[0], "baseline"), finding, other][known]
                            row = comparison_row(labels, score, reference, draws)
                            comparisons.append(key | {"reference_head": other} | row)
    for key, parts in tables.items():
        write(pd.concat(parts), results.predictions(protocol, *key))
        np.savez(results.gradcam(protocol, *key), **maps[key])
    write(pd.DataFrame(metrics), results.evaluation(protocol, "metrics"))
    write(pd.DataFrame(comparisons), results.evaluation(protocol, "comparisons"))
    write(pd.concat(curves), results.evaluation(protocol, "roc"))


def learned_at(results: Results, site: dict) -> list[str]:
    """The findings of a site that anyone learns."""
    return [finding for finding in site["findings"] if finding in results.learned]


def heads_of(results: Results, method: str, site: dict, finding: str) -> list[str]:
    """The heads that score a finding at a site; its answer first, if it has one."""
    if method == "ensemble":
        return [MEAN]
    if method in TOGETHER:
        return [SHARED]
    knowing = [one["name"] for one in results.training if finding in one["findings"]]
    if method == "baseline":
        own = [site["name"]] if site["name"] in knowing else []
        return own if site["role"] == "train" else knowing
    heads = knowing + [MEAN] * (len(knowing) > 1)
    return sorted(heads, key=lambda head: head != answer(site["name"], heads))


def judged(results: Results, method: str, site: dict, finding: str) -> list[str]:
    """The heads that are evaluated at a site: its answer, at an external site all."""
    heads = heads_of(results, method, site, finding)
    return heads if site["role"] == "external" else heads[:1]


def references(results: Results, method: str, site: dict, finding: str, head: str) -> list[str]:
    """The baselines, by the site of each, that a head is compared with."""
    if method == "baseline":
        return []
    baselines = heads_of(results, "baseline", site, finding)
    answers = head == heads_of(results, method, site, finding)[0]
    return [one for one in baselines if answers or one == head]


def made_scores(
    results: Results,
    site: dict,
    rows: pd.DataFrame,
    model: tuple[str, str],
    common: dict[str, np.ndarray],
    rng: np.random.Generator,
) -> dict[tuple[str, str], np.ndarray]:
    """Scores by finding and head: good ones where the site labels the finding, else chance."""
    scores = {}
    for finding in [*learned_at(results, site), *set_aside(results.learned, site["findings"])]:
        heads = heads_of(results, model[1], site, finding)
        for head in sorted(heads, key=lambda one: one == MEAN and len(heads) > 1):
            if head == MEAN and len(heads) > 1:
                parts = [scores[finding, one] for one in heads if one != MEAN]
                scores[finding, head] = np.mean(parts, axis=0)
            elif head in judged(results, model[1], site, finding) and finding in common:
                labels = rows[f"label_{finding}"].fillna(0).to_numpy()
                latent = 0.85 * common[finding] + 0.53 * rng.normal(size=len(rows))
                latent += skill(*model) * labels
                scores[finding, head] = 1 / (1 + np.exp(2.2 - 1.4 * latent))
            else:
                scores[finding, head] = rng.random(len(rows))
    return scores


def set_aside(findings: list[str], own: list[str]) -> list[str]:
    """The findings that a site has not."""
    return [finding for finding in findings if finding not in own]


def prediction_rows(site: dict, rows: pd.DataFrame, scores: dict) -> pd.DataFrame:
    """A site's rows of predictions; a head's follow each other."""
    parts = []
    for (finding, head), score in scores.items():
        part = rows[["site", "image", "patient", "subset"]].assign(finding=finding)
        known = finding in site["findings"]
        label = rows[f"label_{finding}"] if known else np.full(len(rows), np.nan)
        parts.append(part.assign(label=label, head=head, score=score))
    return pd.concat(parts)


def skill(architecture: str, method: str) -> float:
    """How far the scores of positive and negative images lie apart."""
    return SKILL[architecture] - LACKING.get(method, 0.05)


def made_gradcam(
    results: Results,
    site: dict,
    rows: pd.DataFrame,
    model: tuple[str, str],
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Maps of the answer of each finding of a site; of each baseline where it is external."""
    arrays = {}
    for finding in learned_at(results, site):
        positive = rows.loc[rows[f"label_{finding}"] == 1, "image"]
        heads = heads_of(results, model[1], site, finding)
        for head in heads if model[1] == "baseline" else heads[:1]:
            y, x = np.mgrid[0:7, 0:7]
            centres = rng.uniform(1.5, 4.5, (len(positive), 2))
            maps = [np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 3) for cx, cy in centres]
            name = f"{site['name']}_{finding}_{head}"
            arrays[f"image_{name}"] = positive.to_numpy(dtype=str)
            arrays[f"map_{name}"] = np.stack(maps).astype(np.float32)
    return arrays


def blinded(path: Path, site: str) -> None:
    """Make all maps of a site zero."""
    with np.load(path) as archive:
        arrays = dict(archive)
    blank = {name: np.zeros_like(each) for name, each in arrays.items() if f"map_{site}_" in name}
    np.savez(path, **arrays | blank)


def resamples(labels: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    classes = [np.flatnonzero(labels == value) for value in (0, 1)]
    return [np.concatenate([rng.choice(each, len(each)) for each in classes]) for _ in range(DRAWS)]


def counted(labels, score) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """From the highest score down: each distinct one, and the positives and negatives from it on.

    Everything below is computed of these; scikit-learn, which checks its input each time, takes
    longer for the thousands of small resamples than all else that is made.
    """
    order = np.argsort(-score, kind="stable")
    last = np.append(np.flatnonzero(np.diff(score[order])), len(order) - 1)
    true = np.cumsum(labels[order])[last]
    return score[order][last], true, last + 1 - true


def roc_curve(labels, score) -> tuple[np.ndarray, np.ndarray]:
    """False and true positive rates."""
    _, true, false = counted(labels, score)
    return np.append(0, false / false[-1]), np.append(0, true / true[-1])


def auroc(labels, score) -> float:
    fpr, tpr = roc_curve(labels, score)
    return np.trapezoid(tpr, fpr)


def average_precision(labels, score) -> float:
    _, true, false = counted(labels, score)
    return np.diff(true / true[-1], prepend=0) @ (true / (true + false))


def metric_row(labels, score, patients: int, draws) -> dict:
    fpr, tpr = roc_curve(labels, score)
    threshold = np.append(np.inf, counted(labels, score)[0])[np.argmax(tpr - fpr)]
    functions = {
        "loss": lambda y, s: -np.log(np.where(y == 1, s, 1 - s)).mean(),
        "sensitivity": lambda y, s: np.mean(s[y == 1] >= threshold),
        "specificity": lambda y, s: np.mean(s[y == 0] < threshold),
        "aupr": average_precision,
        "auroc": auroc,
    }
    row = {"images": len(labels), "patients": patients, "positives": int(labels.sum())}
    row |= {"threshold": threshold, "note": ""}
    for name, function in functions.items():
        low, high = np.quantile([function(labels[d], score[d]) for d in draws], [0.025, 0.975])
        row |= {name: function(labels, score), f"{name}_low": low, f"{name}_high": high}
    return row


def comparison_row(labels, score, reference, draws) -> dict:
    def difference(chosen):
        return auroc(labels[chosen], score[chosen]) - auroc(labels[chosen], reference[chosen])

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
        fpr, tpr = roc_curve(labels[chosen], score[chosen])
        return np.interp(GRID, fpr, tpr)

    low, high = np.quantile([curve(draw) for draw in draws], [0.025, 0.975], axis=0)
    tpr = curve(np.arange(len(labels)))
    table = pd.DataFrame({"fpr": GRID, "tpr": tpr, "low": low, "high": high})
    for position, name in enumerate(MODEL):
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
