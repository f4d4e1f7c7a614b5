"""One line of text that means something in every language, as a mark and as a title, comes out as
it is of all of them. Snakemake and the shell: tests/workflow/test_commands.py."""

import csv
import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import docutils.core
import pandas as pd
import pytest
import snakemake.report
import yaml
from jinja2 import Environment, StrictUndefined
from markdown_it import MarkdownIt
from matplotlib.text import Text
from pypdf import PdfReader

import hostile
from chexviz.base.tables.summaries import TABLE1
from chexviz.reporting.figures import audit, exchange, framework, gradcam_cases, style, training
from chexviz.reporting.paper import inventory
from chexviz.reporting.tables import models, participants, table1, typesetting
from chexviz.reporting.tables.outputs import write_marked
from chexviz.tools import report_page
from made_arguments import (
    figure3_arguments,
    figure_audit_arguments,
    figure_training_arguments,
    participants_arguments,
    titles_argument,
)
from made_results import HOSPITAL, RSNA, SIIM, make_results

SITES = [RSNA | {"title": hostile.TEXT}, SIIM, HOSPITAL]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    return make_results(folder, sites=SITES, protocols=("paper",), images=60)


def plain(text: str) -> str:
    """Text without its spaces, which lines, PDF and HTML put where they like."""
    return re.sub(r"\s+", "", text)


def pdf_text(path) -> str:
    return plain("".join(page.extract_text() for page in PdfReader(path).pages))


