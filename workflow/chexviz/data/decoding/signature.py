"""What kind of file it is by its first bytes, whatever its name says."""

DICOM, PNG, JPEG = "DICOM", "PNG", "JPEG"
RADIOGRAPHS = (DICOM, PNG, JPEG)  # the kinds that are read
LENGTH = 132  # bytes that tell the kind
MARK = b"DICM"  # at the end of those (PS3.10 7.1)
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
