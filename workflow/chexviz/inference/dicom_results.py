"""What a model says of a radiograph as DICOM objects, for archives and viewers.

A Secondary Capture of the picture, a segmentation of where each finding was seen, and a structured
report (TID 1500) of the numbers. All refer to the radiograph that they are derived from.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
from highdicom import sr
from highdicom.sc import SCImage
from highdicom.seg import Segmentation, SegmentDescription
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import UID, generate_uid

from chexviz.base.files import replacing_all
from chexviz.images.annotated import upsample
from chexviz.images.resizing import square
from chexviz.inference.answers import Answer, letters
from chexviz.inference.bundle import RESEARCH, Bundle, Preprocessing
from chexviz.inference.heatmaps import drawn
from chexviz.reporting.titles import finding_title
from chexviz.reporting.wording import capitalised

SHOWN = 0.5  # of a map's maximum, where a segment begins: as maps are compared with annotations
SCHEME, SCHEME_NAME = "99CHEXVIZ", "CheXViz, a federated chest X-ray study"
MANUFACTURER = "CheXViz"
UTF8 = "ISO_IR 192"
NAMES = ("PatientName", "ReferringPhysicianName")
LONG = 64  # letters of a text of the kind LO
# Findings that SNOMED CT knows; others have a code of the private scheme.
CODES = {
    "pneumonia": Code("233604007", "SCT", "Pneumonia"),
    "pneumothorax": Code("36118008", "SCT", "Pneumothorax"),
    "pleural_effusion": Code("60046008", "SCT", "Pleural effusion"),
    "atelectasis": Code("46621007", "SCT", "Atelectasis"),
    "cardiomegaly": Code("8186001", "SCT", "Cardiomegaly"),
}
ABNORMAL = Code("49755003", "SCT", "Morphologically Abnormal Structure")
CHEST = Code("399208008", "SCT", "Plain X-ray of chest")
# No dictionary has these.
SCORE = Code("score", SCHEME, "Score of the model for the finding")
PROBABILITY = Code("probability", SCHEME, "Calibrated probability of the finding")
CALLED = Code("called", SCHEME, "Result at the operating point")
NO_UNITS = Code("1", "UCUM", "no units")
SOURCE = Code("121322", "DCM", "Source Image for Image Processing Operation")
SUFFIXES = {"capture": ".sc.dcm", "segments": ".seg.dcm", "report": ".sr.dcm"}
SERIES = {"capture": 9001, "segments": 9002, "report": 9003}


def objects(
    source: Dataset,
    image: np.ndarray,
    maps: Mapping[str, np.ndarray],
    answer: Answer,
    bundle: Bundle,
) -> dict[str, Dataset]:
    """What is said of a radiograph, by kind; no segmentation where all maps are zero.

    source: see dicom_source. image: uint8 (S, S). maps: (h, w) of each finding.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about names without a comma, which public files have
        made = {
            "capture": capture(source, image, maps, answer, bundle),
            "segments": segments(source, maps, bundle),
            "report": report(source, answer, bundle),
        }
    return {kind: dataset for kind, dataset in made.items() if dataset is not None}


def write(folder: Path, name: str, made: Mapping[str, Dataset]) -> list[Path]:
    """Write objects to files of this name, each with the suffix of its kind."""
    paths = {kind: folder / f"{name}{SUFFIXES[kind]}" for kind in made}
    with replacing_all(paths) as temporaries:
        for kind, dataset in made.items():
            dataset.save_as(temporaries[kind], enforce_file_format=True)
    return [*paths.values()]


# --- what all three have -------------------------------------------------------------------------


def identity(kind: str, source: Dataset, bundle: Bundle) -> dict[str, Any]:
    """The identifiers of a result: the same for the same radiograph and bundle."""
    return {
        "series_instance_uid": made_uid(source.SeriesInstanceUID, bundle.digest, kind),
        "series_number": SERIES[kind],
        "sop_instance_uid": made_uid(source.SOPInstanceUID, bundle.digest, kind),
        "instance_number": 1,
        "manufacturer": MANUFACTURER,
    }


