"""Figures by endpoint, page by page; many have a panel for each endpoint and architecture.

An endpoint is a site with one of its findings, (site, finding).
"""

import textwrap
from collections.abc import Collection, Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chexviz.base.errors import InputError
from chexviz.reporting.figures import style
from chexviz.reporting.selection import compared
from chexviz.reporting.titles import Endpoint, architecture_title, endpoint_titles, endpoints
from chexviz.reporting.wording import capitalised

Shown = TypeVar("Shown")

# mm on the printed page
PANEL, LEFT, RIGHT, BETWEEN, TOP, AXIS = 60.0, 14.0, 3.0, 17.0, 8.0, 9.0
COLUMNS = 2  # panels that stand side by side on the printed page


class Cell(NamedTuple):
    """One panel: whose it is, and its top left corner in mm from that of the figure."""

    endpoint: Endpoint
    architecture: str
    heading: str
    letter: str
    x: float
    y: float


def pages(
    shown: list[Shown], figure: Mapping[str, Any], architectures: int = COLUMNS
) -> list[list[Shown]]:
    """What each page of a figure shows; `inventory.Figure.pages` counts the same.

    figure: as its module declares it. architectures: how many the run has.
    """
    most = figure["per_page"] * max(1, figure.get("columns", 1) // architectures)
    return [shown[start : start + most] for start in range(0, len(shown), most)]


def training_sites(sites: list[dict]) -> list[dict]:
    """The sites that train."""
    return [site for site in sites if site["role"] == "train"]


def external_endpoints(sites: list[dict]) -> list[Endpoint]:
    """The endpoints of external sites that a model can answer, since a site learns the finding."""
    learned = {finding for _, finding in endpoints(sites)}
    return [endpoint for endpoint in endpoints(sites, "external") if endpoint[1] in learned]


def heading_pages(
    sites: list[dict], figure: Mapping[str, Any], architectures: int = COLUMNS
) -> list[dict[Endpoint, str]]:
    """The headings of the endpoints that train, by endpoint, for each page of a figure.

    sites: see titles. figure, architectures: see pages.
    """
    titles = endpoint_titles(sites)
    return [
        {endpoint: capitalised(titles[endpoint]) for endpoint in page}
        for page in pages(endpoints(sites), figure, architectures)
    ]


def endpoint_pages(
    table: pd.DataFrame, path: Path, sites: list[dict], figure: Mapping[str, Any]
) -> list[dict[Endpoint, str]]:
    """The same for a table, from the file at `path`, which must have rows of every endpoint.

    Raises InputError where it has none.
    """
    require_endpoints(table, endpoints(sites), path)
    return heading_pages(sites, figure, table["architecture"].nunique())


def require_endpoints(table: pd.DataFrame, wanted: list[Endpoint], path: Path) -> None:
    """Raise InputError unless a table has rows of every endpoint."""
    found = set(zip(table["site"], table["finding"], strict=True))
    absent = [" ".join(endpoint) for endpoint in wanted if endpoint not in found]
    if absent:
        raise InputError(
            path,
            expected=f"rows of every site with each of its findings, as of {absent[0]}",
            found=f"none of {', '.join(absent)}",
            fix="make the evaluation of this protocol again",
        )


def at(table: pd.DataFrame, endpoint: Endpoint) -> pd.DataFrame:
    """The rows of an endpoint."""
    site, finding = endpoint
    return table[(table["site"] == site) & (table["finding"] == finding)]


def at_any(table: pd.DataFrame, shown: Collection[Endpoint]) -> pd.DataFrame:
    """The rows of some endpoints."""
    pairs = zip(table["site"], table["finding"], strict=True)
    return table.loc[[pair in shown for pair in pairs]]  # of no rows too


def lay_out(
    shown: dict[Endpoint, str],
    architectures: list[str],
    height: float,
    between: float,
    note: str,
) -> tuple[Figure, list[Cell]]:
    """A page for endpoints and architectures, with `note` below, and its Cells.

    The architectures of an endpoint stand side by side; a run of one has COLUMNS endpoints in a
    row. shown: headings of the endpoints. height: of a panel; between: from a panel down to the
    next one's top (mm).
    """
    beside = max(1, COLUMNS // len(architectures))
    rows, columns = -(-len(shown) // beside), len(architectures) * min(beside, len(shown))
    width = LEFT + columns * PANEL + (columns - 1) * BETWEEN + RIGHT
    note = style.wrapped(note, width - 5)
    whole = TOP + rows * height + (rows - 1) * between + AXIS + style.note_height(note)
    figure = style.new_figure(width, whole)
    style.write_note(figure, note)
    cells = []
    for number, (endpoint, architecture) in enumerate(product(shown, architectures)):
        row, column = divmod(number, columns)
        heading = f"{shown[endpoint]}, {architecture_title(architecture)}"
        corner = LEFT + column * (PANEL + BETWEEN), TOP + row * (height + between)
        cells.append(Cell(endpoint, architecture, heading, chr(ord("a") + number), *corner))
    return figure, cells


def panels(figure: Figure, cells: list[Cell], top: float, height: float) -> Iterator[tuple]:
    """Each Cell with axes of `height` mm, `top` mm below the cell's corner."""
    for cell in cells:
        yield cell, style.axes_at(figure, cell.x, cell.y + top, PANEL, height)


def rows_of(table: pd.DataFrame, cell: Cell) -> pd.DataFrame:
    """The rows of one panel."""
    rows = at(table, cell.endpoint)
    return rows[rows["architecture"] == cell.architecture]


def compared_once(table: pd.DataFrame, method: str, path: Path) -> pd.DataFrame:
    """The rows of the baseline and of `method`, of the first seed. See selection.compared."""
    rows = compared(table, method, path)
    return rows[rows["seed"] == table["seed"].iloc[0]]


def warn(axes: Axes, note: str) -> None:
    """Write in the lower right of a panel what its curves lack."""
    look: style.Look = {"ha": "right", "va": "bottom", "color": style.GREY, "fontsize": 6.5}
    look |= {"bbox": {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}}
    axes.text(0.985, 0.02, textwrap.fill(note, 38), transform=axes.transAxes, zorder=5, **look)
