"""A site's split without the images that share something with earlier subsets of other sites."""

import sys
from collections.abc import Collection
from pathlib import Path

import pandas as pd

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.base.files import replacing
from chexviz.base.private_files import read_secret
from chexviz.base.tables.study import LEAKING, SHARED_KINDS, SPLIT, SUBSETS
from chexviz.cohort.keyed_hashes import images_of, keyed_rows
from chexviz.cohort.leakage import as_written

# By chance alone, some image of another site is a candidate of nearly every image of a large site.
USUAL = tuple(kind for kind in SHARED_KINDS if kind != "candidate")


def leaking_images(
    rows: pd.DataFrame, leaking: pd.DataFrame, kinds: Collection[str], file: Path
) -> pd.Index:
    """The images, by their index in `rows`, that leak in one of these ways.

    rows: of the site itself (keyed_rows). leaking: what it was told back (LEAKING), in `file`.
    Raises InputError if that is of other rows than these.
    """
    columns = ["subset", "file", "phash"]
    own = pd.MultiIndex.from_frame(rows[columns].fillna(""))
    found = pd.MultiIndex.from_frame(leaking[columns].fillna(""))
    strange = ~found.isin(own)
    if strange.any():
        raise InputError(
            file,
            expected="hashes of this site's images, in the subsets of this split",
            found=f"{strange.sum()} others, of {len(leaking)}",
            fix="give the secret, samples and split that the site's table was made from",
        )
    return rows.index[own.isin(found[leaking["shared"].isin([*kinds])])].unique()


def account(images: pd.DataFrame, left_out: pd.Index) -> str:
    """One line: how many images of each subset are left out."""
    gone = images.loc[left_out, "subset"].value_counts()
    counts = images["subset"].value_counts()
    parts = [f"{gone.get(one, 0)} of {counts[one]} {one}" for one in SUBSETS if one in counts]
    return f"left out, since another site has them in an earlier subset: {', '.join(parts)} images"


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--samples", required=True, type=Path, help="of the site")
    parser.add_argument("--split", required=True, type=Path, help="of the site")
    parser.add_argument("--key", required=True, type=Path, help="the secret of all sites")
    parser.add_argument("--leaking", required=True, type=Path, help="what the coordinator tells")
    parser.add_argument(
        "--kinds",
        nargs="+",
        choices=SHARED_KINDS,
        default=USUAL,
        help=f"what is left out ({' '.join(USUAL)})",
    )
    parser.add_argument("--output", required=True, type=Path, help="the split without them")
    arguments = parser.parse_args(argv)
    images = images_of(arguments.samples, arguments.split)
    rows = keyed_rows(images, read_secret(arguments.key))
    leaking = LEAKING.read(arguments.leaking)
    left_out = leaking_images(rows, leaking, arguments.kinds, arguments.leaking)
    names = images.loc[left_out, "image"]
    split = SPLIT.read(arguments.split)
    with replacing(arguments.output) as temporary:
        SPLIT.write(as_written(split[~split["image"].isin(names)]), temporary)
    print(account(images, left_out), file=sys.stderr)


if __name__ == "__main__":
    run(main)
