"""A small canvas in body coordinates, and what is drawn on it: slopes, spots, clouds, strokes.

x is from -1.15 (the patient's right, the viewer's left) to 1.15, y from -1.15 (head) to 1.15
(feet).
"""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

CANVAS = 448  # pixels; structures finer than this drown in a radiograph's noise
EXTENT = 1.15  # of the canvas, so that a shifted or rotated view still finds anatomy at its edges
HALF = ((np.arange(CANVAS // 2, dtype=np.float32) + 0.5) / (CANVAS // 2) * EXTENT)[None, :]
X = np.concatenate([-HALF[:, ::-1], HALF], axis=1)
Y = X.reshape(-1, 1)
Points = Sequence[tuple[float, float]] | np.ndarray  # (n, 2): x, y in canvas coordinates


def ramp(distance: np.ndarray, softness: float) -> np.ndarray:
    """0 below -softness, 1 above softness, smooth between."""
    step = distance * (0.5 / softness)
    step += 0.5
    np.clip(step, 0, 1, out=step)
    smooth = -2 * step
    smooth += 3
    smooth *= step
    smooth *= step
    return smooth


def bump(centre: float, radius: float) -> np.ndarray:
    """Half an ellipse along the rows: height 1 at `centre`, 0 from `radius` on."""
    return np.sqrt(np.clip(1 - ((Y - centre) / radius) ** 2, 0, None))


def spot(x: float, y: float, rx: float, ry: float, tilt: float = 0.0) -> np.ndarray:
    """Squared elliptical distance from (x, y), tilted by `tilt` radians: 1 on the ellipse."""
    cosine, sine = math.cos(tilt), math.sin(tilt)
    first = (X - x) * (cosine / rx) + (Y - y) * (sine / rx)
    second = (Y - y) * (cosine / ry) - (X - x) * (sine / ry)
    return first * first + second * second


def clouds(draws: np.random.Generator, cells: int) -> np.ndarray:
    """Smooth noise with features of 1 / cells of the canvas, about standard normal."""
    coarse = Image.fromarray(draws.standard_normal((cells, cells), dtype=np.float32))
    return 1.3 * np.asarray(coarse.resize((CANVAS, CANVAS), Image.Resampling.BICUBIC))


def curve(points: np.ndarray) -> np.ndarray:
    """A smooth line through four points, by their cubic polynomial: (24, 2)."""
    knots = np.linspace(0, 1, 4)
    weights = np.linalg.solve(np.vander(knots), points)
    return np.vander(np.linspace(0, 1, 24), 4) @ weights


class Pen:
    """Strokes on a layer of the canvas.

    detail: the layer's size in canvases. 2 gives smooth edges; less than 1 is for soft shadows.
    """

    def __init__(self, detail: float = 2):
        self.size = round(detail * CANVAS)
        self.layer = Image.new("L", (self.size, self.size))
        self.draw = ImageDraw.Draw(self.layer)

    def pixels(self, points: Points) -> list[tuple[float, float]]:
        scale = self.size / (2 * EXTENT)
        return [((x + EXTENT) * scale, (y + EXTENT) * scale) for x, y in points]

    def line(self, points: Points, width: float, value: float) -> None:
        """width: canvas units. value: [0, 1]."""
        thickness = max(1, round(width / (2 * EXTENT) * self.size))
        self.draw.line(self.pixels(points), fill=round(255 * value), width=thickness)

    def area(self, points: Points, value: float) -> None:
        self.draw.polygon(self.pixels(points), fill=round(255 * value))

    def result(self, blur: float) -> np.ndarray:
        """The layer on the canvas, float32 in [0, 1]; blur: radius in pixels of the canvas."""
        if self.size > CANVAS:
            layer = self.layer.reduce(self.size // CANVAS).filter(ImageFilter.BoxBlur(blur))
        else:
            layer = self.layer.filter(ImageFilter.BoxBlur(blur * self.size / CANVAS))
            layer = layer.resize((CANVAS, CANVAS), Image.Resampling.BICUBIC)
        return np.asarray(layer, dtype=np.float32) / 255
