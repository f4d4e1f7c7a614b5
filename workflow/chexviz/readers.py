"""A raw layout to one listing: which files are images, whose, with which label and annotations."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd

from chexviz import runlength
from chexviz.errors import InputError

BOX = ["x", "y", "width", "height"]
UNRELIABLE = 10  # mean squared grey-level difference of a published match that is none


@dataclass
class Listing:
    """What a site's files are, before any of them is opened.

    records: file (relative to the data folder), image, patient, patient_known, label ('1', '0' or
    '' for not annotated), one row an image; then label_<finding>, likewise, for each other finding
    that the site's options name. boxes: image, x, y, width, height in pixels of the
    file. runs: image, runs (absolute, column-major, see `runlength`), in pixels of the file.
    rejected: file, reason, for every other DICOM file and every label without an image.
    """

    records: pd.DataFrame
    boxes: pd.DataFrame
    runs: pd.DataFrame
    rejected: pd.DataFrame


def read(reader: str, folder: Path, files: pd.DataFrame, options: Mapping) -> Listing:
    """List the images of a site.

    reader: a key of READERS. folder: the site's data. files: the manifest (file, bytes, sha256).
    options: task, findings (other columns of a hospital's table that are labels), labels (the label
    table; None: under its usual name) and patients (a table that says who is on the images; None:
    none). Paths are relative to the data folder if they exist
    there, else to the working directory.
    Raises InputError if there is no such reader, a table is not as expected, or no image is left.
    """
    if reader not in READERS:
        raise InputError(
            f"reader {reader}",
            expected=f"one of {', '.join(READERS)}",
            found=reader,
            fix="correct `reader` of the site in the config",
        )
    dicoms = files[[is_dicom(folder, file) for file in files["file"]]]
    if dicoms.empty:
        raise empty_site(folder, f"{len(files)} files, none of them DICOM")
    listing = READERS[reader](folder, files, dicoms, options)
    if options["patients"]:
        listing.records = identified(listing.records, locate(folder, options["patients"]))
    if not (listing.records["label"] != "").any():
        reasons = listing.rejected["reason"].value_counts()
        found = "; ".join(f"{count} x {reason}" for reason, count in reasons.head(3).items())
        raise empty_site(folder, f"{len(dicoms)} DICOM files, none of them labelled: {found}")
    return listing


def empty_site(where: Path, found: str) -> InputError:
    """The error of a site without a single usable image."""
    return InputError(
        where,
        expected="at least one labelled DICOM file",
        found=f"empty site: {found}",
        fix="check `source`, `reader` and `labels` of the site in the config",
    )


# --- the three layouts ---------------------------------------------------------------------------


def read_rsna(folder: Path, files: pd.DataFrame, dicoms: pd.DataFrame, options: Mapping) -> Listing:
    """RSNA Pneumonia Detection Challenge: DICOMs named by patientId, a row a box."""
    path = label_table(folder, files, options["labels"], "stage_2_train_labels.csv")
    labels, boxes = rsna_labels(path)
    records, rejected = match(dicoms, labels, path.name)
    return Listing(records, kept(boxes, records), no_runs(), rejected)


def read_siim(folder: Path, files: pd.DataFrame, dicoms: pd.DataFrame, options: Mapping) -> Listing:
    """SIIM-ACR Pneumothorax Segmentation: DICOMs named by SOP instance, a row a mask.

    PatientID is a fresh UUID in every file, so it says nothing about who is on it.
    """
    path = label_table(folder, files, options["labels"], "train-rle.csv")
    labels, runs = siim_labels(path)
    records, rejected = match(dicoms, labels, path.name)
    return Listing(records, no_boxes(), kept(runs, records), rejected)


def read_table(
    folder: Path, files: pd.DataFrame, dicoms: pd.DataFrame, options: Mapping
) -> Listing:
    """Any folder of DICOMs with a table: file (relative to the table), patient, <task>, <finding>.

    Listed files are images whatever their name; other DICOM files are rejected.
    """
    path = label_table(folder, files, options["labels"], "labels.csv")
    labels = table_labels(path, options["task"], options["findings"])
    if path.is_relative_to(folder):
        parent = PurePosixPath(path.relative_to(folder).parent.as_posix())
        if parent.parts:
            labels["file"] = [(parent / file).as_posix() for file in labels["file"]]
    there = labels["file"].isin(files["file"])
    records = labels[there].copy()
    records.insert(1, "image", image_ids(records["file"]))
    records["patient_known"] = records["patient"] != ""
    records["patient"] = records["patient"].where(records["patient_known"], records["image"])
    lost = [(file, f"in {path.name}, but there is no such file") for file in labels["file"][~there]]
    unlisted = dicoms["file"][~dicoms["file"].isin(labels["file"])]
    strangers = [(file, f"no row in {path.name}") for file in unlisted]
    findings = [f"label_{finding}" for finding in options["findings"]]
    records = records[["file", "image", "patient", "patient_known", "label", *findings]]
    return Listing(records, no_boxes(), no_runs(), rejections(lost + strangers))


READERS: dict[str, Callable[..., Listing]] = {
    "rsna": read_rsna,
    "siim": read_siim,
    "table": read_table,
}


# --- label tables --------------------------------------------------------------------------------


def rsna_labels(path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """stage_2_train_labels.csv to labels (image, label) and boxes (image, x, y, width, height).

    Raises InputError on another header, a Target that is not 1 or 0, an image that is both, or a
    box that is no box.
    """
    table = read_table_of_text(path, ["patientId", *BOX, "Target"])
    check_values(path, table["Target"], {"0", "1"})
    labels = table[["patientId", "Target"]].drop_duplicates()
    labels.columns = ["image", "label"]
    both = labels["image"][labels["image"].duplicated()]
    if len(both):
        raise InputError(
            path,
            expected="one Target for all rows of an image",
            found=f"{len(both)} images with both, the first is {both.iloc[0]}",
            fix="correct the table, or download it again",
        )
    boxes = table.loc[table["Target"] == "1", ["patientId", *BOX]].rename(
        columns={"patientId": "image"}
    )
    boxes[BOX] = boxes[BOX].apply(pd.to_numeric, errors="coerce")
    wrong = boxes[boxes[BOX].isna().any(axis=1) | (boxes[["width", "height"]] <= 0).any(axis=1)]
    if len(wrong):
        raise InputError(
            f"{path}, row {wrong.index[0] + 2}",
            expected="a box of numbers, width and height above 0, where Target is 1",
            found=", ".join(table.loc[wrong.index[0], BOX]),
            fix="correct the row, or download the table again",
        )
    return labels.reset_index(drop=True), boxes.reset_index(drop=True)


def siim_labels(path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """train-rle.csv to labels (image, label) and runs (image, runs): all masks of an image in one.

    Raises InputError on another header, run lengths that are none, or an image that has a mask and
    a -1 (no pneumothorax).
    """
    table = read_table_of_text(path, ["ImageId", "EncodedPixels"])
    negative = table["EncodedPixels"] == "-1"
    both = set(table["ImageId"][negative]) & set(table["ImageId"][~negative])
    if both:
        raise InputError(
            path,
            expected="-1 (no pneumothorax) or masks for an image, not both",
            found=f"{len(both)} images with both, the first is {min(both)}",
            fix="correct the table, or download it again",
        )
    masks = table[~negative]
    runs = [absolute_runs(path, row, text) for row, text in masks["EncodedPixels"].items()]
    runs = pd.DataFrame(
        {"image": masks["ImageId"], "runs": pd.Series(runs, masks.index, dtype=str)}
    )
    runs = runs.groupby("image", sort=False)["runs"].agg(" ".join).reset_index()
    labels = pd.DataFrame(
        {"image": table["ImageId"], "label": negative.map({True: "0", False: "1"})}
    )
    return labels.drop_duplicates().reset_index(drop=True), runs


def absolute_runs(path: Path, row: int, relative: str) -> str:
    """The mask of one table row as absolute runs. Raises InputError naming the row."""
    try:
        if relative:
            return runlength.absolute(relative)
        problem = "an empty cell"
    except ValueError as error:
        problem = str(error)
    raise InputError(
        f"{path}, row {row + 2}",
        expected="-1, or run lengths 'gap length gap length ...'",
        found=problem,
        fix="correct the row, or download the table again",
    )


def table_labels(path: Path, task: str, findings: Sequence[str]) -> pd.DataFrame:
    """A hospital's table to file, patient ('' if unknown), label ('1', '0' or ''), label_<finding>.

    Raises InputError on a missing column, another label, or a file that has several rows.
    """
    table = read_table_of_text(path, ["file", task, *findings])
    table["file"] = [PurePosixPath(file).as_posix() for file in table["file"]]
    for column in (task, *findings):
        check_values(path, table[column], {"0", "1", ""})
    twice = table.index[table["file"].duplicated()]
    if len(twice):
        raise InputError(
            f"{path}, row {twice[0] + 2}",
            expected="one row a file",
            found=f"another row for {table['file'][twice[0]]}",
            fix="remove one of them",
        )
    labels = pd.DataFrame({"file": table["file"], "label": table[task]})
    others = {f"label_{finding}": table[finding] for finding in findings}
    return labels.assign(patient=table.get("patient", ""), **others)


def label_table(folder: Path, files: pd.DataFrame, option: str | None, usual: str) -> Path:
    """The label table of a site: the one that the config names, or the one of the usual name.

    The usual name counts anywhere in the tree, compressed or not, and several times if all are the
    same file: mirrors nest a second copy. Raises InputError if there is none or a choice.
    """
    if option:
        return locate(folder, option)
    names = files["file"].map(name_of)
    found = files[names.isin([usual, f"{usual}.gz"])].sort_values("file", key=nesting)
    if found["sha256"].nunique() == 1:
        return folder / found["file"].iloc[0]
    raise InputError(
        folder,
        expected=f"a label table {usual} (or {usual}.gz)",
        found=f"different ones: {', '.join(found['file'])}" if len(found) else "none",
        fix="name the table in `labels` of the site in the config",
    )


def read_table_of_text(path: Path, columns: list[str]) -> pd.DataFrame:
    """A CSV file, all cells as stripped text and '' if empty. Raises InputError if one lacks."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, EOFError, UnicodeError, ValueError) as error:
        raise InputError(
            path,
            expected=f"a CSV file with the columns {', '.join(columns)}",
            found=f"{type(error).__name__}: {error}",
            fix="check the file",
        ) from error
    # The SIIM table has a space before the name of its second column.
    table.columns = table.columns.str.strip()
    if not set(columns) <= set(table.columns):
        raise InputError(
            path,
            expected=f"the columns {', '.join(columns)}",
            found=", ".join(table.columns),
            fix="check that this is the right table and names its columns so",
        )
    return table.fillna("").apply(lambda column: column.str.strip())