def made_uid(*of: str) -> UID:
    """An identifier that follows from some texts."""
    return generate_uid(entropy_srcs=[str(one) for one in of])


def complete(dataset: Dataset, what: str, source: Dataset, bundle: Bundle) -> Dataset:
    """The same with what every result says of itself: whose it is, and what it is not for."""
    warning = "DEMO" if bundle.mark.startswith("DEMO") else bundle.mark
    said = "; ".join(filter(None, [warning, f"CheXViz {what}", RESEARCH]))
    dataset.SpecificCharacterSet = UTF8
    for keyword in NAMES:  # which remember the character set that they were read with
        setattr(dataset, keyword, str(source.get(keyword) or ""))
    dataset.SeriesDescription = letters(said, LONG).replace("…", ".").replace("\\", "/")
    dataset.ManufacturerModelName = bundle.architecture
    dataset.SoftwareVersions = bundle.name
    dataset.DeviceSerialNumber = bundle.name
    if "PatientAge" in source:
        dataset.PatientAge = source.PatientAge
    if "Rows" in dataset:
        dataset.PatientOrientation = source.PatientOrientation
    return dataset


def called_by(bundle: Bundle) -> str:
    """What readers call the model."""
    return f"CheXViz {bundle.architecture}, {bundle.method}."


def coded(name: str) -> Code:
    """The code of a finding."""
    return CODES.get(name) or Code(letters(name, 16), SCHEME, capitalised(finding_title(name)))


def declare_scheme(dataset: Dataset) -> None:
    """Say whose codes those of the private scheme are (PS3.3 C.12.1.1)."""
    item = Dataset()
    item.CodingSchemeDesignator, item.CodingSchemeName = SCHEME, SCHEME_NAME
    item.CodingSchemeResponsibleOrganization = MANUFACTURER
    dataset.CodingSchemeIdentificationSequence = [item]


# --- the picture ---------------------------------------------------------------------------------


def capture(
    source: Dataset,
    image: np.ndarray,
    maps: Mapping[str, np.ndarray],
    answer: Answer,
    bundle: Bundle,
) -> Dataset:
    """A Secondary Capture of the picture (PS3.3 A.8): every archive shows one.

    Instead of the file's name, which may be a person's, it shows which instance it is about.
    """
    named = answer._replace(name=f"SOP instance {source.SOPInstanceUID}")
    made = SCImage.from_ref_dataset(
        source,
        np.asarray(drawn(image, maps, named, bundle)),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "F"),  # highdicom wants one; `complete` has what is known
        **identity("capture", source, bundle),
    )
    made.ImageType = ["DERIVED", "SECONDARY"]
    made.Laterality = ""  # of the series: not known; absent, dciodvfy takes it for an error
    made.BurnedInAnnotation = "YES"
    made.DerivationDescription = letters(f"Grad-CAM heat maps of CheXViz. {RESEARCH}", 1024)
    reference = Dataset()
    reference.ReferencedSOPClassUID = source.SOPClassUID
    reference.ReferencedSOPInstanceUID = source.SOPInstanceUID
    reference.PurposeOfReferenceCodeSequence = [sr.CodedConcept(*SOURCE)]
    made.SourceImageSequence = [reference]
    return complete(made, "heat maps", source, bundle)


# --- segments ------------------------------------------------------------------------------------


