"""The one look of every figure: physical sizes, colours, and files that never differ on a rerun."""

from argparse import ArgumentParser
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.textpath import TextPath

from chexviz.base.files import replacing_all

Look = dict[str, Any]  # of texts, lines and patches: keyword arguments of matplotlib

DOUBLE_COLUMN = 180.0  # mm, the printed width of a journal page
INK, GREY, LIGHT = "#222222", "#6F6F6F", "#D9D9D9"
# Okabe and Ito's palette: told apart with every common colour vision deficiency.
ACCENTS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
WARNING = "#B3261E"
NOTE, NOTE_LINE = 6.5, 2.8  # points and mm a line, of the notes below a figure
STRIP = 5.5  # mm, the height of the strip that a mark takes above the figure

plt.style.use(Path(__file__).with_suffix(".mplstyle"))


def inches(millimetres: float) -> float:
    """A length in the unit of matplotlib."""
    return millimetres / 25.4


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of width x height mm."""
    return plt.figure(figsize=(inches(width), inches(height)))


def size_mm(figure: Figure) -> tuple[float, float]:
    """Width and height of the figure in mm."""
    width, height = figure.get_size_inches() * 25.4
    return float(width), float(height)


def axes_at(figure: Figure, x: float, y: float, width: float, height: float) -> Axes:
    """Axes of width x height mm, x mm from the left and y mm from the top."""
    across, down = size_mm(figure)
    return figure.add_axes((x / across, 1 - (y + height) / down, width / across, height / down))


def text_at(figure: Figure, x: float, y: float, text: str, **look: Any) -> Text:
    """Text placed x mm from the left and y mm from the top."""
    across, down = size_mm(figure)
    return figure.text(x / across, 1 - y / down, text, **look)


def wrapped(text: str, length: float) -> str:
    """A note in lines of at most `length` mm at NOTE points, broken between words."""
    lines = []
    for given in text.split("\n"):
        line, *words = given.split(" ")
        for word in words:
            longer = f"{line} {word}"
            if note_length(longer) <= 0.97 * length:  # a PNG's letters are a little wider
                line = longer
            else:
                lines.append(line)
                line = word
        lines.append(line)
    return "\n".join(lines)


def note_length(line: str) -> float:
    """The width of a line of a note in mm, from the outlines of its letters.

    Of curves the ends and control points are taken, between which they lie: type designers put one
    at each edge of a letter, and get_extents, which solves for edges, takes ten times as long.
    """
    outline = TextPath((0, 0), line, size=NOTE)
    drawn = outline.vertices[outline.codes != TextPath.CLOSEPOLY, 0]
    return float(np.ptp(drawn)) * 25.4 / 72


def note_height(text: str) -> float:
    """The height of a wrapped note in mm, with what keeps it apart from the figure."""
    return NOTE_LINE * (text.count("\n") + 1) + 2


def write_note(figure: Figure, text: str) -> None:
    """A wrapped note at the bottom of a figure that has room for it."""
    _, height = size_mm(figure)
    text_at(figure, 2.5, height - 1, text, fontsize=NOTE, color=GREY, va="bottom")


def write_fitted_note(
    figure: Figure, text: str, *, above: float = 1.2, smallest: float = 4.5
) -> None:
    """The same of a note that is not wrapped but, if it is wider than the figure, set smaller.

    above: mm from the lower edge. smallest: points.
    """
    width, height = size_mm(figure)
    note = text_at(figure, 2.5, height - above, text, fontsize=NOTE, color=GREY, va="bottom")
    shrink_to_fit(note, width - 5, smallest=smallest)


def write_right_of(axes: Axes, x: float, y: float, text: str, **look: Any) -> Text:
    """Text right of a point of the axes, at its height."""
    return axes.annotate(
        text, (x, y), xytext=(3, 0), textcoords="offset points", va="center_baseline", **look
    )


def accent(position: int) -> str:
    """The colour of the site or method at this position; the palette repeats after six."""
    return ACCENTS[position % len(ACCENTS)]


def tint(colour: str, strength: float) -> tuple[float, float, float]:
    """`colour` on white paper: strength 1 is the colour itself, 0 is white."""
    red, green, blue = (1 - strength * (1 - part) for part in matplotlib.colors.to_rgb(colour))
    return red, green, blue


def panel_letter(axes: Axes, letter: str, dx: float, dy: float) -> None:
    """A bold panel letter, dx and dy mm from the top left corner of `axes`."""
    axes.annotate(
        letter,
        (0, 1),
        xycoords="axes fraction",
        xytext=(dx * 72 / 25.4, dy * 72 / 25.4),
        textcoords="offset points",
        fontsize=9,
        fontweight="bold",
        ha="left",
        va="bottom",
    )


def add_outputs(parser: ArgumentParser) -> None:
    """Add the options of the mark and of a figure's two files."""
    parser.add_argument("--mark", default="", help="a text that the figure shows")
    parser.add_argument("--pdf", required=True, type=Path, help="output")
    parser.add_argument("--png", required=True, type=Path, help="output")


