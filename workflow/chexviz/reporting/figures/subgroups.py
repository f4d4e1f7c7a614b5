"""Subgroup figure: AUROC by view, sex, age and attributes, of the baselines and of one method."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.base.tables.evaluation import ALL, SUBGROUPS, UNKNOWN
from chexviz.evaluation.cases import TOO_FEW, is_too_few
from chexviz.reporting.figures import style
from chexviz.reporting.figures.panels import at, at_any, endpoint_pages
from chexviz.reporting.selection import compared, in_order
from chexviz.reporting.titles import (
    Endpoint,
    add_titles,
    architecture_title,
    curve_title,
    endpoints,
)
from chexviz.reporting.wording import attribute_title, bracketed, capitalised

FIGURE = {
    "name": "subgroups",
    "caption": (
        "*AUROC by view, sex, age* and attributes of a site, with #level intervals. Diamonds: what "
        "ranking by the tag alone reaches. A model that is better over all than within its groups "
        "may have learnt the tag. #known.counting #capital(protocol.title)."
    ),
    "alt": "AUROC by view, sex, age and attributes of a site",
    "of": "endpoints",
    "per_page": 2,
    "category": "Subgroups",
    "shows": "figure",
    "report": (
        "AUROC by view, sex, age and attributes of the baselines and of {method}, protocol "
        "``{protocol}``, with 95 % intervals. Diamonds are what the tag alone reaches: a model "
        "that is no better within its groups than 0.5, but better over all, may have learnt the "
        "tag."
    ),
}
# mm on the printed page
LEFT, PANEL, VALUES, BETWEEN = 45.0, 40.0, 24.0, 4.0
TOP, ROW, TITLE, BETWEEN_SITES, AXIS = 5.0, 4.9, 8.0, 9.0, 9.0
NAMES = {ALL: "All images", UNKNOWN: "not known", "F": "female", "M": "male"}
NOTE = (
    "AUROC with 95 % interval, not corrected for the number of groups. Diamonds: ranking by the "
    "tag alone. Lines: all images. n: positive of all images.\nToo few: fewer independent positive "
    "or negative cases than an interval needs."
)


def draw(
    table: pd.DataFrame, tags: pd.DataFrame, shown: list[dict[Endpoint, str]], note: str
) -> Iterator[Figure]:
    """The pages: a block of rows an endpoint, a column an architecture; `note` below.

    table: rows of AUROC of the methods to be shown, of all seeds. tags: those of the tags alone.
    shown: headings by endpoint, page by page.
    """
    architectures, methods = in_order(table["architecture"]), in_order(table["method"])
    width = LEFT + len(architectures) * (PANEL + VALUES) + (len(architectures) - 1) * BETWEEN
    note = style.wrapped(note, width - 5)
    limits = axis_limits(table, tags)
    for titles in shown:
        blocks = {endpoint: lines_of(at(table, endpoint)) for endpoint in titles}
        rows = sum(map(len, blocks.values()))
        height = TOP + ROW * rows + (TITLE + BETWEEN_SITES) * len(titles) - BETWEEN_SITES
        figure = style.new_figure(width, height + AXIS + style.note_height(note))
        y = TOP
        for endpoint, title in titles.items():
            lines, y = blocks[endpoint], y + TITLE
            heading = style.text_at(figure, 2.5, y - 3, title, fontsize=7.5, fontweight="bold")
            style.break_to_fit(heading, LEFT - 10)
            own, alone = at(table, endpoint), at(tags, endpoint)
            name_lines(figure, y, lines, own)
            for column, architecture in enumerate(architectures):
                x = LEFT + column * (PANEL + VALUES + BETWEEN)
                axes = style.axes_at(figure, x, y, PANEL, ROW * len(lines))
                write_methods(figure, x, y - 3, architecture, methods)
                draw_panel(axes, lines, own[own["architecture"] == architecture], alone, methods)
                axes.set(xlim=limits, ylim=(len(lines) - 0.5, -0.5))
                axes.set_xlabel("AUROC" if endpoint == list(titles)[-1] else "")
            y += ROW * len(lines) + BETWEEN_SITES
        style.write_note(figure, note)
        yield figure


def lines_of(table: pd.DataFrame) -> list[tuple[str, str]]:
    """Attribute and group of each line of a block, from the top; a heading has no group."""
    lines = []
    groups = table[table["images"] > 0].drop_duplicates(["attribute", "group"])
    for attribute, rows in groups.groupby("attribute", sort=False):
        if attribute != ALL:
            lines.append((attribute, ""))
        lines += [(attribute, group) for group in rows["group"]]
    return lines


def axis_limits(table: pd.DataFrame, tags: pd.DataFrame) -> tuple[float, float]:
    """The range of AUROC that all panels show."""
    lowest = np.nanmin(
        [*(table[name].min() for name in ("low", "value")), tags["value"].min(), 0.7]
    )
    return max(np.floor(10 * lowest) / 10, 0), 1.0


def name_lines(figure: Figure, y: float, lines: list, table: pd.DataFrame) -> None:
    """Write the names of the lines left of the panels, and their images; y: mm from the top."""
    style.text_at(figure, LEFT - 3, y - 3, "n", fontsize=6.5, color=style.GREY, ha="right")
    images = table.drop_duplicates(["attribute", "group"]).set_index(["attribute", "group"])
    for number, (attribute, group) in enumerate(lines):
        at = y + ROW * (number + 0.5)
        look = {"fontsize": 6.5, "va": "center_baseline"}
        if group:
            indent = 2.5 if attribute == ALL else 4.5
            style.text_at(figure, indent, at, NAMES.get(group, group.replace("-", "–")), **look)
            row = images.loc[(attribute, group)]
            count = f"{row['positives']:,} of {row['images']:,}"
            style.text_at(figure, LEFT - 3, at, count, color=style.GREY, ha="right", **look)
        else:
            heading = capitalised(attribute_title(attribute))
            heading += ", years" * (attribute == "age")
            style.text_at(figure, 2.5, at, heading, fontweight="bold", **look)


def draw_panel(
    axes: Axes, lines: list, table: pd.DataFrame, tags: pd.DataFrame, methods: list[str]
) -> None:
    """Points with intervals of each method, line by line, and their values beside the panel."""
    step = 0.46 / max(len(methods) - 1, 1)
    for number, line in enumerate(lines):
        if not line[1]:
            draw_tag(axes, number, tags[tags["attribute"] == line[0]].iloc[0])
            continue
        rows = table[(table["attribute"] == line[0]) & (table["group"] == line[1])]
        if len(rows) and rows["value"].isna().all():
            note = rows["note"].iloc[0]
            # How many cases there are stands beside, and what it takes below.
            text = f"no AUROC ({TOO_FEW})" if is_too_few(note) else note
            write(axes, 0, number, text, style.GREY)
            continue
        for position, method in enumerate(methods):
            y = number + (position - (len(methods) - 1) / 2) * step
            draw_method(axes, y, rows[rows["method"] == method], style.accent(position), line[1])
    axes.set_yticks([])
    axes.spines["left"].set_color(style.LIGHT)
    axes.locator_params(axis="x", nbins=5)


def draw_tag(axes: Axes, y: float, row: pd.Series) -> None:
    """The AUROC of ranking by the tag alone, which one group of all images cannot have."""
    name = attribute_title(row["attribute"])
    if np.isnan(row["value"]):
        write(axes, 1, y, f"{name} alone: one group", style.GREY)
        return
    axes.plot(row["value"], y, "D", color=style.GREY, markersize=2.5, clip_on=False)
    text = f"{name} alone {row['value']:.2f}"
    write(axes, 1, y, text, style.GREY)


def draw_method(axes: Axes, y: float, runs: pd.DataFrame, colour: str, group: str) -> None:
    """One method in one group: the first seed with its interval, the others as rings."""
    if runs.empty:
        return
    first = runs.iloc[0]
    if group == ALL:
        axes.axvline(first["value"], color=style.tint(colour, 0.35), linewidth=0.6, zorder=0)
    axes.plot([first["low"], first["high"]], [y, y], color=colour, linewidth=0.9)
    axes.plot(first["value"], y, "o", color=colour, markersize=2.6)
    others = runs["value"].iloc[1:]
    axes.plot(
        others, np.full(len(others), y), "o", color=colour, mfc="white", markersize=2, mew=0.5
    )
    text = bracketed(first["value"], first["low"], first["high"], 2)
    if is_too_few(first["note"]):
        none = np.isnan(first["value"])  # not even a pair
        text = TOO_FEW if none else f"{first['value']:.2f} ({TOO_FEW})"
    write(axes, 1, y, text, colour)


def write(axes: Axes, x: float, y: float, text: str, colour: str) -> None:
    """Text from a side of the panel on (x: 0 left, 1 right), as far as the column goes."""
    look: style.Look = {"xycoords": ("axes fraction", "data"), "fontsize": 6, "color": colour}
    look["bbox"] = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
    written = style.write_right_of(axes, x, y, text, **look)
    style.shrink_to_fit(written, VALUES - 1 if x else PANEL + VALUES)


def write_methods(
    figure: Figure, x: float, y: float, architecture: str, methods: list[str]
) -> None:
    """The heading of a panel: its architecture, and each method in its colour."""
    look = {"fontsize": 7, "fontweight": "bold"}
    style.text_at(figure, x, y, architecture_title(architecture), **look)
    for position, method in enumerate(reversed(methods)):
        at = x + PANEL + VALUES - 1 - 16 * position
        colour = style.accent(len(methods) - 1 - position)
        style.text_at(figure, at, y, curve_title(method), color=colour, ha="right", **look)


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--subgroups", required=True, type=Path)
    parser.add_argument("--method", required=True, help="shown beside the baseline")
    add_titles(parser)
    style.add_outputs(parser)
    arguments = parser.parse_args(argv)
    table = SUBGROUPS.read(arguments.subgroups)
    tags = table[table["measure"] == "tag alone"]
    rows = compared(table[table["measure"] == "auroc"], arguments.method, arguments.subgroups)
    if tags.empty:
        raise InputError(
            arguments.subgroups,
            expected="rows of the measure 'tag alone'",
            found="none",
            fix="make the file again with this version of the workflow",
        )
    seeds = rows["seed"].astype(int).unique()
    note = NOTE
    if len(seeds) > 1:
        note += f"\nPoints and values: first of {len(seeds)} seeds ({seeds[0]}); rings: the others."
    shown = endpoint_pages(rows, arguments.subgroups, arguments.titles, FIGURE)
    training = endpoints(arguments.titles)
    figures = draw(at_any(rows, training), at_any(tags, training), shown, note)
    style.save_pages(figures, arguments.pdf, arguments.png, arguments.mark)


if __name__ == "__main__":
    run(main)
