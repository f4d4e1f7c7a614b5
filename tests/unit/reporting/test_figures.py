"""Figures 2, 3 and the audit: what they say and choose, their marks, equal bytes on a rerun."""

from functools import cache

import matplotlib.text
import numpy as np
import pandas as pd
import pytest
from matplotlib.textpath import TextPath
from PIL import Image

from chexviz.base.errors import InputError
from chexviz.base.tables.evaluation import read_metrics
from chexviz.base.tables.models import MODEL
from chexviz.reporting.figures import audit as figure_audit
from chexviz.reporting.figures import framework, gradcam_cases, roc_curves, style
from chexviz.reporting.figures.site_files import Site
from drawings import texts
from made_arguments import figure3_arguments, figure_audit_arguments, titles_argument
from made_results import HOSPITAL, RSNA, SIIM, blinded, make_results

MARK = "DEMO: phantom radiographs"
RED = (179, 38, 30)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One protocol, two sites, one seed."""
    return make_results(tmp_path_factory.mktemp("made"), protocols=("paper",), images=80)


@pytest.fixture(scope="module")
def three_sites(tmp_path_factory):
    """One protocol, three sites, two seeds."""
    folder = tmp_path_factory.mktemp("three")
    sites = (RSNA, SIIM, HOSPITAL)
    return make_results(folder, sites=sites, protocols=("paper",), seeds=(5, 6), images=80)


def outputs(folder) -> list[str]:
    return ["--pdf", str(folder / "figure.pdf"), "--png", str(folder / "figure.png")]


def figure1_arguments(made) -> list[str]:
    return [titles_argument(made.sites)]


def figure2_arguments(made) -> list[str]:
    names = ("roc", "metrics", "comparisons")
    files = [word for name in names for word in (f"--{name}", str(made.evaluation("paper", name)))]
    return [*files, "--method", made.methods[0], titles_argument(made.sites)]


def all_arguments(made):
    return {
        framework: figure1_arguments(made),
        roc_curves: figure2_arguments(made),
        gradcam_cases: figure3_arguments(made, "paper"),
        figure_audit: figure_audit_arguments(made),
    }


def pixels(path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image.convert("RGB"))


@pytest.fixture(scope="module")
def marked(made, tmp_path_factory):
    """Draw a figure with the mark, once; gives the arguments and the folder of its files."""

    @cache
    def draw(module):
        folder = tmp_path_factory.mktemp("marked")
        arguments = [*all_arguments(made)[module], *outputs(folder), "--mark", MARK]
        module.main(arguments)
        return arguments, folder

    return draw


@pytest.mark.parametrize("module", [framework, roc_curves, gradcam_cases, figure_audit])
def test_rerun_gives_the_same_bytes_without_a_date(module, marked):
    arguments, folder = marked(module)
    first = [(folder / f"figure.{kind}").read_bytes() for kind in ("pdf", "png")]
    module.main(arguments)
    assert [(folder / f"figure.{kind}").read_bytes() for kind in ("pdf", "png")] == first
    assert b"CreationDate" not in first[0]
    assert sorted(path.name for path in folder.iterdir()) == ["figure.pdf", "figure.png"]


@pytest.mark.parametrize("module", [framework, roc_curves, gradcam_cases, figure_audit])
def test_mark_is_a_strip_that_covers_nothing(module, made, marked, tmp_path):
    module.main([*all_arguments(made)[module], *outputs(tmp_path)])
    plain = pixels(tmp_path / "figure.png")
    assert not (plain[:20] == RED).all(axis=2).any()
    marked = pixels(marked(module)[1] / "figure.png")
    strip = len(marked) - len(plain)
    assert strip == pytest.approx(style.STRIP / 25.4 * 300, abs=1)
    red = (marked[2 : strip - 2] == RED).all(axis=2)
    assert red.mean() > 0.8  # the rest is the white text
    assert red[:, [0, -1]].all()
    white = (marked[2 : strip - 2] == 255).all(axis=2)
    assert white.any()
    # Below the strip is the same drawing; a shift of a part of a pixel may soften edges.
    difference = np.abs(marked[strip:].astype(int) - plain[: len(marked) - strip].astype(int))
    assert (difference.max(axis=2) > 60).mean() < 0.05


def test_a_note_has_lines_of_its_width_and_no_smaller_letters():
    note = "word " * 80 + "\nthe next line"
    wrapped = style.wrapped(note.strip(), 77)
    assert wrapped.replace("\n", " ") == note.strip().replace("\n", " ")
    assert wrapped.endswith("the next line")
    figure = style.new_figure(82, style.note_height(wrapped))
    style.write_note(figure, wrapped)
    (text,) = figure.texts
    assert text.get_fontsize() == style.NOTE
    box = text.get_window_extent()
    assert figure.bbox.x0 < box.x0
    assert box.x1 < figure.bbox.x1
    assert figure.bbox.y0 <= box.y0
    assert box.y1 <= figure.bbox.y1
    style.plt.close(figure)


def test_the_length_of_a_line_is_that_of_its_letters_edges():
    """As matplotlib solves for them, to a micrometre."""
    letters = "".join(map(chr, [*range(33, 127), *range(161, 173), *range(174, 384)])) + "–≥≤×’“”"
    for line in (*letters, letters, "95 % intervals of 2,000 bootstrap resamples of patients"):
        outline = TextPath((0, 0), line, size=style.NOTE)
        expected = outline.get_extents().width * 25.4 / 72
        assert style.note_length(line) == pytest.approx(expected, abs=1e-3), line


def test_figure2_labels_are_the_files_numbers(made, drawn, tmp_path):
    roc_curves.main([*figure2_arguments(made), *outputs(tmp_path)])
    (figure,) = drawn
    metrics = pd.read_csv(made.evaluation("paper", "metrics"))
    shown = texts(figure)
    assert len(figure.axes) == 4
    for row in metrics.itertuples():
        assert f"{row.auroc:.3f} ({row.auroc_low:.3f}–{row.auroc_high:.3f})" in shown
    assert sum(text.startswith("CheXViz, p") for text in shown) == 4
    assert shown.count("Baseline") == 4
    assert {"Pneumonia, Standard", "Pneumothorax, DenseNet121"} <= set(shown)
    curve = figure.axes[0].lines[1]
    roc = pd.read_csv(made.evaluation("paper", "roc"))
    first = roc[(roc["site"] == "rsna") & (roc["architecture"] == "standard")]
    np.testing.assert_allclose(curve.get_ydata(), first.loc[first["method"] == "baseline", "tpr"])


def test_figure2_shows_the_first_of_several_seeds_and_says_so(three_sites, drawn, tmp_path):
    roc_curves.main([*figure2_arguments(three_sites), *outputs(tmp_path)])
    assert [len(page.axes) for page in drawn] == [4, 2]
    metrics = pd.read_csv(three_sites.evaluation("paper", "metrics"))
    shown = texts(drawn[0])
    for seed, expected in ((5, True), (6, False)):
        row = metrics[metrics["seed"] == seed].iloc[0]
        text = f"{row['auroc']:.3f} ({row['auroc_low']:.3f}–{row['auroc_high']:.3f})"
        assert (text in shown) is expected
    for page in drawn:
        assert any("First of 2 seeds (5)" in text for text in texts(page))


def test_figure2_shows_the_method_that_is_asked_for_with_a_name_that_fits(tmp_path, drawn):
    methods = ("fedavg", "uniform")
    made = make_results(tmp_path / "made", protocols=("paper",), methods=methods, images=40)
    roc_curves.main([*figure2_arguments(made), *outputs(tmp_path), "--method", "uniform"])
    (figure,) = drawn
    assert not any(text.startswith("CheXViz") for text in texts(figure))
    labels = [
        text
        for text in figure.findobj(matplotlib.text.Text)
        if text.get_text().startswith("Uniform FedAvg, p")
    ]
    assert len(labels) == 4
    for label in labels:
        box = label.get_window_extent(figure.canvas.get_renderer())
        assert box.x0 >= label.axes.get_window_extent().x0
    with pytest.raises(InputError, match="rows of the method fedprox"):
        roc_curves.main([*figure2_arguments(made), *outputs(tmp_path), "--method", "fedprox"])


def test_figure2_names_a_missing_file(made, tmp_path):
    arguments = figure2_arguments(made)
    arguments[1] = str(tmp_path / "absent.csv")
    with pytest.raises(InputError, match=r"absent\.csv"):
        roc_curves.main([*arguments, *outputs(tmp_path)])


A, B = ("standard", "baseline"), ("standard", "fedavg")


def scores(**images) -> pd.DataFrame:
    return pd.DataFrame.from_dict(images, orient="index", columns=pd.MultiIndex.from_tuples([A, B]))


def test_case_is_the_median_of_the_true_positives_of_all():
    table = scores(low=[0.5, 0.6], mid=[0.7, 0.7], top=[0.9, 0.9], missed=[0.8, 0.1])
    assert gradcam_cases.choose_case(table, {A: 0.5, B: 0.5}) == gradcam_cases.Case("mid", 2, 3)


def test_case_of_an_even_number_is_the_lower_and_ties_go_by_id():
    table = scores(d=[0.9, 0.9], c=[0.8, 0.8], b=[0.7, 0.7], a=[0.6, 0.6])
    assert gradcam_cases.choose_case(table, {A: 0.5, B: 0.5}).image == "b"
    tied = scores(z=[0.75, 0.75], y=[0.75, 0.75], x=[0.75, 0.75], w=[0.75, 0.75])
    assert gradcam_cases.choose_case(tied, {A: 0.5, B: 0.5}).image == "x"


def test_score_at_the_threshold_is_positive_and_each_model_has_its_own():
    table = scores(one=[0.2, 0.9], two=[0.9, 0.89])
    assert gradcam_cases.choose_case(table, {A: 0.2, B: 0.9}) == gradcam_cases.Case("one", 2, 1)


def test_case_without_a_true_positive_of_all_is_called_by_most():
    table = scores(none=[0.1, 0.1], one=[0.9, 0.1])
    assert gradcam_cases.choose_case(table, {A: 0.5, B: 0.5}) == gradcam_cases.Case("one", 1, 1)
    assert gradcam_cases.choose_case(table.iloc[:0], {A: 0.5, B: 0.5}) is None


def figure_of(made, drawn, tmp_path):
    gradcam_cases.main([*figure3_arguments(made, "paper"), *outputs(tmp_path)])
    return drawn.pop()


def test_figure3_shows_the_chosen_case_its_scores_and_annotation(made, drawn, tmp_path):
    files, seed, _ = gradcam_cases.read_models(
        [
            [*model, "2022", str(made.predictions(*key)), str(made.gradcam(*key))]
            for model in made.models
            for key in [("paper", model, 2022)]
        ]
    )
    assert (files.index.tolist(), seed) == (made.models, 2022)
    cuts = read_metrics(made.evaluation("paper", "metrics")).set_index([*MODEL])["threshold"]
    sites = [
        Site(site["name"], *(str(made.site(site["name"], name)) for name in SITE_FILES))
        for site in made.sites
    ]
    scored, _ = gradcam_cases.read_all(files, sites, made.sites, cuts, seed)
    assert scored.endpoint == ("rsna", "pneumonia")
    assert set(scored.heads.values()) == {"rsna"}
    case = gradcam_cases.choose_case(scored.scores, scored.thresholds)
    figure = figure_of(made, drawn, tmp_path)
    shown = texts(figure)
    assert any(f"image {case.image}, one of {case.candidates} true" in text for text in shown)
    score = scored.scores.loc[case.image, ("standard", "baseline")]
    assert any(text.startswith(f"score {score:.2f} ≥") for text in shown)
    with_images = [axes for axes in figure.axes if axes.images]
    assert len(with_images) == 2 * 5 + 1  # two rows and the colours
    boxes = pd.read_csv(made.site("rsna", "annotations.csv")).set_index("image")
    box = boxes.loc[case.image, ["x", "y", "width", "height"]]
    patch = with_images[0].patches[0]
    assert (*patch.get_xy(), patch.get_width(), patch.get_height()) == tuple(box)
    assert not with_images[5].patches  # SIIM's is a mask: a contour instead of a box
    assert with_images[5].collections
    style.plt.close(figure)


SITE_FILES = ("images.npy", "samples.csv", "annotations.csv")


def test_figure3_of_three_sites_and_two_seeds_shows_the_first_seed(three_sites, drawn, tmp_path):
    figure = figure_of(three_sites, drawn, tmp_path)
    assert any("First of 2 seeds (5)" in text for text in texts(figure))
    assert len([axes for axes in figure.axes if axes.images]) == 3 * 5 + 1
    style.plt.close(figure)


def rewritten(tmp_path, change) -> list[str]:
    """Figure 3's arguments for a copy of small results, changed by `change(results)`."""
    copy = make_results(tmp_path / "copy", protocols=("paper",), images=40)
    change(copy)
    return [*figure3_arguments(copy, "paper"), *outputs(tmp_path)]


