"""What the page is told of a bundle: findings, operating points, how it was tested, its card."""

from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from chexviz.inference.answers import points, told
from chexviz.inference.bundle import PAGE, RESEARCH, Bundle, Finding, Tested, read_part
from chexviz.inference.card import model_title
from chexviz.reporting.figures.overlay import OPACITY
from chexviz.reporting.titles import finding_title
from chexviz.reporting.wording import capitalised

# What the page takes of a card: text in these, and no attribute but these.
ELEMENTS = {"h1", "h2", "p", "ul", "li", "div", "table", "thead", "tbody", "tr", "th", "td", "br"}
ATTRIBUTES = {"class", "colspan"}
EMPTY = {"br"}
Node = str | list  # a text, or [element, attributes, nodes]


def about(bundle: Bundle) -> dict[str, Any]:
    """A bundle for the page."""
    return {
        "title": model_title(bundle),
        "name": bundle.name,
        "mark": bundle.mark,
        "protocol": bundle.protocol,
        "points": points(bundle),
        "findings": [of_finding(one, bundle) for one in bundle.findings],
    }


def of_finding(finding: Finding, bundle: Bundle) -> dict[str, Any]:
    """A finding for the page. at: where on the bar of its number an operating point lies."""
    marks = []
    for point in finding.learned.points:
        said = told(finding, point.threshold, point.name)
        at = said.score if said.probability is None else said.probability
        marks.append({"name": point.name, "threshold": point.threshold, "at": at})
    return {
        "name": finding.name,
        "title": capitalised(finding_title(finding.name)),
        "calibrated": finding.learned.temperature is not None,
        "note": finding.learned.note,
        "points": marks,
        "tested": [of_test(one) for one in bundle.tested if one.finding == finding.name],
    }


def of_test(test: Tested) -> dict[str, Any]:
    """How a finding was tested, on one group."""
    about_group = {"site": test.site, "attribute": test.attribute, "group": test.group}
    counts = {"images": test.images, "positives": test.positives}
    return about_group | counts | {"measures": test.measures}


def groups(bundle: Bundle, view: str, sex: str, age: float | None) -> dict[str, str]:
    """The groups of the tests that a radiograph is of, by attribute, as far as its file tells."""
    said = {"view": view, "sex": sex}
    names = {(one.attribute, one.group) for one in bundle.tested}
    found = {key: value for key, value in said.items() if (key, value) in names}
    bands = (group for attribute, group in names if attribute == "age")
    band = next((one for one in bands if age is not None and in_band(age, one)), None)
    return found if band is None else found | {"age": band}


def in_band(age: float, band: str) -> bool:
    """Whether an age in years is in a band, such as 40-59 or 80+; no age is in another group."""
    start, dash, end = band.partition("-")
    if dash:
        return start.isdigit() and end.isdigit() and int(start) <= age < int(end) + 1
    return band.endswith("+") and band[:-1].isdigit() and age >= int(band[:-1])


def page_about(bundles: Iterable[Bundle], limits: dict[str, int]) -> dict[str, Any]:
    """All that the page is told before the first radiograph.

    colours: RGB of a map's levels 0 to 255, as in the figures. opacity: of its maximum there.
    """
    colours = np.rint(255 * matplotlib.colormaps["inferno"](np.arange(256))[:, :3]).astype(int)
    return {
        "research": RESEARCH,
        "models": [about(one) for one in bundles],
        "colours": colours.tolist(),
        "opacity": OPACITY,
        "limits": limits,
    }


# --- the card ------------------------------------------------------------------------------------


def card(folder: Path, bundle: Bundle) -> list[Node]:
    """The model card of a bundle as nodes of a page. Raises InputError."""
    reader = Reader()
    reader.feed(read_part(folder, bundle, PAGE).decode("utf-8", "replace"))
    reader.close()
    return reader.nodes


class Reader(HTMLParser):
    """Makes nodes of the elements of a page that are known; of others their text, or nothing."""

    SILENT = ("head", "script", "style", "title")

    def __init__(self) -> None:
        super().__init__()
        self.nodes: list[Node] = []
        self.open: list[tuple[str, list[Node]]] = [("", self.nodes)]
        self.silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self.SILENT:
            self.silent += 1
        if tag not in ELEMENTS or self.silent:
            return
        inside: list[Node] = []
        chosen = {name: value for name, value in attrs if name in ATTRIBUTES and value}
        self.open[-1][1].append([tag, chosen, inside])
        if tag not in EMPTY:
            self.open.append((tag, inside))

    def handle_endtag(self, tag: str) -> None:
        if tag in self.SILENT:
            self.silent = max(0, self.silent - 1)
        if any(tag == one for one, _ in self.open[1:]):
            while self.open.pop()[0] != tag:
                pass

    def handle_data(self, data: str) -> None:
        if data.strip() and not self.silent:
            self.open[-1][1].append(data)
