"""The layout of a hospital: a folder of files, and a table of both findings and the patients.

Its columns are the findings that the challenges label. What else is abnormal has no column here;
the layout `nih` names all that a drawn chest shows.
"""

from pathlib import Path

from chexviz.data.phantom.dicom_file import save_challenge
from chexviz.data.phantom.item import Finding, Identity, Item, patient_id
from chexviz.data.phantom.layout import Layout, Prevalence, write_csv


def image(identity: Identity) -> str:
    """A name of the hospital's own."""
    return f"cxr-{identity.name[:12]}"


def file(identity: Identity, part: str) -> str:
    """All files lie in one folder."""
    return f"dicom/{image(identity)}.dcm"


def write_tables(items: list[Item], findings: list[Finding], folder: Path, seed: int) -> None:
    """A row a labelled file."""
    rows = [
        (
            item.file,
            patient_id(item.exam),
            int(item.exam.pneumothorax > 0),
            int(item.exam.pneumonia > 0),
        )
        for item in items
        if item.labelled
    ]
    write_csv(rows, ["file", "patient", "pneumothorax", "pneumonia"], folder / "labels.csv")


LAYOUT = Layout(
    prevalence=Prevalence(0.420, {"AP": 0.35, "PA": 0.12}, {"AP": 0.25, "PA": 0.20}),
    own_patients=70_000,
    own_studies=601,
    image=image,
    file=file,
    write_tables=write_tables,
    labels=("pneumonia", "pneumothorax"),
    save=save_challenge,
    unlabelled=0,
)
