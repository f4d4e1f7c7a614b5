"""Near-identical images, within a site and across sites: perceptual hash, confirmed on pixels."""

from collections.abc import Iterable
from itertools import combinations
from math import comb
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from msgspec import Meta
from PIL import Image

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.files import replacing
from chexviz.base.progress import Progress
from chexviz.base.settings import Settings, read
from chexviz.base.tables.sites import SAMPLES
from chexviz.base.tables.study import DUPLICATES
from chexviz.images.arrays import locate, open_images

BITS = 64
# Measured: what a bit of a key tells chests apart, in bits (they are neither even nor independent),
# and what sorting costs per hash, in comparisons of a pair.
ENTROPY, SORTING = 0.72, 10
MOST_GROUPS = 6  # enough for a million hashes
THUMBNAIL = 64  # pixels; what differs below this scale is noise and compression
BLOCK = 256  # pairs confirmed at once: 8 MB


class Nearness(Settings, frozen=True):
    """Near-identical images differ by at most so many bits of 64, and so many grey levels."""

    hamming: Annotated[int, Meta(ge=0, le=BITS)]
    difference: Annotated[float, Meta(ge=0)]


def close_pairs(hashes: np.ndarray, radius: int) -> np.ndarray:
    """All pairs (p, 2), first < second, of uint64 hashes (n,) that differ in at most `radius` bits.

    The bits are dealt to radius + k groups. Two such hashes agree in all bits of at least k groups,
    so for every choice of k groups only hashes that agree there are compared (the multi-index
    hashing of Norouzi et al. 2014 is the case of k = 1). Neighbouring bits go to different groups,
    since those of a cosine transform are alike in all chest radiographs.
    """
    chosen = agreeing_groups(len(hashes), radius)
    count = radius + chosen
    groups = [bit_mask(range(group, BITS, count)) for group in range(count)]
    found = []
    for choice in combinations(range(count), chosen):
        mask = np.bitwise_or.reduce([groups[group] for group in choice], dtype=np.uint64)
        pairs = close_where(hashes, mask, radius)
        # A pair that agrees in more than k groups is taken where the first k are chosen.
        differ = hashes[pairs[:, 0]] ^ hashes[pairs[:, 1]]
        for group in set(range(max(choice, default=0))) - set(choice):
            new = (differ & groups[group]) != 0
            pairs, differ = pairs[new], differ[new]
        found.append(pairs)
    pairs = np.sort(np.concatenate(found), axis=1)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def agreeing_groups(count: int, radius: int) -> int:
    """How many groups of bits must agree so that `count` hashes take the fewest steps.

    More of them make larger keys, so fewer pairs that agree by chance, but more choices of groups.
    As `count` grows so does the best number, which lowers the share of all pairs that are compared;
    while that number stays the same they grow as the square.
    """

    def steps(chosen: int) -> float:
        key = ENTROPY * BITS * chosen / max(radius + chosen, 1)
        return comb(radius + chosen, chosen) * (SORTING * count + count**2 / 2 ** (key + 1))

    return min(range(MOST_GROUPS + 1), key=steps)


def bit_mask(bits: Iterable[int]) -> np.uint64:
    return np.uint64(sum(1 << bit for bit in bits))


def close_where(hashes: np.ndarray, mask: np.uint64, radius: int) -> np.ndarray:
    """Pairs (p, 2) that agree in the bits of `mask` and differ in at most `radius` others.

    Sorted by those bits, equal ones are neighbours: first each is compared with the next one, then
    with the one after that, and so on while any of them agree.
    """
    order = np.argsort(hashes & mask)
    values = hashes[order]
    here, distance, found = np.arange(len(values)), 0, []
    while len(here):
        distance += 1
        here = here[: np.searchsorted(here, len(values) - distance)]
        differ = values[here] ^ values[here + distance]
        same = (differ & mask) == 0
        here, differ = here[same], differ[same]
        near = here[np.bitwise_count(differ) <= radius]
        found.append(np.column_stack([near, near + distance]))
    return order[np.concatenate(found)] if found else np.empty((0, 2), dtype=np.int64)


