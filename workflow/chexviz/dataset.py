"""The images and labels of one site's subset, on the device that computes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from chexviz.errors import InputError


@dataclass
class Dataset:
    """A site's subset. images: uint8 (n, S, S). labels: float32 (n,), 1, 0 or NaN (unknown)."""

    site: str
    images: Tensor
    labels: Tensor
    rows: pd.DataFrame

    def __len__(self) -> int:
        return len(self.labels)


def load_dataset(
    site: str, images: Path, samples: Path, split: Path, subsets: list[str], device: torch.device
) -> Dataset:
    """Read the images of a site that the split puts into `subsets`, in the order of the samples.

    rows has the split's columns for them, index 0 to n - 1. The images are copied to the device
    as uint8: they are four times smaller there than as float32, and stay for the whole run.
    """
    table = read_split(split)
    table = table[(table["site"] == site) & table["subset"].isin(subsets)]
    if table.empty:
        raise InputError(
            split,
            expected=f"images of site {site} in {' or '.join(subsets)}",
            found="none",
            fix="check that this split was made with this site",
        )
    order = pd.read_csv(samples, dtype=str, keep_default_na=False, usecols=["image"])["image"]
    position = pd.Series(order.index, index=order)
    table = table.assign(position=position.reindex(table["image"]).to_numpy())
    if table["position"].isna().any():
        stranger = table.loc[table["position"].isna(), "image"].iloc[0]
        raise InputError(
            samples,
            expected="every image of the split",
            found=f"no image {stranger}",
            fix=f"make {split} again",
        )
    table = table.sort_values("position").reset_index(drop=True)
    stack = np.load(images, mmap_mode="r")
    pixels = torch.from_numpy(stack[table["position"].to_numpy(dtype=np.int64)])
    labels = torch.tensor(table["label"].to_numpy(dtype=np.float32))
    rows = table.drop(columns="position")
    return Dataset(site, pixels.to(device), labels.to(device), rows)


def read_split(path: Path) -> pd.DataFrame:
    """A split table, its ids as text."""
    text = dict.fromkeys(("site", "image", "patient", "group", "subset"), str)
    return pd.read_csv(path, dtype={**text, "label": np.float32}, keep_default_na=False)


def to_unit(images: Tensor) -> Tensor:
    """uint8 (n, S, S) to float32 (n, 1, S, S) in [0, 1], what the models take."""
    return images.unsqueeze(1).float() / 255
