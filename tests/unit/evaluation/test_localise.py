"""Localisation of all models: its tables against plain code, its figure and contact sheet."""

import json

import matplotlib.text
import numpy as np
import pandas as pd
import pytest
from scipy.stats import bootstrap as scipy_bootstrap
from sklearn.metrics import jaccard_score

from chexviz.base.errors import InputError
from chexviz.base.tables.evaluation import read_metrics
from chexviz.base.tables.models import MODEL, PREDICTIONS
from chexviz.evaluation import localise, resamples
from chexviz.evaluation.overlap import energy_inside
from chexviz.images.annotated import masks, upsample
from chexviz.reporting.figures import contact_sheet, localisation, style
from drawings import texts
from made_arguments import contact_sheet_arguments, localise_arguments, titles_argument
from made_results import ABROAD, CLINIC, HOSPITAL, RSNA, SIIM, blinded, make_results

FINDINGS = {"rsna": "pneumonia", "siim": "pneumothorax"}


def localised(results, protocol="paper", **changes):
    """Run `localise` on made results; its tables, images and summary."""
    paths = [results.evaluation(protocol, name) for name in ("localisation_images", "localisation")]
    arguments = localise_arguments(results, protocol, **changes)
    localise.main([*arguments, f"--images={paths[0]}", f"--summary={paths[1]}"])
    return [pd.read_csv(path, dtype={"image": str}) for path in paths]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    results = make_results(folder, protocols=("paper",), methods=("fedavg", "fedbn"), images=160)
    results.tables = localised(results)
    return results


def of(table, site, method, architecture="standard"):
    chosen = (table["site"] == site) & (table["method"] == method)
    return table[chosen & (table["architecture"] == architecture)]


def test_all_true_positives_are_scored(made):
    images, summary = made.tables
    metrics = read_metrics(made.evaluation("paper", "metrics")).set_index([*MODEL])["threshold"]
    for name, rows in images.groupby([*MODEL]):
        site, finding, head, architecture, method, seed = name
        assert head == site
        table = PREDICTIONS.read(made.predictions("paper", (architecture, method), seed))
        table = table[(table["site"] == site) & (table["head"] == head)]
        chosen = (table["subset"] == "evaluation") & (table["label"] == 1)
        chosen &= table["score"] >= metrics[name]
        assert FINDINGS[site] == finding
        assert rows["image"].tolist() == sorted(table.loc[chosen, "image"])
    assert len(summary) == 2 * 2 * 3 * 3
    assert (summary["images"] > 20).all()
    assert summary["note"].isna().all()


@pytest.mark.parametrize("site", ["rsna", "siim"])
def test_values_are_means_over_the_images(made, site):
    images, summary = made.tables
    rows = of(images, site, "fedavg")
    with np.load(made.gradcam("paper", ("standard", "fedavg"), 2022)) as archive:
        key = f"{site}_{FINDINGS[site]}_{site}"
        maps = dict(zip(archive[f"image_{key}"], archive[f"map_{key}"], strict=True))
    table = pd.read_csv(made.site(site, "annotations.csv"))
    inside = masks(table, rows["image"].tolist(), 64)
    heat = upsample(np.stack([maps[image] for image in rows["image"]]), 64)
    np.testing.assert_allclose(rows["energy"], energy_inside(heat, inside))
    np.testing.assert_allclose(rows["area"], 12 * 18 / 64**2)
    found = of(summary, site, "fedavg").set_index("measure")
    for measure in ("energy", "pointing", "iou"):
        row = found.loc[measure]
        assert row["value"] == pytest.approx(rows[measure].mean())
        assert row["low"] < row["value"] < row["high"]
        assert row["chance"] == pytest.approx(12 * 18 / 64**2)
        assert row["prior"] == pytest.approx(rows[f"prior_{measure}"].mean())
        assert row["images"] == len(rows)
        assert row["patients"] == rows["patient"].nunique()


def test_the_paired_difference_is_on_the_true_positives_of_both(made):
    images, summary = made.tables
    baseline = of(images, "rsna", "baseline").set_index("image")
    method = of(images, "rsna", "fedbn").set_index("image")
    common = baseline.index.intersection(method.index)
    assert len(common) < min(len(baseline), len(method))
    row = of(summary, "rsna", "fedbn").set_index("measure").loc["energy"]
    difference = method.loc[common, "energy"] - baseline.loc[common, "energy"]
    assert row["paired_images"] == len(common)
    assert row["difference"] == pytest.approx(difference.mean())
    assert row["difference_low"] < row["difference"] < row["difference_high"]
    assert 0 <= row["p"] <= 1
    assert (
        of(summary, "rsna", "baseline")[["paired_images", "difference", "p"]].isna().all(axis=None)
    )


