"""The files that figures of radiographs read of sites and models."""

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from chexviz.base.errors import InputError
from chexviz.base.tables.models import PREDICTIONS, answer
from chexviz.base.tables.sites import ANNOTATIONS
from chexviz.images.annotated import read_images

# By endpoint, (site, finding), and head: image, subset, label and score.
Scores = dict[tuple[str, str], dict[str, pd.DataFrame]]


class Site(NamedTuple):
    """The files of a site."""

    name: str
    images: str
    samples: str
    annotations: str

    def radiographs(self, images: Sequence[str]) -> np.ndarray:
        """The radiographs uint8 (n, S, S) of n images, in their order."""
        return read_images(self.images, self.samples, images)

    def outlines(self, finding: str) -> pd.DataFrame:
        """The boxes and masks of a finding in all images."""
        table = ANNOTATIONS.read(self.annotations)
        return table[table["finding"].isin(["", finding])]


def add_sites(parser: ArgumentParser) -> None:
    """Add the option of the sites; each of its values makes a Site."""
    parser.add_argument(
        "--site",
        action="append",
        nargs=4,
        required=True,
        metavar=("SITE", "IMAGES", "SAMPLES", "ANNOTATIONS"),
    )


def read_scores(path: str | Path, sites: list[dict]) -> Scores:
    """The evaluation images whose label is known, of one model at some sites.

    At sites that train those of its answer alone, at external ones of each head. sites: name, role
    and findings of each. Raises InputError where a site that trains has no rows.
    """
    names = ("site", "image", "subset", "finding", "label", "head", "score")
    table = PREDICTIONS.read(path, *names)
    table = table[table["subset"] == "evaluation"]
    scores: Scores = {}
    for site in sites:
        own = table[table["site"] == site["name"]]
        for finding in site["findings"]:
            rows = own[own["finding"] == finding]
            heads = rows["head"].unique().tolist()
            if site["role"] == "train":
                heads = [the_answer(path, site["name"], finding, heads)]
            known = rows.loc[rows["label"].notna(), ["image", "subset", "label", "score", "head"]]
            parts = {head: known[known["head"] == head] for head in heads}
            scores[site["name"], finding] = parts
    return scores


def the_answer(path: str | Path, site: str, finding: str, heads: list[str]) -> str:
    """The head that is a model's answer. Raises InputError, naming the predictions, without any."""
    if heads:
        return answer(site, heads)
    raise InputError(
        path,
        expected=f"scores of {finding} on evaluation images of {site}",
        found="none",
        fix="run the prediction of this model again",
    )
