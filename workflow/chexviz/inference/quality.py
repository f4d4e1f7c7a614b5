"""What a reader should know of a radiograph before believing a model: its view, size and look.

How often the words are wrong was measured (docs/inference.md).
"""

from collections.abc import Sequence

import numpy as np

from chexviz.inference.bundle import Likeness

SIDE = 16  # of a thumbnail: finer ones tell chests from other things no better
SHARE = 0.01  # of the images that trained which are called unlike them
FRONTAL = ("AP", "PA")
LATERAL = ("LL", "RL", "LAT", "LATERAL", "LLAT", "RLAT")
INVERTED, UNLIKE = "inverted grey levels", "unlike a chest radiograph"
LOSSY = "lossy compression"


def thumbnails(images: np.ndarray, side: int) -> np.ndarray:
    """Images uint8 (n, S, S) as thumbnails (n, side * side) of mean 0 and deviation 1.

    S: a multiple of side. A uniform image is all zero.
    """
    count, size = images.shape[:2]
    step = size // side
    blocks = images.reshape(count, side, step, side, step).mean(axis=(2, 4), dtype=np.float64)
    return standardised(blocks.reshape(count, -1))


def learn(images: np.ndarray) -> Likeness:
    """What the images uint8 (n, S, S) of a training have in common: see `likeness`."""
    small = thumbnails(images, SIDE)
    (typical,) = standardised(small.mean(axis=0, keepdims=True)).round(4)
    like = Likeness(side=SIDE, typical=typical.tolist(), limit=0.5)
    limit = float(np.quantile(likeness(images, like), SHARE))
    # A score of 0 is that of an image that has nothing in common with a chest.
    return Likeness(side=SIDE, typical=like.typical, limit=min(max(limit, 0.1), 0.9))


def standardised(values: np.ndarray) -> np.ndarray:
    """Rows (n, k) of mean 0 and deviation 1; one whose values are alike is all zero."""
    centred = values - values.mean(axis=1, keepdims=True)
    spread = centred.std(axis=1, keepdims=True)
    return np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0)


def likeness(images: np.ndarray, like: Likeness) -> np.ndarray:
    """How like the images of the training each of these uint8 (n, S, S) is: (n,) in [-1, 1].

    The correlation of its thumbnail with the mean one: brightness and contrast do not matter.
    Inverted grey levels change its sign.
    """
    return thumbnails(images, like.side) @ np.array(like.typical) / like.side**2


def look(score: float, like: Likeness) -> list[str]:
    """What the likeness of an image says of it: nothing, INVERTED or UNLIKE."""
    if score >= like.limit:
        return []
    return [INVERTED if score <= -like.limit else UNLIKE]


def words(
    view: str, shape: Sequence[int], lossy: bool, score: float, size: int, like: Likeness
) -> list[str]:
    """All that there is to say of a radiograph.

    view: of its header, '' where it has none. shape: height and width of the file. score: see
    `likeness`. size: side of the image that the model sees.
    """
    said = look(score, like)
    if not view:
        said.append("unknown view")
    elif view in LATERAL:
        said.append("lateral view")
    elif view not in FRONTAL:
        said.append(f"unusual view {view}")
    if min(shape) < size:
        said.append(f"very small: {shape[1]} x {shape[0]} pixels")
    if lossy:
        said.append(LOSSY)
    return said