def test_figure3_says_when_a_site_has_no_positive(tmp_path, drawn):
    def without_positives(copy):
        for model in copy.models:
            path = copy.predictions("paper", model, 2022)
            table = pd.read_csv(path)
            table.loc[table["site"] == "siim", "label"] = 0
            table.to_csv(path, index=False)

    gradcam_cases.main(rewritten(tmp_path, without_positives))
    assert any("Pneumothorax: no evaluation image with label 1" in text for text in texts(drawn[0]))


def test_figure3_says_when_nothing_is_a_true_positive_of_all(tmp_path, drawn):
    def one_blind_model(copy):
        path = copy.predictions("paper", ("standard", "fedavg"), 2022)
        table = pd.read_csv(path)
        table.loc[table["site"] == "rsna", "score"] = 0.0
        table.to_csv(path, index=False)

    gradcam_cases.main(rewritten(tmp_path, one_blind_model))
    shown = texts(drawn[0])
    assert any("no image is a true positive of all models, 3 of 4" in text for text in shown)
    assert any(text.startswith("score 0.00 <") for text in shown)


def test_figure3_says_no_activation_and_no_annotation(tmp_path, drawn):
    def empty(copy):
        path = copy.gradcam("paper", ("standard", "fedavg"), 2022)
        blinded(path, "rsna")
        path = copy.site("siim", "annotations.csv")
        pd.read_csv(path).iloc[:0].to_csv(path, index=False)

    gradcam_cases.main(rewritten(tmp_path, empty))
    shown = texts(drawn[0])
    assert shown.count("no activation") == 1
    assert shown.count("not annotated") == 1


