"""Cross-task figure: the scores of every head of the federated model on every site's images."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.tables.evaluation import CROSSTASK
from chexviz.evaluation.cases import TOO_FEW, is_too_few
from chexviz.reporting.figures import head_matrix, style
from chexviz.reporting.figures.panels import pages, training_sites
from chexviz.reporting.selection import first_seed, in_order
from chexviz.reporting.titles import (
    add_titles,
    architecture_title,
    curve_title,
    endpoint_titles,
    endpoints,
    finding_title,
)
from chexviz.reporting.wording import bracketed, capitalised, fixed, share

FIGURE = {
    "name": "crosstask",
    "caption": (
        "*Every head on the images of every site.* A head that tells another task's labels apart "
        "responds to more than its own finding. Findings that occur together would show the same. "
        "#capital(protocol.title)."
    ),
    "alt": "Scores of every head on the images of every site",
    "of": "sites",
    "per_page": 2,
    "category": "Cross-task",
    "shows": "figure",
    "report": (
        "Scores of every head of {method} on the evaluation images of every site, protocol "
        "``{protocol}``. A head that tells the labels of another task apart, or goes with the "
        "other head more than expected, responds to more than its own finding; two findings that "
        "occur together would show the same."
    ),
}
# mm on the printed page
LEFT, PANEL, VALUES, BETWEEN = 44.0, 36.0, 29.0, 3.0
TOP, ROW, TITLE, BETWEEN_SITES, BOTTOM = 4.0, 4.2, 8.0, 9.0, 19.0
NOTE = (
    "Boxes: quartiles and median; lines: 5 % to 95 % of the scores. Dashed: the head's threshold, "
    "of its own site.\nBeside a box: images called positive. In brackets: 95 % intervals. "
    "Expected: if the heads were independent. "
    "Too few: fewer independent cases than an interval needs."
)
ONE_HEAD = "This model has one head: there is no other one to compare it with."
DETAILED = 20  # lines of a site at most; of more, AUROC alone


Names = dict[tuple[str, str], str]  # of each head, by its site and finding: within a text


class Line(NamedTuple):
    """A line of a block.

    kind: heading (with an AUROC), box (of one label), unlabelled (instead of both), pair (the
    heading of two heads), both (called positive by both) or correlation. head: name and finding.
    labels, label: whose. own: finding of the head that it is compared with.
    """

    kind: str
    text: str
    head: tuple[str, str]
    labels: str = ""
    label: int = 0
    own: str = ""


def draw(table: pd.DataFrame, sites: list[dict], seeds: str) -> Iterator[Figure]:
    """The pages of one method and seed, two sites each.

    Sites have a block of lines, in a column an architecture; where that would be long, a matrix.
    sites: see titles. seeds: which of several this is.
    """
    training = training_sites(sites)
    names = {key: endpoint_titles(sites)[key] for key in endpoints(sites)}
    blocks = {
        site["name"]: lines_of(table[table["site"] == site["name"]], names) for site in training
    }
    detailed = max(map(len, blocks.values())) <= DETAILED
    for page in pages(training, FIGURE):
        shown = [site for site in page if blocks[site["name"]]]
        if not shown:
            yield draw_nothing(ONE_HEAD)
        elif detailed:
            lines = [blocks[site["name"]] for site in shown]
            yield draw_lines(table, shown, lines, names, seeds)
        else:
            yield head_matrix.draw(table, shown, sites, seeds)


def draw_lines(
    table: pd.DataFrame, sites: list[dict], blocks: list[list[Line]], names: Names, seeds: str
) -> Figure:
    """A page of blocks of lines. sites: of the page, with rows in the table."""
    architectures = in_order(table["architecture"])
    width = LEFT + len(architectures) * (PANEL + VALUES + BETWEEN) - BETWEEN
    height = TOP + ROW * sum(map(len, blocks)) + (TITLE + BETWEEN_SITES) * len(sites) + BOTTOM
    height -= BETWEEN_SITES
    figure = style.new_figure(width, height)
    ends = table.loc[table["measure"].isin(["score_q95", "threshold"]), "value"]
    y = TOP
    for site, lines in zip(sites, blocks, strict=True):
        y += TITLE
        title = f"{site['title']} images"
        heading = style.text_at(figure, 2.5, y - 3, title, fontsize=7.5, fontweight="bold")
        style.shrink_to_fit(heading, LEFT - 4)
        name_lines(figure, y, lines)
        for column, architecture in enumerate(architectures):
            x = LEFT + column * (PANEL + VALUES + BETWEEN)
            look = {"fontsize": 7, "fontweight": "bold"}
            title = architecture_title(architecture)
            style.text_at(figure, x, y - 3, title, **look)
            axes = style.axes_at(figure, x, y, PANEL, ROW * len(lines))
            own = (table["site"] == site["name"]) & (table["architecture"] == architecture)
            draw_panel(axes, lines, table[own], names)
            axes.set(xlim=(0, min(1.05 * ends.max(), 1)), ylim=(len(lines) - 0.5, -0.5))
            axes.set_xlabel("Score" if site is sites[-1] else "")
        y += ROW * len(lines) + BETWEEN_SITES
    note = f"{curve_title(table['method'].iloc[0])}. {NOTE}\n{seeds}".rstrip()
    style.write_fitted_note(figure, note, above=1)
    return figure


def lines_of(table: pd.DataFrame, names: Names) -> list[Line]:
    """The lines of a site's block: each head by each finding, then each pair of heads."""
    lines, pairs = [], []
    heads = table[["head", "finding"]].drop_duplicates().itertuples(index=False, name=None)
    for head in heads:
        rows = of_head(table, head)
        ranked = rows[rows["measure"] == "auroc"].drop_duplicates("labels")
        for finding, images in zip(ranked["labels"], ranked["images"], strict=True):
            labelled = finding_title(finding)
            if images:
                title = f"{capitalised(name_of(head, names))} head"
                lines.append(Line("heading", title, head, finding))
                lines.append(Line("box", f"no {labelled}", head, finding, 0))
                lines.append(Line("box", labelled, head, finding, 1))
            else:
                lines.append(Line("unlabelled", labelled, head, finding))
        pairs += [(head, own) for own in rows["own"].unique() if own]
    several = len({own for _, own in pairs}) > 1
    for head, own in pairs:
        name = name_of(head, names)
        both = "Both heads" if len(pairs) == 1 else f"With {name}"
        both = f"{capitalised(finding_title(own))} and {name}" if several else both
        lines.append(Line("pair", both, head, own=own))
        lines.append(Line("both", "called positive by both", head, own=own))
        lines.append(Line("correlation", "rank correlation", head, own=own))
    return lines