def test_the_prior_is_the_mean_annotation_of_images_that_do_not_evaluate(made):
    annotations = pd.read_csv(made.site("rsna", "annotations.csv"))
    split = pd.read_csv(made.split("paper")).query("site == 'rsna'")
    others = split.loc[(split["subset"] != "evaluation") & (split["label_pneumonia"] == 1), "image"]
    prior = masks(annotations, sorted(others), 64).mean(axis=0, dtype=np.float64)
    rows = of(made.tables[0], "rsna", "baseline")
    inside = masks(annotations, rows["image"].tolist(), 64)
    np.testing.assert_allclose(
        rows["prior_energy"], [prior[mask].sum() / prior.sum() for mask in inside], rtol=1e-5
    )
    expected = [jaccard_score(mask.ravel(), prior.ravel() >= prior.max() / 2) for mask in inside]
    np.testing.assert_allclose(rows["prior_iou"], expected)


def test_resampled_means_have_the_interval_of_scipys_bootstrap():
    generator = np.random.default_rng(0)
    values = generator.gamma(2, size=(60, 1))
    means = localise.resampled_means(values, np.arange(60), 20_000, generator)
    expected = scipy_bootstrap(
        (values[:, 0],), np.mean, method="percentile", n_resamples=20_000, rng=generator
    )
    assert means.mean() == pytest.approx(values.mean(), rel=0.01)
    found = np.quantile(means, [0.025, 0.975])
    np.testing.assert_allclose(found, expected.confidence_interval, rtol=0.01)


def test_a_resampled_patient_comes_with_all_of_their_images(monkeypatch):
    values = np.array([[1.0, 10.0], [0.0, 0.0], [0.0, 0.0]])
    unit = np.array([0, 1, 1])
    means = localise.resampled_means(values, unit, 500, np.random.default_rng(1))
    # Both the first patient; one of each; both the second.
    assert {round(mean, 9) for mean in means[:, 0]} == {1, round(1 / 3, 9), 0}
    np.testing.assert_allclose(means[:, 1], 10 * means[:, 0])
    monkeypatch.setattr(resamples, "BLOCK_VALUES", 48)
    again = localise.resampled_means(values, unit, 500, np.random.default_rng(1))
    assert (again == means).all()


def copied(tmp_path, change=lambda results: None, **options):
    results = make_results(tmp_path / "copy", protocols=("paper",), images=80, **options)
    change(results)
    return results


def test_tables_do_not_depend_on_the_order_of_rows_or_the_size_of_parts(tmp_path, monkeypatch):
    def shuffled(results):
        tables = [results.site(site, "annotations.csv") for site in ("rsna", "siim")]
        for model in results.models:
            tables.append(results.predictions("paper", model, 2022))
            path = results.gradcam("paper", model, 2022)
            with np.load(path) as archive:
                arrays = {name: archive[name][::-1] for name in archive}
            np.savez(path, **arrays)
        for path in tables:
            exact = pd.read_csv(path, float_precision="round_trip")
            exact.sample(frac=1, random_state=3).to_csv(path, index=False)

    results = copied(tmp_path)
    files = [results.evaluation("paper", f"localisation{end}") for end in ("_images", "")]
    localised(results)
    first = [file.read_bytes() for file in files]
    shuffled(results)
    monkeypatch.setattr(localise, "PIXELS_AT_ONCE", 3 * 64**2)
    localised(results)
    assert [file.read_bytes() for file in files] == first


def test_too_few_cases_give_a_value_and_a_note_instead_of_an_interval(tmp_path):
    _, enough = localised(copied(tmp_path / "enough"))
    _, summary = localised(copied(tmp_path / "few"), minimum_cases=500)
    numbers = ["low", "high", "difference_low", "difference_high", "standard_error", "p"]
    assert summary[numbers].isna().all(axis=None)
    values = ["value", "chance", "prior", "difference"]
    pd.testing.assert_frame_equal(summary[values], enough[values])
    said = "too few cases: [0-9]+ true positive of at least 500"
    assert summary["note"].str.match(said).all()
    federated = summary[summary["method"] == "fedavg"]
    assert federated["note"].str.contains(rf"{said} \(differences\)").all()


