"""Flow figure: images from the files that were found to the subsets, site by site."""

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from chexviz.base.rejections import spelt
from chexviz.reporting.figures import style
from chexviz.reporting.tables import flow
from chexviz.reporting.tables.characteristics import TITLES

FIGURE = {
    "name": "flow",
    "by_protocol": False,
    "caption": (
        "*Flow of images* from the files found to the subsets. Patients: those that are known."
    ),
    "alt": "Images found, rejected and in each subset, by site",
    "category": "Audit",
    "shows": "flow of images",
    "report": (
        "What became of the radiographs of each site: found, rejected by reason, usable, without a "
        "label, and in which subset under each protocol. The numbers are in ``audit/flow.csv``. Of "
        "more than four sites, the sums."
    ),
}
SITES = 4  # drawn one by one; of more, all together
REASONS = 5  # kinds of rejection that are named; all are in flow.csv
# mm on the printed page
EDGE, TOP, HEAD, LINE, PAD, GAP = 2.0, 2.0, 6.5, 3.1, 1.6, 9.0
FOUND, USABLE = 33.0, 37.0
SUBSETS = style.DOUBLE_COLUMN - 2 * EDGE - FOUND - USABLE - 2 * GAP
BETWEEN, BELOW = 5.0, 2.2  # sites; a box and what was left out under it
LEFT_OUT = 46  # letters of a line of it
SIZE = 6.8  # pt


def draw(table: pd.DataFrame, titles: dict[str, str]) -> Figure:
    """The figure. table: of all sites (see flow.steps). titles: of the sites, in order."""
    if len(titles) > SITES:
        table, titles = flow.together(table), {"": f"All {len(titles)} sites together"}
    sites = {title: table[table["site"] == site] for site, title in titles.items()}
    heights = [HEAD + max(left_height(rows), right_height(rows)) for rows in sites.values()]
    height = TOP + sum(heights) + BETWEEN * (len(sites) - 1) + EDGE
    figure = style.new_figure(style.DOUBLE_COLUMN, height)
    axes = style.axes_at(figure, 0, 0, style.DOUBLE_COLUMN, height)
    axes.set(xlim=(0, style.DOUBLE_COLUMN), ylim=(height, 0))
    axes.axis("off")
    y = TOP
    for (title, rows), tall in zip(sites.items(), heights, strict=True):
        heading = axes.text(EDGE, y + 3, title, fontsize=7.5, fontweight="bold", va="baseline")
        style.shrink_to_fit(heading, style.DOUBLE_COLUMN - 2 * EDGE)
        draw_site(axes, rows, y + HEAD)
        y += tall + BETWEEN
    return figure


def draw_site(axes: Axes, rows: pd.DataFrame, y: float) -> None:
    """The boxes of a site: found, usable, and one a protocol with its subsets."""
    found, usable = (rows[rows["step"] == step].iloc[0] for step in (flow.FOUND, flow.USABLE))
    tall = box_height(3)
    box(axes, EDGE, y, FOUND, tall, ["Radiographs found", f"{found['images']:,.0f}", ""])
    x = EDGE + FOUND + GAP
    box(axes, x, y, USABLE, tall, ["Usable images", f"{usable['images']:,.0f}", counts(usable)])
    arrow(axes, EDGE + FOUND, x, y + tall / 2)
    write(axes, EDGE, y + tall + BELOW, left_out(rows))
    at = y
    for protocol, lines in subsets(rows).items():
        high = box_height(1 + len(lines))
        left = x + USABLE + GAP
        box(axes, left, at, SUBSETS, high, [f"Split: {protocol}", *lines], centred=False)
        arrow(axes, x + USABLE, left, y + tall / 2, at + min(high, tall) / 2)
        at += high + BELOW


def box_height(lines: int) -> float:
    """Of a box with so many lines, mm."""
    return 2 * PAD + lines * LINE


def left_height(rows: pd.DataFrame) -> float:
    """Of the boxes on the left and of what is left out below them, mm."""
    return box_height(3) + BELOW + LINE * len(left_out(rows))


def right_height(rows: pd.DataFrame) -> float:
    """Of the boxes of the protocols, mm."""
    return sum(box_height(1 + len(lines)) + BELOW for lines in subsets(rows).values())


def left_out(rows: pd.DataFrame) -> list[str]:
    """The lines that say what is rejected, by reason, and what no protocol uses."""
    rejected = rows[rows["step"] == flow.REJECTED].sort_values(
        "images", ascending=False, kind="stable"
    )
    texts = [f"Rejected: {rejected['images'].sum():,.0f}"]
    named = zip(rejected["images"][:REASONS], rejected["reason"], strict=False)
    texts += [f"  {count:,.0f}  {spelt(reason)}" for count, reason in named]
    if len(rejected) > REASONS:
        others = rejected["images"][REASONS:]
        texts.append(f"  {others.sum():,.0f}  for {len(others)} other kinds of reasons")
    unlabelled = rows.loc[rows["step"] == flow.UNLABELLED, "images"].sum()
    texts.append(f"Usable, but without a label: {unlabelled:,.0f}")
    return [
        line for text in texts for line in textwrap.wrap(text, LEFT_OUT, subsequent_indent="    ")
    ]


def subsets(rows: pd.DataFrame) -> dict[str, list[str]]:
    """By protocol, a line for each subset."""
    lines: dict[str, list[str]] = {}
    for _, one in rows[rows["step"] == flow.SUBSET].iterrows():
        text = f"{TITLES[one['subset']].capitalize()}: {one['images']:,.0f} images, {counts(one)}"
        lines.setdefault(one["protocol"], []).append(text)
    return lines


def counts(one: pd.Series) -> str:
    """'135 positive, 204 known patients', as far as they are known."""
    patients = one["patients"]
    known = "patients unknown" if np.isnan(patients) else f"{patients:,.0f} known patients"
    return f"{one['positives']:,.0f} positive, {known}"


def box(
    axes: Axes,
    x: float,
    y: float,
    width: float,
    high: float,
    lines: list[str],
    centred: bool = True,
) -> None:
    """A box with lines of text, the first of them bold."""
    look: style.Look = {"facecolor": style.tint(style.ACCENTS[0], 0.08), "linewidth": 0.7}
    axes.add_patch(Rectangle((x, y), width, high, edgecolor=style.ACCENTS[0], **look))
    across = x + (width / 2 if centred else PAD)
    for position, line in enumerate(lines):
        text = axes.text(
            *(across, y + PAD + (position + 0.5) * LINE, line),
            ha="center" if centred else "left",
            va="center_baseline",
            fontsize=SIZE,
            fontweight="normal" if position else "bold",
        )
        style.shrink_to_fit(text, width - 2 * PAD + 1, smallest=6)


def arrow(axes: Axes, x: float, end: float, y: float, down: float | None = None) -> None:
    """An arrow from x to end at the height y, or from there down to another one."""
    look = {"arrowstyle": "-|>", "color": style.INK, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 1}
    axes.annotate("", (end, y if down is None else down), (x, y), arrowprops=look)


def write(axes: Axes, x: float, y: float, lines: list[str]) -> None:
    """Lines of grey text, from their upper left corner down."""
    for position, line in enumerate(lines):
        look: style.Look = {"fontsize": SIZE, "color": style.GREY, "va": "center_baseline"}
        axes.text(x, y + (position + 0.5) * LINE, line, **look)
