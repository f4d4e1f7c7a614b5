"""The layout of CheXpert, the smaller version: labels from reports, many of them unknown."""

from pathlib import Path

import numpy as np

from chexviz.data.phantom.anatomy import Exam, anatomy
from chexviz.data.phantom.item import Finding, Identity, Item
from chexviz.data.phantom.layout import Layout, Prevalence, write_csv
from chexviz.data.phantom.raster_file import save_jpeg

ROOT = "CheXpert-v1.0-small"
OWN_PATIENTS = 130_001
OPAQUE = {"pneumonia", "mass", "nodule", "atelectasis", "edema"}
# In the order of the tables. A label is 1 if the chest shows any of these; without any, nobody
# mentions it.
LABELS: dict[str, set[str]] = {
    "Enlarged Cardiomediastinum": {"cardiomegaly"},
    "Cardiomegaly": {"cardiomegaly"},
    "Lung Opacity": OPAQUE,
    "Lung Lesion": {"mass", "nodule"},
    "Edema": {"edema"},
    "Consolidation": {"pneumonia"},
    "Pneumonia": {"pneumonia"},
    "Atelectasis": {"atelectasis"},
    "Pneumothorax": {"pneumothorax"},
    "Pleural Effusion": {"pleural_effusion"},
    "Pleural Other": set(),
    "Fracture": set(),
    "Support Devices": set(),
}
ABOUT = ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", "No Finding"]
# Of a report's labels by their truth: how many say so, are uncertain (-1), and are blank.
REPORTED = {1.0: (0.80, 0.10, 0.10), 0.0: (0.60, 0.05, 0.35)}


def image(identity: Identity) -> str:
    """The path as the tables have it. The second file of an exam is its second view."""
    exam = identity.exam
    patient = exam.patient % (OWN_PATIENTS - 1)
    study = 1 + max(0, exam.study - LAYOUT.own_studies)
    view = f"study{study}/view{1 + identity.copy}_frontal.jpg"
    return f"{ROOT}/{part_of(exam)}/patient{patient:05d}/{view}"


def file(identity: Identity, part: str) -> str:
    """A folder a study, in that of its patient."""
    return image(identity)


def part_of(exam: Exam) -> str:
    """Every tenth patient validates, and has been read by radiologists."""
    return "train" if exam.patient % 10 else "valid"


def write_tables(items: list[Item], findings: list[Finding], folder: Path, seed: int) -> None:
    """A row a labelled file, in the table of its part."""
    for part in ("train", "valid"):
        rows = [entry(item) for item in items if item.labelled and part_of(item.exam) == part]
        write_csv(rows, [*ABOUT, *LABELS], folder / ROOT / f"{part}.csv")


def entry(item: Item) -> tuple:
    """The row of an image."""
    exam = item.exam
    body = anatomy(exam.seed, exam.patient)
    about = (item.image, {"F": "Female", "M": "Male"}[body.sex], body.age, "Frontal", exam.view)
    shown = exam.findings
    truth = [float(bool(names & shown)) for names in LABELS.values()]
    if part_of(exam) == "valid":
        return (*about, float(not shown), *truth)
    draws = exam.draws("report")
    labels = [
        reported(label, draws) if names else None
        for names, label in zip(LABELS.values(), truth, strict=True)
    ]
    return (*about, None if shown else 1.0, *labels)


def reported(truth: float, draws: np.random.Generator) -> float | None:
    """What a report says of a finding: mostly the truth."""
    said = draws.choice(3, p=REPORTED[truth])
    return (truth, -1.0, None)[said]


LAYOUT = Layout(
    # Published: 84 % AP views of the frontal ones.
    prevalence=Prevalence(0.840, {"AP": 0.17, "PA": 0.10}, {"AP": 0.18, "PA": 0.12}, 0.20),
    own_patients=OWN_PATIENTS,
    own_studies=401,
    image=image,
    file=file,
    write_tables=write_tables,
    labels=("pneumonia", "pneumothorax", "cardiomegaly"),
    save=save_jpeg,
    size=320,
    unlabelled=0,
)
