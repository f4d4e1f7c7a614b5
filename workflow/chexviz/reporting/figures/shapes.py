"""What Figure 1 is drawn from: boxes, arrows, blocks of a network, and a small radiograph.

All lengths are mm on the printed page; y grows upwards.
"""

from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import (
    Circle,
    Ellipse,
    FancyArrowPatch,
    FancyBboxPatch,
    Patch,
    Polygon,
    Rectangle,
)

from chexviz.reporting.figures import style

Point = tuple[float, float]
Colour = str | tuple[float, float, float]


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
    """A rounded box behind everything; (x, y): its lower left corner."""
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
    """An arrow between two points; head: its size in points."""
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
