"""Radiographs of plausible chests in the two Kaggle layouts, and in a hospital's plain one.

All sites draw from one population, which depends on the seed alone. Sites generated apart, even
on different machines, therefore share patients and a few radiographs, as RSNA and SIIM-ACR do.
"""

import argparse
import io
import os
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, JPEGBaseline8Bit, SecondaryCaptureImageStorage

from chexviz.base.errors import InputError, run
from chexviz.base.options import SEED, whole
from chexviz.base.progress import Progress
from chexviz.base.randomness import stream
from chexviz.data.phantom.anatomy import Exam, anatomy
from chexviz.data.phantom.radiograph import render
from chexviz.data.workers import started
from chexviz.images import run_lengths

SHARED_PATIENTS = 0.05  # of a site's patients: the first ones of the population
SHARED_RADIOGRAPHS = 0.01  # of a site's images: the first exam of the first patients
COPIES = 3  # radiographs that a site holds twice
UNLABELLED = 6  # radiographs of a challenge's layout without labels
SMALLEST, LARGEST = 20, 50_000  # labelled images of a site, and all of them
# Numbers from which a site counts the patients that no other has, and the exams that no other has.
OWN_PATIENTS = {"rsna": 10_000, "siim": 40_000, "table": 70_000}
OWN_STUDIES = {"rsna": 1, "siim": 301, "table": 601}

# Counted in the published tables: positive images with 1, 2, ... boxes or masks.
OUTLINES = {
    "pneumonia": (2614, 3266, 119, 13),
    "pneumothorax": (2045, 447, 112, 40, 18, 3, 1, 2, 0, 1),
}
LABELS = {"rsna": "pneumonia", "siim": "pneumothorax"}  # what a challenge's table labels
ABNORMAL = 11_821 / 20_672  # of RSNA's negative images: not normal
UNRELIABLE = 98 / 26_684  # of RSNA's matches with NIH: the wrong patient, with an mse above 10
# How many radiographs a layout has in its folders train and test: with labels, and without.
FOLDERS = {
    "rsna": ((1, 0), (0, 1)),
    "siim": ((10_675, 1_372), (37, 5)),
    "table": ((1, 0), (0, 1)),
}


@dataclass(frozen=True)
class Prevalence:
    """Fractions of a site's images: AP views, and findings by view."""

    portable: float
    pneumonia: dict[str, float]
    pneumothorax: dict[str, float]


# RSNA: 45.6 % AP views, 38.3 % of them and 9.3 % of the PA views positive: 22.5 % in all.
# SIIM-ACR: 22.2 % positive. What is not published is plausible.
PREVALENCE = {
    "rsna": Prevalence(12_173 / 26_684, {"AP": 0.383, "PA": 0.093}, {"AP": 0.06, "PA": 0.02}),
    "siim": Prevalence(0.390, {"AP": 0.15, "PA": 0.05}, {"AP": 0.26, "PA": 0.197}),
    "table": Prevalence(0.420, {"AP": 0.35, "PA": 0.12}, {"AP": 0.25, "PA": 0.20}),
}


@dataclass(frozen=True)
class Item:
    """One file of a site.

    name: 32 hexadecimal digits, all that its identifiers are made of. part: train or test, the
    folder of a challenge's layout. labelled: has a row in the site's table. edition: None for the
    radiograph as taken; else the seed of a near-identical, re-encoded copy.
    """

    layout: str
    name: str
    part: str
    labelled: bool
    exam: Exam
    edition: int | None

    @property
    def uuid(self) -> str:
        return str(uuid.UUID(self.name, version=4))

    def uid(self, level: int) -> str:
        """Unique identifier of the study (level 2), series (3) or instance (4)."""
        process, second, fraction = (int(self.name[i : i + 8], 16) for i in (0, 8, 16))
        fraction = 100_000 + fraction % 899_990 + {2: 1, 3: 0, 4: 2}[level]
        root = f"1.2.276.0.7230010.3.1.{level}.8323329"
        return f"{root}.{process % 32768}.{1_517_875_000 + second % 9_000_000}.{fraction}"

    @property
    def image(self) -> str:
        """The id by which the layout's tables name the image."""
        return {"rsna": self.uuid, "siim": self.uid(4), "table": f"cxr-{self.name[:12]}"}[
            self.layout
        ]

    @property
    def file(self) -> str:
        """Path in the site's folder."""
        if self.layout == "rsna":
            return f"stage_2_{self.part}_images/{self.uuid}.dcm"
        if self.layout == "table":
            return f"dicom/{self.image}.dcm"
        return f"dicom-images-{self.part}/{self.uid(2)}/{self.uid(3)}/{self.uid(4)}.dcm"