def of_head(table: pd.DataFrame, head: tuple[str, str]) -> pd.DataFrame:
    """The rows of a head: of its site (or `shared`) and finding."""
    return table[(table["head"] == head[0]) & (table["finding"] == head[1])]


def name_of(head: tuple[str, str], names: Names) -> str:
    """A head within a text; one that is of no single site is named by its finding."""
    return names.get(head, finding_title(head[1]))


def colour_of(head: tuple[str, str], names: Names) -> str:
    """The colour of a head: that of its site's endpoint, or of the first with its finding."""
    places = [place for place, key in enumerate(names) if key == head]
    places += [place for place, (_, finding) in enumerate(names) if finding == head[1]]
    return style.accent(places[0])


def name_lines(figure: Figure, y: float, lines: list[Line]) -> None:
    """Write the names of the lines left of the panels; y: mm from the top."""
    for number, line in enumerate(lines):
        bold = line.kind in ("heading", "pair")
        text = style.text_at(
            figure,
            2.5 if bold else 4.5,
            y + ROW * (number + 0.5),
            line.text,
            fontsize=6.5,
            va="center_baseline",
            fontweight="bold" if bold else "normal",
        )
        style.shrink_to_fit(text, LEFT - 7)


def draw_panel(axes: Axes, lines: list[Line], table: pd.DataFrame, names: Names) -> None:
    """All lines of one site and architecture."""
    for number, line in enumerate(lines):
        rows = of_head(table, line.head).set_index("measure")
        paired = rows[rows["own"] == line.own]
        if line.kind in ("heading", "unlabelled"):
            draw_auroc(axes, number, rows[rows["labels"] == line.labels].loc["auroc"])
        elif line.kind == "box":
            chosen = (rows["labels"] == line.labels) & (rows["label"] == line.label)
            colour = colour_of(line.head, names) if line.label else style.GREY
            threshold = rows["value"]["threshold"]
            draw_box(axes, number, rows[chosen], threshold, colour)
        elif line.kind == "both":
            draw_both(axes, number, paired)
        elif line.kind == "correlation":
            write(axes, 0, number, with_interval(paired.loc["rank_correlation"]), style.INK)
    axes.set_yticks([])
    axes.spines["left"].set_color(style.LIGHT)
    axes.locator_params(axis="x", nbins=5)


