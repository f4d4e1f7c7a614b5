"""The leakage of the published split, counted on the complete label tables."""

from functools import partial

import numpy as np
import pandas as pd
import pytest

from chexviz.base.records import groups
from chexviz.cohort.grouping import strata
from chexviz.cohort.label_checks import check
from chexviz.cohort.leakage import audit, person, prove_disjoint
from chexviz.cohort.split import ImageSplit, PatientSplit, by_image, by_patient
from chexviz.data.readers import rsna
from chexviz.data.readers.patients import patients

NO_PAIRS = pd.DataFrame(columns=["site_a", "image_a", "site_b", "image_b"])
IMAGES = partial(ImageSplit, evaluation=0.2)
PATIENTS = partial(PatientSplit, evaluation=0.2, validation=0.1)
FINDINGS = {"rsna": ["pneumonia"]}


@pytest.fixture(scope="module")
def images(real_data) -> pd.DataFrame:
    """All labelled images of the RSNA challenge, with the patients of the published match."""
    labels, _ = rsna.read_labels(real_data / "tables" / "stage_2_train_labels.csv.gz")
    patient = labels["image"].map(patients(real_data / "tables" / "rsna_to_nih_match.csv.gz"))
    labels["label_pneumonia"] = labels["label_pneumonia"].astype(float)
    images = labels.assign(site="rsna", sha256=labels["image"], patient=patient)
    images["patient_known"] = patient.notna()
    images["patient"] = person(images)
    return images


def test_the_audit_counts_the_patients_and_the_images_of_those_who_have_several(images):
    tags = dict.fromkeys(("view", "sex", "age", "age_stated", "spacing"), None)
    table = check(images.assign(**tags), NO_PAIRS, FINDINGS)
    rows = table.set_index(["check", "group"])
    known = int(images["patient_known"].sum())
    assert tuple(rows.loc[("patients", "known"), ["images", "count"]]) == (known, 11_410)
    assert tuple(rows.loc[("several images", "patient"), ["images", "count"]]) == (known, 19_518)


def leaking(images: pd.DataFrame, seed: int) -> pd.Series:
    """The audit's count of patients shared within the site, under the paper's protocol."""
    divided = images.assign(subset=by_image(images, IMAGES(seed=seed)))
    return audit(divided, NO_PAIRS, "paper").set_index(["scope", "shared"]).loc["within", "patient"]


def test_seven_in_ten_evaluation_images_leak(images):
    """A published count has 70.4 % for one draw; draws differ by half a percent."""
    rows = [leaking(images, seed) for seed in range(10)]
    assert all(row["evaluation_images"] == 5_336 for row in rows)
    shares = np.array([row["fraction"] for row in rows])
    assert abs(shares - 0.704).max() < 0.02
    assert shares.mean() == pytest.approx(0.704, abs=0.004)
    assert "of 5336 images" in rows[0]["note"]


def test_as_many_leak_as_probability_says(images):
    """An evaluation image of a known patient leaks unless all others of the patient evaluate."""
    count, evaluated = len(images), int(0.2 * len(images))
    expected = 0.0
    known = images.loc[images["patient_known"], "patient"]
    for size, patients_of_size in known.value_counts().value_counts().items():
        others = np.arange(1, size)
        alone = np.prod((evaluated - others) / (count - others))
        expected += size * patients_of_size * (1 - alone) / len(known)
    found = np.mean([leaking(images, seed)["fraction"] for seed in range(10)])
    assert found == pytest.approx(expected, abs=0.005)


def test_the_patient_protocol_does_not_leak(images):
    images = images.assign(group=groups(images, NO_PAIRS), stratum=strata(images, FINDINGS))
    images["subset"] = by_patient(images, PATIENTS(seed=2022))
    prove_disjoint(images, NO_PAIRS)
    assert audit(images, NO_PAIRS, "patient")["affected_images"].sum() == 0
    share = (images["subset"] == "evaluation").groupby(images["label_pneumonia"]).mean()
    assert np.allclose(share, 0.2, atol=0.01)
