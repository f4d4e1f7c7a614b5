"""Figures with a panel for each site (rows) and architecture (columns), baseline and one method."""

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chexviz.reporting.figures import style
from chexviz.reporting.selection import compared, in_order
from chexviz.reporting.titles import architecture_title, group_titles

# mm on the printed page
PANEL, LEFT, RIGHT, BETWEEN, TOP, AXIS = 60.0, 14.0, 3.0, 17.0, 8.0, 9.0


class Cell(NamedTuple):
    """One panel: whose it is, and its top left corner in mm from that of the figure."""

    site: str
    architecture: str
    heading: str
    letter: str
    x: float
    y: float


def lay_out(
    table: pd.DataFrame, sites: list[dict], height: float, between: float, note: str
) -> tuple[Figure, list[Cell]]:
    """A figure for the table's sites and architectures, with `note` below, and its Cells.

    sites: see titles. height: of a panel; between: from a panel down to the next one's
    top (mm).
    """
    titles, architectures = group_titles(table, sites), in_order(table["architecture"])
    rows, columns = len(titles), len(architectures)
    width = LEFT + columns * PANEL + (columns - 1) * BETWEEN + RIGHT
    note = style.wrapped(note, width - 5)
    whole = TOP + rows * height + (rows - 1) * between + AXIS + style.note_height(note)
    figure = style.new_figure(width, whole)
    style.write_note(figure, note)
    cells = [
        Cell(
            *(site, architecture),
            f"{title}, {architecture_title(architecture)}",
            chr(ord("a") + row * columns + column),
            *(LEFT + column * (PANEL + BETWEEN), TOP + row * (height + between)),
        )
        for row, (site, title) in enumerate(titles.items())
        for column, architecture in enumerate(architectures)
    ]
    return figure, cells


def panels(figure: Figure, cells: list[Cell], top: float, height: float) -> Iterator[tuple]:
    """Each Cell with axes of `height` mm, `top` mm below the cell's corner."""
    for cell in cells:
        yield cell, style.axes_at(figure, cell.x, cell.y + top, PANEL, height)


def rows_of(table: pd.DataFrame, cell: Cell) -> pd.DataFrame:
    """The rows of one panel."""
    mine = (table["site"] == cell.site) & (table["architecture"] == cell.architecture)
    return table[mine]


def compared_once(table: pd.DataFrame, method: str, path: Path) -> pd.DataFrame:
    """The rows of the baseline and of `method`, of the first seed. See selection.compared."""
    rows = compared(table, method, path)
    return rows[rows["seed"] == table["seed"].iloc[0]]


def warn(axes: Axes, note: str) -> None:
    """Write in the lower right of a panel what its curves lack."""
    look: style.Look = {"ha": "right", "va": "bottom", "color": style.GREY, "fontsize": 6.5}
    look |= {"bbox": {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}}
    axes.text(0.985, 0.02, textwrap.fill(note, 38), transform=axes.transAxes, zorder=5, **look)
