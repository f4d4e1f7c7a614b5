"""Drawn radiographs to DICOM files with the tags, and the defects, of the challenges' files."""

import io
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, JPEGBaseline8Bit, SecondaryCaptureImageStorage

from chexviz.data.phantom.anatomy import Exam, anatomy
from chexviz.data.phantom.item import Finding, Item
from chexviz.data.phantom.radiograph import render
from chexviz.images import run_lengths


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
    meta.MediaStorageSOPInstanceUID = UID(item.identity.uid(4))
    meta.TransferSyntaxUID = JPEGBaseline8Bit
    data = Dataset()
    data.file_meta = meta
    data.SpecificCharacterSet = "ISO_IR 100"
    data.SOPClassUID, data.SOPInstanceUID = SecondaryCaptureImageStorage, item.identity.uid(4)
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