@dataclass(frozen=True)
class Finding:
    """What was drawn on the pixels of an item: boxes of pneumonia, masks of pneumothorax.

    boxes: x, y, width, height in pixels. masks: SIIM-ACR's relative run lengths.
    """

    boxes: list[tuple[int, int, int, int]]
    masks: list[str]


# --- the population ------------------------------------------------------------------------------


def planted(layout: str, **size: int) -> pd.DataFrame:
    """What a site's images are in truth, for tests of duplicate and leakage detection.

    size: as for `plan`.
    Columns: image (as the layout names it), file, labelled, patient (nih-NNNNN), radiograph. Within
    a site and across sites of one seed, images with equal `radiograph` are near-identical and no
    others are; images with equal `patient` show the same person.
    """
    rows = [
        (item.image, item.file, item.labelled, patient_id(item.exam), radiograph_id(item.exam))
        for item in plan(layout, **size)
    ]
    return pd.DataFrame(rows, columns=["image", "file", "labelled", "patient", "radiograph"])


def patient_id(exam: Exam) -> str:
    return f"nih-{exam.patient:05d}"


def radiograph_id(exam: Exam) -> str:
    return f"{exam.patient:08d}_{exam.study:03d}"


def plan(
    layout: str,
    images: int,
    seed: int,
    positives: int | None = None,
    unlabelled: int | None = None,
) -> list[Item]:
    """All files of a site: `images` with labels, ordered by image, then `unlabelled` others.

    positives: labelled images with the finding that a challenge's table labels; None: as many as
    PREVALENCE says. unlabelled: None: a few, in a challenge's layout. Raises InputError for an
    unknown layout or too few or too many images.
    """
    if unlabelled is None:
        unlabelled = UNLABELLED * (layout != "table")
    check(layout, images, unlabelled)
    draws = np.random.default_rng(stream(seed, "site", layout))
    patients, studies = visits(layout, images + unlabelled, draws)
    exams = take_exams(layout, patients[:images], studies[:images], seed, positives)
    originals = alike(exams, draws)
    exams += take_exams(layout, patients[images:], studies[images:], seed, None)
    # The first copy repeats its original's pixel data byte by byte; the others are encoded anew.
    editions = {
        number: stream(seed, layout, "copy", copy) if copy else None
        for copy, number in enumerate(originals)
    }
    parts = [
        part
        for count, shares in zip((images, unlabelled), FOLDERS[layout], strict=True)
        for part in np.repeat(["train", "test"], dealt(count, shares)).tolist()
    ]
    items = []
    for number, (exam, part) in enumerate(zip(exams, parts, strict=True)):
        edition = editions.get(number, stream(seed, layout, number) if exam.study == 0 else None)
        exam = exams[originals.get(number, number)]
        items.append(Item(layout, draws.bytes(16).hex(), part, number < images, exam, edition))
    return sorted(items, key=lambda item: (not item.labelled, item.image))


def check(layout: str, images: int, unlabelled: int) -> None:
    """Raise InputError if there is no such layout, or for too few or too many images."""
    if layout not in PREVALENCE:
        raise InputError(
            f"phantom layout {layout}",
            expected=", ".join(PREVALENCE),
            found=layout,
            fix="correct `reader` of the site in the config",
        )
    if images < SMALLEST or images + unlabelled > LARGEST:
        raise InputError(
            f"phantom of layout {layout}",
            expected=f"{SMALLEST} labelled images at least, and {LARGEST} in all at most",
            found=f"{images}, and {unlabelled} others",
            fix="correct `phantom` in the config",
        )


