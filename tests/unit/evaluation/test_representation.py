"""What a representation knows beside its finding: features that hold a group, or none."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from chexviz.base.errors import InputError
from chexviz.base.tables.evaluation import REPRESENTATION
from chexviz.base.tables.sites import SAMPLES
from chexviz.evaluation.representation import FOLDS, fold_of, main, told
from made_heads import SETTINGS, columns_of, draw_site

CHANNELS = 12


@pytest.fixture
def made(tmp_path):
    """A site of 400 images with a scanner, and models whose features know the view, or nothing."""
    _, samples = draw_site(0, 400)
    samples["attribute_scanner"] = [["A", "B", "C", None][number // 2 % 4] for number in range(400)]
    samples["patient"] = [f"p{number // 2:03d}" for number in range(400)]
    table = samples.reindex(columns=columns_of(samples)).assign(patient_known=True)
    assert set(SAMPLES.names) <= set(table)
    table.to_csv(tmp_path / "north.csv", index=False)
    draws = np.random.default_rng(1)
    seen = {name: draws.standard_normal((400, CHANNELS)) for name in ("baseline", "fedavg")}
    seen["baseline"][:, 3] += 2 * (samples["view"] == "AP")
    seen["baseline"][:, 5] = 7  # a dead channel
    images = samples["image"].to_numpy(dtype=str)
    for name, features in seen.items():
        more = {"untrained_north": seen["fedavg"][::-1]} if name == "baseline" else {}
        np.savez(tmp_path / f"{name}.npz", image_north=images, features_north=features, **more)
    return tmp_path


def run(folder, *methods: str, **settings) -> pd.DataFrame:
    words = ["--samples", "north", str(folder / "north.csv"), f"--output={folder / 'out.csv'}"]
    for method in methods:
        words += ["--features", "standard", method, "7", str(folder / f"{method}.npz")]
    settings = SETTINGS | {"subgroups": {"ages": [40, 60]}} | settings
    main([*words, "--settings", json.dumps(settings)])
    return REPRESENTATION.read(folder / "out.csv").set_index(["method", "attribute", "group"])


def test_a_group_that_the_features_hold_is_told_and_others_are_not(made):
    table = run(made, "baseline", "fedavg")
    assert {key[1:] for key in table.index} == {
        ("view", "PA"),
        ("sex", "M"),
        *(("age", band) for band in ("0-39", "40-59", "60+")),
        *(("scanner", one) for one in "ABC"),
    }
    view = table.xs(("view", "PA"), level=[1, 2])
    assert view.index.tolist() == ["baseline", "fedavg", "untrained"]
    assert view.loc["baseline", "auroc_low"] > 0.8
    assert view.loc["baseline", "difference_low"] > 0.2
    for method in ("fedavg", "untrained"):
        assert view.loc[method, "auroc_low"] < 0.5 < view.loc[method, "auroc_high"]
    assert view.loc["fedavg", "difference_low"] < 0 < view.loc["fedavg", "difference_high"]
    assert np.isnan(view.loc["untrained", "difference"])
    scanner = table.xs("scanner", level=1)
    assert scanner["images"].unique().tolist() == [300]  # those whose scanner is known
    assert (scanner["auroc_low"] < 0.65).all()


def test_few_patients_of_a_group_have_no_number(made):
    table = run(made, "baseline", minimum_cases=60)
    few = table.xs("scanner", level=1)
    assert few["note"].str.startswith("too few cases: 50 positive").all()
    assert few["auroc"].isna().all()
    assert table.xs(("view", "PA"), level=[1, 2])["auroc"].notna().all()


def test_scores_are_those_of_ridge_regression_on_other_patients():
    draws = np.random.default_rng(3)
    features = draws.normal(3, 2, (60, 4))
    target = (draws.random(60) < 0.4).astype(float)
    fold = fold_of(pd.Series([f"p{number // 3}" for number in range(60)]), "north", 1)
    found = told(features, target[:, np.newaxis], fold)[:, 0]
    for number in range(FOLDS):
        asked = fold == number
        scaler = StandardScaler().fit(features[~asked])
        ridge = Ridge(alpha=4).fit(scaler.transform(features[~asked]), target[~asked])
        expected = ridge.predict(scaler.transform(features[asked])) - target[~asked].mean()
        np.testing.assert_allclose(found[asked], expected, rtol=0, atol=1e-10)


def test_a_patient_is_in_one_fold_and_folds_are_of_a_size():
    patients = pd.Series([f"p{number % 100:02d}" for number in range(300)])
    fold = pd.Series(fold_of(patients, "north", 1))
    assert (fold.groupby(patients).nunique() == 1).all()
    assert fold.value_counts().to_dict() == dict.fromkeys(range(FOLDS), 60)
    assert not fold.equals(pd.Series(fold_of(patients, "south", 1)))


def test_models_of_other_images_are_refused(made):
    with np.load(made / "fedavg.npz") as archive:
        other = dict(archive)
    np.savez(made / "fedavg.npz", **other | {"image_north": other["image_north"][::-1]})
    with pytest.raises(InputError, match=r"fedavg\.npz"):
        run(made, "baseline", "fedavg")
