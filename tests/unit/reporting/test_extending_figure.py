"""The documented figure: its module draws, and its declaration takes it to paper and report."""

import pytest
from test_paper import facts_of, headings, settings_of, squeezed, words

from chexviz.reporting.figures import style
from chexviz.reporting.paper import inventory
from documented import codes, example
from made_arguments import titles_argument
from made_paper import make_paper


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one")
    return make_paper(folder, protocols=("patient",), images=60)


def test_a_figure_is_a_module_and_a_rule(made):
    module, rule = codes("A figure")
    figure = inventory.declared(module)
    (name,) = inventory.figure_files(figure.in_paper(made.sites, 2), ["patient"])
    path = made.root / name
    outputs = [f"--pdf={path}", f"--png={path.with_suffix('.png')}"]
    drawing = example("A figure", figure.name)
    drawing.main([f"--split={made.split('patient')}", titles_argument(made.sites), *outputs])
    style.plt.close("all")
    figures = [*settings_of(made)["figures"], figure.in_paper(made.sites, 2)]
    facts = facts_of(made, figures=figures)
    assert headings(facts)[-1] == "Further figures"
    assert squeezed("Positive images of each site in every subset.") in squeezed(words(facts))
    assert len(figure.report.format(protocol="patient")) > 200
    for part in (f'reported("{figure.name}")', f'caption("{figure.name}")', "figures.prevalence"):
        assert part in rule


def test_every_figure_is_declared_once_and_drawn_once_by_the_template(made, repository):
    modules = sorted(inventory.FIGURES.glob("*.py"))
    declared = [inventory.declared(path.read_text()) for path in modules]
    names = [figure.name for figure in declared if figure]
    assert len(names) == len(set(names)) == len(inventory.figures())
    assert "Further figures" not in headings(facts_of(made))
    rules = "\n".join(path.read_text() for path in (repository / "workflow/rules").glob("*.smk"))
    for name in names:
        assert rules.count(f'reported("{name}")') == rules.count(f'caption("{name}")') == 1, name


def test_a_module_without_a_figure_declares_none():
    assert inventory.declared('"""Words."""\nFIGURES = 3\n') is None
    with pytest.raises(TypeError, match="colour"):
        inventory.declared('FIGURE = {"name": "x", "colour": "red"}')
