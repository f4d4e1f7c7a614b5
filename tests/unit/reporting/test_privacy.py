"""What is shown and said of attacks."""

import numpy as np
import pandas as pd
import pytest

from chexviz.base.tables.privacy import INVERSION, MEMBERSHIP, MEMBERSHIP_ROC, SCENARIOS
from chexviz.reporting.figures import privacy as figure
from chexviz.reporting.paper import inventory, privacy
from drawings import require_on_page
from made_leaks import ABOUT, hashes_table, inversion_table, membership_table, write_leaks


def test_the_paper_says_what_attacks_got_beside_their_controls(tmp_path):
    write_leaks(tmp_path)
    assert privacy.privacy_facts(tmp_path, []) is None
    facts = privacy.privacy_facts(tmp_path, [ABOUT])
    assert facts["models"] == len(facts["table"]["groups"][0]["rows"]) == 1
    said = facts["said"]
    assert "1.5 (1.4 to 1.7) from the update of a round, as it is sent." in said
    assert "the first of 50 candidates in 25\u00a0% of reconstructions (by chance 2\u00a0%)" in said
    assert "an AUROC of 0.710 (0.660 to 0.760) (control: 0.510 (0.450 to 0.570))" in said
    assert "At 1\u00a0% false positives it found 8\u00a0% (5\u00a0% to 12\u00a0%)" in said
    assert "At 0.1\u00a0% false positives nothing can be said: too few" in said
    assert "put 9 to 21 of 64 bits into their place (by chance one)" in said
    assert "0.59 to 0.61 with its radiograph, and of −0.01 to 0.00 with those of other" in said


def test_of_a_site_alone_the_paper_says_that_hashes_were_not_measured():
    table = hashes_table().assign(value=np.nan)
    assert privacy.hashes(table).startswith("What perceptual hashes give away was not measured")


def test_few_images_have_no_interval():
    said = privacy.inversion(inversion_table(few=True), "Standard w/ FL")
    assert "1.5 (too few images for an interval)" in said


def test_the_figure_is_of_runs_that_ask_for_it():
    sites = [{"role": "train", "findings": ["pneumonia"]}]
    names = {one["name"] for one in inventory.shown_figures(sites, 1)}
    asked = {one["name"] for one in inventory.shown_figures(sites, 1, ["privacy"])}
    assert asked - names == {"privacy"}


@pytest.mark.parametrize(
    "methods",
    [["fedavg"], ["fedavg", "fedprox", "fedbn", "fedfbn", "fedrep", "scaffold", "surgical"]],
)
def test_the_figure_has_every_model(tmp_path, drawn, methods):
    files = {"inversion": [], "membership": [], "roc": []}
    roc = pd.DataFrame({"fpr": [0, 0.1, 1.0], "tpr": [0.1, 0.5, 1.0]})
    roc = pd.concat([roc.assign(comparison=one) for one in ("attack", "control")])
    for method in methods:
        folder = tmp_path / method
        folder.mkdir()
        for name, table, rows in (
            ("inversion", INVERSION, inversion_table()),
            ("membership", MEMBERSHIP, membership_table()),
            ("roc", MEMBERSHIP_ROC, roc.assign(**ABOUT)[MEMBERSHIP_ROC.names]),
        ):
            files[name].append(str(folder / f"{name}.csv"))
            table.write(rows.assign(method=method), folder / f"{name}.csv")
    pictures = tmp_path / "pictures.npz"
    np.savez(pictures, **{name: np.zeros((3, 16, 16), np.uint8) for name in SCENARIOS})
    words = [word for name, paths in files.items() for word in (f"--{name}", *paths)]
    outputs = [f"--pdf={tmp_path / 'a.pdf'}", f"--png={tmp_path / 'a.png'}"]
    figure.main([*words, f"--pictures={pictures}", *outputs])
    (page,) = drawn
    assert len(page.axes) == 3 * len(SCENARIOS) + 4
    legend = [text.get_text() for text in page.axes[-1].texts]
    assert len(legend) == len(methods)
    assert all("AUROC in d 0.71 (0.66–0.76), control 0.51 (0.45–0.57)" in text for text in legend)
    curves = page.axes[-2].lines
    assert len(curves) == 2 * len(methods) + 1  # and the diagonal
    require_on_page(page)
