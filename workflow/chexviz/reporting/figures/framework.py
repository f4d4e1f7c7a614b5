"""Figure 1: the CheXViz framework. What each site keeps, what it sends, and the global model."""

import json
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import (
    Circle,
    Ellipse,
    FancyArrowPatch,
    FancyBboxPatch,
    Patch,
    Polygon,
    Rectangle,
)

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.base.options import finite_json
from chexviz.reporting.figures import style
from chexviz.reporting.titles import capitalised

Point = tuple[float, float]
Colour = str | tuple[float, float, float]

# All lengths are mm on the printed page; y grows upwards.
HEIGHT = 97.0
FEDERATION = 119.0  # width of panel a
GLOBAL = 123.0  # left edge of panel b
GLOBAL_WIDTH = 56.0
CARD_BOTTOM, CARD_TOP = 15.0, 58.0
SERVER_BOTTOM, SERVER_TOP = 71.0, 90.0
GAP = 3.0
STEPS = ("train locally", "send representation", "average", "return the average")


def draw(sites: list[dict]) -> Figure:
    """The figure for these sites: dictionaries with title and task, in order."""
    figure = style.new_figure(style.DOUBLE_COLUMN, HEIGHT)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, style.DOUBLE_COLUMN), ylim=(0, HEIGHT))
    axes.axis("off")
    draw_federation(axes, sites)
    draw_global_model(axes, sites)
    draw_key(axes)
    return figure


def draw_federation(axes: Axes, sites: list[dict]) -> None:
    """Panel a: one round. Sites below, the server above, arrows between them."""
    heading(axes, 1, "a", "One federated round")
    draw_server(axes, sites)
    width = (FEDERATION - 2 - GAP * (len(sites) - 1)) / len(sites)
    between = (CARD_TOP + SERVER_BOTTOM) / 2
    low, high = CARD_TOP + 0.8, SERVER_BOTTOM - 0.8
    for position, site in enumerate(sites):
        x = 1 + position * (width + GAP)
        colour = style.accent(position)
        draw_site(axes, x, width, site, colour)
        centre, reach = x + width / 2, min(4.5, width / 5)
        arrow(axes, (centre - reach, low), (centre - reach, high), colour)
        arrow(axes, (centre + reach, high), (centre + reach, low), style.GREY)
        step(axes, centre - reach - 3.0, between, "2", colour)
        step(axes, centre + reach + 3.0, between, "4", style.GREY)


def draw_server(axes: Axes, sites: list[dict]) -> None:
    """The server: the sites' representation blocks, their mean."""
    box(axes, 1, SERVER_BOTTOM, FEDERATION - 2, SERVER_TOP - SERVER_BOTTOM, "#F4F4F4", "#BDBDBD")
    middle = (SERVER_BOTTOM + SERVER_TOP) / 2
    axes.text(5, middle + 1.9, "Server", fontsize=8, fontweight="bold", va="center_baseline")
    axes.text(5, middle - 2.3, "sees weights only", va="center_baseline", color=style.GREY)
    pitch = min(12.5, 46.0 / len(sites))
    block = pitch - 3.3
    used = len(sites) * pitch + 40  # the blocks, the arrow, the average and its name
    start = 28 + (FEDERATION - 30 - used) / 2
    for position in range(len(sites)):
        x = start + position * pitch
        representation(axes, x, middle - 4.5, block, 9, style.accent(position))
        if position + 1 < len(sites):
            axes.text(
                x + (block + pitch) / 2, middle, "+", ha="center", va="center_baseline", fontsize=8
            )
    end = start + len(sites) * pitch - 3.3
    arrow(axes, (end + 2, middle), (end + 10, middle), style.INK)
    step(axes, end + 5.6, middle + 3.8, "3", style.INK)
    representation(axes, end + 12, middle - 4.5, 9.2, 9, style.GREY)
    axes.text(end + 22.5, middle, "averaged\nrepresentation", va="center", linespacing=1.25)