def test_images_are_resampled_where_the_configuration_says_so(tmp_path):
    def two_patients(results):
        for model in results.models:
            path = results.predictions("paper", model, 2022)
            table = pd.read_csv(path, dtype={"image": str})
            table.assign(patient=table["image"].str[-2:].astype(int) // 4 % 2).to_csv(
                path, index=False
            )

    for unit in ("image", "patient"):
        bootstrap = {"replicates": 200, "unit": unit, "confidence": 0.95, "seed": 1}
        results = copied(tmp_path / unit, two_patients)
        _, summary = localised(results, bootstrap=bootstrap, minimum_cases=500)
        counts = summary["note"].str.extract(r"cases: (\d+) true", expand=False).astype(int)
        assert (counts == summary[f"{unit}s"]).all()
        assert (summary["patients"] == 2).all()


def test_maps_that_are_all_zero_score_0_and_are_counted(tmp_path):
    def blind(results):
        blinded(results.gradcam("paper", ("standard", "fedavg"), 2022), "rsna")

    _, summary = localised(copied(tmp_path, blind))
    rows = of(summary, "rsna", "fedavg")
    assert (rows["empty"] == rows["images"]).all()
    assert (rows["value"] == 0).all()
    assert rows[["low", "high"]].isna().all(axis=None)
    assert rows["note"].str.startswith("all alike, no interval (true positives)").all()
    assert (rows["difference"] < 0).all()


def unannotated(results):
    path = results.site("siim", "annotations.csv")
    pd.read_csv(path).iloc[:0].to_csv(path, index=False)


def test_images_without_annotation_are_counted_and_not_scored(tmp_path):
    def fewer(results):
        path = results.site("rsna", "annotations.csv")
        pd.read_csv(path).iloc[1:].to_csv(path, index=False)
        unannotated(results)

    before = localised(copied(tmp_path))[1]
    fewer(results := copied(tmp_path))
    images, summary = localised(results)
    assert "siim" not in set(images["site"])
    assert (of(summary, "siim", "fedavg")["images"] == 0).all()
    lost = of(summary, "rsna", "baseline")["unannotated"].iloc[0]
    assert lost in (0, 1)  # the first positive is a true positive or not
    assert (
        of(before, "rsna", "baseline")["images"].iloc[0] - lost
        == (of(summary, "rsna", "baseline")["images"].iloc[0])
    )
    assert set(images["empty"]) == {False}


@pytest.fixture(scope="module")
def abroad(tmp_path_factory):
    """Two findings at a site that trains, two at an external one; one is known by two baselines."""
    folder, sites = tmp_path_factory.mktemp("abroad"), (RSNA, SIIM, CLINIC, ABROAD)
    results = make_results(folder, sites=sites, protocols=("paper",), images=80)
    results.tables = localised(results, minimum_cases=5)
    return results


def test_maps_are_of_every_baseline_and_of_what_a_model_answers(abroad):
    summary = abroad.tables[1].query("architecture == 'standard' and measure == 'iou'")
    found = summary.groupby(["site", "finding", "method"])["head"].agg(list).to_dict()
    assert found == {
        ("rsna", "pneumonia", "baseline"): ["rsna"],
        ("rsna", "pneumonia", "fedavg"): ["rsna"],
        ("siim", "pneumothorax", "baseline"): ["siim"],
        ("siim", "pneumothorax", "fedavg"): ["siim"],
        ("clinic", "pneumonia", "baseline"): ["clinic"],
        ("clinic", "pneumonia", "fedavg"): ["clinic"],
        ("clinic", "pleural_effusion", "baseline"): ["clinic"],
        ("clinic", "pleural_effusion", "fedavg"): ["clinic"],
        ("abroad", "pneumonia", "baseline"): ["rsna", "clinic"],
        ("abroad", "pneumonia", "fedavg"): ["mean"],
        ("abroad", "pneumothorax", "baseline"): ["siim"],
        ("abroad", "pneumothorax", "fedavg"): ["siim"],
    }


def test_a_finding_is_compared_with_its_own_annotations(abroad):
    annotations = pd.read_csv(abroad.site("clinic", "annotations.csv"), dtype={"image": str})
    images = of(abroad.tables[0], "clinic", "baseline")
    for finding, rows in images.groupby("finding"):
        own = annotations[annotations["finding"] == finding]
        assert rows["image"].isin(own["image"]).all()
        inside = masks(own, rows["image"].tolist(), 64)
        with np.load(abroad.gradcam("paper", ("standard", "baseline"), 2022)) as archive:
            key = f"clinic_{finding}_clinic"
            maps = dict(zip(archive[f"image_{key}"], archive[f"map_{key}"], strict=True))
        heat = upsample(np.stack([maps[image] for image in rows["image"]]), 64)
        np.testing.assert_allclose(rows["energy"], energy_inside(heat, inside))
    assert images["finding"].nunique() == 2


