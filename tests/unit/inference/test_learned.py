"""What validation images teach: thresholds and a temperature, or nothing, and why."""

import numpy as np
import pandas as pd
import pytest

from chexviz.base.errors import InputError
from chexviz.base.sites import Site
from chexviz.base.tables.models import PREDICTIONS
from chexviz.evaluation.calibrate import Settings
from chexviz.evaluation.calibration_measures import fit_temperature
from chexviz.evaluation.metrics import youden_threshold
from chexviz.evaluation.resamples import Bootstrap
from chexviz.inference.learned import learn
from made_scores import drawn

SITES = {
    "north": Site("north", "train", ["pneumonia"]),
    "south": Site("south", "train", ["pneumonia", "effusion"]),
    "abroad": Site("abroad", "external", ["pneumonia"]),
}
OUTPUTS = [("pneumonia", "north"), ("pneumonia", "south"), ("effusion", "south")]
BOOTSTRAP = Bootstrap(replicates=10, unit="patient", confidence=0.95, seed=1)
SETTINGS = Settings(bootstrap=BOOTSTRAP, minimum_cases=10, sensitivities=[0.8])


def rows(site, finding, head, subset, seed, count=120) -> pd.DataFrame:
    """Scores of a head on images of a site, by a seed."""
    labels, scores, patients = drawn(count, seed)
    labels = labels.astype(float) if site != "abroad" else np.full(count, np.nan)
    said = {"label": labels, "head": head, "score": scores}
    names = [f"{site}-{subset}-{number}" for number in range(count)]
    keys = {"site": site, "image": names, "patient": [f"{site}{one}" for one in patients]}
    return pd.DataFrame(keys | {"subset": subset, "finding": finding} | said)


def written(path, *tables) -> str:
    """The table of predictions that these rows are."""
    PREDICTIONS.write(pd.concat(tables)[PREDICTIONS.names], path)
    return str(path)


@pytest.fixture
def tables():
    """All heads on validation and evaluation images of the training sites, and the means."""
    found = []
    for subset in ("validation", "evaluation"):
        for number, site in enumerate(("north", "south")):
            seed = number + 10 * (subset == "evaluation")
            found += [rows(site, "pneumonia", head, subset, seed) for head in ("north", "mean")]
            found += [rows(site, "pneumonia", "south", subset, seed + 100)]
        found.append(rows("south", "effusion", "south", subset, seed + 7))
    return found


def test_the_mean_of_two_heads_is_taught_by_the_images_of_both_sites(tmp_path, tables):
    first, second = learn(written(tmp_path / "p.csv", *tables), OUTPUTS, SITES, SETTINGS)
    assert (first.name, first.heads, first.answer) == ("pneumonia", ["north", "south"], "mean")
    both = zip(drawn(120, 0)[:2], drawn(120, 1)[:2], strict=True)
    labels, scores = map(np.concatenate, both)
    assert first.learned.temperature == pytest.approx(fit_temperature(labels, scores), rel=1e-3)
    youden = first.learned.point("youden").threshold
    assert youden == pytest.approx(youden_threshold(labels, scores))
    at_least = first.learned.point("sensitivity-0.8").threshold
    found = (scores[labels == 1] >= at_least).mean()
    assert 0.8 <= found < 0.8 + 1.01 / labels.sum()
    assert (first.learned.images, first.learned.positives) == (240, labels.sum())
    assert first.learned.patients == 120
    assert first.learned.note == ""
    assert (second.name, second.answer, second.learned.images) == ("effusion", "south", 120)


def test_evaluation_images_teach_nothing(tmp_path, tables):
    only = [table for table in tables if table["subset"].iloc[0] == "evaluation"]
    for finding in learn(written(tmp_path / "p.csv", *only), OUTPUTS, SITES, SETTINGS):
        assert finding.learned.points == []
        assert finding.learned.temperature is None
        assert finding.learned.note == "the protocol has no validation images"


def test_with_few_cases_there_is_youdens_threshold_alone(tmp_path, tables):
    strict = Settings(bootstrap=BOOTSTRAP, minimum_cases=50, sensitivities=[0.8])
    finding = learn(written(tmp_path / "p.csv", *tables), OUTPUTS, SITES, strict)[1]
    assert [point.name for point in finding.learned.points] == ["youden"]
    assert finding.learned.temperature is None
    assert finding.learned.note.startswith("too few cases: ")


def test_images_of_one_class_teach_nothing(tmp_path, tables):
    alone = [table[(table["label"] == 0) | (table["finding"] != "effusion")] for table in tables]
    finding = learn(written(tmp_path / "p.csv", *alone), OUTPUTS, SITES, SETTINGS)[1]
    assert finding.learned.points == []
    assert finding.learned.positives == 0
    assert finding.learned.note.startswith("too few cases: 0 positive")


def test_external_images_teach_nothing(tmp_path, tables):
    heads = ("north", "south", "mean")
    outside = [rows("abroad", "pneumonia", head, "evaluation", 5) for head in heads]
    with_them = learn(written(tmp_path / "p.csv", *tables, *outside), OUTPUTS, SITES, SETTINGS)
    without = learn(written(tmp_path / "q.csv", *tables), OUTPUTS, SITES, SETTINGS)
    assert with_them == without


@pytest.mark.parametrize(("site", "seed"), [("north", 0), ("south", 1)])
def test_a_baseline_is_taught_by_its_own_site_whichever_it_is(tmp_path, site, seed):
    """Each site's images are scored by its own baseline alone, all in one table."""
    tables = [rows("north", "pneumonia", "north", "validation", 0)]
    tables += [rows("south", "pneumonia", "south", "validation", 1)]
    outputs = [("pneumonia", site)]
    (finding,) = learn(written(tmp_path / "p.csv", *tables), outputs, SITES, SETTINGS)
    labels, scores, _ = drawn(120, seed)
    threshold = finding.learned.point("youden").threshold
    assert threshold == pytest.approx(youden_threshold(labels, scores))
    assert finding.learned.images == 120


def test_predictions_of_another_model_are_refused(tmp_path, tables):
    lacking = [table for table in tables if table["finding"].iloc[0] != "effusion"]
    with pytest.raises(InputError, match="expected: scores of effusion by the head south"):
        learn(written(tmp_path / "p.csv", *lacking), OUTPUTS, SITES, SETTINGS)
