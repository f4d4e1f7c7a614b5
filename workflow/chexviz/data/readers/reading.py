"""A raw layout to one listing: which files are images, whose, with which label and annotations."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from chexviz.base import user_tables
from chexviz.base.errors import InputError
from chexviz.base.source_code import HOME
from chexviz.base.user_tables import identifier
from chexviz.images import run_lengths

IDS = ["patientId", "ImageId", "image"]  # of an image, in a table of patients
BOX = ["x", "y", "width", "height"]
SIDE = 1024  # pixels of the challenges' images, in which their tables have boxes and masks
ABSOLUTE = re.compile(r"[/\\]|[A-Za-z]:[/\\]")
UNRELIABLE = 10  # mean squared grey-level difference of a published match that is none


@dataclass(frozen=True)
class LabelTable:
    """A site's label table. ids: how many images it names. lost: those of them without a file.

    unlisted: DICOM files without a row in it.
    """

    path: Path
    ids: int
    lost: list[str]
    unlisted: list[str]

    def apart(self) -> str:
        """What of the table and of the files does not meet, with examples."""
        lost = f"{len(self.lost)} of {self.ids} images in {self.path.name} have no file"
        unlisted = f"{len(self.unlisted)} DICOM files have no row in it"
        return "; ".join(
            text + f", such as {', '.join(map(repr, names[:3]))}" * bool(names)
            for text, names in ((lost, self.lost), (unlisted, self.unlisted))
        )


@dataclass
class Listing:
    """What a site's files are, before any of them is opened.

    records: file (relative to the data folder), image, patient, patient_known, label ('1', '0' or
    '' for not annotated), one row an image; then label_<finding>, likewise, for each other finding
    that the site's options name. boxes: image, x, y, width, height. runs: image, runs (absolute,
    column-major, see `run_lengths`). side: boxes and runs are in pixels of images of so many pixels
    a side; None: there are none. rejected: file, reason, for every other DICOM file and every label
    without an image. others: files that are no DICOM, nor a table that was read.
    """

    records: pd.DataFrame
    boxes: pd.DataFrame
    runs: pd.DataFrame
    rejected: pd.DataFrame
    table: LabelTable
    side: int | None = None
    others: list[str] = field(default_factory=list)


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
    if not (listing.records["label"] != "").any():
        found = f"{len(dicoms)} DICOM files, none of them labelled: {listing.table.apart()}"
        raise empty_site(folder, f"{found}; {len(listing.records)} have a row without a label")
    read_tables = {listing.table.path}
    if options["patients"]:
        path = locate(folder, options["patients"])
        listing.records = identified(listing.records, path)
        read_tables.add(path)
    taken = {*dicoms["file"], *listing.records["file"]}
    others = [file for file in files["file"] if file not in taken]
    listing.others = [file for file in others if folder / file not in read_tables]
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
    records, rejected, table = match(dicoms, labels, path)
    return Listing(records, kept(boxes, records), no_runs(), rejected, table, SIDE)


def read_siim(folder: Path, files: pd.DataFrame, dicoms: pd.DataFrame, options: Mapping) -> Listing:
    """SIIM-ACR Pneumothorax Segmentation: DICOMs named by SOP instance, a row a mask.

    PatientID is a fresh UUID in every file, so it says nothing about who is on it.
    """
    path = label_table(folder, files, options["labels"], "train-rle.csv")
    labels, runs = siim_labels(path)
    records, rejected, table = match(dicoms, labels, path)
    return Listing(records, no_boxes(), kept(runs, records), rejected, table, SIDE)


def read_table(
    folder: Path, files: pd.DataFrame, dicoms: pd.DataFrame, options: Mapping
) -> Listing:
    """Any folder of DICOMs with a table: file (relative to the table), patient, <task>, <finding>.

    Listed files are images whatever their name; other DICOM files are rejected.
    """
    path = label_table(folder, files, options["labels"], "labels.csv")
    labels = table_labels(path, options["task"], options["findings"])
    labels["named"] = labels["file"]
    labels["file"] = meant(path, labels["file"], folder, files["file"])
    there = labels["file"] != ""
    records = labels[there].reset_index(drop=True)
    records.insert(1, "image", image_ids(records["file"]))
    records["patient_known"] = records["patient"] != ""
    records["patient"] = records["patient"].where(records["patient_known"], records["image"])
    lost = labels.loc[~there, "named"].tolist()
    unlisted = dicoms.loc[~dicoms["file"].isin(labels["file"]), "file"].tolist()
    rejected = [(file, f"in {path.name}, but there is no such file") for file in lost]
    rejected += [(file, f"no row in {path.name}") for file in unlisted]
    findings = [f"label_{finding}" for finding in options["findings"]]
    records = records[["file", "image", "patient", "patient_known", "label", *findings]]
    table = LabelTable(path, len(labels), lost, unlisted)
    return Listing(records, no_boxes(), no_runs(), rejections(rejected), table)


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
    table = user_tables.read(path, ["patientId", *BOX, "Target"])
    mention_patients(path, table)
    table["patientId"] = table["patientId"].map(identifier)
    table["Target"] = user_tables.labels(table["Target"])
    check_labels(path, table["Target"], empty=False)
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
            f"{path}, row {wrong.index[0]}",
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
    table = user_tables.read(path, ["ImageId", "EncodedPixels"])
    mention_patients(path, table)
    table["ImageId"] = table["ImageId"].map(identifier)
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
            return run_lengths.absolute(relative)
        problem = "an empty cell"
    except ValueError as error:
        problem = str(error)
    raise InputError(
        f"{path}, row {row}",
        expected="-1, or run lengths 'gap length gap length ...'",
        found=problem,
        fix="correct the row, or download the table again",
    )


def table_labels(path: Path, task: str, findings: Sequence[str]) -> pd.DataFrame:
    """A hospital's table to file, patient ('' if unknown), label ('1', '0' or ''), label_<finding>.

    The index is the row. Raises InputError on a missing column or another label.
    """
    table = user_tables.read(path, ["file", task, *findings], ["patient"])
    for column in (task, *findings):
        table[column] = user_tables.labels(table[column])
        check_labels(path, table[column], empty=True)
    patient = user_tables.known(table["patient"]) if "patient" in table else ""
    others = {f"label_{finding}": table[finding] for finding in findings}
    return table[["file"]].assign(label=table[task], patient=patient, **others)


def mention_patients(path: Path, table: pd.DataFrame) -> None:
    """Say that a challenge's label table, which names no patients, has a column that seems to."""
    found = [name for name in table if name == "patient"]
    found += user_tables.near_misses(table, "patient", ["patientId"])
    if found:
        user_tables.say(
            f"{path}: its column {', '.join(found)} is not read; a table that `patients` of the "
            "site names says who is on the images"
        )


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


