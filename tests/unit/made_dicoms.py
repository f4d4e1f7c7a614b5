"""Small DICOM files and sites made of them, for tests."""

import io
import warnings
from pathlib import Path

import gdcm
import numpy as np
import pandas as pd
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, generate_uid

from chexviz.base.files import sha256
from chexviz.data.decoding.radiograph import Radiograph, radiograph

# Syntaxes whose pixels say their own size.
SIZED = ["JPEGLosslessProcess14", "JPEGLosslessProcess14_1", "JPEGLSLossless", "JPEG2000Lossless"]


def write_dicom(path: Path, pixels: np.ndarray, *, jpeg: bool = False, **tags) -> Path:
    """Write integer pixels (H, W) as a DICOM file; `tags` replace or add to the usual ones."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit if jpeg else ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[path.name])
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.dtype.itemsize
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    if jpeg:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=92)
        dataset.PixelData = encapsulate([buffer.getvalue()])
        dataset["PixelData"].VR = "OB"
    else:
        dataset.PixelData = pixels.tobytes()
        dataset["PixelData"].VR = "OB" if pixels.dtype.itemsize == 1 else "OW"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tags that break the standard are written on purpose
        for keyword, value in tags.items():
            setattr(dataset, keyword, value)
        path.parent.mkdir(parents=True, exist_ok=True)
        dataset.save_as(path, enforce_file_format=True)
    return path


def compress(path: Path, syntax: str) -> Path:
    """Write a file anew in a transfer syntax, by the name that GDCM has for it."""
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, syntax)))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    return path


def chest(number: int, shape: tuple[int, int] = (64, 64)) -> np.ndarray:
    """A smooth uint8 image that is different for every number."""
    down, across = np.meshgrid(*(np.linspace(0, 1, side) for side in shape), indexing="ij")
    draws = np.random.default_rng(number)
    waves = sum(
        np.sin(draws.uniform(1, 25) * down + draws.uniform(1, 25) * across + phase)
        for phase in draws.uniform(0, 6, 6)
    )
    return np.interp(waves, (waves.min(), waves.max()), (0, 255)).astype(np.uint8)


def make_manifest(data: Path) -> pd.DataFrame:
    """The manifest of a folder, also written beside it."""
    paths = sorted(path for path in data.rglob("*") if path.is_file())
    table = pd.DataFrame(
        {
            "file": [path.relative_to(data).as_posix() for path in paths],
            "bytes": [path.stat().st_size for path in paths],
            "sha256": [sha256(path) for path in paths],
        }
    ).sort_values("file")
    table.to_csv(data.parent / "manifest.csv", index=False)
    return table


def read_radiograph(path: Path, *limits: int | None, **more: int | None) -> Radiograph:
    """Read a file as `radiograph` reads its bytes."""
    return radiograph(Path(path).read_bytes(), *limits, **more)


def tagged(path, **tags):
    """The dataset of a file with other or further tags; None removes one."""
    dataset = dcmread(path)
    for keyword, value in tags.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return dataset