def draw_site(axes: Axes, x: float, width: float, site: dict, colour: str) -> None:
    """A site's card: its images, which stay, its representation block and its own task block."""
    box(axes, x, CARD_BOTTOM, width, CARD_TOP - CARD_BOTTOM, style.tint(colour, 0.08), colour)
    centre = x + width / 2
    top = CARD_TOP - 4.2
    fitted(axes, centre, top, site["title"], width - 3, weight="bold", size=8, colour=colour)
    fitted(axes, centre, top - 4.0, site["task"], width - 3)
    body, middle = min(width - 4, 30.0), CARD_BOTTOM + 26.5
    left = centre - body / 2
    representation(axes, left, middle - 5, body * 0.56, 10, colour)
    task_block(axes, left + body * 0.68, middle - 4.5, body * 0.32, 9, colour)
    ends = [left + body * 0.56 - 0.5, left + body * 0.68 - 0.4]
    axes.plot(ends, [middle, middle], color=style.INK, lw=0.7)
    arrow(axes, (centre, CARD_BOTTOM + 16.4), (centre, CARD_BOTTOM + 20.4), style.INK, head=4)
    step(axes, centre - 3.4, CARD_BOTTOM + 18.4, "1", style.INK)
    for offset in (0.9, 0.0, -0.9):
        radiograph(axes, centre - 4.25 + offset, CARD_BOTTOM + 6.4 + offset, 8.5)
    fitted(axes, centre, CARD_BOTTOM + 3.0, "private images", width - 3, colour=style.GREY)


def draw_global_model(axes: Axes, sites: list[dict]) -> None:
    """Panel b: the averaged representation with the task block of every site."""
    heading(axes, GLOBAL, "b", "Global model")
    box(axes, GLOBAL, CARD_BOTTOM, GLOBAL_WIDTH, SERVER_TOP - CARD_BOTTOM, "#F4F4F4", "#BDBDBD")
    middle = (CARD_BOTTOM + SERVER_TOP) / 2
    radiograph(axes, GLOBAL + 2.5, middle - 4.25, 8.5)
    arrow(axes, (GLOBAL + 11.5, middle), (GLOBAL + 14.0, middle), style.INK, head=4)
    representation(axes, GLOBAL + 14.6, middle - 6, 9.4, 12, style.GREY)
    pitch = min(22.0, 64.0 / len(sites))
    block, bus = min(9.0, pitch * 0.7), GLOBAL + 25.2
    centres = [middle + ((len(sites) - 1) / 2 - index) * pitch for index in range(len(sites))]
    axes.plot([GLOBAL + 23.5, bus], [middle, middle], color=style.INK, lw=0.8)
    axes.plot([bus, bus], [centres[0], centres[-1]], color=style.INK, lw=0.8)
    for position, (site, y) in enumerate(zip(sites, centres, strict=True)):
        arrow(axes, (bus, y), (bus + 3.0, y), style.INK, head=4)
        task_block(axes, bus + 3.6, y - block / 2, 6.5, block, style.accent(position))
        fitted(axes, bus + 11.3, y, site["task"], GLOBAL + GLOBAL_WIDTH - bus - 12.3, align="left")


def draw_key(axes: Axes) -> None:
    """What the discs and the two kinds of block mean, below the panels."""
    for number, (text, x) in enumerate(zip(STEPS, (2.8, 29.0, 64.0, 87.0), strict=True), start=1):
        step(axes, x, 9.2, str(number), style.INK)
        axes.text(x + 2.8, 9.2, text, va="center_baseline")
    representation(axes, 1.0, 1.0, 5.6, 5, style.GREY)
    axes.text(8.0, 3.5, "representation block, shared and averaged", va="center_baseline")
    task_block(axes, 65.4, 1.0, 4.4, 5, style.GREY)
    axes.text(71.2, 3.5, "task block, never averaged", va="center_baseline")


def heading(axes: Axes, x: float, letter: str, text: str) -> None:
    axes.text(x, HEIGHT - 4.2, letter, fontsize=9, fontweight="bold", va="baseline")
    axes.text(x + 4, HEIGHT - 4.2, text, fontsize=8, va="baseline")


def fitted(
    axes: Axes,
    x: float,
    y: float,
    text: str,
    width: float,
    *,
    align: Literal["left", "center", "right"] = "center",
    weight: str = "normal",
    size: float = 7.0,
    colour: str = style.INK,
) -> None:
    """Text in the middle of the line at y, shrunk if it is wider than `width` mm."""
    label = axes.text(
        x, y, text, ha=align, va="center_baseline", fontsize=size, fontweight=weight, color=colour
    )
    style.shrink_to_fit(label, width)


def box(
    axes: Axes, x: float, y: float, width: float, height: float, face: Colour, edge: Colour
) -> None:
    axes.add_patch(
        FancyBboxPatch(
            (x + 1.5, y + 1.5),
            width - 3,
            height - 3,
            boxstyle="round,pad=1.5,rounding_size=2",
            facecolor=face,
            edgecolor=edge,
            linewidth=0.8,
            zorder=0,
        )
    )


def arrow(axes: Axes, start: Point, end: Point, colour: str, head: float = 6) -> None:
    axes.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>",
            mutation_scale=head,
            shrinkA=0,
            shrinkB=0,
            color=colour,
            linewidth=1.1,
            zorder=2,
        )
    )


