"""The audit between sites on real radiographs, of which the datasets' own names tell the truth."""

import hashlib
import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from chexviz.base.errors import Unreadable
from chexviz.base.tables.study import SHARED
from chexviz.cohort import between_sites, keyed_hashes
from chexviz.data.convert import Task, convert, perceptual_hashes
from chexviz.data.readers.patients import patients
from made_keyed import made_site, write_key, write_site

ARCHIVE = "rsna-mini/rsna-pneumonia-detection-challenge.zip"
MATCHES = "tables/rsna_to_nih_match.csv.gz"


def site_of(files: dict[str, bytes], patient: dict[str, str]) -> pd.DataFrame:
    """Images by the name of the NIH file that each is; patient: of each, '' unknown."""
    names, images = [], []
    for name, data in files.items():
        try:
            images.append(convert(data, Task(0, Path(name), name, [], []), 224, "pad", 10**8)[0])
            names.append(name)
        except Unreadable:
            continue
    hashes = [int(one, 16) for one in perceptual_hashes(np.stack(images))]
    digests = [hashlib.sha256(files[name]).hexdigest() for name in names]
    who = [patient.get(name, "") for name in names]
    made = made_site(list(zip(who, digests, hashes, ["train"] * len(names), strict=True)))
    return made.assign(image=names)


@pytest.fixture(scope="module")
def sites(real_data) -> dict[str, pd.DataFrame]:
    matches = pd.read_csv(real_data / MATCHES, dtype=str).set_index("patientId")["nih_image"]
    known = patients(real_data / MATCHES)
    with zipfile.ZipFile(real_data / ARCHIVE) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".dcm"))
        named = {name: Path(name).stem for name in names}
        rsna = {Path(matches[named[name]]).stem: archive.read(name) for name in names}
        of_rsna = {Path(matches[one]).stem: known.get(one, "") for one in named.values()}
    folder = real_data / "hospital-mini"
    hospital = {path.stem: path.read_bytes() for path in sorted((folder / "dicom").iterdir())}
    table = pd.read_csv(folder / "labels.csv", dtype=str)
    of_hospital = table.set_index(table["file"].map(lambda one: Path(one).stem))["patient"]
    nih = {path.stem: path.read_bytes() for path in sorted(real_data.glob("nih-mini/*/*/*.png"))}
    return {
        "rsna": site_of(rsna, of_rsna),
        "hospital": site_of(hospital, of_hospital.to_dict()),
        "nih": site_of(nih, {name: f"nih-{name[3:8]}" for name in nih}),
    }


def test_copies_differ_by_few_bits_and_other_radiographs_by_many(sites):
    names = list(sites)
    copies, others = [], []
    for one, other in ((0, 1), (0, 2), (1, 2)):
        here, there = sites[names[one]], sites[names[other]]
        values = [
            np.array([int(text, 16) for text in table["phash"]], dtype=np.uint64)
            for table in (here, there)
        ]
        bits = np.bitwise_count(values[0][:, None] ^ values[1][None, :])
        same = here["image"].to_numpy()[:, None] == there["image"].to_numpy()[None, :]
        copies.append(bits[same])
        others.append(bits[~same])
    assert np.concatenate(copies).max() <= between_sites.CLOSE
    assert len(np.concatenate(copies)) == 67
    different = np.concatenate(others)
    different = different[different > 0]  # one radiograph, which the datasets name differently
    assert len(different) == sum(map(len, others)) - 1
    assert different.min() > 2 * between_sites.CLOSE
    assert (different <= 8).mean() == pytest.approx(8e-5, rel=0.1)


def test_patients_and_copies_are_found_without_knowing_who_they_are(sites, tmp_path):
    key = write_key(tmp_path)
    files = {name: [] for name in ("keyed", "leaking")}
    for site, images in sites.items():
        write_site(tmp_path / site, images, site)
        own = [f"--{name}={tmp_path / site / f'{name}.csv'}" for name in ("samples", "split")]
        for name, paths in files.items():
            paths.append(str(tmp_path / site / f"{name}.csv"))
        keyed_hashes.main([*own, f"--key={key}", f"--output={files['keyed'][-1]}"])
    settings = json.dumps({"hamming": 8, "smallest_cell": 1})
    words = ["--site", *sites, "--keyed", *files["keyed"], "--leaking", *files["leaking"]]
    between_sites.main([*words, f"--audit={tmp_path / 'a.csv'}", f"--settings={settings}"])
    found = SHARED.read(tmp_path / "a.csv").set_index(["site", "other", "shared"])["common"]
    used = {site: table[table["position"] % 5 != 4] for site, table in sites.items()}
    for site, other in (("rsna", "hospital"), ("hospital", "nih")):
        here, there = used[site], used[other]
        expected = {*here.loc[here["patient_known"], "patient"]} & {*there["patient"]}
        assert len(expected) > 10
        assert found[site, other, "patient"] == str(len(expected))
    copies = used["hospital"]["image"].isin(used["nih"]["image"]).sum()
    assert found["hospital", "nih", "close"] == str(copies)
    assert found["hospital", "nih", "exact"] == "0"
