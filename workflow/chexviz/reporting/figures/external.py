"""External figure: AUROC at sites that train nothing, of a method and of all single-site models."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.methods import BASELINE
from chexviz.base.tables.evaluation import read_comparisons, read_metrics
from chexviz.base.tables.models import answer
from chexviz.evaluation.cases import TOO_FEW, is_too_few
from chexviz.reporting.figures import style
from chexviz.reporting.figures.panels import (
    at,
    at_any,
    compared_once,
    external_endpoints,
    pages,
    require_endpoints,
)
from chexviz.reporting.selection import first_seed, in_order
from chexviz.reporting.titles import (
    add_titles,
    architecture_title,
    curve_title,
    endpoint_titles,
    head_titles,
)
from chexviz.reporting.wording import bracketed, capitalised, p_text

FIGURE = {
    "name": "external",
    "caption": (
        "*AUROC at external sites*, which train nothing, with #level intervals: of the federated "
        "model and each of its heads, and of the baseline of every site that learns the finding. "
        "_p_: paired test of the federated model's answer against that baseline, not corrected for "
        "several tests. #capital(protocol.title)."
    ),
    "alt": "AUROC of the federated model and of every baseline at external sites",
    "of": "external endpoints",
    "per_page": 3,
    "category": "Evaluation",
    "shows": "external sites, figure",
    "report": (
        "AUROC at sites that train nothing, under the protocol ``{protocol}``, with 95 % "
        "intervals: of {method}, of each of its heads, and of the baseline of every site that "
        "learns the finding. *p* is the paired test of the answer of {method} against that "
        "baseline, not corrected for several tests. With several seeds the first is shown."
    ),
}
# mm on the printed page
LEFT, PANEL, VALUES, BETWEEN = 40.0, 33.0, 35.0, 4.0
TOP, ROW, TITLE, AFTER, AXIS = 1.0, 3.9, 12.0, 6.0, 8.0
P_COLUMN = 33.5  # mm right of a panel: where p ends
NOTE = (
    "AUROC with 95 % interval; grey line: the federated model's answer. n: positive of all images. "
    "p: paired test of that answer against the baseline, not corrected for several tests."
)
ANSWER, HEAD = "answer", "head"  # kinds of line, beside BASELINE


class Line(NamedTuple):
    """A line of a block: its kind, its name, and whose number it shows."""

    kind: str
    text: str
    method: str
    head: str


def draw(
    metrics: pd.DataFrame, comparisons: pd.DataFrame, sites: list[dict], note: str
) -> Iterator[Figure]:
    """The pages: a block of lines an endpoint, a column an architecture; `note` below.

    metrics, comparisons: at external sites, of the baseline and one method, of one seed.
    """
    titles, heads = endpoint_titles(sites), head_titles(sites)
    architectures = in_order(metrics["architecture"])
    width = LEFT + len(architectures) * (PANEL + VALUES + BETWEEN) - BETWEEN
    note = style.wrapped(note, width - 5)
    low = metrics[["auroc", "auroc_low"]].min(axis=None)
    limits = max(np.floor(10 * np.nanmin([low, 0.7])) / 10, 0), 1.0
    for page in pages(external_endpoints(sites), FIGURE):
        blocks = [lines_of(at(metrics, endpoint), endpoint[0], heads) for endpoint in page]
        tall = sum(TITLE + ROW * len(lines) + AFTER for lines in blocks) - AFTER
        figure = style.new_figure(width, TOP + tall + AXIS + style.note_height(note))
        y = TOP
        for endpoint, lines in zip(page, blocks, strict=True):
            y += TITLE
            own, tests = at(metrics, endpoint), at(comparisons, endpoint)
            write_title(figure, y - 7.5, capitalised(titles[endpoint]), own)
            name_lines(figure, y, lines)
            for column, architecture in enumerate(architectures):
                x = LEFT + column * (PANEL + VALUES + BETWEEN)
                write_head(figure, x, y - 3, architecture)
                axes = style.axes_at(figure, x, y, PANEL, ROW * len(lines))
                chosen = own["architecture"] == architecture
                draw_panel(axes, lines, own[chosen], tests[tests["architecture"] == architecture])
                axes.set(xlim=limits, ylim=(len(lines) - 0.5, -0.5))
                axes.set_xlabel("AUROC" if endpoint == page[-1] else "")
            y += ROW * len(lines) + AFTER
        style.write_note(figure, note)
        yield figure


def lines_of(metrics: pd.DataFrame, site: str, heads: dict[str, str]) -> list[Line]:
    """The lines of an endpoint: the method's answer, its heads if it has others, the baselines.

    metrics: at the endpoint. heads: what readers call them.
    """
    (method,) = metrics.loc[metrics["method"] != BASELINE, "method"].unique()
    own, baselines = (
        metrics.loc[metrics["method"] == one, "head"].unique().tolist()
        for one in (method, BASELINE)
    )
    best, name = answer(site, own), curve_title(method)
    lines = [Line(ANSWER, name, method, best)]
    lines += [Line(HEAD, f"{name}, {heads[one]} head", method, one) for one in own if one != best]
    return lines + [Line(BASELINE, f"Baseline, {heads[one]}", BASELINE, one) for one in baselines]


def write_title(figure: Figure, y: float, title: str, metrics: pd.DataFrame) -> None:
    """The title of a block, and how many images it rests on."""
    heading = style.text_at(figure, 2.5, y, title, fontsize=7.5, fontweight="bold")
    width, _ = style.size_mm(figure)
    style.shrink_to_fit(heading, 0.7 * width)
    count = metrics.iloc[0]
    text = f"n: {count['positives']:,} of {count['images']:,}"
    look = {"fontsize": 6.5, "color": style.GREY, "ha": "right"}
    style.text_at(figure, width - 1.5, y, text, **look)


def name_lines(figure: Figure, y: float, lines: list[Line]) -> None:
    """The names of the lines left of the panels."""
    for number, line in enumerate(lines):
        weight = "bold" if line.kind == ANSWER else "normal"
        look = {"fontsize": 6.5, "fontweight": weight, "va": "center_baseline"}
        at_line = y + ROW * (number + 0.5)
        text = style.text_at(figure, LEFT - 3, at_line, line.text, ha="right", **look)
        style.shrink_to_fit(text, LEFT - 6)


def write_head(figure: Figure, x: float, y: float, architecture: str) -> None:
    """The heading of a panel and of its p values."""
    look = {"fontsize": 7, "fontweight": "bold"}
    style.text_at(figure, x, y, architecture_title(architecture), **look)
    look = {"fontsize": 6.5, "style": "italic", "ha": "right"}
    style.text_at(figure, x + PANEL + P_COLUMN, y, "p", **look)


def draw_panel(
    axes: Axes, lines: list[Line], metrics: pd.DataFrame, comparisons: pd.DataFrame
) -> None:
    """A dot with its interval a line; beside it the number, and p of the answer against it."""
    metrics = metrics.set_index(["method", "head"])
    best = lines[0]
    value = metrics["auroc"][best.method, best.head]
    axes.axvline(value, color=style.GREY, linewidth=0.5, zorder=0)
    tests = comparisons[comparisons["head"] == best.head]
    for y, line in enumerate(lines):
        row = metrics.loc[(line.method, line.head)]
        colour = style.accent(0 if line.kind == BASELINE else 1)
        axes.plot([row["auroc_low"], row["auroc_high"]], [y, y], color=colour, linewidth=0.9)
        face = "white" if line.kind == HEAD else colour
        look: style.Look = {"markersize": 3, "markerfacecolor": face, "markeredgewidth": 0.7}
        axes.plot(row["auroc"], y, "o", color=colour, clip_on=False, **look)
        write(axes, y, 1, bracketed(row["auroc"], row["auroc_low"], row["auroc_high"]), colour)
        if line.kind == BASELINE:
            against = tests[tests["reference_head"] == line.head]
            write(axes, y, 1 + P_COLUMN / PANEL, p_of(against), style.INK)
    axes.set_yticks([])
    axes.spines["left"].set_color(style.LIGHT)
    axes.locator_params(axis="x", nbins=5)


def p_of(tests: pd.DataFrame) -> str:
    """p of a comparison, of which there is at most one; '–' without a test."""
    if tests.empty:
        return "–"
    return TOO_FEW if is_too_few(tests["note"].iloc[0]) else p_text(tests["p"].iloc[0])


def write(axes: Axes, y: float, x: float, text: str, colour: str) -> None:
    """A number right of a panel: from its edge on (x = 1), or up to x (in widths of the panel)."""
    look: style.Look = {"xycoords": ("axes fraction", "data"), "fontsize": 6, "color": colour}
    if x == 1:
        style.write_right_of(axes, x, y, text, **look)
    else:
        axes.annotate(text, (x, y), ha="right", va="center_baseline", **look)


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--metrics", required=True, type=Path)
    parser.add_argument("--comparisons", required=True, type=Path)
    parser.add_argument("--method", required=True, help="shown beside the baselines")
    add_titles(parser)
    style.add_outputs(parser)
    arguments = parser.parse_args(argv)
    shown = external_endpoints(arguments.titles)
    table = read_metrics(arguments.metrics)
    require_endpoints(table, shown, arguments.metrics)
    table = at_any(table, shown)
    metrics = compared_once(table, arguments.method, arguments.metrics)
    comparisons = at_any(read_comparisons(arguments.comparisons), shown)
    same = comparisons["seed"] == metrics["seed"].iloc[0]
    tests = comparisons[same & (comparisons["method"] == arguments.method)]
    note = f"{NOTE}\n{first_seed(table['seed'])}".rstrip()
    figures = draw(metrics, tests, arguments.titles, note)
    style.save_pages(figures, arguments.pdf, arguments.png, arguments.mark)


if __name__ == "__main__":
    run(main)
