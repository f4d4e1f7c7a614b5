"""The AUROC of every head on the images of a site, as a matrix: where lines would be too many."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from chexviz.reporting.figures import style
from chexviz.reporting.selection import in_order
from chexviz.reporting.titles import (
    architecture_title,
    curve_title,
    finding_title,
    head_titles,
)
from chexviz.reporting.wording import capitalised

# mm on the printed page
LEFT, BETWEEN, RIGHT = 32.0, 5.0, 2.0
TOP, TITLE, HEAD, ROW, AFTER = 2.0, 6.0, 19.0, 4.2, 5.0
WIDEST, GAP = 7.5, 1.8  # of a column; between heads of the finding and of others
NOTE = (
    "Percent AUROC on the images of a site by its own labels, a row a finding. Left: the heads of "
    "this finding, by site. Right: heads of other findings (the mean, where several sites have "
    "one). Blue: above 50, orange: below."
)


def draw(table: pd.DataFrame, shown: list[dict], sites: list[dict], seeds: str) -> Figure:
    """A page: a row of matrices a site, in a column an architecture.

    table: of one method and seed. shown: the sites of the page. sites: all, see titles. seeds:
    which of several this is.
    """
    architectures = in_order(table["architecture"])
    width = style.DOUBLE_COLUMN
    room = (width - LEFT - RIGHT) / len(architectures) - BETWEEN
    note = f"{curve_title(table['method'].iloc[0])}. {NOTE} {seeds}".rstrip()
    note = style.wrapped(note, width - 5)
    heights = [TITLE + HEAD + ROW * len(site["findings"]) + AFTER for site in shown]
    figure = style.new_figure(width, TOP + sum(heights) + style.note_height(note))
    y = TOP
    for site, height in zip(shown, heights, strict=True):
        rows = table[(table["site"] == site["name"]) & (table["measure"] == "auroc")]
        look = {"fontsize": 7.5, "fontweight": "bold", "va": "baseline"}
        title = style.text_at(figure, 2.5, y + 3.5, f"{site['title']} images", **look)
        style.shrink_to_fit(title, LEFT - 4)
        write_rows(figure, y + TITLE + HEAD, site["findings"])
        for column, architecture in enumerate(architectures):
            x = LEFT + column * (room + BETWEEN)
            style.text_at(figure, x, y + 3.5, architecture_title(architecture), **look)
            values = matrix(rows[rows["architecture"] == architecture], site)
            draw_matrix(figure, x, y + TITLE, room, values, head_titles(sites))
        y += height
    style.write_note(figure, note)
    return figure


def matrix(rows: pd.DataFrame, site: dict) -> pd.DataFrame:
    """AUROC by finding of the site (rows) and head: ('', its name) of the same finding, in the
    order of the table, or ('other', its finding) of another.

    rows: of AUROC on the images of the site.
    """
    rows = rows[rows["labels"].isin(site["findings"])]
    own = rows["finding"] == rows["labels"]
    other = ~rows["finding"].isin(site["findings"])
    parts = [
        rows[chosen].pivot_table(
            index="labels", columns=name, values="value", aggfunc="mean", sort=False, dropna=False
        )
        for chosen, name in ((own, "head"), (other, "finding"))
    ]
    return pd.concat(parts, axis=1, keys=["", "other"]).reindex(site["findings"])


def write_rows(figure: Figure, y: float, findings: list[str]) -> None:
    """The names of a matrix's rows, left of it; y: mm from the top."""
    for number, finding in enumerate(findings):
        name = capitalised(finding_title(finding))
        look = {"fontsize": 6.5, "va": "center_baseline", "ha": "right"}
        text = style.text_at(figure, LEFT - 2, y + ROW * (number + 0.5), name, **look)
        style.shrink_to_fit(text, LEFT - 4)


def draw_matrix(
    figure: Figure, x: float, y: float, room: float, values: pd.DataFrame, heads: dict[str, str]
) -> None:
    """The matrix of an architecture in at most `room` mm, below the names of its heads."""
    kinds = [kind for kind, _ in values]
    gap = GAP * ("" in kinds and "other" in kinds)
    cell = min(WIDEST, (room - gap) / len(kinds))
    axes = style.axes_at(figure, x, y + HEAD, cell * len(kinds) + gap, ROW * len(values))
    axes.set(xlim=(0, cell * len(kinds) + gap), ylim=(ROW * len(values), 0))
    axes.axis("off")
    for column, (kind, name) in enumerate(values):
        left = cell * column + gap * bool(kind)
        title = finding_title(name) if kind else heads[name]
        look = {"fontsize": 6.5, "rotation": 90, "ha": "center", "va": "bottom"}
        text = style.text_at(figure, x + left + cell / 2, y + HEAD - 1, title, **look)
        style.shrink_to_fit(text, HEAD - 2, along=1)
        for row, value in enumerate(values[kind, name]):
            draw_cell(axes, left, ROW * row, cell, value)


def draw_cell(axes: Axes, x: float, y: float, width: float, value: float) -> None:
    """An AUROC in percent on its colour; a dash where there is none."""
    if pd.isna(value):
        colour, text = style.tint(style.GREY, 0.06), "–"
    else:
        strength = min(abs(value - 0.5) * 1.2, 0.6)
        colour = style.tint(style.accent(0 if value >= 0.5 else 1), strength)
        text = f"{100 * value:.0f}"
    look: style.Look = {"facecolor": colour, "edgecolor": "white", "linewidth": 0.5}
    axes.add_patch(Rectangle((x, y), width, ROW, **look))
    look = {"ha": "center", "va": "center_baseline", "fontsize": 6 if width > 3.5 else 5}
    axes.text(x + width / 2, y + ROW / 2, text, **look)
