"""What is said of patients is what is known of them: where none is, no protocol goes by them."""

import math

import pytest

from chexviz.reporting.paper import patients
from chexviz.reporting.paper.patients import Shared, Site, contributed

RSNA = Site(
    **{"title": "RSNA", "findings": ["pneumonia"], "images": 26684, "labelled": 26684},
    **{"positives": 6012, "known": 26586, "patients": 11410, "nameless": False},
    **{"table": "config/patients/rsna.csv.gz", "rejected": 0, "reader": "rsna", "phantom": False},
)
SIIM = Site(
    **{"title": "SIIM-ACR", "findings": ["pneumothorax"], "images": 12047, "labelled": 12047},
    **{"positives": 2669, "known": 12047, "patients": 6166, "nameless": True},
    **{"table": "config/patients/siim.csv.gz", "rejected": 42, "reader": "siim", "phantom": False},
)
UNKNOWN = {"known": 0, "patients": 0, "nameless": False, "table": ""}
NOBODY = [RSNA._replace(**UNKNOWN), SIIM._replace(**UNKNOWN)]
HOSPITAL = RSNA._replace(
    **{"title": "General Hospital", "images": 400, "labelled": 300, "positives": 60},
    **{"known": 400, "patients": 200, "table": "", "reader": "table"},
)


def test_a_site_says_who_is_on_its_images_and_from_what():
    assert patients.contributed(RSNA) == (
        "contributed 26,684 radiographs labelled for pneumonia (6,012 positive, 22.5\u00a0%); "
        "26,586 images are of 11,410 known patients, and each of the others counts as a patient of "
        "its own. Who is on an image was taken from the match of its images with those of "
        "ChestX-ray14 that torchxrayvision publishes, which comes with the workflow."
    )
    assert patients.contributed(SIIM) == (
        "contributed 12,047 radiographs labelled for pneumothorax (2,669 positive, 22.2\u00a0%), "
        "from 6,166 patients. Which images are of one patient, but not of whom, was taken from "
        "the splits by patient that InconsistentBias publishes, whose groups of images come with "
        "the workflow. A further 42 files could not be used; the workflow lists the reason."
    )
    assert patients.contributed(HOSPITAL) == (
        "contributed 400 radiographs labelled for pneumonia (60 positive, 20\u00a0%), 100 of them "
        "without a label, from 200 patients."
    )


def test_a_site_without_patients_has_none_and_says_so():
    said = patients.contributed(NOBODY[0])
    assert "Its patients are unknown" in said
    assert "from" not in said
    assert patients.evaluated(40, 0, 40) == "patients unknown"
    assert patients.evaluated(40, 38, 30) == "patients known for 38"
    assert patients.evaluated(40, 40, 30) == "30 patients"


def test_drawn_radiographs_are_called_so_and_come_from_no_hospital():
    drawn = [site._replace(phantom=True) for site in (RSNA, SIIM)]
    assert "26,684 phantom radiographs" in patients.contributed(drawn[0])
    assert patients.real(drawn) == []
    assert "1,096" not in patients.across(drawn)
    assert patients.real([RSNA, SIIM, HOSPITAL]) == [RSNA, SIIM]


def test_patients_whom_the_datasets_share_stay_unknown():
    said = patients.across([RSNA, SIIM])
    assert "they share at least 1,096 patients, and some images." in said
    assert said.endswith(
        "Of the patients, those of SIIM-ACR are not named and those of 98 of the 26,684 images of "
        "RSNA are unknown: whom of them the sites share is not found, and may be on both sides of "
        "any split."
    )
    both = "those of all images of RSNA and all images of SIIM-ACR are unknown"
    assert both in patients.across(NOBODY)
    assert patients.across([RSNA]) == ""
    assert patients.across([HOSPITAL, HOSPITAL._replace(title="Other")]) == ""


# --- protocols -----------------------------------------------------------------------------------


def test_the_protocol_is_named_after_patients_only_where_one_is_known():
    assert patients.title("paper", NOBODY) == "image-wise protocol"
    assert patients.title("patient", NOBODY) == "duplicate-disjoint protocol"
    assert patients.title("patient", [RSNA, NOBODY[1]]) == "patient-wise protocol"