def draw_auroc(axes: Axes, y: float, row: pd.Series) -> None:
    """The AUROC of a head by a finding, or why there is none."""
    if pd.isna(row["value"]):
        write(axes, 0, y, row["note"], style.GREY)
    else:
        write(axes, 1, y, f"AUROC {with_interval(row)}", style.INK)


def draw_box(axes: Axes, y: float, rows: pd.DataFrame, threshold: float, colour: str) -> None:
    """The scores of the images of one label, and how many of them are called positive."""
    if rows.empty:
        write(axes, 0, y, "no images", style.GREY)
        return
    low, first, middle, third, high = (
        rows["value"][f"score_q{share}"] for share in ("05", "25", "50", "75", "95")
    )
    axes.plot([low, high], [y, y], color=colour, linewidth=0.8, zorder=1)
    look: style.Look = {
        "height": 0.56,
        "color": style.tint(colour, 0.45),
        "linewidth": 0,
        "zorder": 2,
    }
    axes.barh(y, third - first, left=first, **look)
    axes.plot([middle, middle], [y - 0.28, y + 0.28], color=colour, linewidth=1.2, zorder=3)
    ends = [y - 0.5, y + 0.5]
    axes.plot([threshold] * 2, ends, color=style.INK, linewidth=0.6, dashes=(2, 1.5), zorder=4)
    called = rows.loc["called"]
    count = f"{share(called['value'], digits=0)} of {called['images']:,.0f}"
    write(axes, 1, y, count, style.GREY)


def draw_both(axes: Axes, y: float, rows: pd.DataFrame) -> None:
    """How many images two heads call positive, and how many if they were independent."""
    observed, expected = (rows["value"][f"both_{kind}"] for kind in ("observed", "expected"))
    text = f"{observed:,.0f}, expected {expected:,.1f}"
    ratio = rows.loc["both_ratio"]
    if not pd.isna(ratio["value"]):
        text += f"; ratio {with_interval(ratio)}"
    write(axes, 0, y, text, style.INK)


def with_interval(row: pd.Series) -> str:
    """'0.50 (0.32–0.65)', '0.50 (too few)', '1.00' without an interval, or the note of no value."""
    if pd.isna(row["value"]):
        return str(row["note"])
    if is_too_few(row["note"]):
        return f"{fixed(row['value'], 2)} ({TOO_FEW})"
    return bracketed(row["value"], row["low"], row["high"], 2)


def write(axes: Axes, x: float, y: float, text: str, colour: str) -> None:
    """Text from a side of the panel on (x: 0 left, 1 right), as far as the column goes."""
    look: style.Look = {"xycoords": ("axes fraction", "data"), "fontsize": 6, "color": colour}
    written = style.write_right_of(axes, x, y, text, **look)
    style.shrink_to_fit(written, VALUES - 1 if x else PANEL + VALUES - 1)


def draw_nothing(note: str) -> Figure:
    """The figure of a model that has one head."""
    figure = style.new_figure(style.DOUBLE_COLUMN, 20)
    style.text_at(figure, 2.5, 10, note, fontsize=7, va="center_baseline")
    return figure


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--crosstask", required=True, type=Path)
    parser.add_argument("--method", required=True, help="whose heads are shown")
    add_titles(parser)
    style.add_outputs(parser)
    arguments = parser.parse_args(argv)
    table = CROSSTASK.read(arguments.crosstask)
    table = table[table["method"] == arguments.method]
    first = table[table["seed"].isin(table["seed"].head(1))]
    figures = draw(first, arguments.titles, first_seed(table["seed"]))
    style.save_pages(figures, arguments.pdf, arguments.png, arguments.mark)


if __name__ == "__main__":
    run(main)
