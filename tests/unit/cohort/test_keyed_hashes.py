"""What leaves a site tells neither ids nor order, and keeps what sites can be compared by."""

import hashlib
import hmac

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chexviz.base.errors import InputError
from chexviz.base.tables.study import KEYED
from chexviz.cohort.keyed_hashes import (
    images_of,
    keyed,
    keyed_rows,
    main,
    normalised,
    scrambled,
    told,
)
from made_keyed import KEY, drawn_site, made_site, write_key, write_site

HASHES = st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=20)


@given(HASHES, st.binary(min_size=32, max_size=40))
def test_scrambled_hashes_keep_their_distances(values, key):
    hashes = np.array(values, dtype=np.uint64)
    found = scrambled(hashes, key)
    before, after = (np.bitwise_count(one[:, None] ^ one[None, :]) for one in (hashes, found))
    assert np.array_equal(before, after)


def test_scrambling_moves_every_bit_to_a_place_of_its_own_and_turns_about_half():
    single = np.uint64(1) << np.arange(64, dtype=np.uint64)
    turned = scrambled(np.zeros(1, dtype=np.uint64), KEY)[0]
    moved = scrambled(single, KEY) ^ turned
    assert sorted(moved.tolist()) == single.tolist()
    assert (moved != single).sum() > 56
    assert 20 < turned.bit_count() < 44
    other = scrambled(single, b"K" * 32)
    assert (other != scrambled(single, KEY)).all()


def test_a_hash_is_the_hmac_of_its_purpose_and_text():
    expected = hmac.new(KEY, b"chexviz patient\0p1", hashlib.sha256).hexdigest()
    assert keyed(KEY, "patient", "p1") == expected
    assert keyed(KEY, "file", "p1") != expected
    assert keyed(b"K" * 32, "patient", "p1") != expected


@pytest.mark.parametrize("other", [" mrn 007", "MRN 007 ", "Mrn 007", "MRN\N{NO-BREAK SPACE}007"])
def test_spellings_of_one_id_are_one(other):
    assert normalised(other) == normalised("MRN 007")
    assert normalised("MRN 07") != normalised("MRN 007")


@pytest.fixture
def images() -> pd.DataFrame:
    return made_site(
        [
            ("P1", "a" * 64, 1, "train"),
            ("p1 ", "b" * 64, 2, "train"),
            ("", "c" * 64, 3, "evaluation"),
            ("group:4", "d" * 64, 4, "validation"),
        ]
    )


def test_only_patients_whom_other_sites_would_know_are_told(images):
    rows = keyed_rows(images, KEY)
    files = rows[rows["file"].notna()]
    assert files["patient"].tolist()[:2] == [keyed(KEY, "patient", "p1")] * 2
    assert files["patient"].isna().tolist() == [False, False, True, True]
    assert len(rows) == 8
    assert set(rows["key"]) == {keyed(KEY, "key", "")[:16]}


def test_a_perceptual_hash_is_in_no_row_with_a_file(images):
    rows = keyed_rows(images, KEY)
    assert (rows["phash"].isna() == rows["file"].notna()).all()
    assert rows.loc[rows["phash"].notna(), "patient"].isna().all()
    assert keyed_rows(images, KEY, with_phash=False)["phash"].isna().all()


def test_nothing_of_the_site_is_in_its_table(tmp_path):
    images = drawn_site("north", 1)
    write_site(tmp_path, images, "north")
    text = run(tmp_path)
    for column in ("image", "sha256", "phash"):
        assert not [one for one in images[column] if one in text.replace(",", " ").split()]
    assert "P" not in text
    assert "north" not in text


def test_the_order_of_the_images_changes_nothing(tmp_path):
    images = drawn_site("north", 1)
    write_site(tmp_path / "one", images, "north")
    split = pd.read_csv(tmp_path / "one" / "split.csv", dtype={"image": str})
    shuffled = images.sample(frac=1, random_state=0, ignore_index=True)
    shuffled["position"] = range(len(shuffled))
    write_site(tmp_path / "other", shuffled, "north")
    place = shuffled.set_index("image")["position"]
    split.assign(position=split["image"].map(place)).to_csv(
        tmp_path / "other" / "split.csv", index=False
    )
    assert run(tmp_path / "one") == run(tmp_path / "other")


def test_only_images_that_the_site_uses_are_told(tmp_path):
    write_site(tmp_path, drawn_site("north", 1, count=60), "north")
    run(tmp_path)
    table = KEYED.read(tmp_path / "keyed.csv")
    assert list(table.columns) == KEYED.names
    assert table["file"].notna().sum() == table["phash"].notna().sum() == 48
    assert table["file"].dropna().is_monotonic_increasing
    assert table["phash"].dropna().is_monotonic_increasing
    pd.testing.assert_frame_equal(table, told(table))


def test_a_split_of_other_samples_is_refused(tmp_path):
    write_site(tmp_path, drawn_site("north", 1), "north")
    split = pd.read_csv(tmp_path / "split.csv", dtype={"image": str})
    split.assign(position=split["position"] + 1).to_csv(tmp_path / "split.csv", index=False)
    with pytest.raises(InputError, match=r"48 others, e\.g\. '0000'"):
        images_of(tmp_path / "samples.csv", tmp_path / "split.csv")


def run(folder) -> str:
    """The table that the entry point writes for the site of a folder, as text."""
    words = [f"--{name}={folder / f'{name}.csv'}" for name in ("samples", "split")]
    main([*words, f"--key={write_key(folder)}", f"--output={folder / 'keyed.csv'}"])
    return (folder / "keyed.csv").read_text()
