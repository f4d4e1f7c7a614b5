"""Maps in CheXlocalize's terms: what is known by hand, which threshold is chosen, and the lungs."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp

from chexviz.evaluation import chexlocalize, localise
from chexviz.evaluation.chexlocalize import Cut, judge, summarise, tune
from chexviz.evaluation.localise import Settings
from chexviz.evaluation.predictions import Model
from chexviz.evaluation.resamples import Bootstrap
from made_arguments import chexlocalize_arguments, localise_arguments
from made_results import RSNA, SIIM, make_results

SIDE = 8
SETTINGS = Settings(Bootstrap(200, "patient", 0.95, 1), 5, size=SIDE, threshold=0.5)
NAME = ("rsna", "pneumonia", "rsna", "standard", "fedavg", 2022)


def annotation(image: str, finding: str, x: int, y: int, width: int, height: int) -> dict:
    box = {"x": x, "y": y, "width": width, "height": height}
    return {"image": image, "finding": finding, **box, "runs": np.nan}


def hill(*levels: float) -> np.ndarray:
    """A map whose columns from the left are these levels, 0 to the right of them."""
    heat = np.zeros((SIDE, SIDE), np.float32)
    heat[:, : len(levels)] = levels
    return heat


@pytest.fixture
def case(tmp_path):
    """A model with maps of images, all positive and annotated in their two left columns.

    Gives what makes the model and the file of its maps, of maps, scores and subset by image.
    """

    def make(images: dict[str, tuple[str, float, np.ndarray]]):
        rows = [
            {"image": name, "patient": f"p{name}", "subset": subset, "label": 1, "score": score}
            for name, (subset, score, _) in images.items()
        ]
        key = "rsna_pneumonia_rsna"
        maps = np.stack([heat for *_, heat in images.values()])
        path = tmp_path / "maps.npz"
        np.savez(path, **{f"image_{key}": np.array([*images]), f"map_{key}": maps})
        drawn = pd.DataFrame([annotation(name, "", 0, 0, 2, SIDE) for name in images])
        return Model(*NAME, "p.csv", pd.DataFrame(rows)), str(path), drawn

    return make


def rows_of(model, path, called, drawn) -> list[dict]:
    """The rows of a model that calls an image positive from a score on."""
    return [*summarise(judge(model, path, called, drawn, SETTINGS), [], SETTINGS)]


def values(rows: list[dict], *names: str) -> dict[tuple[str, str], tuple]:
    return {(row["measure"], row["over"]): tuple(map(row.get, names)) for row in rows}


def test_all_positives_and_true_positives_by_hand(case):
    """The first two cover their annotation (IoU 1), the third half of it, the last is empty."""
    maps = [hill(1, 1), hill(1, 1), hill(1), hill()]
    found = {f"i{n}": ("evaluation", 0.9 - 0.2 * n, heat) for n, heat in enumerate(maps)}
    model, path, drawn = case(found)
    rows = values(rows_of(model, path, 0.6, drawn), "value", "images", "empty", "chance")
    assert rows == {
        ("iou", "positives"): (pytest.approx(2.5 / 4), 4, 1, 0.25),
        ("iou", "true positives"): (1, 2, 0, 0.25),
        ("pointing", "positives"): (0.75, 4, 1, 0.25),
        ("pointing", "true positives"): (1, 2, 0, 0.25),
    }


def test_a_perfect_map_scores_1_and_has_no_interval(case):
    model, path, drawn = case({f"i{n}": ("evaluation", 0.9, hill(1, 1)) for n in range(6)})
    for row in rows_of(model, path, 0.5, drawn):
        assert row["value"] == 1
        assert "low" not in row
        assert row["note"].startswith("all alike, no interval")


def test_the_threshold_with_the_largest_miou_of_the_validation_images_is_taken(case):
    """From 0.6 on the third column is off: 2 of 2 columns instead of 2 of 3. At 0.9 one is left."""
    shown = hill(1, 0.75, 0.55, 0.15)
    images = {f"v{n}": ("validation", 0.1, shown) for n in range(6)}
    images |= {f"e{n}": ("evaluation", 0.9, shown) for n in range(6)}
    model, path, drawn = case(images)
    assert tune(model, path, drawn, SETTINGS) == Cut(0.6, "validation")
    found = rows_of(model, path, 0.5, drawn)
    rows = values(found, "value", "threshold", "tuned_on", "images")
    assert rows["iou", "positives"] == (1, 0.6, "validation", 6)
    assert "threshold" not in found[2]
    fixed = rows_of(model._replace(table=model.evaluated), path, 0.5, drawn)
    rows = values(fixed, "value", "threshold", "tuned_on")
    assert rows["iou", "positives"] == (pytest.approx(2 / 3), 0.5, "fixed")


def test_of_too_few_validation_images_the_threshold_is_fixed_and_the_note_says_so(case):
    images = {f"v{n}": ("validation", 0.1, hill(1, 0.75, 0.55)) for n in range(4)}
    model, path, drawn = case(images | {"e": ("evaluation", 0.9, hill(1, 1))})
    cut = tune(model, path, drawn, SETTINGS)
    note = "threshold fixed: too few cases: 4 validation positive of at least 5"
    assert cut == Cut(0.5, "fixed", note)
    first = rows_of(model, path, 0.5, drawn)[0]
    assert first["note"] == f"too few cases: 1 positive of at least 5; {note}"
    assert tune(model, path, drawn.iloc[:3], SETTINGS).tuned_on == "fixed"


def test_the_share_within_the_lungs(case):
    """Lungs over the three left columns: of the energy 3 of 4, 1 of 1, ... are inside."""
    maps = [
        hill(1, 1, 1, 1),
        hill(1),
        hill(0, 0, 0, 0, 1),
        hill(0.5, 0, 0.5),
        hill(1, 0, 0, 3),
        hill(),
    ]
    model, path, drawn = case({f"i{n}": ("evaluation", 0.9, heat) for n, heat in enumerate(maps)})
    lungs = pd.DataFrame([annotation(f"i{n}", "lungs", 0, 0, 3, SIDE) for n in range(6)])
    without = rows_of(model, path, 0.5, drawn)
    found = rows_of(model, path, 0.5, pd.concat([drawn, lungs]))
    assert found[: len(without)] == without  # a lung mask is of no finding
    rows = values(found, "value", "chance", "empty")
    energy, hits = (0.75 + 1 + 0 + 1 + 0.25 + 0) / 6, (0.75 + 1 + 0 + 1 + 0 + 0) / 6
    for over in ("positives", "true positives"):
        assert rows["lung_energy", over] == (pytest.approx(energy), 3 / 8, 1)
        assert rows["lung_pointing", over] == (pytest.approx(hits), 3 / 8, 1)
    row = next(row for row in found if row["measure"] == "lung_energy")
    assert row["low"] < row["value"] < row["high"]
    # As SciPy's paired t-test, up to the error of 200 resamples.
    shares = np.array([0.75, 1, 0, 1, 0.25, 0])
    assert row["p_chance"] == pytest.approx(ttest_1samp(shares - 3 / 8, 0).pvalue, abs=0.08)


def test_a_model_is_compared_with_its_baseline_on_what_both_have(case):
    """True positives of both: the last three. Maps of the baseline are off, and one is empty."""
    scores = {f"i{n}": 0.1 * n for n in range(9)}
    model, path, drawn = case({n: ("evaluation", s, hill(1, 1, s)) for n, s in scores.items()})
    own = judge(model, path, 0.15, drawn, SETTINGS)
    model, path, _ = case({n: ("evaluation", s, hill(1 - s, 0, s)) for n, s in scores.items()})
    other = judge(model._replace(method="baseline"), path, 0.25, drawn, SETTINGS)
    rows = [*summarise(own, [other], SETTINGS)]
    found = values(rows, "paired_images", "images", "note")
    assert found["iou", "positives"][:2] == (9, 9)
    assert found["iou", "true positives"][:2] == (6, 7)
    before, after = (
        {(row["measure"], row["over"]): row for row in found}
        for found in (rows, summarise(other, [], SETTINGS))
    )
    key = ("iou", "positives")
    assert before[key]["difference"] == pytest.approx(before[key]["value"] - after[key]["value"])
    assert before[key]["difference_low"] < before[key]["difference"]
    assert "difference" not in after[key]
    several = [*summarise(own, [other, other], SETTINGS)]
    assert several[0]["note"].endswith("no difference: 2 baselines know the finding")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Results of a split with validation, of which the first site has maps and lung masks."""
    folder = tmp_path_factory.mktemp("made")
    results = make_results(folder, sites=(RSNA, SIIM), protocols=("patient",), images=120)
    path = results.site("rsna", "annotations.csv")
    drawn = pd.read_csv(path, dtype={"image": str})
    lungs = [annotation(image, "lungs", 8, 8, 48, 48) for image in drawn["image"]]
    pd.concat([drawn, pd.DataFrame(lungs)]).to_csv(path, index=False)
    validate(results)
    return results


