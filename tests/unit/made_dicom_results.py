"""What a bundle says of a drawn radiograph, as DICOM objects, for tests."""

import msgspec
import numpy as np

import made_bundles
from chexviz.data.convert import read_image
from chexviz.inference import dicom_results
from chexviz.inference.answers import Answer, Told
from chexviz.inference.dicom_source import source_dataset

FINDINGS = {
    "pneumonia": Told(0.251, 0.204, False),
    "pneumothorax": Told(0.8, None, None),
    "nodule": Told(0.5, 0.55, True),
}
UIDS = {
    "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1",
    "StudyInstanceUID": "1.2.826.0.1.3680043.8.498.1",
    "SeriesInstanceUID": "1.2.826.0.1.3680043.8.498.2",
    "SOPInstanceUID": "1.2.826.0.1.3680043.8.498.3",
}
# What the files of the challenges have, and lack.
LIKE_KAGGLE = UIDS | {"PatientAge": "62", "PatientSex": "F", "ViewPosition": "PA", "PatientID": "p"}


def bundle_of(**changes):
    """A bundle of three findings, one of which no dictionary codes."""
    model = made_bundles.model_of({"rsna": ["pneumonia"], "siim": ["pneumothorax", "nodule"]})
    bundle = msgspec.structs.replace(made_bundles.about(model), digest="ab" * 32)
    return msgspec.structs.replace(bundle, **changes)


def results(data: bytes, bundle, maps=None) -> dict:
    """The objects of a file."""
    made = bundle.preprocessing
    image, found, _ = read_image(data, made.size, made.fit, 36_000_000)
    heat = np.zeros((4, 4), np.float32)
    heat[1, 2] = 3.0
    maps = maps or {"pneumonia": heat, "pneumothorax": 0 * heat, "nodule": heat.T.copy()}
    answer = Answer("x.dcm", "", FINDINGS, found.view, (found.height, found.width), 0.5, ["remark"])
    return dicom_results.objects(source_dataset(data, 36_000_000), image, maps, answer, bundle)
