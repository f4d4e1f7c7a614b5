"""DICOM files as nearly all of both datasets are, read without a full parser.

Such a file is one 8-bit MONOCHROME2 image as a single baseline JPEG whose stored values are the
displayed ones. A walk over its header takes a tenth of the time of pydicom, which is a fifth of
reading the file. Whatever differs in any way, or is in doubt, is left to pydicom.
"""

import struct
from dataclasses import dataclass

HEAD = struct.Struct("<HH2sH")  # group, element, value representation, short length
LENGTH = struct.Struct("<I")
SHORT = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())  # two bytes, then the length
UNDEFINED = 0xFFFFFFFF
PIXEL_DATA = 0x7FE00010
ITEM, END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0\0\0\0\0"  # PS3.5 A.4


TAGS = {  # PS3.6, written out since pydicom takes long to import
    "TransferSyntaxUID": 0x00020010,
    "PresentationIntentType": 0x00080068,
    "PatientSex": 0x00100040,
    "PatientAge": 0x00101010,
    "ImagerPixelSpacing": 0x00181164,
    "ViewPosition": 0x00185101,
    "SamplesPerPixel": 0x00280002,
    "PhotometricInterpretation": 0x00280004,
    "NumberOfFrames": 0x00280008,
    "Rows": 0x00280010,
    "Columns": 0x00280011,
    "PixelSpacing": 0x00280030,
    "PixelAspectRatio": 0x00280034,
    "BitsAllocated": 0x00280100,
    "BitsStored": 0x00280101,
    "PixelRepresentation": 0x00280103,
    "PixelPaddingValue": 0x00280120,
    "WindowCenter": 0x00281050,
    "RescaleIntercept": 0x00281052,
    "RescaleSlope": 0x00281053,
    "LossyImageCompression": 0x00282110,
    "ModalityLUTSequence": 0x00283000,
    "VOILUTSequence": 0x00283010,
    "PresentationLUTShape": 0x20500020,
}
# What makes the stored values the displayed ones: these values, and none of these transforms.
AS_DISPLAYED: dict[str, int | str] = {
    "PhotometricInterpretation": "MONOCHROME2",
    "BitsAllocated": 8,
    "BitsStored": 8,
    "PixelRepresentation": 0,
}
RESCALE = ("RescaleSlope", "RescaleIntercept")  # if they change anything
TRANSFORMS = ("ModalityLUTSequence", "VOILUTSequence", "WindowCenter", "PixelPaddingValue")


def written(value: int | str) -> bytes:
    """A value as it is in a file: 16 bits, or a text of an even number of bytes."""
    if isinstance(value, int):
        return value.to_bytes(2, "little")
    return value.encode() + b" " * (len(value) % 2)


# Of a plain file besides: what its only image is, and nothing that asks for a second look.
PLAIN: dict[str, int | str] = {
    "TransferSyntaxUID": "1.2.840.10008.1.2.4.50",  # JPEG Baseline
    "SamplesPerPixel": 1,
    **AS_DISPLAYED,
}
REQUIRED = {TAGS[keyword]: written(value) for keyword, value in PLAIN.items()}
DOUBTFUL = (*TRANSFORMS, *RESCALE, "NumberOfFrames", "PresentationLUTShape")
FORBIDDEN = {TAGS[keyword] for keyword in DOUBTFUL}


@dataclass
class PlainJpeg:
    """A file of the plain kind: its elements before the pixels, by tag, and its JPEG."""

    elements: dict[int, bytes]
    jpeg: memoryview

    def text(self, keyword: str) -> str:
        """The text of a keyword of TAGS as it is in the file, '' if absent."""
        return self.elements.get(TAGS[keyword], b"").decode("latin-1").strip(" \0")

    def number(self, keyword: str) -> int:
        """The unsigned integer of a keyword of TAGS. Raises KeyError if it is absent."""
        return int.from_bytes(self.elements[TAGS[keyword]], "little")


def plain_jpeg(data: bytes) -> PlainJpeg | None:
    """A file's bytes as the plain kind; None if it is any other, or cut short or odd."""
    elements, start = walk(data)
    if any(elements.get(tag) != value for tag, value in REQUIRED.items()):
        return None
    if not FORBIDDEN.isdisjoint(elements):
        return None
    jpeg = only_fragment(data, start)
    return None if jpeg is None else PlainJpeg(elements, jpeg)


def walk(data: bytes) -> tuple[dict[int, bytes], int]:
    """Top-level elements of explicit little endian, and where encapsulated pixel data starts.

    Without any elements if there is something that it does not know: another encoding, sequences
    of undefined length, elements out of order, the end of the file.
    """
    elements: dict[int, bytes] = {}
    last, position = 0, 132
    if data[128:132] != b"DICM":
        return {}, 0
    while position + 12 <= len(data):
        group, number, kind, length = HEAD.unpack_from(data, position)
        tag, position = group << 16 | number, position + 8
        if kind not in SHORT:  # as few are
            if kind not in LONG:
                return {}, 0
            (length,) = LENGTH.unpack_from(data, position)
            position += 4
            if tag == PIXEL_DATA and length == UNDEFINED:
                return elements, position
        # Undefined lengths reach beyond the end too.
        if tag <= last or tag >= PIXEL_DATA or position + length > len(data):
            return {}, 0
        elements[tag] = data[position : position + length]
        last, position = tag, position + length
    return {}, 0


def only_fragment(data: bytes, start: int) -> memoryview | None:
    """The only fragment of encapsulated pixel data that ends the file; None if it is not so."""
    fragments = []
    while data[start : start + 4] == ITEM and start + 8 <= len(data):
        (length,) = LENGTH.unpack_from(data, start + 4)
        fragments.append(memoryview(data)[start + 8 : start + 8 + length])
        start += 8 + length
    # The first item is the offset table.
    return fragments[1] if len(fragments) == 2 and data[start:] == END else None