def validate(results) -> None:
    """Predictions and maps of validation images at RSNA: those of the evaluation images again."""
    split = pd.read_csv(results.split("patient"), dtype={"image": str}).query("site == 'rsna'")
    chosen = split.query("subset == 'validation' and label_pneumonia == 1")["image"]
    for model in results.models:
        path = results.gradcam("patient", model, 2022)
        with np.load(path) as archive:
            arrays = dict(archive)
        key = "rsna_pneumonia_rsna"
        chosen = chosen.iloc[: len(arrays[f"image_{key}"])]
        for name, more in ((f"image_{key}", chosen), (f"map_{key}", arrays[f"map_{key}"])):
            arrays[name] = np.concatenate(
                [arrays[name], np.asarray(more, arrays[name].dtype)[: len(chosen)]]
            )
        np.savez(path, **arrays)
        path = results.predictions("patient", model, 2022)
        table = pd.read_csv(path, dtype={"image": str})
        rows = table.query("site == 'rsna' and finding == 'pneumonia' and head == 'rsna'")
        rows = rows[rows["label"] == 1].iloc[: len(chosen)]
        rows = rows.assign(image=chosen.to_numpy(), subset="validation", patient=chosen.to_numpy())
        pd.concat([table, rows]).to_csv(path, index=False)