FIGURES = {
    "figure1": (framework, lambda made: [titles_argument(made.sites)], 1),
    "figure_audit": (audit, figure_audit_arguments, 1),
    "figure3": (gradcam_cases, lambda made: figure3_arguments(made, "paper"), 2),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_shows_the_mark_and_the_title_as_they_are(made, tmp_path, name):
    module, words, titled = FIGURES[name]
    outputs = [f"--pdf={tmp_path / 'a.pdf'}", f"--png={tmp_path / 'a.png'}"]
    module.main([*words(made), *outputs, f"--mark={hostile.TEXT}"])
    assert pdf_text(tmp_path / "a.pdf").count(plain(hostile.TEXT)) == 1 + titled


def test_the_flow_and_the_characteristics_show_them_as_they_are(made, tmp_path):
    paths = {
        name: tmp_path / name for name in ("flow", "sources", "csv", "tex", "md", "pdf", "png")
    }
    outputs = [f"--{name}={path}" for name, path in paths.items()]
    participants.main([*participants_arguments(made), *outputs, f"--mark={hostile.TEXT}"])
    assert pdf_text(paths["pdf"]).count(plain(hostile.TEXT)) == 2
    tex = paths["tex"].read_text()
    assert rf"\textit{{{TEX} (pneumonia)}}" in tex
    shown = MarkdownIt().enable("table").render(paths["md"].read_text())
    assert html.unescape(re.sub("<[^>]+>", "", shown)).count(hostile.TEXT) == 2


def test_no_text_of_a_figure_is_a_formula(made, monkeypatch, tmp_path):
    """Whichever module makes it, since the style says so."""
    figures = []
    monkeypatch.setattr(style, "save_pages", lambda pages, *_: figures.extend(pages))
    outputs = [f"--{kind}={tmp_path}" for kind in ("pdf", "png")]
    framework.main([*FIGURES["figure1"][1](made), *outputs])
    for module in (training, exchange):
        module.main([*figure_training_arguments(made, "paper"), *outputs])
    for figure in figures:
        assert not any(text.get_parse_math() for text in figure.findobj(Text))
        style.plt.close(figure)


TEX = (
    r"\_\$x\textasciicircum{}2\$ 5 \$ \{word\} $<$results$>$ \textbackslash{}input\{a\} \%s 100\% "
    r"\#eval *b* `c` |d| \_\_e\_\_ :sub:`f` $<$script$>$g$<$/script$>$ \&amp; [h](i) "
    r"\textasciitilde{}j\textasciicircum{}k @l \$(touch m) 'n' "
    '"o", $<$/p$>$ !p'
)


def test_tables_show_the_mark_as_it_is(made, tmp_path):
    table = models.read_models(
        *(made.evaluation("paper", name) for name in ("metrics", "comparisons")), made.sites
    )
    sheet = typesetting.Layout(["Model", "AUROC"], {"Group": [["a", "0.8"]]}, "Caption", "Note")
    first = table1.layout(table)
    for tex in (typesetting.to_tex(one, hostile.TEXT) for one in (first, sheet)):
        assert rf"\textbf{{{TEX}}}\par" in tex
    for markdown in (typesetting.to_markdown(one, hostile.TEXT) for one in (first, sheet)):
        (strong,) = re.findall("<p><strong>(.*)</strong></p>", MarkdownIt().render(markdown))
        assert html.unescape(strong) == hostile.TEXT
        assert r"\$x^2\$" in markdown  # GitHub's formulas
    titled = MarkdownIt().enable("table").render(typesetting.to_markdown(first, ""))
    cell = html.unescape(re.findall("<td[^>]*>(.*?)</td>", titled)[0])
    assert cell == f"Pneumonia ({hostile.TEXT})"
    assert f"Pneumonia ({TEX})" in typesetting.to_tex(first, "")
    write_marked(TABLE1, table, hostile.TEXT, tmp_path / "table1.csv")
    with (tmp_path / "table1.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["mark"] for row in rows} == {hostile.TEXT}


class Page(HTMLParser):
    """The text of a page, and its tags."""

    def __init__(self, page: str):
        super().__init__()
        self.text, self.tags = "", []
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, attributes: list) -> None:
        self.tags.append(tag)


def test_the_page_of_a_table_shows_names_and_cells_as_they_are():
    text = pd.DataFrame({hostile.TEXT: [hostile.TEXT], "mark": [hostile.TEXT]}).to_csv(index=False)
    page = Page(report_page.table_page(hostile.TEXT, text))
    assert page.text.count(hostile.TEXT) == 5  # title, mark, name, head and cell
    assert "script" not in page.tags


def test_the_scripts_of_the_report_end_where_they_should(tmp_path):
    entries = {"a": {"name": hostile.TEXT + "<!-- <script>"}}
    page = "".join(
        f'<script id="{name}">\n    var {name} = {json.dumps(value)};\n    </script><p>after</p>'
        for name, value in {"results": entries, "timeline": entries, "text": "</script>"}.items()
    )
    page = report_page.closed(report_page.change(page, "results", dict, tmp_path))
    shown = re.findall(r"var \w+ = (.*);\n", page)
    assert [json.loads(one) for one in shown] == [entries, entries, "</script>"]
    assert "<" not in "".join(shown)
    assert Page(page).tags == ["script", "p"] * 3


def test_every_script_of_the_report_that_holds_data_is_one_of_those():
    """As of the Snakemake of the lock: where it writes JSON, `closed` finds it."""
    folder = Path(snakemake.report.__file__).parent / "html_reporter" / "template"
    template = (folder / "index.html.jinja2").read_text()
    data = re.findall(r"var (\w+) = \{\{", template)
    found = re.findall(r'<script id="[\w-]+">\s*var (\w+) = .*;\n', template)
    assert "results" in data
    assert set(data) <= set(found)


def test_captions_of_the_report_hold_no_free_text(repository):
    """A mark and a title may be anything; only the text of the report has them, where it escapes
    them. Names, numbers and methods have a pattern in the schema."""
    free = re.compile(r"mark|title|source|labels|patients\b|pathvars")
    for path in (repository / "workflow/report").glob("*.rst"):
        for expression in re.findall(r"\{\{(.*?)\}\}", path.read_text()):
            numbers = expression.replace('"localisation"]["patients"', "")
            assert not free.search(numbers) or expression.strip().startswith("plain("), path
    for figure in inventory.figures().values():
        for value in re.findall(r"\{(.*?)\}", figure.report):
            assert not free.search(value), figure.name


def test_the_text_of_the_report_shows_mark_and_titles_as_they_are(repository):
    config = yaml.safe_load((repository / "config/config.yaml").read_text())
    config["mark"] = config["sites"]["rsna"]["title"] = hostile.TEXT
    config["sites"]["rsna"]["contract"]["strict"] = False
    source = (repository / "workflow/report/workflow.rst").read_text()
    template = templates().from_string(source)
    text = template.render(snakemake=SimpleNamespace(config=config))
    # The targets that Snakemake adds.
    text += "\n" + "".join(
        f"\n.. _{name}: #{name}" for name in set(re.findall(r"`([\w-]+)`_", text))
    )
    settings = {"report_level": 2, "halt_level": 2}  # at any warning
    page = docutils.core.publish_parts(text, writer="html", settings_overrides=settings)
    shown = Page(page["html_body"]).text
    assert plain(shown).count(plain(hostile.TEXT)) == 3  # mark, site, its contract
    assert "SIIM-ACR (pneumothorax)" in shown


def test_captions_of_the_report_name_nothing_that_a_config_lacks(repository):
    config = yaml.safe_load((repository / "config/config.yaml").read_text())
    said = SimpleNamespace(
        config=config,
        wildcards=SimpleNamespace(protocol="paper", site="rsna"),
        params=SimpleNamespace(caption="A figure."),
    )
    for path in (repository / "workflow/report").glob("*.rst"):
        assert templates().from_string(path.read_text()).render(snakemake=said), path


def templates() -> Environment:
    """Templates as Snakemake reads them, but that what is not there is an error."""
    return Environment(trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