def check_labels(path: Path, column: pd.Series, *, empty: bool) -> None:
    """Raise InputError naming the first row whose label is not '1', '0' or, if allowed, ''."""
    wrong = column[~column.isin(["0", "1", ""] if empty else ["0", "1"])]
    if len(wrong):
        raise InputError(
            f"{path}, row {wrong.index[0]}",
            expected=f"{column.name}: 0 or 1" + " or empty (not annotated)" * empty,
            found=f"{wrong.iloc[0]!r} ({len(wrong)} such rows)",
            fix="correct them; of -1, say what it means: uncertain in some datasets, in others no",
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
    dicoms: pd.DataFrame, labels: pd.DataFrame, path: Path
) -> tuple[pd.DataFrame, pd.DataFrame, LabelTable]:
    """Bring DICOM files and the labels of a table together by file name: records, rejected, table.

    Patients are unknown: every image stands for one of its own. A name that occurs again in a
    deeper folder is rejected, saying whether it is the same file.
    """
    dicoms = dicoms.sort_values("file", key=nesting).assign(
        image=dicoms["file"].map(name_of).map(identifier)
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
    unlisted = first.loc[~known, "file"].tolist()
    rejected += [(file, f"no annotation in {path.name}") for file in unlisted]
    lost = label.index[~label.index.isin(first["image"])].tolist()
    rejected += [(path.name, f"no DICOM file for image {image}") for image in lost]
    records = first.loc[known, ["file", "image"]]
    records = records.assign(
        patient=records["image"], patient_known=False, label=records["image"].map(label)
    )
    table = LabelTable(path, len(label), lost, unlisted)
    return records.reset_index(drop=True), rejections(rejected), table


def meant(path: Path, names: pd.Series, folder: Path, files: pd.Series) -> list[str]:
    """The file of the site that each name in a table means; '' where there is none.

    names: relative to the table, by row; other spellings are understood if they mean one file.
    files: relative to `folder`. Raises InputError for paths that lead elsewhere, names that mean
    several files, and files with several rows.
    """
    base = path.relative_to(folder).parent.as_posix() if path.is_relative_to(folder) else "."
    roots = (f"{folder.absolute().as_posix()}/", f"{folder.resolve().as_posix()}/")
    if elsewhere := [n for n in names if ABSOLUTE.match(n) and not n.startswith(roots)]:
        raise InputError(
            path,
            expected="paths relative to the folder of the table, or within the site's data",
            found=f"{len(elsewhere)} that lead elsewhere, such as {elsewhere[0]}",
            fix="write them relative to the folder of the table",
        )
    within = [relative(name, base, roots) for name in names]
    exact, by_spelling = set(files), {}
    if not exact.issuperset(within):
        by_spelling = files.groupby(files.map(spelling)).agg(list).to_dict()
    chosen: list[str] = []
    taken: set[str] = set()
    for row, name in zip(names.index, within, strict=True):
        found = [name] if name in exact else by_spelling.get(spelling(name), [""])
        if len(found) > 1 or found[0] in taken:
            raise InputError(
                f"{path}, row {row}",
                expected="one file a row, and one row a file",
                found=f"another row for {found[0]}" if len(found) == 1 else ", ".join(found),
                fix="correct the row, or remove it",
            )
        chosen += found
        taken.update(filter(None, found))
    return chosen


def relative(name: str, base: str, roots: Sequence[str]) -> str:
    """A path of a table as seen from the data folder.

    base: the table's folder there. roots: where the data folder is, with a slash.
    """
    for root in roots:
        if name.startswith(root):
            return name.removeprefix(root)
    return name if base == "." else f"{base}/{name}"


def spelling(path: str) -> str:
    """What all spellings of a path share: see `identifier`; slashes; no empty or '.' part."""
    parts = (part.strip() for part in path.replace("\\", "/").split("/"))
    return "/".join(identifier(part) for part in parts if part not in ("", "."))


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
    """A table that the config names: in the data folder, the working directory, or as shipped."""
    for path in (folder / name, Path(name), HOME / name):
        if path.is_file():
            return path
    raise InputError(
        name,
        expected=f"a file in {folder}, in the working directory or in {HOME}",
        found="no such file",
        fix="correct `labels` or `patients` of the site in the config",
    )


# --- patients ------------------------------------------------------------------------------------


def identified(records: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Records with the patients that a table of matches knows; the others stay as they are.

    Raises InputError if it knows none of them.
    """
    known = patients(path)
    who = records["image"].map(spelling).map(known)
    who = who.fillna(records["file"].map(spelling).map(known))
    if who.isna().all():
        named = f"it names {known.index[0]!r}" if len(known) else "it names none"
        raise InputError(
            path,
            expected=f"the patients of the site's {len(records)} images, or of some of them",
            found=f"none of them: {named}, and the first image is {records['image'].iloc[0]!r}",
            fix="check `patients` of the site in the config, and how the table names images",
        )
    return records.assign(
        patient=who.fillna(records["patient"]), patient_known=records["patient_known"] | who.notna()
    )


def patients(path: Path) -> pd.Series:
    """A table of matches to patients, by image.

    Its columns are patientId, ImageId or image, and one of three: patient; nih_image, where the
    first 8 digits of an NIH ChestX-ray14 file name are the patient, written 'nih-00012' so that
    sites agree on who is who; group, of images of one patient whom nobody can name, written
    'group:12'. A match whose mse is not below 10 does not count. Raises InputError if the table is
    not so.
    """
    table = user_tables.read(path, [])
    image = next((name for name in IDS if name in table), None)
    source = next((name for name in ("patient", "nih_image", "group") if name in table), None)
    for name in ("patient", "nih_image", "mse"):
        user_tables.refuse_near_misses(path, table, name, IDS)
    if image is None or source is None:
        raise InputError(
            path,
            expected="a column patientId, ImageId or image, and one patient, nih_image or group",
            found=", ".join(table.columns),
            fix="check `patients` of the site in the config",
        )
    if "mse" in table:
        table = table[pd.to_numeric(table["mse"], errors="coerce") < UNRELIABLE]
    table = pd.DataFrame(
        {image: table[image].map(spelling), source: user_tables.known(table[source])}
    )
    table = table[table[source] != ""]
    if source == "nih_image":
        wrong = table[~table[source].str.match(r"\d{8}")]
        if len(wrong):
            raise InputError(
                f"{path}, row {wrong.index[0]}",
                expected="nih_image: a file name that starts with the 8 digits of a patient",
                found=wrong[source].iloc[0],
                fix="correct the row",
            )
        table = table.assign(nih_image=[f"nih-{int(name[:8]):05d}" for name in table[source]])
    elif source == "group":
        table = table.assign(group=user_tables.NAMELESS + table["group"])
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
