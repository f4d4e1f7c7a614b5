"""Radiographs of drawn chests: findings and devices added, then posed and exposed."""

import math
import random
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

from chexviz.data.phantom.anatomy import (
    ABNORMALITIES,
    SIDES,
    Anatomy,
    Exam,
    Lungs,
    anatomy,
    bones,
    branch,
    find_lungs,
    hila,
    inside,
    soft_tissue,
    vessels,
)
from chexviz.data.phantom.canvas import CANVAS, EXTENT, Pen, X, Y, clouds, curve, ramp, spot
from chexviz.data.phantom.chest_tube import has_tube, tube

Box = tuple[int, int, int, int]  # x, y, width, height in pixels


def render(
    exam: Exam, size: int, *, tubed: bool | None = None
) -> tuple[np.ndarray, dict[str, list[Box]], list[np.ndarray]]:
    """One radiograph: pixels uint8 (size, size), boxes by finding, masks of pneumothorax.

    boxes: of all findings but pneumothorax; x, y, width, height in pixels, whole numbers. masks:
    bool (size, size), not empty. Of pneumonia and pneumothorax there are as many as the exam says,
    and one of each other finding. tubed: whether there is a chest tube; None: as `has_tube` says.
    """
    body = anatomy(exam.seed, exam.patient)
    lungs = find_lungs(body, exam)
    attenuation = soft_tissue(body, exam, lungs)
    aerated, free = lungs.air, None
    if exam.pneumothorax:
        aerated, free = collapse(body, exam, lungs, attenuation)
    draws = exam.draws("texture")
    veins = 0.19 * vessels(body) + 0.012 * clouds(draws, 110) + 0.012 * clouds(draws, 40)
    attenuation += body.markings * aerated * veins
    attenuation *= uneven(exam)
    attenuation += hila(body) * (0.3 + 0.7 * aerated)
    attenuation += bones(body, lungs)
    lesions = [(name, lesion * aerated) for name, lesion in lesions_of(body, exam, aerated)]
    for _, lesion in lesions:
        attenuation += lesion
    attenuation += devices(exam)
    if has_tube(exam) if tubed is None else tubed:
        attenuation += tube(exam)
    pose = posed(exam)
    # Half the size shows all that the canvas holds; enlarging is cheaper than posing.
    film = Image.fromarray(place(develop(exam, attenuation), pose, size // 2))
    pixels = finish(exam, film.resize((size, size), Image.Resampling.BICUBIC))
    if exam.cardiomegaly:
        lesions.append(("cardiomegaly", heart_shadow(body, lungs)))
    boxes: dict[str, list[Box]] = {name: [] for name, _ in lesions}
    for name, lesion in lesions:
        boxes[name].append(bounds(lesion, pose, size))
    masks = [] if free is None else list(outlined(exam, place(free, pose, size) > 0.5))
    return pixels, boxes, masks


def lung_mask(exam: Exam, size: int) -> np.ndarray:
    """Where the air of both lungs is on a radiograph of an even size, bool (size, size).

    A pneumothorax is air within them.
    """
    air = find_lungs(anatomy(exam.seed, exam.patient), exam).air
    return (place(air, posed(exam), size // 2) > 0.5).repeat(2, axis=0).repeat(2, axis=1)


def uneven(exam: Exam) -> np.ndarray:
    """What the patient and the beam do to one exposure: soft tissue folds, the heel effect."""
    draws = exam.draws("uneven")
    across, along = draws.normal(0, 0.09, 2).astype(np.float32)
    folds = 0.07 * clouds(draws, 5) + 0.05 * clouds(draws, 9)
    return np.clip(1 + across * X + along * Y + folds, 0.3, None)


def collapse(
    body: Anatomy, exam: Exam, lungs: Lungs, attenuation: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pneumothorax: part of the lung's air without lung. Changes `attenuation`.

    Returns the lung that still holds vessels, and the crescent of air, on the canvas.
    """
    draws = exam.draws("pneumothorax")
    number = int(draws.integers(2))
    severity = draws.beta(1.3, 1.6)
    gap = 0.05 + 0.28 * severity
    depth = np.clip((Y - body.apex) / (body.level - body.apex), 0, 1)
    drop = gap * draws.uniform(0.9, 1.8)
    outer = np.interp(Y - drop * (1 - depth), Y[:, 0], lungs.outer[number][:, 0])
    outer = outer.astype(np.float32)
    outer -= gap * np.clip(1 - depth * draws.uniform(0.3, 1.1), 0, None)
    half = inside(lungs.inner[number], outer, lungs.floor[number], body.apex + drop)
    kept = lungs.air.copy()
    middle = CANVAS // 2
    side = kept[:, middle:] if number else kept[:, middle - 1 :: -1]
    np.minimum(side, half, out=side)
    free = lungs.air - kept
    attenuation += 0.24 * free * kept - (0.06 + 0.06 * severity) * free
    return kept, free


def outlined(exam: Exam, crescent: np.ndarray) -> Iterator[np.ndarray]:
    """The crescent of air in one part or several, one above the other, as annotators do."""
    draws, count = exam.draws("outline"), exam.pneumothorax
    rows = np.flatnonzero(crescent.any(axis=1))
    cuts = len(rows) * (np.arange(1, count) + draws.uniform(-0.3, 0.3, count - 1)) / count
    for part in np.split(rows, cuts.astype(int)):
        kept = part[: max(1, round(0.9 * len(part)))] if count > 1 else part
        mask = np.zeros_like(crescent)
        mask[kept] = crescent[kept]
        yield mask


def within(draws: np.random.Generator, body: Anatomy, air: np.ndarray) -> tuple[float, float]:
    """A random point (x, y) of the aerated lung; not far to the side, so that all views hold it."""
    places = (air > 0.95) & (body.apex + 0.2 < Y) & (body.level > Y) & (np.abs(X) < 0.5)
    row, column = np.unravel_index(draws.choice(np.flatnonzero(places)), places.shape)
    return float(X[0, column]), float(Y[row, 0])


def lesions_of(body: Anatomy, exam: Exam, air: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """What is denser than a healthy lung, by the name of the finding."""
    for patch in consolidations(body, exam, air):
        yield "pneumonia", patch
    if exam.abnormal:
        yield exam.abnormality, abnormality(body, exam, air)


def heart_shadow(body: Anatomy, lungs: Lungs) -> np.ndarray:
    """Where the heart is, on the canvas: 1 between both lungs, below the great vessels."""
    right, left = lungs.inner
    across = ramp(X + right, 0.012) * ramp(left - X, 0.012)
    return across * ramp(Y + 0.2, 0.02) * ramp(body.level - Y, 0.02)


def consolidations(body: Anatomy, exam: Exam, air: np.ndarray) -> Iterator[np.ndarray]:
    """Pneumonia: patches of fluid, with air left in some bronchi."""
    draws = exam.draws("pneumonia")
    severity = draws.beta(1.5, 1.4)
    for _ in range(exam.pneumonia):
        x, y = within(draws, body, air)
        rx, ry = draws.uniform(0.13, 0.22), draws.uniform(0.16, 0.34)
        distance = np.sqrt(spot(x, y, rx, ry, draws.uniform(-0.6, 0.6)))
        patch = ramp(1 - distance - 0.22 * clouds(draws, 14), 0.30)
        bronchi = Pen()
        hilum = (body.mediastinum, -0.05)
        aim = math.atan2(y - hilum[1], abs(x) - hilum[0])
        forks = random.Random(int(draws.integers(2**32)))
        branch(bronchi, forks, hilum, aim, 0.022, 1 if x > 0 else -1)
        patch *= 1 + 0.18 * clouds(draws, 36) - 0.35 * bronchi.result(blur=1.5)
        yield (0.06 + 0.20 * severity) * patch.astype(np.float32)


def abnormality(body: Anatomy, exam: Exam, air: np.ndarray) -> np.ndarray:
    """What a reader must not take for pneumonia: one of five other findings."""
    draws = exam.draws("abnormal")
    kind = draws.choice(ABNORMALITIES)
    if kind == "mass":
        x, y = within(draws, body, air)
        radius = draws.uniform(0.05, 0.11)
        return draws.uniform(0.10, 0.24) * ramp(1 - spot(x, y, radius, radius), 0.5)
    if kind == "nodule":
        points = [within(draws, body, air) for _ in range(draws.integers(3, 9))]
        return 0.12 * sum(np.exp(-spot(x, y, 0.025, 0.025)) for x, y in points)
    if kind == "pleural_effusion":
        side = SIDES[int(draws.integers(2))]
        surface = body.level + draws.uniform(-0.10, 0.12) - 0.35 * np.clip(side * X - 0.3, 0, 1)
        return draws.uniform(0.2, 0.4) * ramp(Y - surface, 0.07) * (side * X > 0)
    if kind == "atelectasis":
        x, y = within(draws, body, air)
        slope = draws.uniform(-0.5, 0.5)
        return draws.uniform(0.07, 0.14) * np.exp(-spot(x, y + 0.1, 0.20, 0.02, slope))
    haze = np.exp(-spot(0, 0.0, 0.5, 0.5)) * (1 + 0.35 * clouds(draws, 50))
    return draws.uniform(0.05, 0.15) * haze.astype(np.float32)


def devices(exam: Exam) -> np.ndarray:
    """Lines and tubes but the chest tube, most of them where the unit is portable."""
    draws = exam.draws("devices")
    portable = exam.view == "AP"
    pen = Pen()
    if draws.random() < 0.35 * portable:
        points = [(0.42, -1.0), (0.30, -0.62), (0.11, -0.42), (0.09, draws.uniform(-0.2, 0.1))]
        pen.line(curve(np.array(points) * (-1, 1)), 0.012, 0.8)
    if draws.random() < 0.15 * portable:
        pen.line(np.array([(0.0, -1.15), (0.012, draws.uniform(-0.55, -0.4))]), 0.024, 0.6)
    if draws.random() < 0.5 * portable:
        for _ in range(draws.integers(2, 4)):
            lead = draws.uniform([[0.9, -0.9], [-0.9, -0.5], [-0.6, -0.1], [-0.7, 0.6]], 0.9)
            pen.line(curve(lead), 0.009, 0.6)
            x, y = lead[-1]
            pen.area([(x - 0.03, y), (x, y - 0.03), (x + 0.03, y), (x, y + 0.03)], 0.8)
    return 0.30 * pen.result(blur=0.5)


def posed(exam: Exam) -> np.ndarray:
    """Where the patient stands: the affine map (2, 3) from view to canvas coordinates."""
    draws = exam.draws("pose")
    portable = exam.view == "AP"
    angle = math.radians(draws.normal(0, 1.8 + 2.4 * portable))
    scale = draws.uniform(0.76, 1.0) * (1.05 if portable else 1.0)
    aspect = draws.uniform(0.93, 1.08)
    turn = [[math.cos(angle), draws.normal(0, 0.03) - math.sin(angle)]]
    turn += [[math.sin(angle), math.cos(angle)]]
    shift = draws.normal(0, 0.07, 2) - [0, 0.04]
    return np.column_stack([np.array(turn) * [[scale * aspect], [scale / aspect]], shift])


def place(canvas: np.ndarray, pose: np.ndarray, size: int) -> np.ndarray:
    """The canvas as the detector sees it, same type, (size, size); 0 beyond the canvas."""
    unit = CANVAS / (2 * EXTENT)
    matrix = pose[:, :2] * (2 / size * unit)
    offset = (pose[:, 2] - pose[:, :2] @ [1, 1] + EXTENT) * unit
    coefficients = np.column_stack([matrix, offset]).ravel().tolist()
    moved = Image.fromarray(canvas).transform(
        (size, size), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR
    )
    return np.asarray(moved)


def bounds(lesion: np.ndarray, pose: np.ndarray, size: int) -> Box:
    """The box (x, y, width, height) around what a reader sees of a lesion."""
    coarse = max(size // 4, 64)  # of a smaller image a lesion can be between the pixels
    shown = place(lesion, pose, coarse)
    seen = shown > 0.35 * shown.max()
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    x, y = (int(edges[0]) * size // coarse for edges in (columns, rows))
    right, low = (math.ceil((int(edges[-1]) + 1) * size / coarse) for edges in (columns, rows))
    return x, y, right - x, low - y


def develop(exam: Exam, attenuation: np.ndarray) -> np.ndarray:
    """Attenuation to grey levels uint8 by a film curve; scatter veils AP views more."""
    draws = exam.draws("exposure")
    portable = exam.view == "AP"
    speed = draws.uniform(1.3, 2.3) * (1.1 if portable else 1.0)
    levels = np.linspace(0, 3, 4096)
    curve = (1 - np.exp(-speed * levels)) ** draws.uniform(0.85, 1.7)
    veil = draws.uniform(0.0, 0.10) + 0.10 * portable * draws.random()
    curve = veil * ramp(levels - 0.05, 0.05) + (1 - veil) * curve
    film = (draws.uniform(225, 252) * curve).astype(np.uint8)
    steps = np.clip(attenuation * np.float32(4095 / 3), 0, 4095).astype(np.uint16)
    blur = draws.uniform(0, 0.3) + 0.4 * portable
    return np.asarray(Image.fromarray(film[steps]).filter(ImageFilter.BoxBlur(blur)))


def finish(exam: Exam, film: Image.Image) -> np.ndarray:
    """Collimation, markers and quantum noise, on the detector."""
    draws = exam.draws("detector")
    image = collimated(film, draws)
    mark(image, draws, portable=exam.view == "AP")
    grain = np.frombuffer(draws.bytes(2 * film.width**2), dtype=np.uint8)
    grain = grain.reshape(2, film.width, film.width)
    values = np.add(grain[0], grain[1], dtype=np.int16)
    values -= 255
    values *= int(draws.integers(3, 10))
    values >>= 8
    values += np.asarray(image)
    return np.clip(values, 0, 255, out=values).astype(np.uint8)


def collimated(image: Image.Image, draws: np.random.Generator) -> Image.Image:
    """Dark, sometimes slanted borders where the beam was cut."""
    down = np.linspace(0, 1, 256)[:, None]
    shade = np.ones((256, 256))
    for inward, along in ((down, down.T), (1 - down, down.T), (down.T, down), (1 - down.T, down)):
        if draws.random() < 0.22:
            edge = draws.uniform(0.01, 0.08) + draws.normal(0, 0.015) * (along - 0.5)
            shade *= ramp(inward - edge, draws.uniform(0.004, 0.012))
    if shade.min() == 1:
        return image
    mask = Image.fromarray((255 * shade).astype(np.uint8))
    return ImageChops.multiply(image, mask.resize(image.size, Image.Resampling.BILINEAR))


def mark(image: Image.Image, draws: np.random.Generator, *, portable: bool) -> None:
    """The side marker, and the label of the mobile unit."""
    size = image.width
    pen = ImageDraw.Draw(image)
    x, y = draws.uniform(0.86, 0.93), draws.uniform(0.03, 0.16)
    side = "L" if draws.random() < 0.8 else "R"
    x = x if side == "L" else 0.95 - x
    font = ImageFont.load_default(size * draws.uniform(0.035, 0.055))
    pen.text((x * size, y * size), side, fill=250, font=font)
    if portable and draws.random() < 0.5:
        corner = (draws.uniform(0.1, 0.75) * size, 0.015 * size)
        font = ImageFont.load_default(size * 0.02)
        pen.text(corner, "AP  PORTABLE", fill=240, font=font)
