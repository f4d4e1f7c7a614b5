"""What kind of file it is by its first bytes, whatever its name says; and what its name says.

Light, so that whoever looks for radiographs needs not read tables.
"""

from pathlib import Path

DICOM, PNG, JPEG = "DICOM", "PNG", "JPEG"
RADIOGRAPHS = (DICOM, PNG, JPEG)  # the kinds that are read
LENGTH = 132  # bytes that tell the kind
MARK = b"DICM"  # at the end of those (PS3.10 7.1)
SUFFIXES = (".dcm", ".dicom", ".png", ".jpg", ".jpeg")  # of radiographs, in any case
STARTS = {
    b"\x89PNG\r\n\x1a\n": PNG,
    b"\xff\xd8\xff": JPEG,
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "BigTIFF",
    b"MM\0+": "BigTIFF",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
}


def kind(start: bytes) -> str:
    """The kind of a file that starts so: of RADIOGRAPHS, one that is not read, or ''.

    start: the first LENGTH bytes, or more; all of a file that has fewer. Before its mark a DICOM
    file may hold the start of another kind, so that programs take it for that.
    """
    if start[LENGTH - len(MARK) : LENGTH] == MARK:
        return DICOM
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "WebP"
    return next((name for first, name in STARTS.items() if start.startswith(first)), "")


def is_named_radiograph(file: str) -> bool:
    """Whether a file claims to be a radiograph by its suffix."""
    return suffix(file) != ""


def suffix(file: str) -> str:
    """The suffix of a file or path if it is that of a radiograph, as it is spelt, else ''."""
    end = file[file.rfind(".") :] if "." in file else ""
    return end if end.lower() in SUFFIXES else ""


def is_radiograph(folder: Path, file: str) -> bool:
    """Whether a file claims to be a radiograph: by its suffix, or by its first bytes."""
    if is_named_radiograph(file):
        return True
    with (folder / file).open("rb") as opened:
        return kind(opened.read(LENGTH)) in RADIOGRAPHS
