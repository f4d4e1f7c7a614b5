"""The layout of a hospital: a folder of files, a table of both findings and the patients, outlines.

Its columns are the findings that the challenges label. What else is abnormal has no column here;
the layout `nih` names all that a drawn chest shows.
"""

import json
from pathlib import Path

from chexviz.base.tables.sites import LUNGS
from chexviz.data.phantom.dicom_file import save_challenge
from chexviz.data.phantom.item import Finding, Identity, Item, patient_id
from chexviz.data.phantom.layout import Layout, Prevalence, write_csv

CATEGORIES = ("pneumonia", "pneumothorax", LUNGS)


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
    document = outlines([*zip(items, findings, strict=True)])
    (folder / "annotations.json").write_text(json.dumps(document), encoding="utf-8")


def outlines(drawn: list[tuple[Item, Finding]]) -> dict:
    """What is seen on images with a finding as COCO has it: boxes, masks, and the lungs."""
    images: list[dict] = []
    annotations: list[dict] = []
    for item, found in drawn:
        if not found.lungs or not item.labelled:
            continue
        number, (height, width) = len(images) + 1, found.lungs["size"]
        images.append({"id": number, "file_name": item.file, "height": height, "width": width})
        seen: list[tuple[str, dict]]
        seen = [("pneumonia", {"bbox": box}) for box in found.boxes.get("pneumonia", [])]
        seen += [
            ("pneumothorax", {"segmentation": coco(mask, height, width)}) for mask in found.masks
        ]
        for name, outline in [*seen, (LUNGS, {"segmentation": found.lungs})]:
            which = {"image_id": number, "category_id": CATEGORIES.index(name)}
            annotations.append(which | {"id": len(annotations) + 1, **outline})
    categories = [{"id": place, "name": name} for place, name in enumerate(CATEGORIES)]
    return {"images": images, "annotations": annotations, "categories": categories}


def coco(relative: str, height: int, width: int) -> dict:
    """A mask of SIIM-ACR: its gaps and lengths are COCO's counts, but for the last."""
    counts = [int(word) for word in relative.split()]
    return {"size": [height, width], "counts": [*counts, height * width - sum(counts)]}


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
    lungs=True,
)