def alike(exams: list[Exam], draws: np.random.Generator) -> dict[int, int]:
    """The exams that give way to a copy of another one, with the number of that one.

    Both show the same, so that a copy changes no count; and neither is one that all sites hold.
    """
    kinds = [replace(exam, patient=0, study=min(exam.study, 1)) for exam in exams]
    originals: dict[int, int] = {}
    for original in draws.permutation(len(exams)).tolist():
        used = {*originals, *originals.values(), original}
        same = [n for n, kind in enumerate(kinds) if kind == kinds[original] and n not in used]
        if exams[original].study and original not in originals and same:
            originals[int(draws.choice(same))] = original
        if len(originals) == COPIES:
            break
    return originals


def take_exams(
    layout: str, patients: np.ndarray, studies: np.ndarray, seed: int, positives: int | None
) -> list[Exam]:
    """An exam for each visit, with findings as frequent as PREVALENCE says; positives: see plan.

    An exam of study 0 is one that all sites hold, so its findings depend on the seed alone.
    """
    rates = PREVALENCE[layout]
    visited = zip(patients, studies, strict=True)
    scores = np.reshape([leanings(seed, *visit) for visit in visited], (-1, 4))
    # As many standard deviations above the mean as make every finding rare enough on either site.
    given = np.where(studies[:, None] == 0, scores > [0.2, 0.8, 0.8, 0.0], np.nan)
    portable = pick(scores[:, 0], given[:, 0], round(rates.portable * len(scores)))
    pneumonia, pneumothorax = (
        parts(
            scores[:, column],
            given[:, column],
            {"AP": portable, "PA": ~portable},
            getattr(rates, finding),
            positives if LABELS.get(layout) == finding else None,
            outlines,
        )
        for column, (finding, outlines) in enumerate(OUTLINES.items(), 1)
    )
    negative, well = pneumonia == 0, (pneumonia == 0) & (pneumothorax == 0)
    abnormal = np.zeros(len(scores), dtype=bool)
    # An image with a pneumothorax is not normal, whatever else is on it.
    number = round(ABNORMAL * negative.sum()) - (negative & ~well).sum()
    for some, wanted in ((well, number), (~well, round(ABNORMAL * (~well).sum()))):
        abnormal[some] = pick(scores[some, 3], given[some, 3], wanted)
    return [
        Exam(
            seed,
            int(patients[i]),
            int(studies[i]),
            "AP" if portable[i] else "PA",
            int(pneumonia[i]),
            int(pneumothorax[i]),
            bool(abnormal[i]),
        )
        for i in range(len(scores))
    ]


def parts(
    scores: np.ndarray,
    given: np.ndarray,
    views: dict[str, np.ndarray],
    rates: dict[str, float],
    wanted: int | None,
    outlines: Sequence[int],
) -> np.ndarray:
    """The parts (n,) that a finding has in every exam; 0: the exam does not show it.

    scores, given: see pick. views: which exams are of a view. rates: of the finding, by view.
    wanted: exams that show it; None: as many as the rates say. outlines: exams with 1, 2, ... parts
    are in these proportions.
    """
    expected = [rates[view] * of_view.sum() for view, of_view in views.items()]
    wanted = round(sum(expected)) if wanted is None else wanted
    found = np.zeros(len(scores), dtype=int)
    for of_view, number in zip(views.values(), dealt(wanted, expected), strict=True):
        found[of_view] = pick(scores[of_view], given[of_view], number)
    # The given ones have one part on every site. Who leans more to the finding has more of it.
    free = np.flatnonzero((found == 1) & (given != 1))
    numbers = np.repeat(np.arange(1, len(outlines) + 1), dealt(found.sum(), outlines))
    found[free[np.argsort(scores[free])]] = numbers[len(numbers) - len(free) :]
    return found


def dealt(count: int, shares: Sequence[float]) -> np.ndarray:
    """`count` things in whole numbers that are in proportion to `shares`, as nearly as can be."""
    edges = np.rint(count * np.cumsum(shares) / (sum(shares) or 1))
    return np.diff(edges, prepend=0).astype(int)


