"""Near-identical images, within a site and across sites: perceptual hash, confirmed on pixels."""

import argparse
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from chexviz.errors import run
from chexviz.files import replacing
from chexviz.progress import Progress

BITS = 64
THUMBNAIL = 64  # pixels; what differs below this scale is noise and compression
COLUMNS = ["site_a", "image_a", "site_b", "image_b", "hamming", "difference", "same_file"]


def close_pairs(hashes: np.ndarray, radius: int) -> np.ndarray:
    """All pairs (p, 2), first < second, of uint64 hashes (n,) that differ in at most `radius` bits.

    Two such hashes agree in at least one of radius + 1 groups of bits, so only hashes that agree
    in a whole group are compared. Bits are dealt to the groups in turn, since neighbouring bits of
    a DCT hash are alike in all chest radiographs and would not tell them apart.
    """
    found = [np.empty((0, 2), dtype=np.int64)]
    for group in range(radius + 1):
        mask = np.uint64(sum(1 << bit for bit in range(group, BITS, radius + 1)))
        for bucket in buckets(hashes & mask):
            found += list(close_in_bucket(hashes, bucket, radius))
    return np.unique(np.concatenate(found), axis=0)


def buckets(keys: np.ndarray) -> Iterator[np.ndarray]:
    """Positions of equal keys, for every key that occurs at least twice; each sorted."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    edges = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1], True])
    for start, stop in pairwise(edges):
        if stop - start > 1:
            yield order[start:stop]


def close_in_bucket(hashes: np.ndarray, bucket: np.ndarray, radius: int) -> Iterator[np.ndarray]:
    """Pairs of one bucket that differ in at most `radius` bits, a row of comparisons at a time."""
    values = hashes[bucket]
    for row in range(len(bucket) - 1):
        near = np.flatnonzero(np.bitwise_count(values[row + 1 :] ^ values[row]) <= radius)
        if len(near):
            yield np.column_stack([np.full(len(near), bucket[row]), bucket[row + 1 + near]])


def equalised(image: np.ndarray) -> np.ndarray:
    """A thumbnail (64, 64) of a uint8 image, of mean 128 and standard deviation 64 grey levels.

    So a change of brightness, contrast or JPEG quality leaves it nearly the same.
    """
    small = Image.fromarray(image).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    values = np.asarray(small, dtype=np.float32)
    return 128 + 64 * (values - values.mean()) / max(values.std(), 1)


def differences(stacks: list[np.ndarray], where: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Mean absolute grey level between the equalised thumbnails of each pair, float32 (p,).

    stacks: images (N, S, S) per site. where: (n, 2), the stack and the position of each image.
    """
    values = np.empty(len(pairs), dtype=np.float32)
    with Progress("confirm duplicates", total=len(pairs), unit="pair") as progress:
        for number, pair in enumerate(pairs):
            one, two = (equalised(stacks[stack][position]) for stack, position in where[pair])
            values[number] = np.abs(one - two).mean()
            progress.step()
    return values


def find(
    sites: list[str], samples: list[pd.DataFrame], stacks: list[np.ndarray], settings: dict
) -> pd.DataFrame:
    """The table of near-identical pairs (see COLUMNS), ordered as the sites and samples are.

    settings: hamming (bits) and difference (grey levels): at most so much, both.
    """
    all_samples = pd.concat(samples, keys=range(len(sites)), names=["site", "position"])
    hashes = np.array([int(text, 16) for text in all_samples["phash"]], dtype=np.uint64)
    where = np.array(all_samples.index.to_list(), dtype=np.int64).reshape(-1, 2)
    pairs = close_pairs(hashes, settings["hamming"])
    difference = differences(stacks, where, pairs)
    near = difference <= settings["difference"]
    pairs, difference = pairs[near], difference[near]
    one, two = (all_samples.iloc[pairs[:, side]] for side in (0, 1))
    names = np.array(sites, dtype=object)
    return pd.DataFrame(
        {
            "site_a": names[where[pairs[:, 0], 0]],
            "image_a": one["image"].to_numpy(),
            "site_b": names[where[pairs[:, 1], 0]],
            "image_b": two["image"].to_numpy(),
            "hamming": np.bitwise_count(hashes[pairs[:, 0]] ^ hashes[pairs[:, 1]]),
            "difference": difference.round(3),
            "same_file": one["sha256"].to_numpy() == two["sha256"].to_numpy(),
        },
        columns=COLUMNS,
    )


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--site", nargs="+", required=True)
    parser.add_argument("--images", nargs="+", required=True, type=Path, help="a file per site")
    parser.add_argument("--samples", nargs="+", required=True, type=Path, help="a file per site")
    parser.add_argument("--settings", required=True, type=json.loads)
    parser.add_argument("--output", required=True, type=Path)
    arguments = parser.parse_args(argv)
    samples = [pd.read_csv(path, dtype=str, keep_default_na=False) for path in arguments.samples]
    stacks = [np.load(path, mmap_mode="r") for path in arguments.images]
    table = find(arguments.site, samples, stacks, arguments.settings)
    with replacing(arguments.output) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


if __name__ == "__main__":
    run(main)
