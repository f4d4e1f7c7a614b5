"""The DICOM file that results are about: what they take from it, as the standard wants it.

Public files lack attributes that may be empty but have to be there, and have values that the
standard does not know, such as the age '62'. Results of them would be refused by an archive.
"""

import re
import warnings

from pydicom.config import RAISE
from pydicom.dataset import Dataset
from pydicom.valuerep import validate_value

from chexviz.base.errors import Unreadable
from chexviz.data.decoding.header import read_dataset, text

# Without these there is no telling what a result is about.
IDENTITY = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
# Of type 2 for the patient and the study (PS3.3 C.7.1.1, C.7.2.1): there, if empty.
REQUIRED = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber"),
)
# Besides, what results take along if it is there and valid.
OPTIONAL = ("PatientAge", "StudyDescription", "ViewPosition")
OTHER = "OT"  # as the modality of a file that does not say it
NUMBERS = ("Rows", "Columns")
SPACING = ("PixelSpacing", "ImagerPixelSpacing")
FRONTAL = ["L", "F"]  # of AP and PA views: along a row to the patient's left, down to the feet


def source_dataset(data: bytes, max_pixels: int) -> Dataset:
    """What results take of a file's bytes, without its pixels.

    Raises Unreadable if it does not say which image of which study it is.
    """
    found = read_dataset(data, max_pixels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about what is put right here
        kept = Dataset()
        kept.file_meta = found.file_meta
        for keyword in IDENTITY:
            if not valid("UI", text(found, keyword)):
                raise Unreadable(f"it has no valid {keyword}")
            setattr(kept, keyword, text(found, keyword))
        for keyword in (*REQUIRED, *OPTIONAL):
            value = known(found, keyword)
            if value or keyword in REQUIRED:
                setattr(kept, keyword, value)
        kept.Modality = known(found, "Modality") or OTHER
        for keyword in NUMBERS:
            setattr(kept, keyword, int(found[keyword].value))
        for keyword in SPACING:
            lengths = text(found, keyword).split("\\")
            if len(lengths) == 2 and all(map(is_length, lengths)):
                setattr(kept, keyword, lengths)
        kept.PatientOrientation = orientation(found)
    return kept


def known(found: Dataset, keyword: str) -> str:
    """The value of an attribute as the standard wants it; '' if it is not there, or not valid.

    Texts are those that the file's own character set means.
    """
    value = str(found.get(keyword) or "")
    if keyword == "PatientAge":
        return age_string(value)
    if keyword == "PatientSex":
        return value if value in ("M", "F", "O") else ""
    kind = found[keyword].VR if keyword in found else "LO"
    return value if valid(kind, value) else ""


def valid(kind: str, value: str) -> bool:
    """Whether a value is one of a kind (value representation, PS3.5 6.2)."""
    try:
        validate_value(kind, value, RAISE)
    except ValueError:
        return False
    return bool(value) or kind != "UI"


def is_length(value: str) -> bool:
    """Whether a text is a number above 0."""
    return bool(value) and valid("DS", value) and 0 < float(value) < float("inf")


def age_string(value: str) -> str:
    """An age as PS3.5 6.2 has it, '062Y', also of '62' and '62Y'; '' of what is none."""
    found = re.fullmatch(r"(\d{1,3})([DWMY]?)", value)
    return f"{int(found[1]):03d}{found[2] or 'Y'}" if found else ""


def orientation(found: Dataset) -> list[str]:
    """Where the rows and the columns of the image lead to; [] where nobody knows."""
    stated = [one for one in text(found, "PatientOrientation").split("\\") if one]
    if len(stated) == 2 and all(re.fullmatch("[ALHPRF]{1,3}", one) for one in stated):
        return stated
    return FRONTAL if text(found, "ViewPosition").upper() in ("AP", "PA") else []
