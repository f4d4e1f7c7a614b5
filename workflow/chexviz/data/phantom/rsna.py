"""The layout of the RSNA Pneumonia Detection Challenge."""

from pathlib import Path

import numpy as np

from chexviz.base.randomness import stream
from chexviz.data.phantom.anatomy import Exam
from chexviz.data.phantom.dicom_file import save_challenge
from chexviz.data.phantom.item import Finding, Identity, Item, radiograph_id
from chexviz.data.phantom.layout import Layout, Prevalence, write_csv

UNRELIABLE = 98 / 26_684  # of the matches with NIH: the wrong patient, with an mse above 10


def image(identity: Identity) -> str:
    """The patientId of the challenge."""
    return identity.uuid


def file(identity: Identity, part: str) -> str:
    """All files of a part lie in one folder."""
    return f"stage_2_{part}_images/{identity.uuid}.dcm"


def meaning(exam: Exam) -> str:
    """The class of an image in RSNA's second table."""
    if exam.pneumonia:
        return "Lung Opacity"
    return "No Lung Opacity / Not Normal" if exam.abnormal or exam.pneumothorax else "Normal"


def write_tables(items: list[Item], findings: list[Finding], folder: Path, seed: int) -> None:
    """The three tables of the challenge, and the published match of its images with NIH's."""
    labelled = [item for item in items if item.labelled]
    write_labels(labelled, findings[: len(labelled)], folder)
    write_match(labelled, folder, seed)
    rows = [(item.image, "0.5 0 0 100 100") for item in items[len(labelled) :]]
    write_csv(rows, ["patientId", "PredictionString"], folder / "stage_2_sample_submission.csv")


def write_labels(items: list[Item], findings: list[Finding], folder: Path) -> None:
    """A row a box, and one without of an image that has none; the class of every row beside."""
    labels: list[tuple] = []
    classes: list[tuple] = []
    for item, finding in zip(items, findings, strict=True):
        rows: list[tuple] = [(item.image, *[None] * 4, 0)]
        if item.exam.pneumonia:
            rows = [(item.image, *map(float, box), 1) for box in finding.boxes["pneumonia"]]
        labels += rows
        classes += [(item.image, meaning(item.exam))] * len(rows)
    box = ["x", "y", "width", "height"]
    write_csv(labels, ["patientId", *box, "Target"], folder / "stage_2_train_labels.csv")
    write_csv(classes, ["patientId", "class"], folder / "stage_2_detailed_class_info.csv")


def write_match(items: list[Item], folder: Path, seed: int) -> None:
    """The match with NIH's images, wrong of a few."""
    matches = []
    draws = np.random.default_rng(stream(seed, "match"))
    wrong = set(draws.choice(len(items), max(1, round(UNRELIABLE * len(items))), replace=False))
    for number, item in enumerate(items):
        matched = items[(number + 1) % len(items)] if number in wrong else item
        mse = draws.uniform(60, 100) if number in wrong else draws.gamma(4, 0.4)
        nih = f"{radiograph_id(matched.exam)}.png"
        matches.append((item.image, meaning(item.exam), nih, min(mse, 100)))
    write_csv(matches, ["patientId", "class", "nih_image", "mse"], folder / "match.csv")


LAYOUT = Layout(
    # Published: 45.6 % AP views; positive are 38.3 % of them and 9.3 % of the PA views.
    prevalence=Prevalence(12_173 / 26_684, {"AP": 0.383, "PA": 0.093}, {"AP": 0.06, "PA": 0.02}),
    own_patients=10_000,
    own_studies=1,
    image=image,
    file=file,
    write_tables=write_tables,
    labels=("pneumonia",),
    save=save_challenge,
)
