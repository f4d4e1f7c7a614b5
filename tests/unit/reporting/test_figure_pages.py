"""Figures of sites with several findings: a page after the other, each with its own endpoints."""

import pandas as pd
import pytest
from pypdf import PdfReader

from chexviz.base.errors import InputError
from chexviz.base.tables.evaluation import CONFUSION, FAILURES, read_metrics
from chexviz.base.tables.models import MODEL
from chexviz.evaluation import chexlocalize as judging
from chexviz.evaluation import localise
from chexviz.reporting.figures import (
    audit,
    chexlocalize,
    contact_sheet,
    failures,
    gradcam_cases,
    panels,
    roc_curves,
    style,
    training,
)
from chexviz.reporting.figures.site_files import Site, read_scores
from chexviz.reporting.paper import inventory
from drawings import require_on_page, texts
from made_arguments import (
    chexlocalize_arguments,
    contact_sheet_arguments,
    failures_arguments,
    figure3_arguments,
    figure_audit_arguments,
    figure_training_arguments,
    localise_arguments,
    titles_argument,
)
from made_results import ABROAD, CLINIC, RSNA, SIIM, make_results

SITES = [RSNA, SIIM, CLINIC, ABROAD]
TRAINING = ["Pneumonia (RSNA)", "Pneumothorax (SIIM-ACR)", "Pneumonia (Clinic)"]
TRAINING += ["Pleural effusion (Clinic)"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Three sites with four findings to learn, and an external one."""
    folder = tmp_path_factory.mktemp("made")
    return make_results(folder, sites=SITES, protocols=("paper",), images=60)


def figure2_arguments(made) -> list[str]:
    names = ("roc", "metrics", "comparisons")
    files = [f"--{name}={made.evaluation('paper', name)}" for name in names]
    return [*files, "--method", "fedavg", titles_argument(made.sites)]


def outputs(folder, *more: str) -> list[str]:
    return [f"--{name}={folder / f'a.{name}'}" for name in ("pdf", "png", *more)]


def require_on_pages(figures) -> None:
    """All text lies on its page and can be read."""
    for figure in figures:
        require_on_page(figure)


def test_pages_keep_the_order_and_leave_nothing_out():
    assert panels.pages([1, 2, 3, 4, 5], {"per_page": 2}) == [[1, 2], [3, 4], [5]]
    assert panels.pages([], {"per_page": 2}) == []
    assert panels.pages([1, 2, 3], {"per_page": 2, "columns": 2}) == [[1, 2], [3]]
    assert panels.pages([1, 2, 3, 4, 5], {"per_page": 2, "columns": 2}, 1) == [[1, 2, 3, 4], [5]]
    assert panels.pages([1, 2, 3], {"per_page": 2, "columns": 2}, 3) == [[1, 2], [3]]


@pytest.mark.parametrize("figure", inventory.figures().values(), ids=lambda figure: figure.name)
def test_a_figure_has_as_many_pages_as_its_declaration_says(figure):
    counts = inventory.counts(SITES)
    assert counts == {
        **{"run": 1, "sites": 3, "endpoints": 4},
        **{"all endpoints": 6, "external endpoints": 2, "answered endpoints": 6},
    }
    units = [*range(counts[figure.of])]
    assert figure.columns in (1, panels.COLUMNS)
    for architectures in (1, 2, 3):
        pages = panels.pages(units, figure._asdict(), architectures)
        assert figure.pages(SITES, architectures) == len(pages)
        assert (
            max(map(len, pages)) <= (2 if architectures < figure.columns else 1) * figure.per_page
        )


def test_the_papers_sites_have_one_page_of_each_figure_and_none_of_external_sites():
    shown = inventory.shown_figures([RSNA, SIIM], 2, ["privacy", "private methods"])
    assert {figure["name"] for figure in shown} == {*inventory.figures()} - {"external"}
    without = inventory.shown_figures([RSNA, SIIM], 2)
    assert [figure for figure in shown if figure not in without] == [
        figure for figure in shown if figure["name"] in ("epsilon", "privacy")
    ]
    several = {figure["name"]: figure["pages"] for figure in shown if figure["pages"] > 1}
    assert several == {"shortcuts": 2}  # an endpoint a page
    names, fewer = (
        {
            figure["name"]: figure["pages"]
            for figure in inventory.shown_figures(SITES, architectures)
        }
        for architectures in (2, 1)
    )
    assert (names["external"], names["figure2"], names["figure3"]) == (1, 2, 1)
    assert fewer == names | {"figure2": 1, "calibration": 1, "decision": 1}


def test_an_external_finding_that_nobody_learns_is_not_shown():
    unknown = ABROAD | {"findings": ["hernia"]}
    assert inventory.figures()["external"].pages([RSNA, unknown], 2) == 0
    assert panels.external_endpoints([RSNA, unknown | {"findings": ["hernia", "pneumonia"]}]) == [
        ("abroad", "pneumonia")
    ]


def test_a_pdf_has_every_page_and_the_picture_is_the_first(made, tmp_path):
    roc_curves.main([*figure2_arguments(made), *outputs(tmp_path), "--mark=DEMO"])
    pages = PdfReader(tmp_path / "a.pdf").pages
    assert len(pages) == inventory.figures()["figure2"].pages(made.sites, 2) == 2
    for page, shown in zip(pages, (TRAINING[:2], TRAINING[2:]), strict=True):
        said = page.extract_text()
        assert [title for title in TRAINING if f"{title}, Standard" in said] == shown
        assert "DEMO" in said
    first = [path.read_bytes() for path in sorted(tmp_path.iterdir())]
    roc_curves.main([*figure2_arguments(made), *outputs(tmp_path), "--mark=DEMO"])
    assert [path.read_bytes() for path in sorted(tmp_path.iterdir())] == first
    fewer = [*figure2_arguments(made)[:-1], titles_argument([RSNA, SIIM])]
    roc_curves.main([*fewer, *outputs(tmp_path)])
    assert len(PdfReader(tmp_path / "a.pdf").pages) == 1


def test_the_place_of_a_long_title_has_a_line_of_its_own():
    figure = style.new_figure(60, 20)
    long, short = (
        style.text_at(figure, 2, 5, f"{name} (Hospital)", fontsize=7.5)
        for name in ("Pleural thickening", "Mass")
    )
    for title in (long, short):
        style.break_to_fit(title, 25)
    assert [one.get_text() for one in (long, short)] == [
        *("Pleural thickening\n(Hospital)", "Mass (Hospital)")
    ]
    assert long.get_fontsize() == short.get_fontsize() == 7.5
    style.plt.close(figure)


def test_a_page_that_fails_leaves_no_file(tmp_path):
    def pages():
        yield style.new_figure(20, 20)
        raise InputError("x.csv", expected="a", found="b", fix="c")

    with pytest.raises(InputError):
        style.save_pages(pages(), tmp_path / "a.pdf", tmp_path / "a.png", "")
    assert list(tmp_path.iterdir()) == []
    style.plt.close("all")


def test_figure2_shows_the_numbers_of_each_endpoint_on_its_page(made, drawn, tmp_path):
    roc_curves.main([*figure2_arguments(made), *outputs(tmp_path)])
    metrics = read_metrics(made.evaluation("paper", "metrics"))
    assert (metrics["site"] == "abroad").any()
    shown = {("rsna", "pneumonia"): 0, ("clinic", "pneumonia"): 1}
    shown |= {("siim", "pneumothorax"): 0, ("clinic", "pleural_effusion"): 1}
    for row in metrics.itertuples():
        text = f"{row.auroc:.3f} ({row.auroc_low:.3f}–{row.auroc_high:.3f})"
        page = shown.get((row.site, row.finding))
        assert [text in texts(figure) for figure in drawn] == [page == 0, page == 1]
    require_on_pages(drawn)


def test_figure2_of_one_architecture_has_its_four_panels_in_two_columns(made, drawn, tmp_path):
    arguments = [*figure2_arguments(made), *outputs(tmp_path)]
    for name in ("roc", "metrics", "comparisons"):
        table = pd.read_csv(made.evaluation("paper", name), dtype=str, keep_default_na=False)
        path = tmp_path / f"{name}.csv"
        table[table["architecture"] == "standard"].to_csv(path, index=False)
        arguments.append(f"--{name}={path}")
    roc_curves.main(arguments)
    (figure,) = drawn
    assert inventory.figures()["figure2"].pages(made.sites, 1) == 1
    assert [axes.get_title("left") for axes in figure.axes] == [
        f"{title}, Standard" for title in TRAINING
    ]
    corners = [axes.get_position().p0.round(6) for axes in figure.axes]
    (left, top), (right, beside), (below_left, below), (below_right, last) = corners
    assert left == below_left < right == below_right
    assert top == beside > below == last
    require_on_pages(drawn)


def test_an_endpoint_without_rows_is_named(made, tmp_path):
    metrics = read_metrics(made.evaluation("paper", "metrics"))
    path = tmp_path / "metrics.csv"
    metrics[metrics["finding"] != "pleural_effusion"].to_csv(path, index=False)
    with pytest.raises(InputError, match="none of clinic pleural_effusion"):
        roc_curves.main([*figure2_arguments(made), f"--metrics={path}", *outputs(tmp_path)])


def test_figure3_has_a_case_of_every_finding_with_its_own_annotation(made, drawn, tmp_path):
    gradcam_cases.main([*figure3_arguments(made, "paper"), *outputs(tmp_path)])
    (figure,) = drawn
    shown = [text.replace("\n(", " (") for text in texts(figure)]  # of titles in two lines
    for title in TRAINING:
        assert title in shown
        assert any(text.startswith(f"{title}: image ") for text in shown)
    assert not any("Abroad" in text for text in shown)
    row = next(text for text in shown if text.startswith("Pleural effusion (Clinic): image"))
    case = row.partition("image ")[2].partition(",")[0]
    boxes = pd.read_csv(made.site("clinic", "annotations.csv"))
    own = boxes[(boxes["image"] == case) & (boxes["finding"] == "pleural_effusion")]
    radiograph = [axes for axes in figure.axes if axes.images][15]
    corners = [patch.get_xy() for patch in radiograph.patches]
    assert corners == list(zip(own["x"], own["y"], strict=True))
    require_on_pages(drawn)


def test_annotations_without_a_finding_are_of_every_finding(tmp_path):
    path = tmp_path / "annotations.csv"
    table = pd.DataFrame({"image": "i", "finding": ["mass", "edema", ""], "x": [1, 3, 5]})
    table.assign(y=1, width=2, height=2, runs="").to_csv(path, index=False)
    site = Site("a", "", "", str(path))
    assert site.outlines("mass")["x"].tolist() == [1, 5]


def test_scores_are_those_of_the_answer_and_of_all_heads_where_a_site_is_external(made):
    path = made.predictions("paper", ("standard", "fedavg"), 2022)
    scores = read_scores(path, made.sites)
    heads = {endpoint: list(found) for endpoint, found in scores.items()}
    assert heads["rsna", "pneumonia"] == ["rsna"]
    assert heads["clinic", "pneumonia"] == ["clinic"]
    assert set(heads["abroad", "pneumonia"]) == {"rsna", "clinic", "mean"}
    assert heads["abroad", "pneumothorax"] == ["siim"]
    known = scores["clinic", "pleural_effusion"]["clinic"]
    assert set(known["label"]) == {0, 1}
    assert len(known) == 54  # of 60, a tenth of which is unknown
    table = pd.read_csv(path)
    table[table["site"] != "rsna"].to_csv(made.root / "less.csv", index=False)
    with pytest.raises(InputError, match="pneumonia on evaluation images of rsna"):
        read_scores(made.root / "less.csv", made.sites)


def test_confusion_has_every_model_and_the_sheet_the_answers_where_sites_train(
    made, drawn, tmp_path
):
    tables = outputs(tmp_path, "confusion", "failures")
    failures.main([*failures_arguments(made, "paper"), *tables])
    matrices = CONFUSION.read(tmp_path / "a.confusion")
    metrics = read_metrics(made.evaluation("paper", "metrics"))
    both = matrices.merge(metrics, on=[*MODEL], validate="one_to_one")
    assert len(both) == len(metrics) == len(matrices)
    cells = both[["true_positives", "false_negatives", "false_positives", "true_negatives"]]
    assert (cells.sum(axis=1) == both["images"]).all()
    shared = both["shared_false_positives"].notna()
    compared = both["method"] != "baseline"
    assert (shared == (compared & (both["head"] != "mean"))).all()
    assert set(FAILURES.read(tmp_path / "a.failures")["site"]) == {"rsna", "siim", "clinic"}
    assert len(drawn) == 2  # three endpoints a page
    assert "Pleural effusion (Clinic), DenseNet121, CheXViz" in texts(drawn[1])
    require_on_pages(drawn)


def test_the_contact_sheet_has_two_endpoints_a_page(made, drawn, tmp_path):
    scored = f"--images={made.evaluation('paper', 'localisation_images')}"
    localise.main([*localise_arguments(made, "paper"), scored, f"--summary={tmp_path / 's.csv'}"])
    contact_sheet.main([*contact_sheet_arguments(made, "paper"), *outputs(tmp_path)])
    titles = [[title for title in TRAINING if f"{title}, Standard" in texts(one)] for one in drawn]
    assert titles == [TRAINING[:2], TRAINING[2:]]
    require_on_pages(drawn)


def test_maps_of_chexlocalize_have_external_sites_and_say_where_there_are_no_lungs(
    made, drawn, tmp_path
):
    table = tmp_path / "chexlocalize.csv"
    annotations = made.site("abroad", "annotations.csv")
    before = annotations.read_text()
    rows = pd.read_csv(annotations, dtype={"image": str})
    pd.concat([rows, rows.assign(finding="lungs")]).to_csv(annotations, index=False)
    judged = [*chexlocalize_arguments(made, "paper", minimum_cases=5), f"--output={table}"]
    judging.main(judged)
    annotations.write_text(before)
    inputs = [f"--chexlocalize={table}", titles_argument(made.sites)]
    chexlocalize.main([*inputs, *outputs(tmp_path)])
    first, second = map(texts, drawn)
    assert [title in first for title in TRAINING] == [True, True, True, False]
    assert {TRAINING[3], "Pneumonia (Abroad)", "Pneumothorax (Abroad)"} <= set(second)
    assert (first.count("no lung masks"), second.count("no lung masks")) == (3, 1)
    require_on_pages(drawn)


def test_the_audit_shows_what_a_site_shares_once_and_the_rates_of_each_finding(
    made, drawn, tmp_path
):
    audit.main([*figure_audit_arguments(made), *outputs(tmp_path)])
    assert len(drawn) == 2  # six endpoints, external ones too
    first, second = map(texts, drawn)
    assert first.count("patient, same site") == 2 * 3  # ticks have a second, unseen label
    assert second.count("patient, same site") == 2 * 1
    assert {"Clinic (pneumonia, pleural effusion)", "Pleural effusion (Clinic)"} <= set(first)
    assert second.count("trains nothing") == 2
    labels = pd.read_csv(made.root / "audit" / "labels.csv")
    rates = labels[(labels["check"] == "positive") & (labels["group"] != "all")]
    for row in rates.itertuples():
        text = f"{100 * row.value:.1f} % of {row.images}"
        assert text in (second if row.site == "abroad" else first)
    require_on_pages(drawn)


def test_trainings_are_of_the_sites_that_train(made, drawn, tmp_path):
    training.main([*figure_training_arguments(made, "paper"), *outputs(tmp_path)])
    (figure,) = drawn
    assert len(figure.axes) == 3 * 2
    assert not any("Abroad" in text for text in texts(figure))


def test_a_run_of_many_sites_has_their_trainings_on_several_pages():
    sites = [RSNA | {"name": f"s{number}"} for number in range(9)]
    assert inventory.figures()["training"].pages(sites, 2) == 3
    assert inventory.figures()["training"].in_paper(sites, 2)["pages"] == 3