def judged(results, **changes):
    path = results.evaluation("patient", "chexlocalize")
    arguments = chexlocalize_arguments(results, "patient", **changes)
    chexlocalize.main([*arguments, f"--output={path}"])
    return pd.read_csv(path)


def test_the_table_has_every_model_and_agrees_with_localisation(made):
    table = judged(made)
    assert table["site"].value_counts().to_dict() == {"rsna": 4 * 8, "siim": 4 * 4}
    overlap = table[table["measure"] == "iou"].set_index(["site", "method"]).sort_index()
    assert set(overlap.loc["rsna", "tuned_on"]) == {"validation"}
    assert set(overlap.loc["rsna", "threshold"]) <= set(chexlocalize.GRID)
    assert set(overlap.loc["siim", "threshold"]) == {0.5}
    assert overlap.loc["siim", "note"].str.contains("0 validation positive of at least 10").all()
    paths = [made.root / f"{name}.csv" for name in ("images", "summary")]
    arguments = localise_arguments(made, "patient")
    localise.main([*arguments, f"--images={paths[0]}", f"--summary={paths[1]}"])
    same = ["site", "architecture", "method", "measure"]
    before = pd.read_csv(paths[1]).set_index(same).sort_index()
    after = table[table["over"] == "true positives"].set_index(same).sort_index()
    for measure, site in (("pointing", "rsna"), ("pointing", "siim"), ("iou", "siim")):
        for column in ("value", "chance", "images", "patients"):
            found, expected = (
                one.xs((site, measure), level=("site", "measure"))[column]
                for one in (after, before)
            )
            pd.testing.assert_series_equal(found, expected)
    everyone = table[table["over"] == "positives"].set_index(same).sort_index()
    assert (everyone["images"] >= after["images"]).all()
    sure = ~everyone["note"].str.startswith("all alike", na=False)
    assert (everyone["low"] < everyone["value"])[sure].all()
    assert set(everyone[~sure].index.get_level_values("measure")) <= {"lung_pointing"}


def test_too_few_cases_have_values_alone(made):
    table = judged(made, minimum_cases=500)
    assert (
        table[["low", "high", "p_chance", "difference_low", "standard_error", "p"]]
        .isna()
        .all(axis=None)
    )
    assert table[["value", "chance"]].notna().all(axis=None)
    assert table.query("method == 'fedavg'")["difference"].notna().all()
    assert table["note"].str.match("too few cases: [0-9]+ (true )?positive of at least 500").all()