@pytest.mark.parametrize(
    ("sites", "disjoint", "limits"),
    [
        ([HOSPITAL], "no patient and no near-duplicate image", ""),
        (
            NOBODY,
            "no near-duplicate image",
            "Patients are unknown, so that images of one patient can be on both sides.",
        ),
        (
            [RSNA, NOBODY[1]],
            "no known patient and no near-duplicate image",
            "Patients are unknown for 98 of the 26,684 images of RSNA and all images of SIIM-ACR; "
            "whoever is on them can be on both sides.",
        ),
        # All known within each site, but not by name.
        ([HOSPITAL, SIIM], "no known patient and no near-duplicate image", ""),
    ],
)
def test_what_no_side_shares_is_what_is_known(sites, disjoint, limits):
    assert patients.disjoint(sites) == disjoint
    assert patients.limits(sites) == limits


def test_the_test_respects_patients_only_where_they_are_known():
    respects = "The primary test respects that images of one patient are not independent"
    assert patients.independence([HOSPITAL], "patient") == f"{respects}."
    assert patients.independence([RSNA, SIIM], "patient") == (
        f"{respects}, where the patient is known."
    )
    assert patients.independence([RSNA, NOBODY[1]], "patient") == (
        f"{respects}, where the patient is known; those of SIIM-ACR are not, and their images are "
        "taken for independent."
    )
    assert patients.independence(NOBODY, "patient") == (
        "The primary test resamples patients; as none is known, each image counts as one, and "
        "images are taken for independent."
    )
    assert (
        patients.independence([HOSPITAL], "image")
        == "The primary test takes images for independent."
    )


def test_what_counts_as_a_patient_is_said_where_some_are_unknown():
    assert patients.counting([HOSPITAL]) == ""
    assert patients.counting(NOBODY) == (
        "An image whose patient is unknown counts as a patient of its own."
    )


# --- leakage -------------------------------------------------------------------------------------


def shared(site: str, known: int, affected: int, scope="within", what="patient") -> Shared:
    return Shared(site, scope, what, known, affected, affected / known if known else math.nan)


def test_leakage_is_told_by_site_and_unknown_patients_are_not_taken_for_none():
    rows = [shared("RSNA", 120, 72), shared("SIIM-ACR", 0, 0)]
    assert patients.leakage(rows, "image-wise protocol") == (
        "Under the image-wise protocol, 60\u00a0% of the evaluation images of RSNA with a known "
        "patient come from a patient who also has images in the training set of the same site. The "
        "patients of SIIM-ACR are unknown, so that none of theirs can be found."
    )
    rows = [shared("RSNA", 120, 0), shared("RSNA", 120, 0, what="duplicate")]
    assert patients.leakage(rows, "patient-wise protocol") == (
        "Under the patient-wise protocol, no evaluation image shares a known patient with a "
        "training image, and none is a near-duplicate of one."
    )
    rows = [shared("RSNA", 0, 0), shared("SIIM-ACR", 0, 0)]
    said = patients.leakage(rows, "duplicate-disjoint protocol")
    assert said == (
        "Under the duplicate-disjoint protocol, no evaluation image is a near-duplicate of a "
        "training image. The patients of RSNA and SIIM-ACR are unknown, so that none of theirs can "
        "be found."
    )
    rows = [shared("RSNA", 120, 0), shared("RSNA", 120, 3, "across", "duplicate")]
    assert "share patients or near-duplicates" in patients.leakage(rows, "image-wise protocol")


def test_the_image_wise_protocol_is_optimistic_by_what_leaks():
    rows = [shared("RSNA", 120, 75, "any", "any"), shared("SIIM-ACR", 120, 0, "any", "any")]
    said = patients.optimism(rows)
    assert "62.5\u00a0% of those of RSNA have their patient or a near-duplicate among" in said
    assert "SIIM-ACR" not in said
    assert patients.optimism(rows[1:]).endswith("makes sensitivity and specificity optimistic.")


def test_what_was_decided_for_a_site_is_said():
    said = contributed(SIIM._replace(given=True, uncertain="ignore"))
    assert "It keeps the division into subsets that its dataset comes with." in said
    assert "Labels that are uncertain count as unknown." in said
    assert "count as positive" in contributed(SIIM._replace(uncertain="positive"))
    assert "uncertain" not in contributed(SIIM)
    assert "division" not in contributed(SIIM._replace(given=True, external=True))
