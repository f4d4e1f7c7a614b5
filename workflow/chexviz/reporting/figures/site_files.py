"""The files of a site that figures of radiographs read, as their command lines name them."""

from argparse import ArgumentParser
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from chexviz.base.tables.sites import ANNOTATIONS
from chexviz.images.annotated import read_images


class Site(NamedTuple):
    """The files of a site."""

    name: str
    task: str
    images: str
    samples: str
    annotations: str

    def radiographs(self, images: Sequence[str]) -> np.ndarray:
        """The radiographs uint8 (n, S, S) of n images, in their order."""
        return read_images(self.images, self.samples, images)

    def outlines(self) -> pd.DataFrame:
        """The boxes and masks of all images."""
        return ANNOTATIONS.read(self.annotations)


def add_sites(parser: ArgumentParser) -> None:
    """Add the option of the sites; each of its values makes a Site."""
    parser.add_argument(
        "--site",
        action="append",
        nargs=5,
        required=True,
        metavar=("SITE", "TASK", "IMAGES", "SAMPLES", "ANNOTATIONS"),
    )
