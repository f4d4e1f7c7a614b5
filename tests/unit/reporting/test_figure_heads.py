"""Subgroup and cross-task figures: their numbers are the tables', and all text is on the page."""

import json

import matplotlib.text
import pandas as pd
import pytest

from chexviz.base.errors import InputError
from chexviz.base.tables.evaluation import CROSSTASK, SHORTCUTS, SUBGROUPS
from chexviz.evaluation import crosstask, shortcuts, subgroups
from chexviz.reporting.figures import crosstask as figure_crosstask
from chexviz.reporting.figures import head_matrix, style
from chexviz.reporting.figures import shortcuts as figure_shortcuts
from chexviz.reporting.figures import subgroups as figure_subgroups
from drawings import texts
from made_heads import Federation

FOUR = {"rsna": "pneumonia", "siim": "pneumothorax", "hospital": "pneumothorax"}
FOUR |= {"clinic": "pleural_effusion"}
TITLES = {
    "rsna": "RSNA",
    "siim": "SIIM-ACR",
    "hospital": "The Regional Hospital",
    "clinic": "Clinic",
}


def sites(tasks: dict) -> list[dict]:
    return [
        {"name": name, "title": TITLES[name], "role": "train", "findings": [task]}
        for name, task in tasks.items()
    ]


@pytest.fixture(scope="module", params=[(2, [7]), (2, [7, 8]), (3, [7, 8, 9])], ids=str)
def made(request, tmp_path_factory):
    """Both tables of two or three sites, several methods, one to three seeds."""
    count, seeds = request.param
    tasks = dict(list(FOUR.items())[:count])
    methods = ("fedavg", "fedprox", "pooled")[: count - 1]
    study = Federation(tmp_path_factory.mktemp("made"), tasks, methods, seeds, images=200)
    last = study.samples[list(tasks)[-1]]
    last["label_pneumonia"] = [index % 3 // 2 for index in range(len(last))]
    study.samples["siim"].loc[:80, "sex"] = None
    ages = {"subgroups": {"ages": [40, 60]}}
    study.samples["siim"]["attribute_chest_tube"] = ["yes", "no", None, "no"] * 50
    for module, more in ((subgroups, ages), (shortcuts, ages), (crosstask, {})):
        name = module.__name__.rpartition(".")[2]
        study.run(module.main, bootstrap={"replicates": 50}, **more)
        (study.folder / "output.csv").rename(study.folder / f"{name}-table.csv")
    study.seeds = seeds
    return study


@pytest.fixture
def drawn(monkeypatch):
    """Runs an entry point and gives the pages that it would save."""
    figures = []
    monkeypatch.setattr(style, "save_pages", lambda pages, *_: figures.extend(pages))

    def draw(main, words):
        before = len(figures)
        main([*words, "--method", "fedavg", "--pdf", "none.pdf", "--png", "none.png"])
        return figures[before:]

    yield draw
    for figure in figures:
        style.plt.close(figure)


def words(made, name: str) -> list[str]:
    options = [f"--{name}", str(made.folder / f"{name}-table.csv")]
    return [*options, "--titles", json.dumps(sites(made.tasks))]


def require_on_page(figure) -> None:
    """All text lies within the figure."""
    figure.canvas.draw()
    width, height = figure.bbox.size
    for text in figure.findobj(matplotlib.text.Text):
        if text.get_text() and text.get_visible():
            box = text.get_window_extent()
            assert box.x0 >= -1, text
            assert box.x1 <= width + 1, text
            assert box.y0 >= -1, text
            assert box.y1 <= height + 1, text


def test_the_subgroup_figure_shows_the_first_seeds_numbers(made, drawn):
    pages = drawn(figure_subgroups.main, words(made, "subgroups"))
    assert [len(page.axes) for page in pages] == [4, 2][: len(made.tasks) - 1]
    shown = [text for page in pages for text in texts(page)]
    table = SUBGROUPS.read(made.folder / "subgroups-table.csv")
    rows = table[(table["measure"] == "auroc") & table["method"].isin(["baseline", "fedavg"])]
    rows = rows[(rows["seed"] == made.seeds[0]) & (rows["images"] > 0)]
    for row in rows.itertuples():
        if pd.isna(row.value):
            assert row.note in shown
        elif pd.isna(row.low):
            assert f"{row.value:.2f} (too few)" in shown
        else:
            assert f"{row.value:.2f} ({row.low:.2f}–{row.high:.2f})" in shown
        assert f"{row.positives} of {row.images}" in shown
    assert (rows["value"].notna() & rows["low"].isna()).any()
    assert "not known" in shown
    for row in table[table["measure"] == "tag alone"].itertuples():
        assert f"{row.attribute.replace('_', ' ')} alone {row.value:.2f}" in shown
    assert ("CheXViz" in shown, "FedProx" in shown) == (True, False)
    several = [text for text in shown if f"first of {len(made.seeds)} seeds" in text]
    assert bool(several) == (len(made.seeds) > 1)
    for page in pages:
        require_on_page(page)


def test_other_seeds_are_rings(made, drawn):
    figure, *_ = drawn(figure_subgroups.main, words(made, "subgroups"))
    rings = [line for line in figure.axes[0].lines if line.get_markerfacecolor() == "white"]
    assert {len(line.get_xdata()) for line in rings} <= {len(made.seeds) - 1}
    assert any(len(line.get_xdata()) for line in rings) == (len(made.seeds) > 1)


def test_the_shortcut_figure_shows_every_attribute_of_an_endpoint_on_its_page(made, drawn):
    pages = drawn(figure_shortcuts.main, words(made, "shortcuts"))
    assert len(pages) == len(made.tasks)
    table = SHORTCUTS.read(made.folder / "shortcuts-table.csv")
    table = table[table["method"].isin(["baseline", "fedavg"])]
    table = table[(table["seed"] == made.seeds[0]) & (table["measure"] != "all minus matched")]
    for page, site in zip(pages, made.tasks, strict=True):
        shown = texts(page)
        require_on_page(page)
        for row in table[table["site"] == site].itertuples():
            few = "too few" if pd.isna(row.value) else f"{row.value:.2f} (too few)"
            value = few if pd.isna(row.low) else f"{row.value:.2f} ({row.low:.2f}–{row.high:.2f})"
            assert value in shown
            assert f"{row.positives} of {row.images}" in shown
        assert ("Chest tube" in shown) == (site == "siim")
        assert "View: AP" in shown
        assert "Without against with" in shown
        assert ("CheXViz" in shown, "FedProx" in shown) == (True, False)


def test_a_site_whose_images_are_all_alike_has_a_page_that_says_so(made, drawn):
    table = SHORTCUTS.read(made.folder / "shortcuts-table.csv")
    path = made.folder / "nothing.csv"
    SHORTCUTS.write(table[:0], path)
    pages = drawn(figure_shortcuts.main, [*words(made, "shortcuts"), "--shortcuts", str(path)])
    assert len(pages) == len(made.tasks)
    for page in pages:
        assert figure_shortcuts.NOTHING in texts(page)


def test_where_there_is_no_pair_no_number_is_written(made, tmp_path, drawn):
    table = SHORTCUTS.read(made.folder / "shortcuts-table.csv")
    path = tmp_path / "shortcuts.csv"
    note = "too few cases: 0 positive of at least 20"
    SHORTCUTS.write(table.assign(value=float("nan"), low=float("nan"), note=note), path)
    for page in drawn(figure_shortcuts.main, [*words(made, "shortcuts"), "--shortcuts", str(path)]):
        assert "too few" in texts(page)
        assert not [text for text in texts(page) if "nan" in text]
        require_on_page(page)


def test_the_crosstask_figure_shows_every_head_on_every_site(made, drawn):
    pages = drawn(figure_crosstask.main, words(made, "crosstask"))
    shown = [text for page in pages for text in texts(page)]
    assert [len(page.axes) for page in pages] == [4, 2][: len(made.tasks) - 1]
    table = CROSSTASK.read(made.folder / "crosstask-table.csv")
    table = table[(table["method"] == "fedavg") & (table["seed"] == made.seeds[0])]
    for row in table[table["measure"] == "auroc"].itertuples():
        if pd.isna(row.value):
            assert row.note in shown
        else:
            assert f"AUROC {row.value:.2f} ({row.low:.2f}–{row.high:.2f})" in shown
    called = table[(table["measure"] == "called") & table["label"].notna()]
    for row in called.itertuples():
        assert f"{100 * row.value:.0f} % of {row.images}" in shown
    ratios = table[table["measure"] == "both_ratio"]
    found = [text for text in shown if ", expected " in text]
    assert len(found) == len(ratios) == 2 * len(made.tasks) * (len(made.tasks) - 1)
    assert shown.count("called positive by both") == len(ratios) / 2
    for page in pages:
        require_on_page(page)


@pytest.mark.parametrize("made", [(2, [7])], indirect=True, ids=str)
def test_files_are_the_same_bytes_again(made):
    for module, name in ((figure_subgroups, "subgroups"), (figure_crosstask, "crosstask")):
        outputs = [made.folder / f"{name}.{suffix}" for suffix in ("pdf", "png")]
        line = [*words(made, name), "--method", "fedavg", "--mark", "DEMO"]
        line += ["--pdf", str(outputs[0]), "--png", str(outputs[1])]
        module.main(line)
        before = [output.read_bytes() for output in outputs]
        module.main(line)
        assert [output.read_bytes() for output in outputs] == before


def test_a_model_with_one_head_is_said_to_have_one(tmp_path, drawn):
    study = Federation(tmp_path, {"rsna": "pneumonia"})
    study.run(crosstask.main, bootstrap={"replicates": 50})
    (tmp_path / "output.csv").rename(tmp_path / "crosstask-table.csv")
    (page,) = drawn(figure_crosstask.main, words(study, "crosstask"))
    assert texts(page) == [figure_crosstask.ONE_HEAD]


def test_many_heads_are_a_matrix_of_auroc(tmp_path, drawn):
    """Four sites, two of which learn the same: 24 lines a site would be too small to read."""
    study = Federation(tmp_path, FOUR, images=200)
    study.run(crosstask.main, bootstrap={"replicates": 50})
    (tmp_path / "output.csv").rename(tmp_path / "crosstask-table.csv")
    pages = drawn(figure_crosstask.main, words(study, "crosstask"))
    assert [len(page.axes) for page in pages] == [4, 4]
    table = CROSSTASK.read(tmp_path / "crosstask-table.csv")
    table = table[(table["measure"] == "auroc") & (table["architecture"] == "standard")]
    site = {"name": "siim", "findings": ["pneumothorax"]}
    rows = table[table["site"] == "siim"]
    values = head_matrix.matrix(rows, site)
    kinds = [("", "siim"), ("", "hospital"), ("other", "pneumonia"), ("other", "pleural_effusion")]
    assert list(values) == kinds
    for kind, name in kinds:
        of = rows[rows["finding" if kind else "head"] == name]
        expected = of.loc[of["labels"] == "pneumothorax", "value"]
        assert values.loc["pneumothorax", (kind, name)] == expected.item()
    numbers = [text.get_text() for text in pages[0].axes[2].texts]
    assert numbers == [f"{100 * value:.0f}" for value in values.loc["pneumothorax"]]
    for page in pages:
        require_on_page(page)


def test_heads_of_other_findings_are_averaged_and_what_is_not_labelled_is_empty():
    rows = [("a", "mass", "mass", 0.9), ("a", "nodule", "nodule", 0.8), ("b", "mass", "mass", 0.7)]
    rows += [("b", "edema", "mass", 0.6), ("c", "edema", "mass", 0.4)]
    rows += [("b", "edema", "edema", None)]
    table = pd.DataFrame(rows, columns=["head", "finding", "labels", "value"])
    found = head_matrix.matrix(table, {"name": "a", "findings": ["mass", "nodule"]})
    assert list(found) == [("", "a"), ("", "b"), ("other", "edema")]
    assert found.loc["mass"].tolist() == [0.9, 0.7, 0.5]
    assert found.loc["nodule"].isna().tolist() == [False, True, True]


def test_a_method_that_was_not_measured_is_refused(made, drawn):
    table = SUBGROUPS.read(made.folder / "subgroups-table.csv")
    path = made.folder / "other.csv"
    table[table["method"] != "fedavg"].to_csv(path, index=False)
    with pytest.raises(InputError, match="rows of the method fedavg"):
        drawn(figure_subgroups.main, [*words(made, "subgroups"), "--subgroups", str(path)])
