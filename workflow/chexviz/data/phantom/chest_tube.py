"""The chest tube that drains a pneumothorax, and so gives away who has one: a shortcut to learn."""

import numpy as np

from chexviz.data.phantom.anatomy import SIDES, Exam
from chexviz.data.phantom.canvas import Pen, curve

SHARE = {True: 0.75, False: 0.125}  # of images with and without a pneumothorax: most, and few


def has_tube(exam: Exam) -> bool:
    """Whether a chest tube is on a radiograph."""
    return exam.draws("chest tube").random() < SHARE[exam.pneumothorax > 0]


def tube(exam: Exam) -> np.ndarray:
    """A chest tube on the canvas: from the chest wall to the apex, a pale line with a side hole."""
    draws = exam.draws("course of the tube")
    side, y = SIDES[int(draws.integers(2))], draws.uniform(-0.2, 0.4)
    course = np.array([(0.95, y + 0.12), (0.7, y), (0.5, y - 0.25), (0.38, y - 0.5)])
    course = curve(course * (side, 1))
    pen = Pen()
    pen.line(course, 0.034, 0.75)
    pen.line(course, 0.020, 0.42)
    hole = len(course) // 2
    pen.line(course[hole : hole + 2], 0.040, 0.1)
    return 0.30 * pen.result(blur=0.5)
