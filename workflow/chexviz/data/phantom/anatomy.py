"""Drawn chests: what a patient keeps from exam to exam, and its attenuation of X-rays.

A chest is drawn as attenuation on the canvas. Row and column profiles bound the lungs; ribs and
vessels are strokes. Each part has a random stream of its own, so that changing one leaves all else
as it is.
"""

import math
import random
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import ndimage

from chexviz.base.randomness import stream
from chexviz.data.phantom.canvas import CANVAS, EXTENT, HALF, Pen, X, Y, bump, ramp, spot

SIDES = (-1, 1)  # the patient's right lung, left lung
ABNORMALITIES = ("mass", "nodule", "pleural_effusion", "atelectasis", "edema")


# What a patient keeps is drawn once for neighbouring exams of one patient; it is not to be changed.
once = lru_cache(maxsize=1)


@dataclass(frozen=True)
class Exam:
    """What one radiograph shows. Equal exams give equal pixels.

    seed: of the population. patient, study: numbers. view: AP or PA. pneumonia: its patches.
    pneumothorax: the parts that it is outlined in. abnormal: one of ABNORMALITIES. cardiomegaly:
    drawn in no exam that a challenge or a hospital's plain table has.
    """

    seed: int
    patient: int
    study: int
    view: str
    pneumonia: int
    pneumothorax: int
    abnormal: bool
    cardiomegaly: bool = False

    def draws(self, purpose: str) -> np.random.Generator:
        key = stream(self.seed, "exam", self.patient, self.study, purpose)
        return np.random.default_rng(key)

    @property
    def abnormality(self) -> str:
        """Which of ABNORMALITIES it shows; '' if none."""
        return str(self.draws("abnormal").choice(ABNORMALITIES)) if self.abnormal else ""

    @property
    def findings(self) -> set[str]:
        """The names of all that it shows: the truth, whatever a site's table says of it."""
        named = ("pneumonia", "pneumothorax", "cardiomegaly")
        return {name for name in named if getattr(self, name)} | {self.abnormality} - {""}


@dataclass(frozen=True)
class Anatomy:
    """What a patient keeps from exam to exam; lengths in canvas coordinates."""

    sex: str
    age: int
    width: float  # midline to the lateral border of the lung
    apex: float
    level: float  # right diaphragm at full inspiration
    lift: float  # of the right dome above the left
    dome: float
    shoulder: float  # exponent of the lung's upper contour
    mediastinum: float
    heart: float
    knob: float
    skew: float  # how much wider the left lung is than the right
    ribs: int
    rib_top: float
    rib_spacing: float
    rib_drop: float
    rib_width: float
    bone: float
    clavicle: float
    fat: float
    breast: float
    bend: float
    markings: float
    vessels: int  # seed of their branching


@dataclass(frozen=True)
class Lungs:
    """Both lungs on the canvas: `air` in [0, 1], and per side the profiles that bound them."""

    air: np.ndarray
    inner: tuple[np.ndarray, np.ndarray]
    outer: tuple[np.ndarray, np.ndarray]
    floor: tuple[np.ndarray, np.ndarray]


def anatomy(seed: int, patient: int) -> Anatomy:
    """The chest of one patient, the same in every site and process."""
    draws = np.random.default_rng(stream(seed, "anatomy", patient))
    female = draws.random() < 0.44
    age = int(np.clip(draws.normal(48, 17), 4, 94))
    size = 0.95 if female else 1.0
    return Anatomy(
        sex="F" if female else "M",
        age=age,
        width=size * draws.uniform(0.60, 0.76),
        apex=draws.uniform(-0.80, -0.66),
        level=draws.uniform(0.30, 0.56),
        lift=draws.uniform(-0.02, 0.10),
        dome=draws.uniform(0.16, 0.28),
        shoulder=draws.uniform(2.1, 3.4),
        mediastinum=draws.uniform(0.095, 0.135),
        heart=draws.uniform(0.24, 0.36) + 0.0008 * age,
        knob=draws.uniform(0.02, 0.05) + 0.0004 * age,
        skew=draws.normal(0, 0.05),
        ribs=int(draws.integers(9, 11)),
        rib_top=draws.uniform(-0.84, -0.74),
        rib_spacing=draws.uniform(0.135, 0.165),
        rib_drop=draws.uniform(0.42, 0.62),
        rib_width=size * draws.uniform(0.040, 0.054),
        bone=draws.uniform(0.8, 1.25) - 0.003 * max(age - 50, 0),
        clavicle=draws.uniform(-0.14, 0.04),
        fat=draws.uniform(0.0, 1.0),
        breast=draws.uniform(0.3, 1.0) if female and age > 14 else 0.0,
        bend=draws.normal(0, 0.012),
        markings=draws.uniform(0.75, 1.3),
        vessels=int(draws.integers(2**32)),
    )