def test_an_external_site_has_no_prior_and_of_several_baselines_no_difference(abroad):
    images, summary = abroad.tables
    external = summary["site"] == "abroad"
    assert summary.loc[external, "prior"].isna().all()
    assert summary.loc[~external, "prior"].notna().all()
    assert images.loc[images["site"] == "abroad", "prior_iou"].isna().all()
    rows = of(summary, "abroad", "fedavg").set_index("finding")
    several, single = rows.loc["pneumonia"], rows.loc["pneumothorax"]
    assert set(several["note"]) == {"no difference: 2 baselines know the finding"}
    assert several[["paired_images", "difference", "p"]].isna().all(axis=None)
    assert several[["value", "low", "high", "chance"]].notna().all(axis=None)
    assert single[["paired_images", "difference", "p"]].notna().all(axis=None)


def test_what_is_missing_is_named(tmp_path):
    results = copied(tmp_path)
    arguments = localise_arguments(results, "paper")
    out = [f"--images={tmp_path / 'i.csv'}", f"--summary={tmp_path / 's.csv'}"]
    first = arguments.index("--prediction")
    missing = "rsna pneumonia standard baseline 2022 to compare the head rsna with"
    with pytest.raises(InputError, match=missing):
        localise.main([*arguments[:first], *arguments[first + 6 :], *out])
    path = results.evaluation("paper", "metrics")
    pd.read_csv(path).iloc[1:].to_csv(path, index=False)
    with pytest.raises(InputError, match="rows for the images of rsna by the models of"):
        localise.main([*arguments, *out])
    assert not (tmp_path / "i.csv").exists()


# ---------------------------------------------------------------- figures


def arguments_of(module, results) -> list[str]:
    if module is contact_sheet:
        return contact_sheet_arguments(results, "paper")
    table = f"--localisation={results.evaluation('paper', 'localisation')}"
    return [table, titles_argument(results.sites)]


def pages_of(module, results, drawn, tmp_path):
    paths = [f"--{kind}={tmp_path / f'f.{kind}'}" for kind in ("pdf", "png")]
    module.main([*arguments_of(module, results), *paths])
    return drawn


def figure_of(module, results, drawn, tmp_path):
    (page,) = pages_of(module, results, drawn, tmp_path)
    return page


def words_of(module, results, drawn, tmp_path) -> list[str]:
    return [text for page in pages_of(module, results, drawn, tmp_path) for text in texts(page)]


@pytest.mark.parametrize("module", [localisation, contact_sheet])
def test_figures_have_the_same_bytes_on_a_rerun(module, one_site, tmp_path):
    paths = [tmp_path / f"f.{kind}" for kind in ("pdf", "png")]
    options = [f"--pdf={paths[0]}", f"--png={paths[1]}", "--mark=DEMO"]
    module.main([*arguments_of(module, one_site), *options])
    first = [path.read_bytes() for path in paths]
    module.main([*arguments_of(module, one_site), *options])
    assert [path.read_bytes() for path in paths] == first


@pytest.mark.parametrize("module", [localisation, contact_sheet])
@pytest.mark.parametrize("case", ["made", "many"])
def test_nothing_is_cut_off(module, case, made, many, drawn, tmp_path):
    for figure in pages_of(module, {"made": made, "many": many}[case], drawn, tmp_path):
        assert style.size_mm(figure)[0] == pytest.approx(style.DOUBLE_COLUMN)
        renderer = figure.canvas.get_renderer()
        for text in figure.findobj(matplotlib.text.Text):
            if text.get_text().strip() and text.get_visible():
                box = text.get_window_extent(renderer)
                assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1, text
                assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1, text
                assert text.get_fontsize() >= 6, text


