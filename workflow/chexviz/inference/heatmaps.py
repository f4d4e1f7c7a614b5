"""A picture of a radiograph and, beside it, where each finding was seen: a PNG for people."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from chexviz.base.files import replacing
from chexviz.images.annotated import upsample
from chexviz.inference.answers import Answer, letters, printable
from chexviz.inference.bundle import RESEARCH, Bundle, Finding
from chexviz.reporting.figures.overlay import blend
from chexviz.reporting.figures.style import INK, WARNING
from chexviz.reporting.titles import finding_title
from chexviz.reporting.wording import capitalised

PANEL = 448  # pixels of a panel's side, at least
LINE, GAP = 26, 8  # pixels of a line of text, and between panels
FONT = 15
LEVEL = 3  # of compression: a third of the time of the usual one, for files an eighth larger
PAPER, WHITE = "#ffffff", "#ffffff"
NAME, LETTERS = 80, 300  # of a file's name, and of a line that may have to be cut


class Names:
    """Names for the results of a run: those of the files, without folders; no two are the same."""

    def __init__(self) -> None:
        self.taken: set[str] = set()

    def of(self, name: str) -> str:
        """A name of plain letters, whatever is in the file's own: it leads out of no folder.

        Without the suffix of a result.
        """
        last = re.split(r"[/\\]", name)[-1]
        plain = re.sub(r"[^A-Za-z0-9._-]+", "_", last).strip("._-")[-NAME:] or "radiograph"
        chosen, number = plain, 2
        while chosen.lower() in self.taken:
            chosen, number = f"{plain}_{number}", number + 1
        self.taken.add(chosen.lower())
        return chosen


def save(
    path: Path, image: np.ndarray, maps: Mapping[str, np.ndarray], answer: Answer, bundle: Bundle
) -> None:
    """Write the picture of a radiograph. image: uint8 (S, S). maps: (h, w) of each finding."""
    with replacing(path) as temporary:
        drawn(image, maps, answer, bundle).save(temporary, "PNG", compress_level=LEVEL)


def drawn(
    image: np.ndarray, maps: Mapping[str, np.ndarray], answer: Answer, bundle: Bundle
) -> Image.Image:
    """The picture: the radiograph, then each finding's map over it, scaled to its own maximum."""
    side = max(PANEL, len(image))
    panels = [(Image.fromarray(image).convert("RGB"), "Radiograph")]
    for finding in bundle.findings:
        (heat,) = upsample(maps[finding.name][np.newaxis], len(image))
        colours = (255 * blend(image, heat)).clip(0, 255).round().astype(np.uint8)
        panels.append((Image.fromarray(colours), caption(finding, answer, bool(heat.any()))))
    strip = LINE * bool(bundle.mark)
    width = len(panels) * (side + GAP) - GAP
    canvas = Image.new("RGB", (width, strip + side + 3 * LINE), PAPER)
    draw = ImageDraw.Draw(canvas)
    if bundle.mark:
        draw.rectangle((0, 0, width, strip - 1), fill=WARNING)
        write(draw, width // 2, strip // 2, bundle.mark, width, WHITE, "mm")
    for number, (panel, title) in enumerate(panels):
        left = number * (side + GAP)
        canvas.paste(panel.resize((side, side), Image.Resampling.BICUBIC), (left, strip))
        write(draw, left + side // 2, strip + side + LINE // 2, title, side, INK, "mm")
    remarks = "; ".join([printable(answer.name), *map(printable, answer.quality)])
    write(draw, 4, strip + side + 3 * LINE // 2, remarks, width, INK, "lm")
    whose = f"{RESEARCH} Bundle {bundle.name}. Each map is scaled to its own maximum."
    write(draw, 4, strip + side + 5 * LINE // 2, whose, width, INK, "lm")
    return canvas


def caption(finding: Finding, answer: Answer, seen: bool) -> str:
    """What stands below a map: 'Pneumonia 0.831, positive'."""
    one = answer.findings[finding.name]
    number = f"score {one.score:.3f}" if one.probability is None else f"{one.probability:.3f}"
    verdict = {True: ", positive", False: ", negative", None: ""}[one.positive]
    return f"{capitalised(finding_title(finding.name))} {number}{verdict}" + (
        "" if seen else ", no activation"
    )


def write(
    draw: ImageDraw.ImageDraw, x: int, y: int, text: str, width: int, colour: str, anchor: str
) -> None:
    """Write a line of text, cut where it is longer than `width` pixels. anchor: of Pillow."""
    text = letters(text, LETTERS)
    while text and draw.textlength(text, font()) > width - 8:
        text = text[:-2].rstrip("…") + "…"
    draw.text((x, y), text, colour, font(), anchor)


@cache
def font() -> ImageFont.FreeTypeFont:
    """The letters of all figures."""
    folder = Path(matplotlib.get_data_path(), "fonts", "ttf")
    return ImageFont.truetype(folder / "DejaVuSans.ttf", FONT)