def thumbnail(image: np.ndarray) -> np.ndarray:
    """A uint8 image reduced to (64, 64)."""
    return np.asarray(Image.fromarray(image).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX))


def equalised(thumbnails: np.ndarray) -> np.ndarray:
    """uint8 (n, 64, 64) to float32 of mean 128 and standard deviation 64 grey levels each.

    So a change of brightness, contrast or JPEG quality leaves them nearly the same.
    """
    values = thumbnails.astype(np.float32)
    values -= values.mean(axis=(1, 2), keepdims=True)
    return 128 + 64 * values / np.maximum(values.std(axis=(1, 2), keepdims=True), 1)


def differences(stacks: list[np.ndarray], where: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Mean absolute grey level between the equalised thumbnails of each pair, float32 (p,).

    stacks: images (N, S, S) each. where: (n, 2), the stack and the position of each image.
    """
    used, pairs = np.unique(pairs, return_inverse=True)
    pairs = pairs.reshape(-1, 2)
    thumbnails = np.empty((len(used), THUMBNAIL, THUMBNAIL), dtype=np.uint8)
    with Progress("confirm duplicates", total=len(used), unit="image") as progress:
        for number, (stack, position) in enumerate(where[used]):
            thumbnails[number] = thumbnail(stacks[stack][position])
            progress.step()
    values = np.empty(len(pairs), dtype=np.float32)
    for start in range(0, len(pairs), BLOCK):
        one, two = (equalised(thumbnails[side]) for side in pairs[start : start + BLOCK].T)
        values[start : start + BLOCK] = np.abs(one - two).mean(axis=(1, 2))
    return values


def find(
    sites: list[str], samples: list[pd.DataFrame], stacks: list[np.ndarray], settings: Nearness
) -> pd.DataFrame:
    """The table of near-identical pairs (DUPLICATES), ordered as the sites and samples are.

    stacks: the arrays that hold all images in this order. settings: what is near.
    """
    all_samples = pd.concat(samples, ignore_index=True)
    site = np.repeat(np.array(sites, dtype=object), [len(table) for table in samples])
    hashes = np.array([int(text, 16) for text in all_samples["phash"]], dtype=np.uint64)
    where = np.column_stack(locate(stacks, np.arange(len(all_samples))))
    pairs = close_pairs(hashes, settings.hamming)
    difference = differences(stacks, where, pairs)
    near = difference <= settings.difference
    pairs, difference = pairs[near], difference[near]
    one, two = (all_samples.iloc[pairs[:, side]] for side in (0, 1))
    return pd.DataFrame(
        {
            "site_a": site[pairs[:, 0]],
            "image_a": one["image"].to_numpy(),
            "site_b": site[pairs[:, 1]],
            "image_b": two["image"].to_numpy(),
            "hamming": np.bitwise_count(hashes[pairs[:, 0]] ^ hashes[pairs[:, 1]]),
            "difference": difference.round(3),
            "same_file": one["sha256"].to_numpy() == two["sha256"].to_numpy(),
        }
    )


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--site", nargs="+", required=True)
    parser.add_argument("--images", nargs="+", required=True, type=Path, help="a file per site")
    parser.add_argument("--samples", nargs="+", required=True, type=Path, help="a file per site")
    parser.add_argument("--settings", required=True, help="JSON, see Nearness")
    parser.add_argument("--output", required=True, type=Path)
    arguments = parser.parse_args(argv)
    samples = [SAMPLES.read(path, "image", "sha256", "phash") for path in arguments.samples]
    stacks = [stack for path in arguments.images for stack in open_images(path)]
    table = find(arguments.site, samples, stacks, read(arguments.settings, Nearness))
    with replacing(arguments.output) as temporary:
        DUPLICATES.write(table, temporary)


if __name__ == "__main__":
    run(main)
