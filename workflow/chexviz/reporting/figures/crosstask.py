"""Cross-task figure: the scores of every head of the federated model on every site's images."""

from pathlib import Path
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.tables.evaluation import CROSSTASK
from chexviz.evaluation.cases import TOO_FEW, is_too_few
from chexviz.reporting.figures import style
from chexviz.reporting.selection import first_seed, in_order
from chexviz.reporting.titles import add_titles, architecture_title, curve_title, task_titles
from chexviz.reporting.wording import bracketed, capitalised, fixed, share

FIGURE = {
    "name": "crosstask",
    "caption": (
        "*Every head on the images of every site.* A head that tells another task's labels apart "
        "responds to more than its own finding. Findings that occur together would show the same. "
        "#capital(protocol.title)."
    ),
    "alt": "Scores of every head on the images of every site",
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


class Line(NamedTuple):
    """A line of a block.

    kind: heading (with an AUROC), box (of one label), unlabelled (instead of both), pair (the
    heading of two heads), both (called positive by both) or correlation.
    """

    kind: str
    text: str
    head: str
    finding: str = ""
    label: int = 0


def draw(table: pd.DataFrame, sites: list[dict], note: str) -> Figure:
    """The figure of one method and seed: a block of lines a site, a column an architecture.

    sites: name, title, task.
    """
    sites = [site for site in sites if (table["site"] == site["name"]).any()]
    architectures = in_order(table["architecture"])
    names = task_titles(sites)
    blocks = [lines_of(table[table["site"] == site["name"]], site, names) for site in sites]
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
    style.write_fitted_note(figure, note, above=1)
    return figure


def lines_of(table: pd.DataFrame, site: dict, names: dict[str, str]) -> list[Line]:
    """The lines of a site's block: each head by each finding, then each pair of heads."""
    lines = []
    heads = sorted(names, key=lambda head: head != site["name"])
    for head in heads:
        rows = table[(table["head"] == head) & (table["measure"] == "auroc")]
        rows = rows.drop_duplicates("finding")
        for finding, images in zip(rows["finding"], rows["images"], strict=True):
            if images:
                lines.append(Line("heading", f"{capitalised(names[head])} head", head, finding))
                lines.append(Line("box", f"no {finding}", head, finding, 0))
                lines.append(Line("box", finding, head, finding, 1))
            else:
                lines.append(Line("unlabelled", finding, head, finding))
    for head in heads[1:]:
        both = "Both heads" if len(heads) == 2 else f"With {names[head]}"
        lines.append(Line("pair", both, head))
        lines.append(Line("both", "called positive by both", head))
        lines.append(Line("correlation", "rank correlation", head))
    return lines


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


def draw_panel(axes: Axes, lines: list[Line], table: pd.DataFrame, names: dict[str, str]) -> None:
    """All lines of one site and architecture."""
    for number, line in enumerate(lines):
        rows = table[table["head"] == line.head].set_index("measure")
        if line.kind in ("heading", "unlabelled"):
            draw_auroc(axes, number, rows[rows["finding"] == line.finding].loc["auroc"])
        elif line.kind == "box":
            chosen = (rows["finding"] == line.finding) & (rows["label"] == line.label)
            colour = style.accent(list(names).index(line.head)) if line.label else style.GREY
            threshold = rows["value"]["threshold"]
            draw_box(axes, number, rows[chosen], threshold, colour)
        elif line.kind == "both":
            draw_both(axes, number, rows)
        elif line.kind == "correlation":
            write(axes, 0, number, with_interval(rows.loc["rank_correlation"]), style.INK)
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
    if table.empty:
        figure = draw_nothing(ONE_HEAD)
    else:
        note = f"{curve_title(arguments.method)}. {NOTE}\n{first_seed(table['seed'])}".rstrip()
        first = table[table["seed"] == table["seed"].iloc[0]]
        figure = draw(first, arguments.titles, note)
    style.save(figure, arguments.pdf, arguments.png, arguments.mark)


if __name__ == "__main__":
    run(main)
