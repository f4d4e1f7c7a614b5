"""Audit figure: what evaluation images share with training, and how labels go with view and sex."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.tables.study import LABEL_CHECKS, LEAKAGE
from chexviz.reporting.figures import style
from chexviz.reporting.figures.panels import at, at_any, pages
from chexviz.reporting.titles import add_titles, finding_title, place_title
from chexviz.reporting.wording import bracketed, capitalised, share

FIGURE = {
    "name": "audit",
    "by_protocol": False,
    "caption": (
        "*Audit.* a, share of each site's evaluation images whose patient (of those with a known "
        "one), or near-identical copy, is among the training images of the same or another site. "
        "b, share of positive images by view and sex, with 95\u00a0% Wilson intervals; odds ratios "
        "with Woolf's."
    ),
    "alt": "Shared images and patients, and positive rates by view and sex",
    "of": "all endpoints",
    "per_page": 4,
    "category": "Audit",
    "shows": "all of it, figure",
    "report": (
        "a, the share of each site's evaluation images whose patient (of those with a known one), "
        "or near-identical copy, is among the training images of the same or of another site, for "
        "every protocol. b, the share of positive images by view and sex, with 95 % intervals, and "
        "the odds ratios: where AP (bedside) views are more often positive, a model may learn the "
        "view instead of the finding."
    ),
}
# mm on the printed page
LEFT, PANEL, RATES, BETWEEN, RIGHT = 33.0, 50.0, 40.0, 27.0, 30.0
TOP, ROW, BETWEEN_SITES, AXIS = 18.0, 4.4, 11.0, 9.0
RIGHT_HEADING = LEFT + PANEL + BETWEEN - 12
SHARED = {
    ("patient", "within"): "patient, same site",
    ("patient", "across"): "patient, other site",
    ("duplicate", "within"): "same image, same site",
    ("duplicate", "across"): "same image, other site",
}
PROTOCOLS = {"paper": "split by image", "patient": "split by patient"}
UNKNOWN = PROTOCOLS | {"patient": "copies apart"}  # where no patient is known
SEXES = {"F": "female", "M": "male"}
TITLES = ("Evaluation images that share with training images", "Positive images by view and sex")
NOTE = (
    "Patient: of images whose patient is known. Same image: near-identical pixels. b: with 95 % "
    "intervals; an odds ratio far from 1 lets a model learn the view or the sex, not the finding."
)


def draw(
    audits: dict[str, pd.DataFrame], labels: pd.DataFrame, sites: list[dict]
) -> Iterator[Figure]:
    """The pages: a row an endpoint; on the right its positive rates, on the left what its site
    shares, if it is the first of the site.

    audits: audit table of each protocol. sites: see titles.
    """
    endpoints = [(site, finding) for site in sites for finding in site["findings"]]
    largest = max(0.1, *(table["fraction"].max() for table in audits.values()))
    positive = labels[labels["check"] == "positive"]
    ends = at_any(positive, [(site["name"], finding) for site, finding in endpoints])["high"].max()
    for page in pages(endpoints, FIGURE):
        blocks = [block_of(site, finding, labels) for site, finding in page]
        width = LEFT + PANEL + BETWEEN + RATES + RIGHT
        note = style.wrapped(NOTE, width - 5)
        room = TOP + AXIS + style.note_height(note) + (len(blocks) - 1) * BETWEEN_SITES
        figure = style.new_figure(width, room + sum(block.height for block in blocks))
        write_head(figure, audits if any(block.opens for block in blocks) else {})
        draw_blocks(figure, blocks, audits, largest, ends)
        style.write_note(figure, note)
        yield figure


class Block(NamedTuple):
    """A row of the figure: an endpoint, its rates, whether its site's panel is here, its mm."""

    site: dict
    finding: str
    rates: list[pd.Series]
    opens: bool
    height: float


def block_of(site: dict, finding: str, labels: pd.DataFrame) -> Block:
    """The row of an endpoint."""
    rates, opens = rate_rows(at(labels, (site["name"], finding))), finding == site["findings"][0]
    lines = max(len(SHARED) + 1.5 if opens else 1, len(rates))
    return Block(site, finding, rates, opens, ROW * lines)


def write_head(figure: Figure, audits: dict[str, pd.DataFrame]) -> None:
    """The titles of both columns, and the colours of the protocols; without any, of the right."""
    columns = (("a", 2.5, TITLES[0]), ("b", RIGHT_HEADING, TITLES[1]))
    for letter, across, title in columns if audits else columns[1:]:
        style.text_at(figure, across, 5, letter, fontsize=9, fontweight="bold")
        style.text_at(figure, across + 5, 5, title, fontsize=7.5)
    for position, protocol in enumerate(audits):
        look = {"color": style.accent(position), "fontweight": "bold", "fontsize": 7}
        names = PROTOCOLS if audits[protocol]["known_images"].any() else UNKNOWN
        style.text_at(figure, LEFT + 34 * position, 10, names[protocol], **look)


def draw_blocks(
    figure: Figure,
    blocks: list[Block],
    audits: dict[str, pd.DataFrame],
    largest: float,
    ends: float,
) -> None:
    """The rows of a page. largest, ends: of the fractions of both columns in all pages."""
    y, last = TOP, next((block for block in reversed(blocks) if block.opens), None)
    for block in blocks:
        site = block.site
        if block.opens:
            axes = style.axes_at(figure, LEFT, y, PANEL, block.height)
            draw_shared(axes, {name: of_site(table, site) for name, table in audits.items()}, site)
            finish(axes, largest, "Evaluation images, %" if block is last else "")
            write_heading(figure, 2.5, y, place_title(site), RIGHT_HEADING - 5)
        if len(site["findings"]) > 1:
            title = f"{capitalised(finding_title(block.finding))} ({site['title']})"
            write_heading(figure, RIGHT_HEADING, y, title, RATES + RIGHT + 10)
        axes = style.axes_at(figure, LEFT + PANEL + BETWEEN, y, RATES, block.height)
        draw_rates(axes, block.rates)
        finish(axes, ends, "Positive images, %" if block is blocks[-1] else "")
        y += block.height + BETWEEN_SITES