def find_lungs(body: Anatomy, exam: Exam) -> Lungs:
    """Where air is. AP views are taken lying or sitting: less inspiration, a larger heart."""
    draws = exam.draws("breath")
    portable = exam.view == "AP"
    level = body.level - draws.uniform(0.0, 0.06) - portable * draws.uniform(0.02, 0.14)
    heart = body.heart * (1 + portable * draws.uniform(0.05, 0.25)) * draws.uniform(0.95, 1.05)
    if exam.cardiomegaly:
        heart = max(heart, body.width * exam.draws("heart").uniform(0.68, 0.86))
    turn = draws.normal(0, 0.012 + 0.012 * portable)
    inner, outer, floor = zip(
        *(borders(body, side, level, heart, turn) for side in SIDES), strict=True
    )
    right, left = (inside(inner[i], outer[i], floor[i], body.apex) for i in (0, 1))
    return Lungs(np.concatenate([right[:, ::-1], left], axis=1), inner, outer, floor)


def borders(body: Anatomy, side: int, level: float, heart: float, turn: float) -> tuple:
    """Medial and lateral border per row (N, 1), and diaphragm per column (1, N / 2), of a lung."""
    left = side > 0
    level = level + (body.lift if left else 0)
    depth = np.clip((Y - body.apex) / (level + body.dome - body.apex), 0, 1)
    width = body.width * (1 + side * (body.skew + 1.5 * turn))
    tip = 0.42 * width
    outer = tip + (width - tip) * (1 - (1 - depth) ** body.shoulder) ** 0.55
    inner = body.mediastinum + (tip - body.mediastinum) * np.exp(-depth / 0.035)
    if left:
        inner += (heart - body.mediastinum) * bump(level - 0.04, 0.58) ** 1.5
        inner += body.knob * bump(-0.28, 0.10)
    else:
        inner += 0.22 * heart * bump(level - 0.12, 0.36) + 0.015 * bump(-0.45, 0.25)
    inner = inner + side * (turn + body.bend * np.sin(2.5 * Y))
    inner = ndimage.gaussian_filter1d(inner, 5, axis=0)
    distance = (HALF - 0.48 * width) / (0.52 * width)
    floor = level + body.dome * np.where(distance > 0, distance**2, 0.5 * distance**2)
    return inner.astype(np.float32), outer.astype(np.float32), floor.astype(np.float32)


def inside(inner: np.ndarray, outer: np.ndarray, floor: np.ndarray, apex: float) -> np.ndarray:
    """Half a canvas (N, N / 2), midline first: 1 within the borders of a lung."""
    across = ramp(HALF - inner, 0.012) * ramp(outer - HALF, 0.012)
    return across * ramp(floor - Y, 0.014) * ramp(Y - apex, 0.05)