def check_values(path: Path, column: pd.Series, allowed: set[str]) -> None:
    """Raise InputError naming the first row whose label is not one of `allowed`."""
    wrong = column[~column.isin(allowed)]
    if len(wrong):
        raise InputError(
            f"{path}, row {wrong.index[0] + 2}",
            expected=f"{column.name}: {' or '.join(value or 'empty' for value in sorted(allowed))}",
            found=repr(wrong.iloc[0]),
            fix="correct the row",
        )


# --- files ---------------------------------------------------------------------------------------


def is_named_dicom(file: str) -> bool:
    """Whether a file claims to be DICOM by its suffix."""
    return file.lower().endswith(".dcm")


def is_dicom(folder: Path, file: str) -> bool:
    """Whether a file claims to be DICOM: by its suffix, or by its first bytes (PS3.10 7.1)."""
    if is_named_dicom(file):
        return True
    with (folder / file).open("rb") as opened:
        return opened.read(132)[128:] == b"DICM"


def name_of(file: str) -> str:
    """The last part of a path; pathlib takes ten times as long, of every file."""
    return file.rpartition("/")[2]


def stem(file: str) -> str:
    """A file or path without .dcm; SOP instance identifiers have dots of their own."""
    return file[:-4] if is_named_dicom(file) else file