@pytest.fixture(scope="module")
def one_site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one")
    results = make_results(folder, sites=(SIIM,), protocols=("paper",), images=48)
    localised(results)
    return results


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Three sites, two seeds, three methods; one site without annotations."""
    results = make_results(
        tmp_path_factory.mktemp("many"),
        sites=(RSNA, SIIM, HOSPITAL),
        protocols=("paper",),
        seeds=(5, 6),
        methods=("fedavg", "scaffold", "pooled"),
        images=48,
    )
    unannotated(results)
    localised(results, minimum_cases=5)
    return results


def test_the_figure_shows_values_references_and_p(made, drawn, tmp_path):
    figure = figure_of(localisation, made, drawn, tmp_path)
    panels = [axes for axes in figure.axes if axes.get_xticks().size and axes.axison]
    assert len(panels) == 2 * 3
    row = of(made.tables[1], "rsna", "baseline").iloc[0]
    (value,) = [
        line for line in panels[0].lines if line.get_marker() == "o" and line.get_ydata()[0] == 1
    ]
    assert value.get_xdata()[0] == pytest.approx(row["value"])
    assert {"Pneumonia", "Pneumothorax", "FedBN"} <= set(texts(figure))


@pytest.mark.parametrize(
    ("notes", "said"),
    [
        (["differences: all alike, no interval"], " (–: all differences alike)"),
        (["differences: 3 patients, fewer than 10"], " (–: too few)"),
        (
            ["differences: all alike, no interval", "differences: 3 patients, fewer than 10"],
            " (–: too few or all differences alike)",
        ),
        ([], ""),
    ],
)
def test_a_missing_p_value_has_its_own_reason(notes, said):
    """With 21 pairs of equal maps there are not too few."""
    rows = pd.DataFrame(
        [
            {"method": "fedavg", "value": 0.1, "p": np.nan, "alike": "all alike" in note}
            for note in notes
        ]
        + [{"method": "fedavg", "value": 0.1, "p": 0.2, "alike": False}]
    )
    assert localisation.why_no_p(rows) == said


def test_of_several_seeds_the_mean_is_shown_and_a_site_without_annotation_says_so(
    many, drawn, tmp_path
):
    shown = words_of(localisation, many, drawn, tmp_path)
    assert any("mean ± standard deviation over 2 seeds" in text for text in shown)
    assert shown.count("no annotated true positive") == 3 * 2 * 4
    table = pd.read_csv(many.evaluation("paper", "localisation"))
    of_seeds = of(table, "rsna", "scaffold").query("measure == 'iou'")
    found = of(localisation.summarise(table), "rsna", "scaffold").query("measure == 'iou'").iloc[0]
    assert found["value"] == pytest.approx(of_seeds["value"].mean())
    assert found["high"] - found["low"] == pytest.approx(2 * of_seeds["value"].std())


def test_the_sheet_goes_from_best_to_worst_in_even_steps():
    names = [f"i{number:02d}" for number in range(19)]
    energy = np.linspace(1, 0, 19)
    numbers = {"pointing": 0.0, "iou": 0.5}
    scored = pd.concat(
        [
            pd.DataFrame(
                {"image": names[::-1], "energy": energy[::-1], **numbers, "method": "baseline"}
            ),
            pd.DataFrame({"image": names[:-1], "energy": 0.1, **numbers, "method": "fedavg"}),
        ]
    )
    cases = contact_sheet.choose(scored, "fedavg")
    assert cases["count"].iloc[0] == 18  # the last is no true positive of the other
    assert cases["image"].tolist() == [names[index] for index in (0, 2, 4, 6, 8, 9, 11, 13, 15, 17)]
    few = contact_sheet.choose(scored[scored["image"].isin(names[:3])], "fedavg")
    assert few["image"].tolist() == names[:3]
    assert contact_sheet.choose(scored[scored["method"] == "fedavg"], "fedavg").empty


def test_the_sheet_shows_the_cases_with_their_numbers(made, drawn, tmp_path):
    figure = figure_of(contact_sheet, made, drawn, tmp_path)
    shown = texts(figure)
    images, _ = made.tables
    baseline, other = (of(images, "siim", method) for method in ("baseline", "fedavg"))
    best = baseline[baseline["image"].isin(other["image"])].nlargest(1, "energy").iloc[0]
    hit = {0: "miss", 1: "hit"}.get(best["pointing"], f"{best['pointing']:.2f}")
    assert f"{best['energy']:.2f} {hit} {best['iou']:.2f}" in shown
    assert sum(len(axes.images) for axes in figure.axes) == 2 * 2 * 2 * 10 + 1
    assert "fedbn" not in json.dumps(shown).lower()


def test_the_sheet_says_when_there_is_nothing_to_show(many, drawn, tmp_path):
    shown = words_of(contact_sheet, many, drawn, tmp_path)
    assert shown.count("no annotated true positive of both") == 2
    assert any("First of 2 seeds (5)." in text for text in shown)
