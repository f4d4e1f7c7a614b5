"""Who is on the images: tables of matches to patients."""

from pathlib import Path

import pandas as pd

from chexviz.base import user_tables
from chexviz.base.errors import InputError
from chexviz.data.readers.files import spelling

IDS = ["patientId", "ImageId", "image"]  # of an image, in a table of patients
UNRELIABLE = 10  # mean squared grey-level difference of a published match that is none


def identified(records: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Records with the patients that a table of matches knows; the others stay as they are.

    Raises InputError if it knows none of them.
    """
    known = patients(path)
    who = known_of(records, known)
    if who.isna().all():
        raise knows_none(records, known, path, "`patients`", "the patients of ")
    return records.assign(
        patient=who.fillna(records["patient"]), patient_known=records["patient_known"] | who.notna()
    )


def known_of(records: pd.DataFrame, known: pd.Series) -> pd.Series:
    """What is known of each record by its image or its file; NaN where nothing is.

    known: by the `spelling` of an image.
    """
    found = records["image"].map(spelling).map(known)
    return found.fillna(records["file"].map(spelling).map(known))


def knows_none(
    records: pd.DataFrame, known: pd.Series, path: Path, key: str, what: str = ""
) -> InputError:
    """The error of a table that knows none of the images. key: of the site's settings."""
    named = f"it names {known.index[0]!r}" if len(known) else "it names none"
    return InputError(
        path,
        expected=f"{what}the site's {len(records)} images, or of some of them",
        found=f"none of them: {named}, and the first image is {records['image'].iloc[0]!r}",
        fix=f"check {key} of the site in the config, and how the table names images",
    )


def id_column(path: Path, table: pd.DataFrame, fix: str) -> str:
    """The column of a table that names images. Raises InputError if it has none."""
    found = next((name for name in IDS if name in table), None)
    if found is None:
        raise InputError(
            path, expected=f"a column {', '.join(IDS)}", found=", ".join(table.columns), fix=fix
        )
    return found


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