def write_heading(figure: Figure, x: float, y: float, title: str, width: float) -> None:
    """The heading of a panel, in at most `width` mm; (x, y): where the panel's block begins."""
    heading = style.text_at(figure, x, y - 2, title, fontsize=7.5, fontweight="bold")
    style.shrink_to_fit(heading, width)


def of_site(table: pd.DataFrame, site: dict) -> pd.DataFrame:
    """The rows of a site."""
    return table[table["site"] == site["name"]]


def finish(axes: Axes, largest: float, label: str) -> None:
    """Limits and ticks of a panel of fractions that are shown as percentages."""
    axes.set_xlim(0, largest * 1.04)
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:g}")
    axes.locator_params(axis="x", nbins=5)
    axes.set_xlabel(label)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_color(style.LIGHT)


def draw_shared(axes: Axes, audits: dict[str, pd.DataFrame], site: dict) -> None:
    """A row for each kind of leak and scope of a site; in it a bar for each protocol."""
    step = 0.8 / len(audits)
    for position, audit in enumerate(audits.values()):
        colour = style.accent(position)
        for row, (kind, scope) in enumerate(SHARED):
            y = row + (position - (len(audits) - 1) / 2) * step
            value, text = shared_value(audit, kind, scope)
            if scope == "within" and site["role"] == "external":
                value, text = 0.0, "trains nothing"
            axes.barh(y, value, height=0.85 * step, color=colour, linewidth=0)
            style.write_right_of(axes, value, y, text, fontsize=6, color=colour)
    axes.set_yticks(range(len(SHARED)), SHARED.values())
    axes.set_ylim(len(SHARED) - 0.4, -0.6)


def shared_value(audit: pd.DataFrame, kind: str, scope: str) -> tuple[float, str]:
    """The fraction of a site's evaluation images, and what is written beside its bar.

    For a shared patient it is the fraction of those whose patient is known.
    """
    one_or_all = audit["other"].isna() if scope == "across" else True
    rows = audit[(audit["scope"] == scope) & (audit["shared"] == kind) & one_or_all]
    if rows.empty:
        return 0.0, "no other site"
    row = rows.iloc[0]
    if np.isnan(row["fraction"]):
        return 0.0, "patients unknown"
    if not row["affected_images"]:
        return 0.0, "0"
    return row["fraction"], share(row["fraction"])


def rate_rows(labels: pd.DataFrame) -> list[pd.Series]:
    """What the right panel shows of a site: its rates by view, their odds, the same by sex."""
    rows = labels[labels["check"].isin(["positive", "odds ratio"]) & (labels["group"] != "all")]
    order = rows["group"].str.startswith("sex") * 2 + (rows["check"] == "odds ratio")
    return [row for _, row in rows.iloc[np.argsort(order, kind="stable")].iterrows()]


def draw_rates(axes: Axes, rows: list[pd.Series]) -> None:
    """A point with its interval for each view and sex; odds ratios as text below each."""
    for y, row in enumerate(rows):
        if row["check"] == "odds ratio":
            style.write_right_of(axes, 0, y, odds_text(row), color=style.GREY, fontsize=6)
            continue
        axes.plot([row["low"], row["high"]], [y, y], color=style.INK, linewidth=0.9)
        axes.plot(row["value"], y, "o", color=style.INK, markersize=3)
        count = f"{share(row['value'])} of {row['images']:,.0f}"
        style.write_right_of(axes, row["high"], y, count, fontsize=6)
    groups = [(y, row["group"]) for y, row in enumerate(rows) if row["check"] == "positive"]
    axes.set_yticks([y for y, _ in groups], [group_title(group) for _, group in groups])
    axes.set_ylim(len(rows) - 0.4, -0.6)


def group_title(group: str) -> str:
    """What the figure calls a group: 'AP' for 'view AP', 'female' for 'sex F'."""
    tag, _, value = group.partition(" ")
    return f"{tag} unknown" if value == "unknown" else SEXES.get(value, value)


def odds_text(row: pd.Series) -> str:
    """'odds ratio AP : PA  4.58 (2.84–7.38)'."""
    values = row["group"].partition(" ")[2].split(" against ")
    name = " : ".join(SEXES.get(value, value) for value in values)
    if np.isnan(row["value"]):
        return f"odds ratio {name}  not defined"
    return f"odds ratio {name}  {bracketed(row['value'], row['low'], row['high'], 2)}"


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--audit", nargs="+", required=True, type=Path, help="a file per protocol")
    parser.add_argument("--labels", required=True, type=Path)
    add_titles(parser)
    style.add_outputs(parser)
    arguments = parser.parse_args(argv)
    tables = [LEAKAGE.read(path) for path in arguments.audit]
    audits = {table["protocol"].iloc[0]: table for table in tables}
    figures = draw(audits, LABEL_CHECKS.read(arguments.labels), arguments.titles)
    style.save_pages(figures, arguments.pdf, arguments.png, arguments.mark)


if __name__ == "__main__":
    run(main)