def save(figure: Figure, pdf: Path, png: Path, mark: str) -> None:
    """Write a figure of one page; see save_pages."""
    save_pages([figure], pdf, png, mark)


def save_pages(pages: Iterable[Figure], pdf: Path, png: Path, mark: str) -> None:
    """Write figures as the pages of a PDF, the first as PNG (300 dpi) too, and close them.

    pages: at least one; each is asked for when the one before is written. A non-empty mark becomes
    a red strip above each, which grows by it: nothing is covered. Neither file holds a date, so the
    same figures give the same bytes.
    """
    with (
        replacing_all({"pdf": pdf, "png": png}) as files,
        PdfPages(files["pdf"], metadata={"CreationDate": None}) as document,
    ):
        for number, figure in enumerate(pages):
            if mark:
                add_strip(figure, mark)
            figure.savefig(document, format="pdf")
            if number == 0:
                figure.savefig(files["png"], format="png", metadata={"Software": None})
            plt.close(figure)


def add_strip(figure: Figure, mark: str) -> None:
    """Make the figure higher by a red strip that shows `mark`; what is drawn keeps its size."""
    width, height = figure.get_size_inches()
    grown = height + inches(STRIP)
    scale = height / grown
    for axes in figure.axes:
        box = axes.get_position(original=True)
        axes.set_position((box.x0, box.y0 * scale, box.width, box.height * scale))
    for text in figure.texts:
        x, y = text.get_position()
        text.set_position((x, y * scale))
    figure.set_size_inches(width, grown)
    figure.add_artist(Rectangle((0, scale), 1, 1 - scale, facecolor=WARNING, edgecolor="none"))
    look: Look = {"color": "white", "fontsize": 7.5, "fontweight": "bold"}
    label = figure.text(0.5, (1 + scale) / 2, mark, ha="center", va="center_baseline", **look)
    shrink_to_fit(label, width * 25.4 - 4)


def break_to_fit(title: Text, length: float, along: int = 0) -> None:
    """Have the place of a title, '... (RSNA)', in a second line if it is longer than `length` mm.

    along: see shrink_to_fit, which then does the rest.
    """
    if extent_mm(title, along) > length:
        title.set_text(title.get_text().replace(" (", "\n(", 1))
        title.set_linespacing(1.0)
        shrink_to_fit(title, length, along)


def extent_mm(text: Text, along: int) -> float:
    """The width (along = 0) or height (1) of a text in mm."""
    extent = text.get_window_extent()
    return float((extent.width, extent.height)[along] / text.figure.dpi * 25.4)


def shrink_to_fit(text: Text, length: float, along: int = 0, smallest: float = 4.5) -> None:
    """Lower the font size of `text` until it is no longer than `length` mm.

    along: 0 measures its width, 1 its height (for text that is turned).
    """
    size = float(text.get_fontsize())
    while size > smallest and extent_mm(text, along) > length:
        size -= 0.25
        text.set_fontsize(size)
