"""Figure of the leaks: what comes back from what a site sends, and who is found in the models."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.tables.privacy import INVERSION, MEMBERSHIP, MEMBERSHIP_ROC, SCENARIOS
from chexviz.reporting.figures import style
from chexviz.reporting.titles import model_title
from chexviz.reporting.wording import bracketed

FIGURE = {
    "name": "privacy",
    "by_protocol": False,
    "asked": "privacy",
    "caption": (
        "*What leaks.* a, the first radiograph that is attacked, the reconstruction that is most "
        "like it, and a radiograph of another patient, which took no part. b, how near "
        "reconstructions come to the right image and to those that took no part. c, how often the "
        "right image is the one that a reconstruction correlates with most. d, the patients who "
        "trained a model, found by membership inference."
    ),
    "radiographs": True,
    "alt": "Reconstructed radiographs, their likeness, and curves of membership inference",
    "category": "Privacy",
    "shows": "what leaks",
    "report": (
        "a, gradient inversion (Geiping et al. 2020) of the first model: a radiograph that "
        "trained, the reconstruction that is most like it, and one of another patient that took no "
        "part. b, PSNR of reconstructions with the right image, and with images that took no part. "
        "c, how often the right image is the one that a reconstruction correlates with most. d, "
        "membership inference by shadow models (Carlini et al. 2022): found are patients who "
        "trained the model, falsely accused those who did not; dashed: of models that all of them "
        "trained, which must be near the diagonal."
    ),
}
TITLES = {
    "image_all": "one image, whole model",
    "image": "one image, what is exchanged",
    "batch": "batch, what is exchanged",
    "round": "update of a round",
}
SHOWN = ("radiograph", "came back", "another")
NOTE = (
    "Dots and bars: means over patients with 95 % intervals (none: too few patients). Filled: the "
    "right image; open: an image of the same site that took no part. Bars in c: Wilson intervals; "
    "ticks: by chance. Dashed in d: the control."
)
# mm on the printed page
EDGE, TOP, GAP, BETWEEN, HEAD = 4.0, 5.0, 0.6, 4.0, 1.8
TILE = (style.DOUBLE_COLUMN - 2 * EDGE - 3 * BETWEEN - 8 * GAP) / 12
PANELS = TOP + HEAD + TILE + 12  # where they begin
LOW, HIGH, AXIS = 44.0, 110.0, 12.0  # of the panels, by the number of models
MODEL, LEGEND = 2.6, 3.4  # of a model in a scenario, and in the legend
COLUMNS = ((38.0, 38.0), (83.0, 26.0), (121.0, 55.0))  # left edges and widths
LEAST = 1e-3  # the smallest rate of the curves
FILLED = 0.7  # of a scenario's part of a panel


def draw(
    inversion: pd.DataFrame,
    pictures: dict[str, np.ndarray],
    membership: pd.DataFrame,
    roc: pd.DataFrame,
) -> Figure:
    """The page. Tables: of all models that are attacked. pictures: of the first, by scenario."""
    text = style.wrapped(NOTE, style.DOUBLE_COLUMN - 5)
    names = models(inversion)
    tall = min(max(LOW, len(SCENARIOS) * len(names) * MODEL / FILLED), HIGH)
    below = PANELS + tall + AXIS
    rows = math.ceil(len(names) / 2)
    height = below + rows * LEGEND + 2 + style.note_height(text)
    figure = style.new_figure(style.DOUBLE_COLUMN, height)
    draw_pictures(figure, pictures)
    boxes = [style.axes_at(figure, x, PANELS, width, tall) for x, width in COLUMNS]
    draw_likeness(boxes[0], inversion, names)
    draw_found(boxes[1], inversion, names)
    draw_curves(boxes[2], roc, names)
    draw_legend(
        style.axes_at(figure, 0, below, style.DOUBLE_COLUMN, rows * LEGEND), membership, names
    )
    for axes, letter, dx in zip(boxes, "bcd", (-34, -2, -10), strict=True):
        style.panel_letter(axes, letter, dx, 2)
    style.text_at(figure, 2.5, TOP, "a", fontsize=9, fontweight="bold")
    style.write_note(figure, text)
    return figure


def models(table: pd.DataFrame) -> list[tuple[str, str]]:
    """The models of a table, in its order."""
    return list(dict.fromkeys(zip(table["architecture"], table["method"], strict=True)))


def of(table: pd.DataFrame, model: tuple[str, str]) -> pd.DataFrame:
    """The rows of a model."""
    architecture, method = model
    return table[(table["architecture"] == architecture) & (table["method"] == method)]


# --- pictures ------------------------------------------------------------------------------------


def draw_pictures(figure: Figure, pictures: dict[str, np.ndarray]) -> None:
    """Three tiles for each scenario."""
    for column, scenario in enumerate(SCENARIOS):
        left = EDGE + column * (3 * TILE + 2 * GAP + BETWEEN)
        style.text_at(figure, left + 2 * (column == 0), TOP, capital(TITLES[scenario]), fontsize=7)
        for place, (picture, title) in enumerate(zip(pictures[scenario], SHOWN, strict=True)):
            x = left + place * (TILE + GAP)
            axes = style.axes_at(figure, x, TOP + HEAD, TILE, TILE)
            axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axes.set_axis_off()
            look: style.Look = {"fontsize": 5.5, "color": style.GREY, "ha": "center", "va": "top"}
            style.text_at(figure, x + TILE / 2, TOP + HEAD + TILE + 1, title, **look)


def capital(text: str) -> str:
    """With a capital at its start."""
    return text[:1].upper() + text[1:]


# --- likeness ------------------------------------------------------------------------------------


def lines(names: Sequence[Any]) -> dict[tuple[int, str], float]:
    """The height of each model (its position) and scenario: scenarios one below the other."""
    apart = FILLED / max(len(names), 1)
    return {
        (model, scenario): row + apart * (model - (len(names) - 1) / 2)
        for row, scenario in enumerate(SCENARIOS)
        for model in range(len(names))
    }


def draw_likeness(axes: Axes, table: pd.DataFrame, names: Sequence[tuple[str, str]]) -> None:
    """PSNR with the right image and with others, by scenario and model."""
    heights, shift = lines(names), min(0.08, FILLED / len(names) / 4)
    for number, model in enumerate(names):
        for _, row in of(table, model).iterrows():
            y, colour = heights[number, row["scenario"]], style.accent(number)
            draw_bar(axes, row, "psnr", y - shift, colour, colour)
            draw_bar(axes, row, "psnr_control", y + shift, colour, "white")
    axes.set_xlabel("PSNR (dB)")
    axes.set_yticks(range(len(SCENARIOS)), [capital(TITLES[one]) for one in SCENARIOS])
    axes.tick_params(axis="y", labelsize=6)
    axes.set_ylim(len(SCENARIOS) - 0.5, -0.5)


def draw_found(axes: Axes, table: pd.DataFrame, names: Sequence[tuple[str, str]]) -> None:
    """The share of reconstructions that point to the right image, and chance."""
    heights = lines(names)
    for number, model in enumerate(names):
        for _, row in of(table, model).iterrows():
            y = heights[number, row["scenario"]]
            percent = row.copy()
            for end in ("first", "first_low", "first_high"):
                percent[end] = 100 * row[end]
            draw_bar(axes, percent, "first", y, style.accent(number), style.accent(number))
            axes.plot(100 * row["chance"], y, "|", color=style.INK, markersize=7)
    axes.set(xlim=(-3, 103), xlabel="Right image found (%)")
    axes.set_yticks([])
    axes.set_ylim(len(SCENARIOS) - 0.5, -0.5)


def draw_bar(axes: Axes, row: pd.Series, name: str, y: float, colour: str, fill: str) -> None:
    """A value as a dot, with its interval if there is one."""
    look: style.Look = {"color": colour, "linewidth": 0.9, "zorder": 2}
    axes.plot([row[f"{name}_low"], row[f"{name}_high"]], [y, y], **look)
    dot: style.Look = {"markerfacecolor": fill, "markeredgewidth": 0.9, "markersize": 3.5}
    axes.plot(row[name], y, "o", color=colour, zorder=3, **dot)


# --- membership ----------------------------------------------------------------------------------


def draw_curves(axes: Axes, roc: pd.DataFrame, names: Sequence[tuple[str, str]]) -> None:
    """A curve for each model, and for its control, on logarithmic axes."""
    for number, model in enumerate(names):
        for comparison, dashes in (("attack", "-"), ("control", (0, (3, 1.5)))):
            points = of(roc, model)
            points = points[points["comparison"] == comparison]
            axes.step(
                [LEAST, *points["fpr"].clip(lower=LEAST), 1],
                [LEAST, *points["tpr"].clip(lower=LEAST), 1],
                where="post",
                color=style.accent(number),
                linestyle=dashes,
                linewidth=1,
            )
    axes.plot([LEAST, 1], [LEAST, 1], color=style.LIGHT, linewidth=0.8, zorder=0)
    axes.set(xscale="log", yscale="log", xlim=(LEAST, 1), ylim=(LEAST, 1))
    ticks = [0.001, 0.01, 0.1, 1]
    axes.set_xticks(ticks, [f"{100 * one:g}" for one in ticks])
    axes.set_yticks(ticks, [f"{100 * one:g}" for one in ticks])
    axes.minorticks_off()
    axes.set(xlabel="Others who are accused (%)", ylabel="Found, of those who trained (%)")


def draw_legend(axes: Axes, membership: pd.DataFrame, names: Sequence[tuple[str, str]]) -> None:
    """The models by their colours, in two columns, with the AUROC of attack and control."""
    areas = membership[membership["measure"] == "auroc"]
    half = style.DOUBLE_COLUMN / 2
    rows = math.ceil(len(names) / 2)
    axes.set(xlim=(0, style.DOUBLE_COLUMN), ylim=(rows, 0))
    axes.set_axis_off()
    for number, model in enumerate(names):
        x, y = EDGE + half * (number // rows), number % rows + 0.5
        found = of(areas, model).set_index("comparison")
        attack, control = (area(found.loc[one]) for one in ("attack", "control"))
        axes.plot([x, x + 6], [y, y], color=style.accent(number), linewidth=1.2)
        text = f"{model_title(*model)}: AUROC in d {attack}, control {control}"
        written = axes.text(x + 7.5, y, text, fontsize=6, va="center")
        style.shrink_to_fit(written, half - 15)


def area(row: pd.Series) -> str:
    """An AUROC with its interval."""
    return bracketed(row["value"], row["value_low"], row["value_high"], 2)


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    for option in ("inversion", "membership", "roc"):
        parser.add_argument(f"--{option}", nargs="+", required=True, type=Path, help="one a model")
    parser.add_argument("--pictures", required=True, type=Path, help="of the first model")
    style.add_outputs(parser)
    arguments = parser.parse_args(argv)
    inversion, membership, roc = (
        pd.concat([table.read(path) for path in paths], ignore_index=True)
        for table, paths in (
            (INVERSION, arguments.inversion),
            (MEMBERSHIP, arguments.membership),
            (MEMBERSHIP_ROC, arguments.roc),
        )
    )
    with np.load(arguments.pictures, allow_pickle=False) as file:
        pictures = dict(file)
    figure = draw(inversion, pictures, membership, roc)
    style.save(figure, arguments.pdf, arguments.png, arguments.mark)


if __name__ == "__main__":
    run(main)
