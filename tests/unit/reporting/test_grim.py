"""GRIM: against all fractions written out, and the answers that the original's table gives."""

from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chexviz.base.errors import InputError
from chexviz.reporting.tables import grim
from chexviz.reporting.tables.original import read_data, read_table1

PNEUMONIA = (["82.57", "78.01", "84.90", "80.08"], ["71.97", "74.41", "76.76", "79.79"])
PNEUMOTHORAX = (["74.13", "80.22", "91.30", "84.57"], ["75.89", "69.87", "76.31", "83.10"])


def printed(count: int, size: int, decimals: int) -> set[str]:
    """The percentage as either rounding prints it; a quotient that ends in a half is exact."""
    exact, unit = Decimal(100 * count) / size, Decimal(1).scaleb(-decimals)
    return {str(exact.quantize(unit, mode)) for mode in (ROUND_HALF_UP, ROUND_HALF_EVEN)}


@given(st.integers(1, 60), st.integers(0, 2), st.data())
def test_fits_is_true_of_exactly_the_percentages_that_can_be_printed(size, decimals, data):
    possible = set().union(*(printed(count, size, decimals) for count in range(size + 1)))
    value = data.draw(st.integers(0, 100 * 10**decimals))
    text = f"{Decimal(value).scaleb(-decimals):.{decimals}f}"
    assert bool(grim.fits(text, np.array(size))) == (text in possible)


def test_halves_are_accepted_as_both_roundings_print_them():
    eight = np.array(8)  # 1 of 8 is 12.5 %, 3 of 8 is 37.5 %
    assert grim.fits("12", eight)  # to even
    assert grim.fits("13", eight)  # up
    assert not grim.fits("37", eight)  # by neither
    assert grim.fits("38", eight)  # by both


def test_sizes_of_any_shape_are_judged_at_once():
    sizes = np.arange(1, 13).reshape(3, 4)
    fit = grim.fits("33.33", sizes)
    assert fit.shape == (3, 4)
    assert sizes[fit].tolist() == [3, 6, 9, 12]


def test_evaluation_sets_of_pneumonia():
    sensitivities, specificities = PNEUMONIA
    positives = grim.fitting(sensitivities, 6012)
    assert positives[0] == 1205
    assert 4131 in grim.fitting(specificities, 20672)
    assert 26684 // 5 == 1205 + 4131
    # Of all divisions of a fifth of the dataset into two classes this one alone fits.
    assert grim.divisions(sensitivities, specificities, 5336).tolist() == [[1205, 4131]]
    assert grim.divisions(sensitivities, specificities, 5337).tolist() == []


def test_evaluation_sets_of_pneumothorax():
    sensitivities, specificities = PNEUMOTHORAX
    assert grim.fitting(sensitivities, 2669)[0] == 460
    assert grim.fitting(specificities, 9378)[0] == 1663
    assert grim.divisions(sensitivities, specificities, 2123).tolist() == [[460, 1663]]
    assert len(grim.divisions(sensitivities, specificities, 12047 // 5)) == 0


@given(st.integers(2, 400), st.data())
def test_the_true_size_is_never_excluded(size, data):
    counts = data.draw(st.lists(st.integers(0, size), min_size=1, max_size=4))
    texts = [printed(count, size, 2).pop() for count in counts]
    assert size in grim.fitting(texts, size)


def test_what_chance_would_give():
    """Printable percentages without decimals: 0 to 100. Of 2 images there are 3, of 1 two."""
    assert grim.by_chance(["50"], ["50"], 2) == pytest.approx((2 / 101) ** 2)
    assert grim.by_chance(["50"], ["50"], 3) == pytest.approx(2 * (2 * 3) / 101**2)
    rng = np.random.default_rng(5)
    found = []
    for _ in range(400):
        texts = [str(value) for value in rng.integers(0, 101, 4)]
        found.append(len(grim.divisions(texts[:2], texts[2:], 60)))
    expected = grim.by_chance(["1", "2"], ["3", "4"], 60)
    error = np.std(found, ddof=1) / np.sqrt(len(found))
    assert abs(np.mean(found) - expected) < 4 * error


@pytest.fixture
def original(repository):
    folder = repository / "paper"
    return folder / "published_table1.csv", folder / "published_data.csv"


def made(original, folder, *options: str) -> dict[str, str]:
    files = {kind: folder / f"grim.{kind}" for kind in ("csv", "tex", "md")}
    outputs = [f"--{kind}={path}" for kind, path in files.items()]
    grim.main([f"--published={original[0]}", f"--data={original[1]}", *outputs, *options])
    return {kind: path.read_text() for kind, path in files.items()}


def test_the_table_in_its_three_formats(original, tmp_path):
    texts = made(original, tmp_path)
    table = pd.read_csv(tmp_path / "grim.csv")
    assert table["smallest"].tolist() == [1205, 1024, 460, 1663]
    assert table["fifth"].tolist() == [5336, 5336, 2409, 2409]
    assert table["divisions"].tolist() == [1, 1, 0, 0]
    assert table["in_fifth"].tolist()[:2] == [1205, 4131]
    assert table["in_fifth"].isna().tolist() == [False, False, True, True]
    assert table["counts"][0] == "995 940 1023 965"
    assert "Pneumonia: 5,336 images divide in one way that fits (0.056 by chance)" in texts["md"]
    assert "Pneumothorax: 2,409 images divide in no way that fits ($<$0.001 by" in texts["tex"]
    assert texts["tex"].count("&") == 5 * (1 + 4)
    assert made(original, tmp_path) == texts
    assert "**DEMO**" in made(original, tmp_path, "--mark", "DEMO")["md"]


def test_counts_are_those_that_are_printed_so(original, tmp_path):
    made(original, tmp_path)
    for row in pd.read_csv(tmp_path / "grim.csv").itertuples():
        size = row.smallest if np.isnan(row.in_fifth) else int(row.in_fifth)
        shares = [f"{100 * int(count) / size:.2f}" for count in row.counts.split()]
        assert shares == row.percentages.split()


def test_percentages_that_no_size_fits_give_an_empty_cell(original):
    published, data = read_table1(original[0]), read_data(original[1])
    published.loc[published["task"] == "pneumonia", "sensitivity"] = ["99.99", "0.01"] * 2
    table = grim.check(published, data)
    assert pd.isna(table["smallest"][0]) or table["smallest"][0] > 2000
    small = data.assign(images=40, positives=10)
    table = grim.check(published, small)
    assert table["smallest"].isna().all()
    assert table["counts"].tolist() == [""] * 4
    assert "–" in grim.layout(table).groups[next(iter(grim.layout(table).groups))][0]


def test_absent_file_and_column_are_named(original, tmp_path):
    with pytest.raises(InputError, match=r"absent\.csv"):
        made((tmp_path / "absent.csv", original[1]), tmp_path)
    with pytest.raises(InputError, match=r"published_data\.csv[\s\S]*no model, loss"):
        made((original[1], original[1]), tmp_path)
