"""The shipped tables of patients: what they hold, and the leakage that they show."""

from functools import partial

import numpy as np
import pandas as pd
import pytest

from chexviz.base.records import groups
from chexviz.base.source_code import HOME
from chexviz.base.user_tables import NAMELESS
from chexviz.cohort.grouping import strata
from chexviz.cohort.leakage import audit, person, prove_disjoint
from chexviz.cohort.split import ImageSplit, PatientSplit, by_image, by_patient
from chexviz.data.readers.patients import patients

NO_PAIRS = pd.DataFrame(columns=["site_a", "image_a", "site_b", "image_b"])
IMAGES = partial(ImageSplit, evaluation=0.2)
PATIENTS = partial(PatientSplit, evaluation=0.2, validation=0.1)
FINDING = {"rsna": "pneumonia", "siim": "pneumothorax"}
# Labelled images, positive ones, patients known for so many images, patients, those of several.
KNOWN = {"rsna": (26_684, 6_012, 26_586, 11_410), "siim": (12_047, 2_669, 12_047, 6_166)}
SEVERAL = {"rsna": (4_342, 19_518), "siim": (1_954, 7_835)}
LEAK = {"rsna": (0.700, 0.005), "siim": (0.614, 0.008)}  # counted by others: mean, SD of 20 splits


def table(site: str) -> pd.Series:
    """The patient of each image of a shipped table."""
    return patients(HOME / "config" / "patients" / f"{site}.csv.gz")


def images(*sites: str) -> pd.DataFrame:
    """As many images as the sites have, those without a known patient included, in random order."""
    tables = []
    for site in sites:
        known, (count, positive, *_) = table(site), KNOWN[site]
        names = [*known.index, *(f"unknown {number}" for number in range(count - len(known)))]
        own = pd.DataFrame({"site": site, "image": names, "sha256": names})
        own["patient"] = own["image"].map(known).fillna(own["image"])
        own["patient_known"] = own["image"].isin(known.index)
        label = np.random.default_rng(0).permutation(np.arange(count) < positive)
        tables.append(own.assign(**{f"label_{FINDING[site]}": label.astype(int)}))
    both = pd.concat(tables, ignore_index=True)
    return both.assign(patient=person(both))


@pytest.mark.parametrize("site", KNOWN)
def test_the_tables_hold_what_their_readme_says(site, repository):
    known = table(site)
    assert (len(known), known.nunique()) == KNOWN[site][2:]
    sizes = known.value_counts()
    assert ((sizes > 1).sum(), sizes[sizes > 1].sum()) == SEVERAL[site]
    readme = (repository / "config" / "patients" / "README.md").read_text()
    for number in KNOWN[site][2:]:
        assert f"{number:,}" in readme
    assert known.str.startswith("nih-" if site == "rsna" else NAMELESS).all()


@pytest.mark.parametrize("site", KNOWN)
def test_a_random_fifth_shares_patients_with_the_rest(site):
    own = images(site)
    shares = []
    for seed in range(20):
        divided = own.assign(subset=by_image(own, IMAGES(seed=seed)))
        rows = audit(divided, NO_PAIRS, "paper").set_index(["scope", "shared"])
        row = rows.loc["within", "patient"]
        assert row["evaluation_images"] == KNOWN[site][0] // 5
        shares.append(row["affected_images"] / row["evaluation_images"])
    mean, spread = LEAK[site]
    assert np.mean(shares) == pytest.approx(mean, abs=4 * spread / np.sqrt(20))
    assert np.std(shares, ddof=1) == pytest.approx(spread, rel=0.5)


def test_under_the_patient_protocol_none_does_and_nobody_knows_across_the_two():
    both = images("rsna", "siim")
    both["group"] = groups(both, NO_PAIRS)
    both["stratum"] = strata(both, {site: [finding] for site, finding in FINDING.items()})
    both["subset"] = by_patient(both, PATIENTS(seed=2022))
    prove_disjoint(both, NO_PAIRS)
    table = audit(both, NO_PAIRS, "patient")
    assert table["affected_images"].sum() == 0
    table = table[table["shared"] == "patient"].set_index(["site", "scope", "other"])
    assert table.loc[("siim", "within", "siim"), "fraction"] == 0
    across = table.loc[[("rsna", "across", "siim"), ("siim", "across", "rsna")]]
    assert across["fraction"].isna().all()
    assert "for none of those to compare with" in across["note"].iloc[0]
    assert across["note"].iloc[1].startswith("patient known for 0 of")
