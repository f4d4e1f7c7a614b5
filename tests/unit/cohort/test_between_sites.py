"""What sites share is counted from keyed hashes as it would be from ids and images themselves."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chexviz.base.errors import InputError
from chexviz.base.tables.study import LEAKING, SHARED, SHARED_KINDS, SPLIT, SUBSETS
from chexviz.cohort import between_sites, exclude_shared, keyed_hashes
from chexviz.cohort.between_sites import CLOSE, shown
from chexviz.cohort.keyed_hashes import normalised
from made_keyed import KEY, drawn_site, made_site, write_key, write_site

RADIUS = 8


class Sites:
    """Sites that make their tables, a coordinator that compares them, and what sites then do."""

    def __init__(self, folder, sites: dict[str, pd.DataFrame]):
        self.folder, self.images = folder, sites
        self.key = write_key(folder)
        for site, images in sites.items():
            write_site(folder / site, images, site)
        self.used = {site: rows[rows["position"] % 5 != 4] for site, rows in sites.items()}

    def file(self, site: str, name: str):
        return self.folder / site / f"{name}.csv"

    def own(self, site: str) -> list[str]:
        names = [f"--{name}={self.file(site, name)}" for name in ("samples", "split")]
        return [*names, f"--key={self.key}"]

    def tell(self, *words: str) -> None:
        for site in self.images:
            output = f"--output={self.file(site, 'keyed')}"
            keyed_hashes.main([*self.own(site), output, *words])

    def compare(self, *, hamming: int = RADIUS, smallest_cell: int = 1) -> pd.DataFrame:
        settings = {"hamming": hamming, "smallest_cell": smallest_cell}
        files = {
            name: [str(self.file(site, name)) for site in self.images]
            for name in ("keyed", "leaking")
        }
        audit = self.folder / "audit.csv"
        words = ["--site", *self.images, "--keyed", *files["keyed"], "--leaking", *files["leaking"]]
        between_sites.main([*words, f"--audit={audit}", f"--settings={json.dumps(settings)}"])
        return SHARED.read(audit).set_index(["site", "other", "shared"])

    def exclude(self, site: str, *words: str) -> pd.DataFrame:
        output = self.file(site, "kept")
        leaking = f"--leaking={self.file(site, 'leaking')}"
        exclude_shared.main([*self.own(site), leaking, f"--output={output}", *words])
        return SPLIT.read(output)


@pytest.fixture
def three(tmp_path) -> Sites:
    return Sites(tmp_path, {name: drawn_site(name, 5) for name in ("north", "south", "west")})


def partners(here: pd.Series, there: pd.DataFrame, kind: str) -> pd.DataFrame:
    """The images of another site that share something with an image, compared as they are."""
    if kind == "patient":
        known = here["patient_known"] & there["patient_known"]
        return there[known & (there["patient"].map(normalised) == normalised(here["patient"]))]
    if kind == "exact":
        return there[there["sha256"] == here["sha256"]]
    own = int(here["phash"], 16)
    bits = there["phash"].map(lambda one: (int(one, 16) ^ own).bit_count())
    return there[bits <= CLOSE] if kind == "close" else there[(bits > CLOSE) & (bits <= RADIUS)]


def by_hand(here: pd.DataFrame, there: pd.DataFrame, kind: str) -> tuple[int, set[str], set[str]]:
    """What is in common, and the images of `here` that share it, and that leak."""
    common, images, leaking = [], set(), set()
    for _, row in here.iterrows():
        found = partners(row, there, kind)
        if found.empty:
            continue
        images.add(row["image"])
        ids = {"patient": {normalised(row["patient"])}, "exact": {row["sha256"]}}
        common += ids.get(kind, [(row["image"], other) for other in found["image"]])
        if found["subset"].map(SUBSETS.index).min() < SUBSETS.index(row["subset"]):
            leaking.add(row["image"])
    return len({*common}), images, leaking


def test_counts_are_those_of_comparing_all_with_all(three):
    three.tell()
    audit = three.compare()
    assert len(audit) == 3 * 2 * len(SHARED_KINDS)
    for (site, other, kind), row in audit.iterrows():
        common, images, leaking = by_hand(three.used[site], three.used[other], kind)
        assert [*row[["common", "images", "leaking"]]] == [
            *map(str, (common, len(images), len(leaking)))
        ]
    assert (audit["leaking"].astype(int) > 0).groupby("shared").any().all()


def test_sites_leave_out_the_images_that_leak_and_no_others(three, capsys):
    three.tell()
    three.compare()
    for site, used in three.used.items():
        expected = {
            kind: set().union(
                *(
                    by_hand(used, there, kind)[2]
                    for other, there in three.used.items()
                    if other != site
                )
            )
            for kind in SHARED_KINDS
        }
        usual = expected["patient"] | expected["exact"] | expected["close"]
        capsys.readouterr()
        assert {*three.exclude(site)["image"]} == {*used["image"]} - usual
        gone = used[used["image"].isin(usual)]
        said = capsys.readouterr().err
        for subset in SUBSETS:
            of_subset = (used["subset"] == subset).sum()
            assert f"{(gone['subset'] == subset).sum()} of {of_subset} {subset}" in said
        kept = three.exclude(site, "--kinds", "candidate")
        assert {*kept["image"]} == {*used["image"]} - expected["candidate"]
        assert (gone["subset"] != "train").all()


def test_after_that_no_subset_shares_anything_with_another_ones(three):
    three.tell()
    three.compare()
    left = {
        site: three.used[site][
            three.used[site]["image"].isin(three.exclude(site, "--kinds", *SHARED_KINDS)["image"])
        ]
        for site in three.used
    }
    for site, other in (("north", "south"), ("south", "west"), ("west", "north")):
        for kind in SHARED_KINDS:
            assert not by_hand(left[site], left[other], kind)[2]
            assert not by_hand(left[other], left[site], kind)[2]


def test_a_split_keeps_its_labels(three):
    three.tell()
    three.compare()
    kept = three.exclude("north")
    before = SPLIT.read(three.file("north", "split"))
    pd.testing.assert_frame_equal(
        kept, before[before["image"].isin(kept["image"])].reset_index(drop=True)
    )
    assert "label_pneumonia" in kept


def test_a_site_is_told_its_own_hashes_and_nothing_of_others(three):
    three.tell()
    three.compare()
    for site in three.images:
        own = pd.read_csv(three.file(site, "keyed"))
        found = LEAKING.read(three.file(site, "leaking"))
        assert list(found.columns) == LEAKING.names
        assert {*found["file"].dropna()} <= {*own["file"].dropna()}
        assert {*found["phash"].dropna()} <= {*own["phash"].dropna()}
        assert (found["file"].isna() == found["phash"].notna()).all()
        assert not found.duplicated().any()
        assert "train" not in set(found["subset"])


def test_small_counts_are_hidden_and_none_is_shown(tmp_path):
    rows = [(f"P{one}", f"{one:064x}", one << 32, "train") for one in range(10)]
    other = [(f"P{one}", f"{one + 8:064x}", ~(one << 32) % 2**64, "evaluation") for one in range(4)]
    sites = Sites(tmp_path, {"north": made_site(rows), "south": made_site(other)})
    sites.tell()
    audit = sites.compare(smallest_cell=5)
    assert [*audit.loc[("south", "north", "patient"), "common":"leaking"]] == ["<5", "<5", "<5"]
    assert [*audit.loc[("south", "north", "exact"), "common":"leaking"]] == ["<5", "<5", "<5"]
    assert [*audit.loc[("north", "south", "patient"), "common":"leaking"]] == ["<5", "<5", "0"]
    assert [*audit.loc[("north", "south", "close"), "common":"leaking"]] == ["0", "0", "0"]
    assert audit["bits"].unique().tolist() == ["", "0-2", "3-8"]


@given(st.integers(0, 50), st.integers(1, 20))
def test_what_is_shown_is_the_number_unless_it_is_small(count, smallest):
    text = shown(count, smallest)
    assert text == (f"<{smallest}" if 1 <= count < smallest else str(count))


def test_what_a_site_has_not_told_is_not_called_none(tmp_path):
    unknown = [("", f"{one:064x}", one << 40, "train") for one in range(5)]
    known = [(f"P{one}", f"{one:064x}", one << 40, "evaluation") for one in range(5)]
    sites = Sites(tmp_path, {"north": made_site(unknown), "south": made_site(known)})
    sites.tell("--without-phash")
    audit = sites.compare()
    for kind in ("patient", "close", "candidate"):
        assert [*audit.loc[("south", "north", kind), "common":"leaking"]] == ["", "", ""]
    assert [*audit.loc[("south", "north", "exact"), "common":"leaking"]] == ["4", "4", "4"]
    assert sites.exclude("south").empty


def test_candidates_are_those_within_the_configured_bits(three):
    three.tell()
    assert set(three.compare(hamming=2).index.get_level_values("shared")) == {*SHARED_KINDS} - {
        "candidate"
    }
    few, many = (three.compare(hamming=bits) for bits in (4, 8))
    place = ("north", "south", "candidate")
    assert few.loc[place, "bits"] == "3-4"
    assert int(few.loc[place, "common"]) < int(many.loc[place, "common"])
    assert few.loc[("north", "south", "close")].equals(many.loc[("north", "south", "close")])


def test_tables_under_different_secrets_are_refused(three):
    three.tell()
    three.key = write_key(three.folder, b"K" * 32)
    output = three.file("west", "keyed")
    keyed_hashes.main([*three.own("west"), f"--output={output}"])
    with pytest.raises(InputError, match=r"west/keyed.csv\n.*the secret that north has used"):
        three.compare()
    assert not three.file("north", "leaking").exists()


@pytest.mark.parametrize(
    ("column", "value"),
    [("phash", "zz"), ("patient", "Doe^John"), ("subset", "test"), ("subset", None), ("key", "?")],
)
def test_a_table_that_holds_something_else_is_refused(three, column, value):
    three.tell()
    path = three.file("south", "keyed")
    table = pd.read_csv(path)
    table.loc[3, column] = value
    table.to_csv(path, index=False)
    with pytest.raises(InputError, match=r"south/keyed.csv\n.*keyed hashes"):
        three.compare()


def test_a_table_without_rows_is_refused(three):
    three.tell()
    path = three.file("south", "keyed")
    pd.read_csv(path)[:0].to_csv(path, index=False)
    with pytest.raises(InputError, match="0 rows"):
        three.compare()


@pytest.mark.parametrize(
    "words",
    [
        ["--site", "a", "--keyed", "1", "--leaking", "2"],
        ["--site", "a", "a", "--keyed", "1", "2", "--leaking", "3", "4"],
        ["--site", "a", "b", "--keyed", "1", "2", "--leaking", "3"],
    ],
)
def test_each_site_has_its_files(words):
    settings = '{"hamming": 8, "smallest_cell": 5}'
    with pytest.raises(InputError, match="at least two sites, each once"):
        between_sites.main([*words, "--audit=x.csv", f"--settings={settings}"])


def test_what_was_told_of_another_table_is_refused(three):
    three.tell()
    three.compare()
    for change in (b"K" * 32, KEY):
        three.key = write_key(three.folder, change)
        if change == KEY:  # and a split of other subsets
            split = pd.read_csv(three.file("north", "split"), dtype=str)
            split.assign(subset="train").to_csv(three.file("north", "split"), index=False)
        with pytest.raises(InputError, match="the secret, samples and split that the site's table"):
            three.exclude("north")


def test_forty_thousand_images_of_two_sites_take_seconds(tmp_path):
    draws = np.random.default_rng(0)

    def site(name: str) -> pd.DataFrame:
        values = draws.integers(0, 2**63, 20_000)
        subset = draws.choice(["train", "evaluation"], 20_000)
        rows = zip(values, values, values, subset, strict=True)
        return made_site([(f"P{a % 9_999}", f"{a:064x}", int(c), d) for a, _, c, d in rows])

    sites = Sites(tmp_path, {"north": site("north"), "south": site("south")})
    sites.tell()
    assert int(sites.compare().loc[("north", "south", "patient"), "common"]) > 5_000