def step(axes: Axes, x: float, y: float, number: str, colour: str) -> None:
    """A numbered disc."""
    axes.add_patch(Circle((x, y), 1.75, facecolor=colour, edgecolor="none", zorder=3))
    look: style.Look = {"color": "white", "fontsize": 6.5, "fontweight": "bold", "zorder": 4}
    axes.text(x, y - 0.05, number, ha="center", va="center_baseline", **look)


def representation(
    axes: Axes, x: float, y: float, width: float, height: float, colour: str
) -> None:
    """A representation block: feature maps that get smaller and more numerous."""
    middle, count = y + height / 2, 4
    pitch = width / count
    for position in range(count):
        tall = height * (1 - 0.2 * position)
        axes.add_patch(
            Rectangle(
                (x + position * pitch, middle - tall / 2),
                pitch * 0.74,
                tall,
                facecolor=style.tint(colour, 0.30 + 0.15 * position),
                edgecolor=colour,
                linewidth=0.6,
                zorder=2,
            )
        )


def task_block(axes: Axes, x: float, y: float, width: float, height: float, colour: str) -> None:
    """A task block: a small fully connected head."""
    axes.add_patch(
        FancyBboxPatch(
            (x, y),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=0.8",
            facecolor="white",
            edgecolor=colour,
            linewidth=0.9,
            zorder=2,
        )
    )
    units = y + height * np.array([0.22, 0.5, 0.78])
    radius = min(0.8, height * 0.1, width * 0.12)
    near, far = x + width * 0.28, x + width * 0.72
    for unit in units:
        axes.plot([near, far], [unit, y + height / 2], color=colour, lw=0.5, zorder=2.5)
        axes.add_patch(Circle((near, unit), radius, facecolor=colour, edgecolor="none", zorder=3))
    axes.add_patch(Circle((far, y + height / 2), radius, color=colour, linewidth=0, zorder=3))


HALF_TORSO = ((0.06, 0), (0.1, 0.62), (0.38, 0.86), (0.42, 1))
TORSO = (*HALF_TORSO, *((1 - across, up) for across, up in reversed(HALF_TORSO)))


def radiograph(axes: Axes, x: float, y: float, size: float) -> None:
    """A small drawn chest radiograph with its lower left corner at (x, y)."""
    frame = Rectangle((x, y), size, size, facecolor="#1C1C1C", edgecolor="white", linewidth=0.6)
    frame.set_zorder(2)
    axes.add_patch(frame)

    def at(across: float, up: float) -> Point:
        return x + size * across, y + size * up

    def ellipse(
        across: float, up: float, width: float, height: float, colour: str, angle: float = 0.0
    ) -> Ellipse:
        return Ellipse(at(across, up), size * width, size * height, angle=angle, facecolor=colour)

    parts: list[Patch] = [Polygon([at(*place) for place in TORSO], facecolor="#8C8C8C")]
    for across, tilt in ((0.3, -6), (0.7, 6)):
        parts.append(ellipse(across, 0.48, 0.3, 0.62, "#333333", tilt))
        ribs = (0.32, 0.44, 0.56, 0.68)
        parts += [ellipse(across, up, 0.26, 0.03, "#5E5E5E", -2 * tilt) for up in ribs]
    parts.append(ellipse(0.56, 0.3, 0.34, 0.3, "#AAAAAA"))
    parts.append(Rectangle(at(0.465, 0), 0.07 * size, size, facecolor="#AAAAAA"))
    for part in parts:
        part.set(linewidth=0, zorder=2)
        axes.add_patch(part)
        part.set_clip_path(frame)


def read_sites(settings: dict) -> list[dict]:
    """The sites of the settings, checked. Raises InputError unless each has a title and a task."""
    sites = settings.get("sites", [])
    if not sites or not all({"title", "task"} <= set(site) for site in sites):
        raise InputError(
            "--settings",
            expected='{"sites": [{"name": ..., "title": ..., "task": ...}, ...]}',
            found=json.dumps(settings),
            fix="give every site a title and a task",
        )
    return [{**site, "task": capitalised(site["task"])} for site in sites]


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--settings", required=True, type=finite_json)
    parser.add_argument("--mark", default="", help="a text that the figure shows")
    parser.add_argument("--pdf", required=True, type=Path)
    parser.add_argument("--png", required=True, type=Path)
    arguments = parser.parse_args(argv)
    figure = draw(read_sites(arguments.settings))
    style.save(figure, arguments.pdf, arguments.png, arguments.mark)


if __name__ == "__main__":
    run(main)