def on_source(heat: np.ndarray, shape: tuple[int, int], made: Preprocessing) -> np.ndarray:
    """A map (h, w) as it lies on the radiograph's own pixels: float32 `shape`, in [0, 1].

    What a crop left out has not been seen, and is 0.
    """
    place = square(*shape, made.fit)
    (whole,) = upsample(heat[np.newaxis], made.size)
    size = (place.side, place.side)
    wide = np.asarray(
        Image.fromarray(whole.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
    )
    found = np.zeros(shape, np.float32)
    rows, columns = (
        slice(max(-added, 0), min(place.side - added, length))
        for added, length in zip((place.top, place.left), shape, strict=True)
    )
    found[rows, columns] = wide[
        rows.start + place.top : rows.stop + place.top,
        columns.start + place.left : columns.stop + place.left,
    ]
    return found


def segments(source: Dataset, maps: Mapping[str, np.ndarray], bundle: Bundle) -> Dataset | None:
    """A segmentation: a segment for each finding, where its map is at least SHOWN of its maximum.

    None where all maps are zero.
    """
    shape = (source.Rows, source.Columns)
    masks = {
        name: on_source(heat, shape, bundle.preprocessing) >= SHOWN
        for name, heat in maps.items()
        if heat.any()
    }
    masks = {name: mask for name, mask in masks.items() if mask.any()}
    if not masks:
        return None
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name=f"Grad-CAM of {bundle.architecture}, {bundle.method}",
        family=codes.cid7162.ArtificialIntelligence,
        version=bundle.name,
        parameters={"threshold": f"{SHOWN} of the map's maximum"},
    )
    described = [
        SegmentDescription(
            segment_number=number,
            segment_label=letters(f"{capitalised(finding_title(name))}, heat map", LONG),
            segmented_property_category=ABNORMAL,
            segmented_property_type=coded(name),
            algorithm_type="AUTOMATIC",
            algorithm_identification=algorithm,
        )
        for number, name in enumerate(masks, start=1)
    ]
    stacked = np.stack([*masks.values()], axis=-1)[np.newaxis].astype(np.uint8)
    made = Segmentation(
        source_images=[source],
        pixel_array=stacked,
        segmentation_type="BINARY",
        segment_descriptions=described,
        manufacturer_model_name=bundle.architecture,
        software_versions=bundle.name,
        device_serial_number=bundle.name,
        content_label="HEATMAP",
        content_description=RESEARCH,
        **identity("segments", source, bundle),
    )
    if any(coded(name).scheme_designator == SCHEME for name in masks):
        declare_scheme(made)
    return complete(made, "heat map segments", source, bundle)


# --- numbers -------------------------------------------------------------------------------------


def report(source: Dataset, answer: Answer, bundle: Bundle) -> Dataset:
    """A structured report by TID 1500: of each finding its score, probability and call."""
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=made_uid(bundle.digest),
        name=MANUFACTURER,
        manufacturer_name=MANUFACTURER,
        model_name=bundle.architecture,
        serial_number=bundle.name,
    )
    observer = sr.ObserverContext(
        observer_type=codes.DCM.Device, observer_identifying_attributes=device
    )
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer),
        procedure_reported=CHEST,
        imaging_measurements=[group(name, source, answer, bundle) for name in answer.findings],
        title=codes.DCM.ImagingMeasurementReport,
    )
    made = sr.ComprehensiveSR(
        evidence=[source],
        content=content[0],
        is_complete=True,
        is_final=False,
        is_verified=False,
        **identity("report", source, bundle),
    )
    declare_scheme(made)
    return complete(made, "report", source, bundle)


def group(
    name: str, source: Dataset, answer: Answer, bundle: Bundle
) -> sr.MeasurementsAndQualitativeEvaluations:
    """What is said of one finding."""
    told = answer.findings[name]
    numbers = {SCORE: told.score, PROBABILITY: told.probability}
    verdict = {True: codes.SCT.Present, False: codes.SCT.Absent}
    called = (
        [] if told.positive is None else [sr.QualitativeEvaluation(CALLED, verdict[told.positive])]
    )
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid=made_uid(source.SOPInstanceUID, bundle.digest, name),
            identifier=f"{name} by {bundle.architecture}",
        ),
        finding_type=coded(name),
        algorithm_id=sr.AlgorithmIdentification(
            name=" ".join(filter(None, [called_by(bundle), RESEARCH, bundle.mark])),
            version=bundle.name,
        ),
        measurements=[
            sr.Measurement(name=code, value=round(float(value), 6), unit=NO_UNITS)
            for code, value in numbers.items()
            if value is not None
        ],
        qualitative_evaluations=called,
        source_images=[sr.SourceImageForMeasurementGroup.from_source_image(source)],
    )
