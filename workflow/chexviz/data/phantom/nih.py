"""The layout of NIH ChestX-ray14, as its Kaggle copy has it.

Its table names everything that a drawn chest can show. Sites of which each learns only some of the
findings, while the truth of all evaluates, are therefore drawn in this layout.
"""

from pathlib import Path

from chexviz.data.phantom.anatomy import Exam, anatomy
from chexviz.data.phantom.dicom_file import spacing
from chexviz.data.phantom.item import Finding, Identity, Item
from chexviz.data.phantom.layout import Layout, Prevalence, write_csv
from chexviz.data.phantom.raster_file import save_png

FOLDERS = 12  # images_001 to images_012, by patient
TESTED = (0, 1)  # of every nine patients: 22.8 % of the images are published as the test list
COPY = 50  # from the follow-up number of an exam to that of its second file
NAMES = {
    "atelectasis": "Atelectasis",
    "cardiomegaly": "Cardiomegaly",
    "edema": "Edema",
    "mass": "Mass",
    "nodule": "Nodule",
    "pleural_effusion": "Effusion",
    "pneumonia": "Pneumonia",
    "pneumothorax": "Pneumothorax",
}
WITHOUT_BOXES = {"edema"}
# The header itself is broken by the commas in its brackets, and its last column has no name.
COLUMNS = ["Image Index", "Finding Labels", "Follow-up #", "Patient ID", "Patient Age"]
COLUMNS += ["Patient Gender", "View Position", "OriginalImage[Width", "Height]"]
COLUMNS += ["OriginalImagePixelSpacing[x", "y]", ""]
BOXES = "Image Index,Finding Label,Bbox [x,y,w,h],,,"
DETECTORS = ((2500, 2048), (2048, 2500), (2992, 2991), (3056, 2544))  # width and height


def image(identity: Identity) -> str:
    """The file name: the patient, and the number of the exam."""
    return f"{identity.exam.patient:08d}_{follow_up(identity):03d}.png"


def follow_up(identity: Identity) -> int:
    """A number of the file within its patient."""
    return identity.exam.study + COPY * identity.copy


def file(identity: Identity, part: str) -> str:
    """A patient's files lie together in one of the folders."""
    return f"images_{1 + (identity.exam.patient - 1) % FOLDERS:03d}/images/{image(identity)}"


def write_tables(items: list[Item], findings: list[Finding], folder: Path, seed: int) -> None:
    """Labels, the two lists of the official split, and boxes on images of the second."""
    labelled = [item for item in items if item.labelled]
    write_csv([entry(item) for item in labelled], COLUMNS, folder / "Data_Entry_2017.csv")
    for name, wanted in (("train_val_list", False), ("test_list", True)):
        images = [item.image for item in labelled if tested(item.exam) == wanted]
        (folder / f"{name}.txt").write_text("\n".join(images))
    rows = [
        ",".join([item.image, NAMES[name], *(f"{value:.1f}" for value in box)])
        for item, finding in zip(labelled, findings[: len(labelled)], strict=True)
        if tested(item.exam)
        for name, boxes in finding.boxes.items()
        if name not in WITHOUT_BOXES
        for box in boxes
    ]
    (folder / "BBox_List_2017.csv").write_text("\n".join([BOXES, *rows, ""]))


def tested(exam: Exam) -> bool:
    """Whether the official split tests with the patient."""
    return exam.patient % 9 in TESTED


def entry(item: Item) -> tuple:
    """The row of an image."""
    exam = item.exam
    body = anatomy(exam.seed, exam.patient)
    names = "|".join(sorted(NAMES[name] for name in exam.findings)) or "No Finding"
    size = exam.draws("detector size").choice(DETECTORS).tolist()
    about = (follow_up(item.identity), exam.patient, body.age, body.sex, exam.view)
    return (item.image, names, *about, *size, *[spacing(exam, 1024)] * 2, None)


LAYOUT = Layout(
    # Published: 40.0 % AP views. Findings are several times as frequent as published (pneumonia
    # 1.3 %, pneumothorax 4.7 %, cardiomegaly 2.5 %), for some of each to be in a small site.
    prevalence=Prevalence(0.400, {"AP": 0.18, "PA": 0.09}, {"AP": 0.11, "PA": 0.13}, 0.15),
    own_patients=100_000,
    own_studies=101,
    image=image,
    file=file,
    write_tables=write_tables,
    labels=("pneumonia", "pneumothorax", "cardiomegaly"),
    save=save_png,
    unlabelled=0,
)
