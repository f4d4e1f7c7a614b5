"""The table of leaks: every number of the tables of attacks, model by model."""

import numpy as np
import pandas as pd
import pytest

from chexviz.base.tables.privacy import INVERSION, LEAKS, MEMBERSHIP, SCENARIOS
from chexviz.reporting.tables import leaks
from made_leaks import inversion_table, leak_arguments, leak_outputs, membership_table

MODELS = [("standard", "fedavg"), ("standard", "dp3"), ("densenet121", "fedavg")]


def made(folder, *more: str, **changes) -> pd.DataFrame:
    """The table of three models, written and read."""
    leaks.main([*leak_arguments(folder, MODELS, **changes), *leak_outputs(folder), *more])
    return LEAKS.read(folder / "leaks.csv")


def test_a_row_has_what_the_attacks_on_a_model_got(tmp_path):
    table = made(tmp_path, "--mark=DEMO")
    assert [*zip(table["architecture"], table["method"], strict=True)] == MODELS
    for name in SCENARIOS:
        assert table[name].tolist() == [1.5] * 3
        np.testing.assert_allclose(table[f"{name}_low"], 1.35)
    assert table["membership"].tolist() == pytest.approx([0.6, 0.61, 0.62])
    assert table["control"].tolist() == [0.51] * 3
    assert table["fpr"].tolist() == [0.01] * 3
    assert table["found_high"].tolist() == [0.12] * 3
    assert table[["images", "members", "others", "chance"]].iloc[0].tolist() == [24, 400, 110, 0.02]
    text = (tmp_path / "leaks.md").read_text()
    assert text.startswith("**DEMO**")
    rows = [line for line in text.splitlines() if "FedAvg" in line]
    cells = [cell.strip() for cell in rows[0].split("|")]
    assert cells[1:4] == ["Standard", "FedAvg", "1.5<br>1.4 to 1.7"]
    assert cells[7:11] == [
        "25<br>22–28",
        "0.600<br>0.660–0.760",
        "0.510<br>0.450–0.570",
        "8.0<br>5.0–12.0",
    ]
    assert "24 images of as many patients" in text
    assert "(400 patients) from those who did not (110 patients)" in text
    assert "at 1 % false positives" in text
    assert r"\scriptsize 1.4 to 1.7" in (tmp_path / "leaks.tex").read_text()


def test_what_too_few_cannot_tell_has_no_second_line():
    few = leaks.summarise(inversion_table(few=True), membership_table())
    few = few.assign(found=np.nan, found_low=np.nan, found_high=np.nan)
    ((row,),) = leaks.layout(few).groups.values()
    assert row[1:5] == ["1.5"] * 4
    assert row[-1] == "–"
    assert [*few] == [name for name in LEAKS.names if name != "mark"]
    assert {*INVERSION.names, *MEMBERSHIP.names} >= {"architecture", "method", "seed"}