def test_figure3_names_what_is_missing(tmp_path, made):
    arguments = figure3_arguments(made, "paper")
    metrics = pd.read_csv(made.evaluation("paper", "metrics")).iloc[:-1]
    metrics.to_csv(tmp_path / "metrics.csv", index=False)
    with pytest.raises(InputError, match="siim pneumothorax siim densenet121 fedavg 2022"):
        gradcam_cases.main(
            [*arguments, f"--metrics={tmp_path / 'metrics.csv'}", *outputs(tmp_path)]
        )
    with pytest.raises(InputError, match=r"absent\.npz"):
        gradcam_cases.main([*arguments[:-1], str(tmp_path / "absent.npz"), *outputs(tmp_path)])


def test_audit_figure_shows_the_tables_numbers(three_sites, drawn, tmp_path):
    figure_audit.main([*figure_audit_arguments(three_sites), *outputs(tmp_path)])
    (figure,) = drawn
    assert style.size_mm(figure)[0] == pytest.approx(style.DOUBLE_COLUMN)
    shown = texts(figure)
    assert shown.count("66.7 %") == 2
    assert shown.count("patients unknown") == 2  # within and across, of the site in between
    labels = pd.read_csv(three_sites.root / "audit" / "labels.csv")
    for row in labels[labels["check"] == "positive"].itertuples():
        if row.group != "all":
            assert f"{100 * row.value:.1f} % of {row.images}" in shown
    for row in labels[labels["group"] == "view AP against PA"].itertuples():
        text = f"odds ratio AP : PA  {row.value:.2f} ({row.low:.2f}–{row.high:.2f})"
        assert text in shown
    first = figure.axes[0]
    assert first.patches[0].get_width() == pytest.approx(160 / 240)


def test_audit_figure_says_where_the_other_sites_patients_are_unknown(tmp_path, drawn):
    made = make_results(tmp_path / "two", protocols=("paper",), images=40)
    figure_audit.main([*figure_audit_arguments(made), *outputs(tmp_path)])
    assert texts(drawn[0]).count("patients unknown") == 3  # of SIIM-ACR, and of RSNA across


def test_audit_figure_of_one_site_and_one_class(tmp_path, drawn):
    made = make_results(tmp_path / "one", sites=(RSNA,), protocols=("patient",), images=40)
    path = made.root / "audit" / "labels.csv"
    table = pd.read_csv(path)
    odds = table["check"] == "odds ratio"
    table.loc[odds, ["value", "low", "high"]] = np.nan
    table.to_csv(path, index=False)
    audit = pd.read_csv(made.root / "audit" / "patient.csv")
    audit[audit["scope"] != "across"].to_csv(made.root / "audit" / "patient.csv", index=False)
    figure_audit.main([*figure_audit_arguments(made), *outputs(tmp_path)])
    shown = texts(drawn[0])
    assert shown.count("no other site") == 2
    assert "odds ratio AP : PA  not defined" in shown
