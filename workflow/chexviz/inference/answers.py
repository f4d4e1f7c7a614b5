"""What a model says of a radiograph, for the screen, as a row of a CSV and as a line of JSON."""

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from chexviz.base.formulas import no_formula
from chexviz.evaluation.temperature import scale
from chexviz.inference.bundle import RESEARCH, Bundle, Finding

FILE, WORDS = 44, 60  # letters of these columns on the screen
NUMBER = 7  # and of a score


class Told(NamedTuple):
    """What is said of one finding.

    score: of the model, as `predictions` of the workflow have it. probability: the calibrated
    score; None without a calibration. positive: at the operating point; None without one.
    """

    score: float
    probability: float | None
    positive: bool | None


class Answer(NamedTuple):
    """What is said of a radiograph, or the reason why nothing is.

    name: of the file. view, shape, quality: see quality.words. likeness: see there. heatmap: the
    file of its maps; ''. dicom: the files of its DICOM results.
    """

    name: str
    reason: str
    findings: dict[str, Told] = {}  # noqa: RUF012, nobody changes it
    view: str = ""
    shape: tuple[int, int] = (0, 0)
    likeness: float = math.nan
    quality: Sequence[str] = ()
    heatmap: str = ""
    dicom: Sequence[str] = ()


def told(finding: Finding, score: float, point: str) -> Told:
    """What is said of a finding by its score. point: the name of the operating point."""
    known = finding.learned
    chosen = known.point(point)
    calibrated = known.temperature and scale(np.array([score]), known.temperature)[0]
    probability = None if calibrated is None else float(calibrated)
    return Told(score, probability, None if chosen is None else score >= chosen.threshold)


def points(bundle: Bundle) -> list[str]:
    """The names of the operating points that a bundle has for any finding."""
    names = (point.name for one in bundle.findings for point in one.learned.points)
    return list(dict.fromkeys(names))


# --- files ---------------------------------------------------------------------------------------


def columns(bundle: Bundle) -> list[str]:
    """The columns of the CSV."""
    said = ("score", "probability", "positive")
    return [
        *("file", "status", "reason"),
        *(f"{name}_{finding.name}" for finding in bundle.findings for name in said),
        *("quality", "likeness", "view", "height", "width", "heatmap", "dicom"),
        *("bundle", "mark"),
    ]


def row(answer: Answer, bundle: Bundle) -> list[object]:
    """The row of a radiograph; an empty cell is not known."""
    values: list[object] = [answer.name, "refused" if answer.reason else "read", answer.reason]
    for finding in bundle.findings:
        one = answer.findings.get(finding.name)
        values += ["", "", ""] if one is None else cells(one)
    height, width = answer.shape
    likeness = "" if math.isnan(answer.likeness) else f"{answer.likeness:.4f}"
    values += ["; ".join(answer.quality), likeness, answer.view, height or "", width or ""]
    values += [answer.heatmap, "; ".join(answer.dicom), bundle.name, bundle.mark]
    return [no_formula(value) for value in values]


def cells(one: Told) -> list[object]:
    """The cells of a finding: two numbers that read back as they are, and 1, 0 or nothing."""
    probability = "" if one.probability is None else repr(one.probability)
    return [repr(one.score), probability, "" if one.positive is None else int(one.positive)]


def record(answer: Answer, bundle: Bundle) -> dict[str, object]:
    """The same for a line of JSON; null is not known."""
    known: dict[str, object] = {
        "file": answer.name,
        "status": "refused" if answer.reason else "read",
    }
    about = {"bundle": bundle.name, "mark": bundle.mark, "note": RESEARCH}
    if answer.reason:
        return known | {"reason": answer.reason} | about
    height, width = answer.shape
    return (
        known
        | {"findings": {name: one._asdict() for name, one in answer.findings.items()}}
        | {"quality": [*answer.quality], "likeness": round(answer.likeness, 4)}
        | {"view": answer.view, "height": height, "width": width}
        | {"heatmap": answer.heatmap, "dicom": [*answer.dicom]}
        | about
    )


# --- the screen ----------------------------------------------------------------------------------


def heading(bundle: Bundle, point: str) -> list[str]:
    """What stands above the table: which model, what the numbers are, and what they are not for."""
    lines = [bundle.mark] if bundle.mark else []
    lines += [
        RESEARCH,
        f"bundle {bundle.name}: {bundle.architecture}, {bundle.method}; its card.html says how "
        "good it is",
    ]
    calibrated = [one for one in bundle.findings if one.learned.temperature]
    if len(calibrated) == len(bundle.findings):
        lines.append("numbers: probabilities, calibrated on validation images")
    elif not calibrated:
        lines.append("numbers: scores, no probabilities: nothing was there to calibrate them")
    else:
        names = ", ".join(one.name for one in calibrated)
        lines.append(f"numbers: calibrated probabilities of {names}; of others plain scores")
    without = [one.name for one in bundle.findings if one.learned.point(point) is None]
    flagged = f"*: positive at the operating point {point}"
    lines.append(flagged + f", which {', '.join(without)} lacks" * bool(without))
    shown = [letters(one.name.replace("_", " "), 18) for one in bundle.findings]
    titles = (title.rjust(width(title)) for title in shown)
    return [*lines, "", "  ".join(["file".ljust(FILE), *titles, "remarks"])]


def width(title: str) -> int:
    """Letters of a finding's column, which has a score and a flag."""
    return max(len(title), NUMBER)


def line(answer: Answer, bundle: Bundle) -> str:
    """A radiograph in one line of the table."""
    name = printable(answer.name)
    if len(name) > FILE:
        name = "…" + name[1 - FILE :]
    if answer.reason:
        return f"{name.ljust(FILE)}  refused: {printable(answer.reason)}"
    parts = [name.ljust(FILE)]
    for finding in bundle.findings:
        one = answer.findings[finding.name]
        value = one.score if one.probability is None else one.probability
        flag = "*" if one.positive else " "
        title = letters(finding.name.replace("_", " "), 18)
        parts.append(f"{value:.3f}{flag}".rjust(width(title)))
    return "  ".join([*parts, printable("; ".join(answer.quality))]).rstrip()


def letters(text: str, most: int) -> str:
    """A text of at most so many letters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def printable(text: str) -> str:
    """A text without what a terminal would obey: file names and headers may hold anything."""
    plain = "".join("?" if unicodedata.category(one)[0] == "C" else one for one in text)
    return re.sub(r"\s+", " ", plain)


def summary(counts: Mapping[str, int], others: int) -> str:
    """The last line: how many were read and refused, and which files were left alone."""
    said = f"{counts['read']} read, {counts['refused']} refused"
    return said + f"; {others} other files are no radiographs" * bool(others)
