"""Does a model tell who trained it? Membership inference by shadow models, patient by patient.

The offline likelihood-ratio attack with one variance for all (Carlini et al. 2022, sections V and
VI), which is Watson et al.'s difficulty calibration: how sure the model is of a patient's labels,
minus how sure those shadow models are that never saw the patient.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.files import replacing_all
from chexviz.base.progress import Progress
from chexviz.base.settings import read
from chexviz.base.tables.models import answer
from chexviz.base.tables.privacy import COMPARISONS, MEMBERSHIP, MEMBERSHIP_ROC
from chexviz.base.tables.study import SPLIT
from chexviz.evaluation.cases import too_few
from chexviz.evaluation.intervals import rate_interval
from chexviz.evaluation.metrics import auroc_interval
from chexviz.evaluation.resamples import draws
from chexviz.evaluation.roc import Curve, Ranking, auroc
from chexviz.federation.settings import add_sites, findings_of
from chexviz.models import device
from chexviz.models.dataset import Dataset, load_datasets, to_unit
from chexviz.models.files import load_model
from chexviz.models.model import Model, pooled
from chexviz.models.scoring import known_by, logits
from chexviz.privacy.settings import Membership

# --- scores --------------------------------------------------------------------------------------


def confidence(model: Model, data: Dataset) -> np.ndarray:
    """How sure a model is of the right labels (n,): mean logit of those that are known.

    data: of one site, whose findings its answering heads are asked for.
    """
    findings = [one for own in data.heads.values() for one in own]
    known = known_by(model)
    heads = {
        one: answer(data.site, [head for name, head in known if name == one]) for one in findings
    }
    sides = 2 * data.labels.double() - 1  # (n, F): -1, 1 or NaN
    parts = data.in_order(device.forward_batch(data.labels.device))
    found = []
    with torch.no_grad():
        for part, images in zip(parts, data.images.batches(parts), strict=True):
            said = logits(model, pooled(model.representation(to_unit(images))))
            columns = torch.stack([said[one, heads[one]] for one in findings], dim=1)
            found.append((columns.double() * sides[part]).nanmean(dim=1))
    return torch.cat(found).cpu().numpy()


def compared(target: np.ndarray, shadows: np.ndarray, trained: np.ndarray) -> pd.DataFrame:
    """The scores of the attack and of its control, a row for each image.

    target: confidence (n,). shadows: the same (s, n). trained: whether an image trained a shadow
    (s, n); each has some that it trained, and some that it did not.
    attack: the target's confidence minus the mean of the shadows that never saw the image.
    control: the same of the shadows that it trained, in the target's place, on average.
    """
    expected = np.mean(shadows, axis=0, where=~trained)
    seen = np.mean(shadows, axis=0, where=trained)
    return pd.DataFrame({"attack": target - expected, "control": seen - expected})


def by_patient(images: pd.DataFrame) -> pd.DataFrame:
    """The mean score of each patient's images, wherever they are.

    images: columns patient, label (1: trained the model), and one for each comparison. A patient
    of whom any image trained is a member.
    """
    patients = images.groupby("patient", sort=True)
    return patients.mean().assign(label=patients["label"].max()).reset_index()


# --- numbers -------------------------------------------------------------------------------------


def found_at(curve: Curve, rate: float) -> np.ndarray:
    """The share of members that are found (block,), at a false positive rate of at most `rate`.

    At a threshold on a score that some member has; without interpolation between them.
    """
    true = np.where(curve.false <= rate * curve.negatives, curve.true, 0)
    return true.max(axis=0) / curve.positives


def measures(scores: pd.DataFrame, comparison: str, settings: Membership) -> pd.DataFrame:
    """The rows of MEMBERSHIP of a comparison. scores: a row a patient, with `label` (1: member)."""
    labels = scores["label"].to_numpy()
    members, others = int(labels.sum()), int((1 - labels).sum())
    about = {"comparison": comparison, "members": members, "others": others}
    asked: dict = {("auroc", None): auroc}
    for rate in settings.false_positive_rates:
        asked["tpr", rate] = lambda curve, rate=rate: found_at(curve, rate)
    ranking = Ranking(labels, scores["score"].to_numpy(), np.arange(len(labels)))
    blocks: dict[tuple, list[np.ndarray]] = {one: [] for one in asked}
    for _, weights in draws(scores, f"membership {comparison}", settings.bootstrap, comparison):
        curve = ranking.curve(weights)
        for one, measure in asked.items():
            blocks[one].append(measure(curve))
    few = too_few({"members": members, "others": others}, settings.minimum_cases)
    rows = []
    for (measure, rate), found in blocks.items():
        note = few or too_few_for(rate, others)
        value, replicates = found[0].item(), np.concatenate(found[1:])
        told = {"value": np.nan if too_few_for(rate, others) else value}
        if not note:
            level = settings.bootstrap.confidence
            told["value_low"], told["value_high"] = (
                auroc_interval(value, replicates, (members, others), level)
                if measure == "auroc"
                else rate_interval(value, replicates, members, level)
            )
        rows.append(about | {"measure": measure, "fpr": rate, "note": note} | told)
    return pd.DataFrame(rows).reindex(columns=MEMBERSHIP.names)


def too_few_for(rate: float | None, others: int) -> str:
    """Why no share of members is told at a false positive rate; '' if it is."""
    if rate is None or rate * others >= 1:
        return ""
    return f"too few cases: {100 * rate:g} % of {others} patients is less than one"


def points(scores: pd.DataFrame, comparison: str) -> pd.DataFrame:
    """The curve of a comparison, at each score of a member: rows of MEMBERSHIP_ROC."""
    labels = scores["label"].to_numpy()
    unit = np.arange(len(labels))
    curve = Ranking(labels, scores["score"].to_numpy(), unit).curve(np.ones((len(labels), 1)))
    rates = {"fpr": curve.false / curve.negatives, "tpr": curve.true / curve.positives}
    return pd.DataFrame({name: one.ravel() for name, one in rates.items()}).assign(
        comparison=comparison
    )


# --- the job -------------------------------------------------------------------------------------


def site_scores(
    data: Dataset, target: Path, shadows: Sequence[Path], trains: Sequence[set[str]]
) -> pd.DataFrame:
    """What `by_patient` takes, for the images of a site. trains: those that train each shadow."""

    def ask(path: Path) -> np.ndarray:
        model = load_model(path, data.site)
        return confidence(device.place(model, data.labels.device).eval(), data)

    found = []
    with Progress(f"membership {data.site}", total=len(shadows) + 1, unit="model") as progress:
        for path in (target, *shadows):
            found.append(ask(path))
            progress.step()
    trained = np.stack([data.rows["image"].isin(one).to_numpy() for one in trains])
    labels = (data.rows["subset"] == "train").to_numpy(int)
    scores = compared(found[0], np.stack(found[1:]), trained)
    return scores.assign(label=labels, patient=data.rows["patient"].to_numpy())


def training_images(path: Path) -> Mapping[str, set[str]]:
    """The images of each site that train, by a split."""
    split = SPLIT.read(path, "site", "image", "subset")
    chosen = split[split["subset"] == "train"]
    return {str(site): {*rows["image"]} for site, rows in chosen.groupby("site")}


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    add_sites(parser)
    parser.add_argument("--images", required=True, type=Path, help="the list of all sites' arrays")
    parser.add_argument("--split", required=True, type=Path, help="by which the model was trained")
    parser.add_argument("--model", required=True, type=Path, help="that is attacked")
    parser.add_argument("--shadows", nargs="+", required=True, type=Path, help="shadow models")
    parser.add_argument("--splits", nargs="+", required=True, type=Path, help="of these, in order")
    parser.add_argument("--architecture", required=True, help="to be told, as the next two")
    parser.add_argument("--method", required=True)
    parser.add_argument("--seed", required=True, type=int)
    parser.add_argument("--settings", required=True, help="JSON of a Membership")
    parser.add_argument("--table", required=True, type=Path)
    parser.add_argument("--roc", required=True, type=Path)
    arguments = parser.parse_args(argv)
    settings = read(arguments.settings, Membership)
    where = device.choose(settings.threads)
    trains = [training_images(path) for path in arguments.splits]
    files = (arguments.images, arguments.split, ["train", "evaluation"])
    datasets = load_datasets(findings_of(arguments.site), *files, [where])
    scores = by_patient(
        pd.concat(
            site_scores(
                data, arguments.model, arguments.shadows, [one[data.site] for one in trains]
            )
            for data in datasets
        )
    )
    scored = {name: scores.assign(score=scores[name]) for name in COMPARISONS}
    about = {name: getattr(arguments, name) for name in ("architecture", "method", "seed")}
    table = pd.concat([measures(one, name, settings) for name, one in scored.items()])
    table = table.assign(**about, shadows=len(arguments.shadows))
    curve = pd.concat([points(one, name) for name, one in scored.items()]).assign(**about)
    with replacing_all({"table": arguments.table, "roc": arguments.roc}) as made:
        MEMBERSHIP.write(table, made["table"])
        MEMBERSHIP_ROC.write(curve[MEMBERSHIP_ROC.names], made["roc"])


if __name__ == "__main__":
    run(main)
