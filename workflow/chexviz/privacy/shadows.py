"""Who trains which shadow model: a random half of all patients, and the other half its twin."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.files import replacing_all
from chexviz.base.randomness import stream
from chexviz.base.records import groups
from chexviz.base.settings import read
from chexviz.base.tables.study import DUPLICATES, PAIR, SPLIT
from chexviz.privacy.settings import Shadows


def halves(images: pd.DataFrame, pairs: pd.DataFrame, seed: int, number: int) -> np.ndarray:
    """Which images (n,) train the first of two twins, bool; the others train the second.

    Whole groups: all images of a patient, and near-identical ones. Half the groups of each site.
    images: columns site, image, patient. number: of the twins, from 0.
    """
    group = groups(images, pairs)
    owner = pd.Series(images["site"].to_numpy()).groupby(group).first()  # by group, in order
    draws = np.random.default_rng(stream(seed, "shadows", number))
    chosen = np.zeros(len(owner), dtype=bool)
    for site in sorted(owner.unique()):
        members = draws.permutation(np.flatnonzero(owner == site))
        chosen[members[: len(members) // 2 + len(members) % 2 * (number % 2)]] = True
    return chosen[group]


def splits(
    split: pd.DataFrame, pairs: pd.DataFrame, count: int, seed: int
) -> Mapping[int, pd.DataFrame]:
    """The splits of `count` shadows, an even number, from 1: what trains each, and what does not.

    split: of the run whose models are attacked. Of its images those that train or evaluate; what
    validates has chosen thresholds, and is neither.
    """
    images = split[split["subset"] != "validation"].reset_index(drop=True)
    made = {}
    for number in range(count // 2):
        first = halves(images, pairs, seed, number)
        for shadow, trains in ((2 * number + 1, first), (2 * number + 2, ~first)):
            made[shadow] = images.assign(subset=np.where(trains, "train", "evaluation"))
    return made


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--split", required=True, type=Path, help="of all sites, by patient")
    parser.add_argument("--site", nargs="+", required=True, help="that train")
    parser.add_argument("--duplicates", required=True, type=Path)
    parser.add_argument("--settings", required=True, help="JSON of Shadows")
    parser.add_argument("--shadows", nargs="+", required=True, type=Path, help="a file each")
    arguments = parser.parse_args(argv)
    split = SPLIT.read(arguments.split)
    split = split[split["site"].isin(arguments.site)]
    pairs = DUPLICATES.read(arguments.duplicates, *PAIR)
    seed = read(arguments.settings, Shadows).seed
    made = splits(split, pairs, len(arguments.shadows), seed)
    files = {str(number): path for number, path in enumerate(arguments.shadows, 1)}
    with replacing_all(files) as temporaries:
        for number, temporary in temporaries.items():
            SPLIT.write(made[int(number)], temporary)


if __name__ == "__main__":
    run(main)
