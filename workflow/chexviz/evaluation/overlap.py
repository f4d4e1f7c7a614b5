"""How well a Grad-CAM map agrees with an annotation: three measures (docs/localisation.md).

Each is in [0, 1], 1 is best. All take maps that are not negative, (n, S, S), and masks of what is
annotated, bool (n, S, S), and give float64 (n,). A map that is zero everywhere points at nothing:
it scores 0, which is worse than chance, and is not left out, which would reward a model for having
no map where it fails. A uniform map scores, by every measure, the share of the image that is
annotated (`area`): that is chance. Raises ValueError for an empty mask: without an annotation
nothing can be agreed with.
"""

import numpy as np

# Interpolating equal values rounds by a few units in the last place.
TIE = 1 - 8 * float(np.finfo(np.float32).eps)


def energy_inside(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """The share of each map's sum that lies inside (Score-CAM, Wang et al., CVPRW 2020)."""
    total = maps.sum(axis=(1, 2), dtype=np.float64)
    inside = (maps * require_annotated(masks)).sum(axis=(1, 2), dtype=np.float64)
    return inside / np.where(total > 0, total, 1)


def pointing_game(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Whether each map's maximum lies inside (Zhang et al., IJCV 2018).

    Of several equal maxima each counts by its share, what a random choice among them scores on
    average; the first one in reading order would favour the upper left. Without the tolerance of
    15 pixels that the source gives to objects: annotations here are areas.
    """
    peaks = at_least(maps, TIE)
    return share(peaks & require_annotated(masks), peaks)


def iou(maps: np.ndarray, masks: np.ndarray, threshold: float) -> np.ndarray:
    """Intersection over union of the annotation and what reaches `threshold` of the map's maximum.

    threshold: in (0, 1].
    """
    marked = at_least(maps, threshold)
    return share(marked & require_annotated(masks), marked | masks)


def area(masks: np.ndarray) -> np.ndarray:
    """The share of each image that is annotated: what a uniform map scores by every measure."""
    return require_annotated(masks).mean(axis=(1, 2))


def at_least(maps: np.ndarray, part: float) -> np.ndarray:
    """Where each map reaches a part of its maximum, bool (n, S, S); nowhere if it is all zero."""
    largest = maps.max(axis=(1, 2), keepdims=True)
    return (maps >= np.float32(part) * largest) & (largest > 0)


def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Pixels of a part by those of the whole (n,), 0 where the whole is empty."""
    counts = np.count_nonzero(whole, axis=(1, 2))
    return np.count_nonzero(part, axis=(1, 2)) / np.maximum(counts, 1)


def require_annotated(masks: np.ndarray) -> np.ndarray:
    """The masks, of which none is empty."""
    if not masks.any(axis=(1, 2)).all():
        raise ValueError("a mask is empty: an image without annotation cannot be scored")
    return masks