def image_ids(files: pd.Series) -> pd.Series:
    """A unique id for every file: its name, or its path where several folders use the name."""
    paths = files.map(stem)
    ids = paths.map(name_of)
    ids = ids.where(~ids.duplicated(keep=False), paths)
    return ids.where(~ids.duplicated(keep=False), files)


def nesting(files: pd.Series) -> pd.Series:
    """Sort key: files of the outer folders first, then by path."""
    return files.map(lambda file: (file.count("/"), file))


def match(
    dicoms: pd.DataFrame, labels: pd.DataFrame, table: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Bring DICOM files and labels together by file name: records, rejected.

    Patients are unknown: every image stands for one of its own. A name that occurs again in a
    deeper folder is rejected, saying whether it is the same file.
    """
    dicoms = dicoms.sort_values("file", key=nesting).assign(
        image=dicoms["file"].map(name_of).map(stem)
    )
    first = dicoms.drop_duplicates("image").set_index("image")
    label = labels.set_index("image")["label"]
    rejected = []
    for row in dicoms[dicoms["image"].duplicated()].itertuples():
        one = first.loc[row.image]
        same = row.sha256 == one["sha256"]
        reason = "second copy of" if same else "same name, but other content, as"
        rejected.append((row.file, f"{reason} {one['file']}"))
    first = first.reset_index()
    known = first["image"].isin(label.index)
    rejected += [(file, f"no annotation in {table}") for file in first["file"][~known]]
    lost = label.index[~label.index.isin(first["image"])]
    rejected += [(table, f"no DICOM file for image {image}") for image in lost]
    records = first.loc[known, ["file", "image"]]
    records = records.assign(
        patient=records["image"], patient_known=False, label=records["image"].map(label)
    )
    return records.reset_index(drop=True), rejections(rejected)


def rejections(rows: list[tuple[str, str]]) -> pd.DataFrame:
    """Rejected files and reasons as a table."""
    return pd.DataFrame(rows, columns=["file", "reason"], dtype=str)


def kept(annotations: pd.DataFrame, records: pd.DataFrame) -> pd.DataFrame:
    """The annotations of the images that are there."""
    return annotations[annotations["image"].isin(records["image"])].reset_index(drop=True)


def no_boxes() -> pd.DataFrame:
    """A site without boxes."""
    return pd.DataFrame(columns=["image", *BOX])


def no_runs() -> pd.DataFrame:
    """A site without masks."""
    return pd.DataFrame(columns=["image", "runs"])


def locate(folder: Path, name: str) -> Path:
    """A table that the config names: in the data folder, or else in the working directory."""
    for path in (folder / name, Path(name)):
        if path.is_file():
            return path
    raise InputError(
        name,
        expected=f"a file in {folder} or in the working directory",
        found="no such file",
        fix="correct `labels` or `patients` of the site in the config",
    )


# --- patients ------------------------------------------------------------------------------------


def identified(records: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Records with the patients that a table of matches knows; the others stay as they are."""
    who = records["image"].map(patients(path))
    return records.assign(
        patient=who.fillna(records["patient"]), patient_known=records["patient_known"] | who.notna()
    )


def patients(path: Path) -> pd.Series:
    """A table of matches to patients, by image.

    Its columns are patientId, ImageId or image, and patient or nih_image: the first 8 digits of an
    NIH ChestX-ray14 file name are the patient, written 'nih-00012' so that sites agree on who is
    who. A match whose mse is not below 10 does not count. Raises InputError if the table is not so.
    """
    table = read_table_of_text(path, [])
    image = next((name for name in ("patientId", "ImageId", "image") if name in table), None)
    source = next((name for name in ("patient", "nih_image") if name in table), None)
    if image is None or source is None:
        raise InputError(
            path,
            expected="a column patientId, ImageId or image, and a column patient or nih_image",
            found=", ".join(table.columns),
            fix="check `patients` of the site in the config",
        )
    if "mse" in table:
        table = table[pd.to_numeric(table["mse"], errors="coerce") < UNRELIABLE]
    table = table[table[source] != ""]
    if source == "nih_image":
        wrong = table[~table[source].str.match(r"\d{8}")]
        if len(wrong):
            raise InputError(
                f"{path}, row {wrong.index[0] + 2}",
                expected="nih_image: a file name that starts with the 8 digits of a patient",
                found=wrong[source].iloc[0],
                fix="correct the row",
            )
        table = table.assign(nih_image=[f"nih-{int(name[:8]):05d}" for name in table[source]])
    pairs = table[[image, source]].drop_duplicates()
    both = pairs[image][pairs[image].duplicated()]
    if len(both):
        raise InputError(
            path,
            expected="one patient an image",
            found=f"{len(both)} images with several, the first is {both.iloc[0]}",
            fix="correct the table",
        )
    return pairs.set_index(image)[source]