def soft_tissue(body: Anatomy, exam: Exam, lungs: Lungs) -> np.ndarray:
    """Attenuation of everything but bone, vessels and findings."""
    draws = exam.draws("tissue")
    side = body.width + 0.12 + 0.16 * body.fat
    rows = [-1.2, -1.0, -0.90, -0.82, -0.74, -0.6, -0.45, -0.1, 0.3, 1.2]
    reach = [0.26, 0.28, 0.38, 0.66, 0.98, 1.2, 1.2, side + 0.10, side, side + 0.10]
    trunk = ndimage.gaussian_filter1d(np.interp(Y, rows, reach), 8, axis=0).astype(np.float32)
    thick = np.interp(Y, [-1.2, -0.75, -0.3, 0.4, 0.9], [0.66, 0.58, 0.80, 1.0, 1.2])
    chord = np.clip(1 - (X / trunk) ** 2, 0, None)
    flat = draws.uniform(0.5, 1.0)
    attenuation = thick.astype(np.float32) * (flat * np.sqrt(chord) + (1 - flat) * chord)
    attenuation = np.maximum(attenuation, 0.5 * arms(draws))
    deep = ndimage.uniform_filter(lungs.air, 49)
    attenuation -= lungs.air * attenuation * (0.44 + 0.36 * deep)
    attenuation += 0.22 * np.exp(-1.5 * spot(0.08, 0.3, 0.34, 0.5)) * (1 - 0.7 * lungs.air)
    attenuation += 0.16 * np.exp(-((X / 0.16) ** 2)) * (chord > 0)
    if body.breast:
        attenuation += breasts(body, draws)
    attenuation *= 1 - 0.16 * trachea(body)
    attenuation *= 1 - gas(draws) * (1 - lungs.air)
    return attenuation * ramp(attenuation, 0.05)


def arms(draws: np.random.Generator) -> np.ndarray:
    """Both upper arms, more or less away from the trunk."""
    pen = Pen(detail=0.5)
    spread = draws.uniform(-0.03, 0.22)
    for side in SIDES:
        points = [(0.98, -0.56), (1.08 + 0.5 * spread, 0.0), (1.10 + spread, 1.3)]
        pen.line(np.array(points) * (side, 1), 0.30, 1.0)
    return pen.result(blur=9)


def breasts(body: Anatomy, draws: np.random.Generator) -> np.ndarray:
    """Two soft shadows, denser towards their lower border."""
    low = draws.uniform(0.18, 0.42)
    across = (HALF - 0.68 * body.width) / 0.36
    one = ramp(1 - across**2 - ((Y - low) / 0.34) ** 2, 0.12) * ramp(Y - low + 0.25, 0.35)
    return 0.13 * body.breast * np.concatenate([one[:, ::-1], one], axis=1)


@once
def trachea(body: Anatomy) -> np.ndarray:
    """The windpipe down to its two branches."""
    pen = Pen(detail=0.5)
    carina = -0.28
    pen.line(np.array([(0, -1.15), (0.01, -0.7), (0.015, carina)]), 0.075, 1.0)
    for side in SIDES:
        pen.line(np.array([(0.01, carina), (side * 0.10, carina + 0.13)]), 0.05, 0.8)
    return pen.result(blur=3) * (1 + body.bend)


def gas(draws: np.random.Generator) -> np.ndarray:
    """Stomach bubble and bowel, under the diaphragm."""
    x, y = draws.uniform(0.22, 0.45), draws.uniform(0.72, 0.9)
    bubble = ramp(1 - spot(x, y, draws.uniform(0.06, 0.16), draws.uniform(0.05, 0.11)), 0.35)
    return draws.uniform(0.0, 0.3) * bubble


def bones(body: Anatomy, lungs: Lungs) -> np.ndarray:
    """Ribs, clavicles, shoulder blades, humeral heads and the spine."""
    back, front = Pen(), Pen()
    for number in range(body.ribs):
        for side, outer in zip(SIDES, lungs.outer, strict=True):
            behind = rib(body, outer, number, 8, 104) * (side, 1)
            before = rib(body, outer, number, 95, 138 - 3 * number) * (side, 1)
            stroke_bone(back, behind, body.rib_width, 0.72)
            stroke_bone(front, before, 1.25 * body.rib_width, 0.42)
    total = 0.15 * back.result(0.7) + 0.13 * front.result(1.2) + 0.19 * shoulder_girdle(body)
    return body.bone * (total + spine(body))


def stroke_bone(pen: Pen, points: np.ndarray, width: float, value: float) -> None:
    """A bone has a dense rim and a lighter core."""
    pen.line(points, width, min(1.0, 1.35 * value))
    pen.line(points, 0.66 * width, value)


