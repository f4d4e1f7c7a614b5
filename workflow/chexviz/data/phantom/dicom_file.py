"""Drawn radiographs to DICOM files with the tags, and the defects, of the datasets' files."""

import io
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    SecondaryCaptureImageStorage,
)

from chexviz.data.phantom.anatomy import Exam, anatomy
from chexviz.data.phantom.item import Item

WHITE = 4095  # of 12 bits
INVERTED = 6  # one of so many 12-bit files stores bone dark


def save_challenge(item: Item, pixels: np.ndarray, quality: int, path: Path) -> None:
    """A lossy 8-bit file with the tags that both challenges' files carry, defects included."""
    body = anatomy(item.exam.seed, item.exam.patient)
    data = started(item, SecondaryCaptureImageStorage, JPEGBaseline8Bit)
    data.SpecificCharacterSet = "ISO_IR 100"
    data.StudyInstanceUID, data.SeriesInstanceUID = item.identity.uid(2), item.identity.uid(3)
    data.StudyDate, data.StudyTime = "19010101", "000000.00"
    data.AccessionNumber = data.ReferringPhysicianName = data.PatientBirthDate = ""
    data.StudyID = data.PatientOrientation = ""
    data.Modality, data.ConversionType, data.BodyPartExamined = "CR", "WSD", "CHEST"
    data.SeriesDescription, data.ViewPosition = f"view: {item.exam.view}", item.exam.view
    data.PatientName = data.PatientID = item.identity.uuid
    data.PatientSex = body.sex
    # The challenges write '62' where DICOM wants '062Y'; pydicom would warn for every file.
    data.add(
        pydicom.DataElement(
            "PatientAge", "AS", str(body.age), validation_mode=pydicom.config.IGNORE
        )
    )
    data.SeriesNumber = data.InstanceNumber = 1
    describe_pixels(data, item.exam, pixels, bits=8)
    data.LossyImageCompression, data.LossyImageCompressionMethod = "01", "ISO_10918_1"
    stream_of_bytes = io.BytesIO()
    Image.fromarray(pixels).save(stream_of_bytes, "JPEG", quality=quality)
    data.PixelData = encapsulate([stream_of_bytes.getvalue()])
    data["PixelData"].VR = "OB"
    data.save_as(path, enforce_file_format=True)


def save_12_bit(item: Item, pixels: np.ndarray, quality: int, path: Path) -> None:
    """A file of 12 bits with few tags and no view, some of them MONOCHROME1."""
    body = anatomy(item.exam.seed, item.exam.patient)
    data = started(item, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian)
    data.PatientSex, data.PatientAge = body.sex, f"{body.age:03d}Y"
    describe_pixels(data, item.exam, pixels, bits=12)
    data.WindowCenter, data.WindowWidth = (WHITE + 1) // 2, WHITE + 1
    data.RescaleIntercept, data.RescaleSlope, data.RescaleType = 0, 1, "US"
    deep = pixels.astype(np.uint16) * 257 >> 4
    if int(item.identity.name, 16) % INVERTED == 0:
        data.PhotometricInterpretation = "MONOCHROME1"
        deep = WHITE - deep
    data.PixelData = deep.astype("<u2").tobytes()
    data["PixelData"].VR = "OW"
    data.save_as(path, enforce_file_format=True)


def started(item: Item, kind: UID, syntax: UID) -> Dataset:
    """A DICOM file of a kind, with its identifiers alone."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = kind
    meta.MediaStorageSOPInstanceUID = UID(item.identity.uid(4))
    meta.TransferSyntaxUID = syntax
    data = Dataset()
    data.file_meta = meta
    data.SOPClassUID, data.SOPInstanceUID = kind, item.identity.uid(4)
    return data


def describe_pixels(data: Dataset, exam: Exam, pixels: np.ndarray, bits: int) -> None:
    """The tags of grey pixels whose highest value is white."""
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.Rows, data.Columns = pixels.shape
    data.PixelSpacing = [spacing(exam, len(pixels))] * 2
    data.BitsAllocated, data.BitsStored, data.HighBit = 8 * ((bits + 7) // 8), bits, bits - 1
    data.PixelRepresentation = 0


def spacing(exam: Exam, size: int) -> float:
    """Millimetres per pixel: the detectors' usual values, if the image has 1024 pixels a side."""
    usual = exam.draws("spacing").choice([0.139, 0.143, 0.168, 0.171, 0.194])
    return round(float(usual) * 1024 / size, 6)