def visits(layout: str, count: int, draws: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Patient and study numbers of `count` exams, in random order.

    Four in ten patients have several exams.
    """
    several = draws.random(count) < 0.4
    exams = np.where(several, 1 + np.minimum(draws.geometric(0.4, count), 40), 1)
    exams = exams[: int(np.searchsorted(np.cumsum(exams), count)) + 1]
    shared = max(1, round(SHARED_PATIENTS * len(exams)))
    numbers = np.arange(len(exams))
    numbers = np.where(numbers < shared, 1 + numbers, OWN_PATIENTS[layout] + numbers)
    patients = np.repeat(numbers, exams)[:count]
    first = np.r_[True, patients[1:] != patients[:-1]]
    nth = np.arange(count) - np.maximum.accumulate(np.where(first, np.arange(count), 0))
    common = first & (patients <= min(shared, max(1, round(SHARED_RADIOGRAPHS * count))))
    order = draws.permutation(count)
    return patients[order], np.where(common, 0, OWN_STUDIES[layout] + nth)[order]


def leanings(seed: int, patient: int, study: int) -> np.ndarray:
    """How much an exam leans to AP, pneumonia, pneumothorax, abnormal: standard normal (4,).

    Half of the variance is the patient's: who was ill is likelier to be ill again.
    """
    chronic = np.random.default_rng(stream(seed, "leaning", int(patient)))
    acute = np.random.default_rng(stream(seed, "leaning", int(patient), int(study)))
    return np.sqrt(0.5) * (chronic.standard_normal(4) + acute.standard_normal(4))


def pick(scores: np.ndarray, given: np.ndarray, wanted: int) -> np.ndarray:
    """True for the `wanted` highest scores; `given` ones (not NaN) are fixed."""
    chosen = given == 1
    free = np.flatnonzero(np.isnan(given))
    missing = max(0, wanted - int(chosen.sum()))
    chosen[free[np.argsort(-scores[free], kind="stable")[:missing]]] = True
    return chosen


# --- files ---------------------------------------------------------------------------------------


def write_item(item: Item, folder: Path, size: int) -> Finding:
    """Draw one radiograph, write its DICOM file, and say what is on it."""
    pixels, boxes, masks = render(item.exam, size)
    quality = int(item.exam.draws("quality").integers(90, 96))
    if item.edition is not None:
        draws = np.random.default_rng(item.edition)
        right, down = draws.integers(0, max(2, size // 256), 2).tolist()
        quality = int(draws.integers(80, 90))
        pixels = touched_up(shifted(pixels, right, down), draws)
        masks = [shifted(mask, right, down) for mask in masks]
        boxes = [(x + right, y + down, width, height) for x, y, width, height in boxes]
    path = folder / item.file
    path.parent.mkdir(parents=True, exist_ok=True)
    dicom(item, pixels, quality).save_as(path, enforce_file_format=True)
    boxes = [clipped(box, size) for box in boxes]
    return Finding(boxes, [relative_runs(mask) for mask in masks])


def shifted(pixels: np.ndarray, right: int, down: int) -> np.ndarray:
    """The image moved by whole pixels; its first column and row fill the gap."""
    moved = np.pad(pixels, ((down, 0), (right, 0)), mode="edge")
    return moved[: len(pixels), : len(pixels)]


def touched_up(pixels: np.ndarray, draws: np.random.Generator) -> np.ndarray:
    """Slightly brighter or darker."""
    grey = pixels * np.float32(draws.uniform(0.96, 1.03)) + np.float32(draws.uniform(-3, 3))
    return np.clip(grey, 0, 255).astype(np.uint8)


def clipped(box: tuple[int, int, int, int], size: int) -> tuple[int, int, int, int]:
    """The part of a box within the image."""
    x, y, width, height = box
    return x, y, min(width, size - x), min(height, size - y)


def relative_runs(mask: np.ndarray) -> str:
    """SIIM-ACR's run lengths, column by column: gap since the last run's end, length, ..."""
    starts, lengths = run_lengths.parse(run_lengths.from_mask(mask)).T
    ends = np.r_[0, (starts + lengths)[:-1]]
    return run_lengths.text(np.column_stack([starts - ends, lengths]))


def dicom(item: Item, pixels: np.ndarray, quality: int) -> Dataset:
    """A DICOM file with the tags that both challenges' files carry, their defects included."""
    body = anatomy(item.exam.seed, item.exam.patient)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = UID(item.uid(4))
    meta.TransferSyntaxUID = JPEGBaseline8Bit
    data = Dataset()
    data.file_meta = meta
    data.SpecificCharacterSet = "ISO_IR 100"
    data.SOPClassUID, data.SOPInstanceUID = SecondaryCaptureImageStorage, item.uid(4)
    data.StudyInstanceUID, data.SeriesInstanceUID = item.uid(2), item.uid(3)
    data.StudyDate, data.StudyTime = "19010101", "000000.00"
    data.AccessionNumber = data.ReferringPhysicianName = data.PatientBirthDate = ""
    data.StudyID = data.PatientOrientation = ""
    data.Modality, data.ConversionType, data.BodyPartExamined = "CR", "WSD", "CHEST"
    data.SeriesDescription, data.ViewPosition = f"view: {item.exam.view}", item.exam.view
    data.PatientName = data.PatientID = item.uuid
    data.PatientSex = body.sex
    # The challenges write '62' where DICOM wants '062Y'; pydicom would warn for every file.
    data.add(
        pydicom.DataElement(
            "PatientAge", "AS", str(body.age), validation_mode=pydicom.config.IGNORE
        )
    )
    data.SeriesNumber = data.InstanceNumber = 1
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.Rows, data.Columns = pixels.shape
    data.PixelSpacing = [spacing(item.exam, len(pixels))] * 2
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    data.LossyImageCompression, data.LossyImageCompressionMethod = "01", "ISO_10918_1"
    stream_of_bytes = io.BytesIO()
    Image.fromarray(pixels).save(stream_of_bytes, "JPEG", quality=quality)
    data.PixelData = encapsulate([stream_of_bytes.getvalue()])
    data["PixelData"].VR = "OB"
    return data


def spacing(exam: Exam, size: int) -> float:
    """Millimetres per pixel: the detectors' usual values, if the image has 1024 pixels a side."""
    usual = exam.draws("spacing").choice([0.139, 0.143, 0.168, 0.171, 0.194])
    return round(float(usual) * 1024 / size, 6)


# --- tables --------------------------------------------------------------------------------------


def write_csv(rows: list[tuple], columns: list[str], path: Path) -> None:
    pd.DataFrame(rows, columns=columns, dtype=object).to_csv(path, index=False, lineterminator="\n")


def meaning(exam: Exam) -> str:
    """The class of an image in RSNA's second table."""
    if exam.pneumonia:
        return "Lung Opacity"
    return "No Lung Opacity / Not Normal" if exam.abnormal or exam.pneumothorax else "Normal"


def rsna_tables(items: list[Item], findings: list[Finding], folder: Path, seed: int) -> None:
    """The three tables of the challenge, and the published match of its images with NIH's."""
    labels, classes, matches = [], [], []
    draws = np.random.default_rng(stream(seed, "match"))
    wrong = set(draws.choice(len(items), max(1, round(UNRELIABLE * len(items))), replace=False))
    for number, (item, finding) in enumerate(zip(items, findings, strict=True)):
        rows: list[tuple] = [(item.uuid, *[None] * 4, 0)]
        if item.exam.pneumonia:
            rows = [(item.uuid, *map(float, box), 1) for box in finding.boxes]
        labels += rows
        classes += [(item.uuid, meaning(item.exam))] * len(rows)
        matched = items[(number + 1) % len(items)] if number in wrong else item
        mse = draws.uniform(60, 100) if number in wrong else draws.gamma(4, 0.4)
        nih = f"{radiograph_id(matched.exam)}.png"
        matches.append((item.uuid, meaning(item.exam), nih, min(mse, 100)))
    box = ["x", "y", "width", "height"]
    write_csv(labels, ["patientId", *box, "Target"], folder / "stage_2_train_labels.csv")
    write_csv(classes, ["patientId", "class"], folder / "stage_2_detailed_class_info.csv")
    write_csv(matches, ["patientId", "class", "nih_image", "mse"], folder / "match.csv")


def rsna_submission(items: list[Item], folder: Path) -> None:
    rows = [(item.uuid, "0.5 0 0 100 100") for item in items]
    write_csv(rows, ["patientId", "PredictionString"], folder / "stage_2_sample_submission.csv")


def siim_tables(items: list[Item], findings: list[Finding], folder: Path) -> None:
    """A row a mask, -1 without pneumothorax; the space before EncodedPixels is the original's."""
    rows = [
        (item.image, runs)
        for item, finding in zip(items, findings, strict=True)
        for runs in (finding.masks if item.exam.pneumothorax else ["-1"])
    ]
    write_csv(rows, ["ImageId", " EncodedPixels"], folder / "train-rle.csv")


def mirror(files: list[str], folder: Path) -> None:
    """The second, identical copy of everything that the mirror of SIIM-ACR holds."""
    for file in files:
        copy = folder / "pneumothorax" / file
        copy.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(folder / file, copy)
        except OSError:  # a file system without hard links
            shutil.copyfile(folder / file, copy)


def hospital_table(items: list[Item], folder: Path) -> None:
    rows = [
        (
            item.file,
            patient_id(item.exam),
            int(item.exam.pneumothorax > 0),
            int(item.exam.pneumonia > 0),
        )
        for item in items
    ]
    write_csv(rows, ["file", "patient", "pneumothorax", "pneumonia"], folder / "labels.csv")


# --- a site --------------------------------------------------------------------------------------


def generate(
    layout: str,
    folder: Path,
    *,
    images: int,
    seed: int,
    workers: int,
    positives: int | None = None,
    unlabelled: int | None = None,
    size: int = 1024,
) -> None:
    """Write a site of drawn radiographs into `folder`; the bytes do not depend on `workers`.

    layout: rsna, siim or table. images, positives, unlabelled: see `plan`, which raises InputError.
    size: pixels a side, a multiple of 4.
    """
    items = plan(layout, images, seed, positives, unlabelled)
    folder.mkdir(parents=True, exist_ok=True)
    with Progress(f"draw {layout} phantoms", total=len(items), unit="image") as progress:
        findings = drawn(items, folder, size, workers, progress)
    labelled, others, found = items[:images], items[images:], findings[:images]
    if layout == "rsna":
        rsna_tables(labelled, found, folder, seed)
        rsna_submission(others, folder)
    elif layout == "siim":
        siim_tables(labelled, found, folder)
        mirror(["train-rle.csv", *(item.file for item in items)], folder)
    else:
        hospital_table(labelled, folder)


def drawn(
    items: list[Item], folder: Path, size: int, workers: int, progress: Progress
) -> list[Finding]:
    """Write all items on `workers` processes; what was drawn on each."""
    # Exams of one patient follow one another, and share what they have in common (anatomy.once).
    order = sorted(range(len(items)), key=lambda number: items[number].exam.patient)
    write = partial(write_item, folder=folder, size=size)
    findings = {}
    with started(workers) as pool:
        results = pool.map(write, [items[number] for number in order], chunksize=16)
        for number, finding in zip(order, results, strict=True):
            findings[number] = finding
            progress.step()
    return [findings[number] for number in range(len(items))]


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layout", required=True, choices=sorted(PREVALENCE))
    parser.add_argument("--images", required=True, type=whole(20, 10**7), help="labelled images")
    parser.add_argument("--seed", required=True, type=whole(0, SEED), help="of the population")
    parser.add_argument("--output", required=True, type=Path, help="folder")
    parser.add_argument("--workers", type=whole(1, 1000), default=2)
    parser.add_argument("--size", type=whole(32, 8192), default=1024, help="pixels a side")
    arguments = parser.parse_args(argv)
    generate(
        arguments.layout,
        arguments.output,
        images=arguments.images,
        seed=arguments.seed,
        workers=arguments.workers,
        size=arguments.size,
    )


if __name__ == "__main__":
    run(main)