def rib(body: Anatomy, outer: np.ndarray, number: int, start: int, stop: int) -> np.ndarray:
    """A stretch (20, 2) of a rib as of the left side: part of a tilted ring.

    start, stop: degrees; 0 at the spine, 90 at the lateral wall, 180 at the sternum.
    """
    top = body.rib_top + number * body.rib_spacing
    drop = body.rib_drop * (0.45 + 0.55 * min(number / 4, 1))
    middle = np.clip((top + 0.5 * drop + EXTENT) / (2 * EXTENT) * CANVAS, 0, CANVAS - 1)
    reach = 1.02 * float(outer[int(middle), 0])
    angle = np.radians(np.linspace(start, stop, 20))
    x = reach * np.sin(angle) ** 0.9
    y = top + drop * (1 - np.cos(angle)) / 2 - 0.03 * np.sin(2 * np.minimum(angle, np.pi / 2))
    return np.column_stack([x, y])


@once
def shoulder_girdle(body: Anatomy) -> np.ndarray:
    """Clavicles, scapulae and humeral heads."""
    pen = Pen()
    along = np.linspace(0, 1, 24)
    x = 0.07 + 0.78 * along
    y = -0.63 + body.clavicle * along - 0.05 * np.sin(2 * np.pi * along) - 0.06 * along**2
    blade = [(0.74, -0.62), (0.98, -0.60), (0.84, -0.35), (0.70, 0.02), (0.68, -0.3)]
    arm = [(0.98, -0.57), (1.06, -0.1), (1.12, 1.3)]
    turn = np.linspace(0, 2 * np.pi, 30)
    head = np.column_stack([0.95 + 0.10 * np.cos(turn), -0.56 + 0.11 * np.sin(turn)])
    for side in SIDES:
        pen.area(np.array(blade) * (side, 1), 0.22)
        pen.line(np.array(arm) * (side, 1), 0.13, 0.35)
        pen.area(head * (side, 1), 0.45)
        stroke_bone(pen, np.column_stack([side * x, y]), 0.062, 0.60)
    return pen.result(1.1)


@once
def spine(body: Anatomy) -> np.ndarray:
    """A column of vertebrae, each with a denser rim."""
    near = np.abs(X[0]) < 0.2
    middle = body.bend * np.sin(2.5 * Y)
    column = ramp(0.085 - np.abs(X[:, near] - middle), 0.03)
    discs = 0.5 + 0.5 * np.cos(2 * np.pi * Y / (0.85 * body.rib_spacing))
    total = np.zeros((CANVAS, CANVAS), dtype=np.float32)
    total[:, near] = column * (0.10 + 0.05 * discs**3)
    return total


@once
def vessels(body: Anatomy) -> np.ndarray:
    """Pulmonary vessels that branch from both hila; the same in all exams of a patient."""
    draws = random.Random(body.vessels)
    pen = Pen()
    for side in SIDES:
        for trunk in range(7):
            angle = -1.3 + 2.6 * trunk / 6 + draws.gauss(0, 0.15)
            start = (body.mediastinum + 0.03, -0.10 + 0.12 * math.sin(angle))
            branch(pen, draws, start, angle, draws.uniform(0.016, 0.024), side)
    return pen.result(blur=0.5)


def branch(
    pen: Pen,
    draws: random.Random,
    start: tuple[float, float],
    angle: float,
    width: float,
    side: int,
) -> None:
    """A vessel, thinner and fainter at every fork."""
    x, y = start
    points = [(side * x, y)]
    for _ in range(3):
        angle += draws.gauss(0, 0.16)
        step = draws.uniform(0.02, 0.06)
        x, y = x + step * math.cos(angle), y + step * math.sin(angle)
        points.append((side * x, y))
    pen.line(points, width, min(1.0, 0.10 + 38 * width))
    for fork in (-1, 1):
        thinner = width * draws.uniform(0.50, 0.85)
        if thinner > 0.003:
            branch(pen, draws, (x, y), angle + fork * draws.uniform(0.1, 0.5), thinner, side)


@once
def hila(body: Anatomy) -> np.ndarray:
    """The roots of both lungs."""
    total = np.zeros((CANVAS, CANVAS), dtype=np.float32)
    for side, low in ((-1, -0.05), (1, -0.10)):
        total += ramp(1 - spot(side * (body.mediastinum + 0.03), low, 0.11, 0.19, side * 0.4), 1)
    return 0.11 * body.markings * total
