"""How a Grad-CAM map and an annotation look over a radiograph."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from chexviz.images.run_lengths import to_mask
from chexviz.reporting.figures.style import Look

OUTLINE = "#56B4E9"
OPACITY = 0.65  # of the map's maximum; lower values are more transparent, zero is clear


def blend(grey: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """A map over a radiograph, RGB (S, S, 3). grey: uint8 (S, S). heat: (S, S) in [0, 1]."""
    colour = matplotlib.colormaps["inferno"](heat)[..., :3]
    opacity = (OPACITY * heat)[..., np.newaxis]
    return (1 - opacity) * grey[..., np.newaxis] / 255 + opacity * colour


def show(axes: Axes, rgb: np.ndarray, outlines: pd.DataFrame, linewidth: float) -> None:
    """Show an RGB image (S, S, 3) with its boxes and masks outlined."""
    size = len(rgb)
    axes.imshow(np.clip(rgb, 0, 1), extent=(0, size, size, 0), interpolation="bilinear")
    for row in outlines.itertuples():
        if isinstance(row.runs, str):
            middles = np.arange(size) + 0.5
            mask = to_mask(row.runs, (size, size))
            axes.contour(middles, middles, mask, [0.5], colors=OUTLINE, linewidths=linewidth)
        else:
            corner = (row.x, row.y)
            look: Look = {"fill": False, "edgecolor": OUTLINE, "linewidth": linewidth}
            axes.add_patch(Rectangle(corner, row.width, row.height, **look))


def show_map(
    axes: Axes, grey: np.ndarray, heat: np.ndarray, outlines: pd.DataFrame, fontsize: float = 7
) -> None:
    """Show a map (S, S) in [0, 1] over a radiograph, outlined, and say where it is all zero."""
    show(axes, blend(grey, heat), outlines, linewidth=0.7)
    if not heat.any():
        patch = {"facecolor": "black", "alpha": 0.7, "edgecolor": "none", "pad": 1.5}
        look: Look = {"color": "white", "ha": "center", "va": "bottom", "bbox": patch}
        axes.text(0.5, 0.04, "no activation", transform=axes.transAxes, fontsize=fontsize, **look)


def below(axes: Axes, text: str, fontsize: float = 6.5) -> None:
    look: Look = {"ha": "center", "va": "top", "fontsize": fontsize}
    axes.text(0.5, -0.025, text, transform=axes.transAxes, **look)


def draw_colours(axes: Axes) -> None:
    """The map's colours as they look over mid grey, from zero to the maximum."""
    ramp = np.tile(np.linspace(0, 1, 128), (2, 1))
    axes.imshow(blend(np.full(ramp.shape, 128), ramp), aspect="auto")
    axes.axis("off")
    look: Look = {"transform": axes.transAxes, "va": "center_baseline", "fontsize": 6.5}
    axes.text(-0.06, 0.5, "0", ha="right", **look)
    axes.text(1.05, 0.5, "max", ha="left", **look)
