"""What is known of the images that are evaluated: their rows of a site's samples.csv."""

import argparse
from pathlib import Path

import pandas as pd

from chexviz.base.errors import InputError
from chexviz.base.tables.sites import ATTRIBUTE, SAMPLES
from chexviz.base.tables.table import missing


def add_samples(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names the samples of each site."""
    parser.add_argument(
        "--samples",
        nargs=2,
        action="append",
        required=True,
        metavar=("SITE", "FILE"),
        help="what is known of a site's images (repeated)",
    )


def samples_of(site: str, files: dict[str, str]) -> str:
    """The file of a site's samples. Raises InputError if none was given."""
    if site not in files:
        raise InputError(
            f"--samples {site}",
            expected=f"the samples of {site}, whose predictions are evaluated",
            found=", ".join(files) or "none",
            fix="give --samples SITE FILE for every site",
        )
    return files[site]


def attributes_in(file: str) -> list[str]:
    """The columns of a site's samples that are its attributes."""
    if not Path(file).is_file():
        raise missing(file)
    return [name for name in pd.read_csv(file, nrows=0) if name.startswith(ATTRIBUTE)]


def read_samples(file: str, images: pd.Series, *names: str) -> pd.DataFrame:
    """These columns of samples.csv for some images (n,). Raises InputError if one is not there."""
    table = SAMPLES.read(file, "image", *names).set_index("image")
    strangers = images[~images.isin(table.index)]
    if len(strangers):
        raise InputError(
            file,
            expected="every image of the predictions",
            found=f"no image {strangers.iloc[0]!r} ({len(strangers)} such images)",
            fix="remove the predictions of this site and run again",
        )
    return table.loc[images].reset_index(drop=True)
